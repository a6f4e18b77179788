import Foundation
import Rehearsal

private struct ProjectCreation: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case title, audience, plannedMinutes }
    let title: String
    let audience: Audience?
    let plannedMinutes: Int?
}

private struct RunCreation: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case projectId, title, recordedAt, durationSeconds }
    let projectId: Int64
    let title: String?
    let recordedAt: Date?
    let durationSeconds: Int?
}

private struct AudioAttachment: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case runId, mediaType, content, replace }
    let runId: Int64
    let mediaType: String
    let content: Data
    let replace: Bool?
}

private struct TranscriptAttachment: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case runId, text, replace }
    let runId: Int64
    let text: String
    let replace: Bool?
}

private struct OfRun: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case runId }
    let runId: Int64
}

private struct OfProject: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case projectId }
    let projectId: Int64?
}

private struct RunListing: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case projectId, limit, before }
    let projectId: Int64
    let limit: Int?
    let before: RunCursor?
}

private struct Analysis: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case runId, score, comments }
    let runId: Int64
    let score: Int
    let comments: String
}

extension Command {
    static let runCommands = [
        Command("project_create", .changes) { (app, given: ProjectCreation) in
            try await app.runs().createProject(
                NewProject(titled: given.title, audience: given.audience, minutes: given.plannedMinutes),
                at: app.clock())
        },
        Command("project_list", .reads) { app in try await app.runs().projects() },
        Command("run_create", .changes) { (app, given: RunCreation) in
            try await app.runs().create(
                NewRun(
                    in: given.projectId, title: given.title, recordedAt: given.recordedAt,
                    durationSeconds: given.durationSeconds), at: app.clock())
        },
        Command("run_attach_audio", .changes) { (app, given: AudioAttachment) in
            try await app.runs().attach(
                .audio(
                    of: given.runId, mediaType: given.mediaType, content: given.content,
                    isReplacing: given.replace ?? false),
                at: app.clock())
        },
        Command("run_attach_transcript", .changes) { (app, given: TranscriptAttachment) in
            try await app.runs().attach(
                .transcript(of: given.runId, text: given.text, isReplacing: given.replace ?? false), at: app.clock())
        },
        Command("run_audio", .reads) { (app, given: OfRun) in try await app.runs().audio(of: given.runId) },
        Command("run_transcript", .reads) { (app, given: OfRun) in try await app.runs().transcript(of: given.runId) },
        Command("run_latest", .reads) { (app, given: OfProject) in try await app.runs().latest(of: given.projectId) },
        Command("run_get", .reads) { (app, given: OfRun) in try await app.runs().run(given.runId) },
        Command("run_list", .reads) { (app, given: RunListing) in
            try await app.runs().list(RunPageRequest(of: given.projectId, size: given.limit, before: given.before))
        },
        Command("run_analyse", .changes) { (app, given: Analysis) in
            try await app.runs().analyse(
                NewFeedback(on: given.runId, score: given.score, comments: given.comments), at: app.clock())
        },
    ]
}
