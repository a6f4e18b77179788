public import Foundation

/// Whom a talk is for.
public enum Audience: String, Sendable, Codable, CaseIterable {
    case peers, executives, students, everyone
}

/// A talk that somebody prepares: the runs through it belong to it.
public struct Project: Sendable, Hashable, Codable {
    /// The longest title, in characters as people count them.
    public static let maximumTitleCharacters = 200
    /// The longest talk.
    public static let maximumMinutes = 480

    /// Its number in the profile.
    public let id: Int64
    /// What people call it.
    public let title: String
    /// Whom it is for.
    public let audience: Audience
    /// How long it is to take.
    public let plannedMinutes: Int
    /// When it was made.
    public let createdAt: Date
}

/// What a project is made of.
public struct NewProject: Sendable {
    let title: String
    let audience: Audience
    let plannedMinutes: Int
}

/// A run through a talk.
public struct Run: Sendable, Hashable, Codable {
    /// The longest run.
    public static let maximumSeconds = 86_400

    /// Its number in the profile.
    public let id: Int64
    /// The project that it belongs to.
    public let projectId: Int64
    /// What people call it, if they do.
    public let title: String?
    /// When it was, to the second.
    public let recordedAt: Date
    /// How long it took, where that is known.
    public let durationSeconds: Int?
    /// What is attached to it; the content is asked for apart.
    public let artifacts: [Artifact]
    /// The newest feedback.
    public let feedback: Feedback?
}

/// What a run is made of.
public struct NewRun: Sendable {
    let projectId: Int64
    let title: String?
    let recordedAt: Date?
    let durationSeconds: Int?
}

/// What can be attached to a run.
public enum ArtifactKind: String, Sendable, Codable, CaseIterable {
    case audio, transcript
}

/// What is attached to a run, without its content.
public struct Artifact: Sendable, Hashable, Codable {
    /// The largest content: as base64, it fits into a message.
    public static let maximumBytes = 47 << 20

    /// Audio or transcript.
    public let kind: ArtifactKind
    /// Such as `audio/ogg`.
    public let mediaType: String
    /// The size of its content.
    public let bytes: Int
    /// When it was attached.
    public let createdAt: Date
}

/// What an artifact is made of.
public struct NewArtifact: Sendable {
    let runId: Int64
    let kind: ArtifactKind
    let mediaType: String
    let content: Data
    let isReplacing: Bool
}

/// The audio of a run.
public struct Audio: Sendable, Codable {
    /// What is known of it.
    public let artifact: Artifact
    /// Its bytes.
    public let content: Data
}

/// The transcript of a run.
public struct Transcript: Sendable, Codable {
    /// What is known of it.
    public let artifact: Artifact
    /// What was said.
    public let text: String
}

/// What somebody, or something, made of a run.
public struct Feedback: Sendable, Hashable, Codable {
    /// The longest comments.
    public static let maximumCommentBytes = 65_536

    /// Its number in the profile.
    public let id: Int64
    /// 0 to 100.
    public let score: Int
    /// What was said.
    public let comments: String
    /// When it was made.
    public let createdAt: Date
}

/// What feedback is made of.
public struct NewFeedback: Sendable {
    let runId: Int64
    let score: Int
    let comments: String
}

/// A run in a list.
public struct RunSummary: Sendable, Hashable, Codable {
    /// Its number in the profile.
    public let id: Int64
    /// What people call it, if they do.
    public let title: String?
    /// When it was.
    public let recordedAt: Date
    /// How long it took, where that is known.
    public let durationSeconds: Int?
    /// Whether audio is attached.
    public let hasAudio: Bool
    /// Whether a transcript is attached.
    public let hasTranscript: Bool
    /// The score of the newest feedback.
    public let score: Int?
}

/// Where a page of runs ended, and the next begins.
public struct RunCursor: Sendable, Hashable, Codable {
    let recordedAt: Date
    let id: Int64
}

/// Runs of a project, newest first.
public struct RunPage: Sendable, Hashable, Codable {
    /// The most that are had at once.
    public static let maximumSize = 500
    static let usualSize = 50

    /// The runs.
    public let runs: [RunSummary]
    /// What to ask for the next page with; nil where this is the last.
    public let next: RunCursor?
}

/// Which page of whose runs.
public struct RunPageRequest: Sendable {
    let projectId: Int64
    let size: Int
    let before: RunCursor?
}

/// What an artifact must keep to.
public enum ArtifactRule: Sendable, Equatable {
    case notEmpty, notTooLarge, mediaType

    var text: String {
        switch self {
        case .notEmpty: "is not empty"
        case .notTooLarge: "has at most \(Artifact.maximumBytes) bytes"
        case .mediaType: "has a media type such as audio/ogg"
        }
    }
}
