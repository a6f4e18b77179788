public import Foundation
public import GRDB
public import Strongroom

/// Projects, and the runs in them.
public struct RunRepository: Repository {
    let database: any DatabaseWriter

    /// The runs of an open profile.
    public init(_ profile: Profile) { self.init(database: profile.database) }

    /// The runs of a database that has the profile's schema.
    public init(database: any DatabaseWriter) { self.database = database }

    // MARK: Projects

    /// Makes a project.
    public func createProject(_ new: NewProject, at date: Date) async throws -> Project {
        try await write { db in
            let date = try date.wholeSecond()
            try db.execute(
                sql: RunQueries.insertProject,
                arguments: [new.title, new.audience.rawValue, new.plannedMinutes, date.seconds])
            return Project(
                id: db.lastInsertedRowID, title: new.title, audience: new.audience, plannedMinutes: new.plannedMinutes,
                createdAt: date)
        }
    }

    /// Every project, in the order in which they were made.
    public func projects() async throws -> [Project] {
        try await read { db in try Row.fetchAll(db, sql: RunQueries.projects).map(Project.init(row:)) }
    }

    // MARK: Runs

    /// Makes a run in a project.
    ///
    /// - Parameters:
    ///   - new: the run.
    ///   - date: when it was, unless it says so itself.
    /// - Throws: `RehearsalError.projectNotFound`.
    public func create(_ new: NewRun, at date: Date) async throws -> Run {
        try await write { db in
            try Self.requireProject(new.projectId, db)
            let recordedAt = try new.recordedAt ?? date.wholeSecond()
            try db.execute(
                sql: RunQueries.insertRun,
                arguments: [new.projectId, new.title, recordedAt.seconds, new.durationSeconds])
            return Run(
                id: db.lastInsertedRowID, projectId: new.projectId, title: new.title, recordedAt: recordedAt,
                durationSeconds: new.durationSeconds, artifacts: [], feedback: nil)
        }
    }

    /// The run of this number.
    ///
    /// - Throws: `RehearsalError.runNotFound`.
    public func run(_ id: Int64) async throws -> Run {
        try await read { db in try Self.run(id, db) }
    }

    /// The run that was last, of a project or of all; nil where there is none.
    ///
    /// - Throws: `RehearsalError.projectNotFound`.
    public func latest(of project: Int64? = nil) async throws -> Run? {
        try await read { db in
            let row: Row?
            if let project {
                try Self.requireProject(project, db)
                row = try db.first(RunQueries.latestOfProject, [project])
            } else {
                row = try db.first(RunQueries.latest)
            }
            return try row.map { try Run(row: $0, db) }
        }
    }

    /// Runs of a project, newest first, a page at a time.
    ///
    /// - Throws: `RehearsalError.projectNotFound`.
    public func list(_ page: RunPageRequest) async throws -> RunPage {
        try await read { db in
            try Self.requireProject(page.projectId, db)
            let query: (sql: String, arguments: StatementArguments) =
                if let before = page.before {
                    (RunQueries.pageBefore, [page.projectId, before.recordedAt.seconds, before.id, page.size + 1])
                } else {
                    (RunQueries.firstPage, [page.projectId, page.size + 1])
                }
            let statement = try db.cachedStatement(sql: query.sql)
            return RunPage(
                try Row.fetchAll(statement, arguments: query.arguments).map(RunSummary.init(row:)), size: page.size)
        }
    }

    // MARK: What belongs to a run

    /// Attaches audio or a transcript.
    ///
    /// - Returns: the run as it is then.
    /// - Throws: `RehearsalError.runNotFound`, `.artifactExists`.
    public func attach(_ new: NewArtifact, at date: Date) async throws -> Run {
        try await write { db in
            let run = try Self.run(new.runId, db)
            if run.artifacts.contains(where: { $0.kind == new.kind }) {
                guard new.isReplacing else { throw RehearsalError(.artifactExists) }
                try db.execute(sql: RunQueries.deleteArtifact, arguments: [new.runId, new.kind.rawValue])
            }
            try db.execute(
                sql: RunQueries.insertArtifact,
                arguments: [
                    new.runId, new.kind.rawValue, new.mediaType, new.content, try date.wholeSecond().seconds,
                ])
            return try Self.run(new.runId, db)
        }
    }

    /// The audio of a run.
    ///
    /// - Throws: `RehearsalError.runNotFound`, `.artifactNotFound`.
    public func audio(of id: Int64) async throws -> Audio {
        try await read { db in
            let (artifact, content) = try Self.artifact(.audio, of: id, db)
            return Audio(artifact: artifact, content: content)
        }
    }

