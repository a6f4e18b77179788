// The rules of projects and runs: what is taken from outside becomes a value that keeps to them, or an error.

public import Foundation

extension Date {
    /// The same to the second, which is what is kept.
    ///
    /// - Throws: `RehearsalError.dateInvalid` before 1970 and after 9999.
    func wholeSecond() throws(RehearsalError) -> Date {
        let seconds = timeIntervalSince1970.rounded(.down)
        guard (0...253_402_300_799).contains(seconds) else { throw RehearsalError(.dateInvalid) }
        return Date(timeIntervalSince1970: seconds)
    }
}

/// A title as it may be kept.
private func title(_ text: String) throws(RehearsalError) -> String {
    let text = text.trimmingCharacters(in: .whitespaces)
    guard (1...Project.maximumTitleCharacters).contains(text.count),
        text.utf8.count <= 4 * Project.maximumTitleCharacters,
        !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else { throw RehearsalError(.titleInvalid) }
    return text
}

extension NewProject {
    /// - Parameters:
    ///   - title: 1 to 200 characters.
    ///   - audience: whom the talk is for; peers unless said otherwise.
    ///   - minutes: 1 to 480; 20 unless said otherwise.
    /// - Throws: `RehearsalError.titleInvalid`, `.durationInvalid`.
    public init(titled title: String, audience: Audience? = nil, minutes plannedMinutes: Int? = nil)
        throws(RehearsalError)
    {
        self.title = try Rehearsal.title(title)
        self.audience = audience ?? .peers
        self.plannedMinutes = plannedMinutes ?? 20
        guard (1...Project.maximumMinutes).contains(self.plannedMinutes) else { throw RehearsalError(.durationInvalid) }
    }
}

extension NewRun {
    /// - Parameters:
    ///   - projectId: the project that it belongs to.
    ///   - title: 1 to 200 characters, or none.
    ///   - recordedAt: when it was, to the second; now unless said otherwise.
    ///   - durationSeconds: how long it took, a day at most.
    /// - Throws: `RehearsalError.titleInvalid`, `.dateInvalid`, `.durationInvalid`.
    public init(in projectId: Int64, title: String? = nil, recordedAt: Date? = nil, durationSeconds: Int? = nil)
        throws(RehearsalError)
    {
        self.projectId = projectId
        self.title = if let title { try Rehearsal.title(title) } else { nil }
        self.recordedAt = try recordedAt?.wholeSecond()
        if let durationSeconds, !(0...Run.maximumSeconds).contains(durationSeconds) {
            throw RehearsalError(.durationInvalid)
        }
        self.durationSeconds = durationSeconds
    }
}

extension NewArtifact {
    /// Audio of a run.
    ///
    /// - Parameters:
    ///   - mediaType: such as `audio/ogg`.
    ///   - content: 1 byte to 47 MiB.
    ///   - isReplacing: whether audio that is there goes.
    /// - Throws: `RehearsalError.artifactInvalid`.
    public static func audio(
        of runId: Int64, mediaType: String, content: Data, isReplacing: Bool = false
    ) throws(RehearsalError) -> NewArtifact {
        let subtype = mediaType.hasPrefix("audio/") ? mediaType.dropFirst("audio/".count) : ""
        guard (1...64).contains(subtype.utf8.count),
            subtype.utf8.allSatisfy({ "abcdefghijklmnopqrstuvwxyz0123456789.+-".utf8.contains($0) })
        else { throw RehearsalError(.artifactInvalid(.mediaType)) }
        return try NewArtifact(runId, .audio, mediaType, content, isReplacing)
    }

    /// The transcript of a run.
    ///
    /// - Parameters:
    ///   - text: what was said, 1 byte to 47 MiB of UTF-8.
    ///   - isReplacing: whether a transcript that is there goes.
    /// - Throws: `RehearsalError.artifactInvalid`.
    public static func transcript(
        of runId: Int64, text: String, isReplacing: Bool = false
    ) throws(RehearsalError) -> NewArtifact {
        try NewArtifact(runId, .transcript, "text/plain", Data(text.utf8), isReplacing)
    }

    private init(
        _ runId: Int64, _ kind: ArtifactKind, _ mediaType: String, _ content: Data, _ isReplacing: Bool
    ) throws(RehearsalError) {
        guard !content.isEmpty else { throw RehearsalError(.artifactInvalid(.notEmpty)) }
        guard content.count <= Artifact.maximumBytes else { throw RehearsalError(.artifactInvalid(.notTooLarge)) }
        self.init(runId: runId, kind: kind, mediaType: mediaType, content: content, isReplacing: isReplacing)
    }
}

extension NewFeedback {
    /// - Parameters:
    ///   - runId: the run.
    ///   - score: 0 to 100.
    ///   - comments: at most 65,536 bytes.
    /// - Throws: `RehearsalError.feedbackInvalid`.
    public init(on runId: Int64, score: Int, comments: String) throws(RehearsalError) {
        guard (0...100).contains(score), comments.utf8.count <= Feedback.maximumCommentBytes else {
            throw RehearsalError(.feedbackInvalid)
        }
        self.init(runId: runId, score: score, comments: comments)
    }
}

extension RunPageRequest {
    /// - Parameters:
    ///   - projectId: the project.
    ///   - size: 1 to 500 runs; 50 unless said otherwise.
    ///   - before: where the page before this one ended.
    /// - Throws: `RehearsalError.pageSizeInvalid`, `.dateInvalid`.
    public init(of projectId: Int64, size: Int? = nil, before: RunCursor? = nil) throws(RehearsalError) {
        self.init(projectId: projectId, size: size ?? RunPage.usualSize, before: before)
        _ = try before?.recordedAt.wholeSecond()
        guard (1...RunPage.maximumSize).contains(self.size) else { throw RehearsalError(.pageSizeInvalid) }
    }
}

extension RunPage {
    /// A page of what was found when one more than its size was asked for.
    init(_ found: [RunSummary], size: Int) {
        let runs = Array(found.prefix(size))
        self.init(
            runs: runs,
            next: found.count > size ? runs.last.map { RunCursor(recordedAt: $0.recordedAt, id: $0.id) } : nil)
    }
}