    /// The transcript of a run.
    ///
    /// - Throws: `RehearsalError.runNotFound`, `.artifactNotFound`.
    public func transcript(of id: Int64) async throws -> Transcript {
        try await read { db in
            let (artifact, content) = try Self.artifact(.transcript, of: id, db)
            return Transcript(artifact: artifact, text: String(decoding: content, as: UTF8.self))
        }
    }

    /// Keeps feedback, and links it to its run: both, or neither.
    ///
    /// - Returns: the run as it is then.
    /// - Throws: `RehearsalError.runNotFound` where the link touches no run; there is no feedback either then.
    public func analyse(_ new: NewFeedback, at date: Date) async throws -> Run {
        try await write { db in
            // That the run is there is asked once, by the link: the reference is checked when the transaction ends.
            try db.execute(
                sql: RunQueries.insertFeedback,
                arguments: [new.runId, new.score, new.comments, try date.wholeSecond().seconds])
            try db.execute(sql: RunQueries.linkFeedback, arguments: [db.lastInsertedRowID, new.runId])
            guard db.changesCount == 1 else { throw RehearsalError(.runNotFound) }
            return try Self.run(new.runId, db)
        }
    }

    // MARK: Parts

    private static func artifact(_ kind: ArtifactKind, of id: Int64, _ db: Database) throws -> (Artifact, Data) {
        guard try db.first(RunQueries.run, [id]) != nil else { throw RehearsalError(.runNotFound) }
        guard let row = try db.first(RunQueries.artifactContent, [id, kind.rawValue]), let artifact = Artifact(row: row)
        else { throw RehearsalError(.artifactNotFound) }
        return (artifact, row["content"])
    }

    private static func requireProject(_ id: Int64, _ db: Database) throws {
        guard try db.first(RunQueries.project, [id]) != nil else { throw RehearsalError(.projectNotFound) }
    }

    private static func run(_ id: Int64, _ db: Database) throws -> Run {
        guard let row = try db.first(RunQueries.run, [id]) else { throw RehearsalError(.runNotFound) }
        return try Run(row: row, db)
    }
}

extension Date {
    /// As the tables keep it.
    var seconds: Int64 { Int64(timeIntervalSince1970) }

    init(seconds: Int64) { self.init(timeIntervalSince1970: TimeInterval(seconds)) }
}

extension Database {
    /// The first row of a query, the statement of which is kept for the next time.
    func first(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> Row? {
        try Row.fetchOne(cachedStatement(sql: sql), arguments: arguments)
    }
}

extension Project {
    fileprivate init(row: Row) {
        // An audience of a newer app is everyone to this one.
        self.init(
            id: row["id"], title: row["title"], audience: Audience(rawValue: row["audience"]) ?? .everyone,
            plannedMinutes: row["planned_minutes"], createdAt: Date(seconds: row["created_at"]))
    }
}

extension Run {
    fileprivate init(row: Row, _ db: Database) throws {
        let id: Int64 = row["id"]
        let feedback: Int64? = row["feedback_id"]
        let artifacts = try db.cachedStatement(sql: RunQueries.artifacts)
        self.init(
            id: id, projectId: row["project_id"], title: row["title"], recordedAt: Date(seconds: row["recorded_at"]),
            durationSeconds: row["duration_seconds"],
            artifacts: try Row.fetchAll(artifacts, arguments: [id]).compactMap(Artifact.init(row:)),
            feedback: try feedback.flatMap { try db.first(RunQueries.feedback, [$0]) }.map(Feedback.init(row:)))
    }
}

extension RunSummary {
    fileprivate init(row: Row) {
        self.init(
            id: row["id"], title: row["title"], recordedAt: Date(seconds: row["recorded_at"]),
            durationSeconds: row["duration_seconds"], hasAudio: row["has_audio"], hasTranscript: row["has_transcript"],
            score: row["score"])
    }
}

extension Artifact {
    fileprivate init?(row: Row) {
        guard let kind = ArtifactKind(rawValue: row["kind"]) else { return nil }
        self.init(
            kind: kind, mediaType: row["media_type"], bytes: row["bytes"], createdAt: Date(seconds: row["created_at"]))
    }
}

extension Feedback {
    fileprivate init(row: Row) {
        self.init(
            id: row["id"], score: row["score"], comments: row["comments"], createdAt: Date(seconds: row["created_at"]))
    }
}
