// The reference application's hot reads in a profile with 100,000 runs, against the same functions on the same rows in plain SQLite.

import Foundation
import GRDB
import KeyPolicy
import Rehearsal
import Strongroom

enum RehearsalRows {
    private static let now = Date(timeIntervalSince1970: 1_795_521_600)

    /// 20 projects; a hundred runs a day, the last of them now; each third with audio and feedback.
    private static let fill = """
        INSERT INTO project (id, title, audience, planned_minutes, created_at)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
            SELECT i, 'Talk ' || i, 'peers', 20, 1700000000 FROM n;
        INSERT INTO run (id, project_id, title, recorded_at, duration_seconds)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            SELECT i, i % 20 + 1, 'Run ' || i, 1795521600 - (100000 - i) * 864, 600 + i % 300 FROM n;
        INSERT INTO artifact (run_id, kind, media_type, content, created_at)
            SELECT id, 'audio', 'audio/ogg', randomblob(200), recorded_at FROM run WHERE id % 3 = 0;
        INSERT INTO feedback (id, run_id, score, comments, created_at)
            SELECT id, id, id % 101, 'Slower in the middle.', recorded_at FROM run WHERE id % 3 = 0;
        UPDATE run SET feedback_id = id WHERE id % 3 = 0;
        """

    private enum Read: String, CaseIterable {
        case list = "run_list, 200 pages of 50 runs"
        case progress = "progress_get_snapshot, 10 times"

        func run(on database: DatabasePool) async throws {
            switch self {
            case .list:
                let runs = RunRepository(database: database)
                for project in 1...20 {
                    var before: RunCursor?
                    for _ in 0..<10 {
                        let page = try await runs.list(RunPageRequest(of: Int64(project), before: before))
                        guard page.runs.count == 50 else { throw BenchFailure(what: rawValue) }
                        before = page.next
                    }
                }
            case .progress:
                let coach = CoachRepository(database: database)
                let calendar = try Coach.calendar(timeZone: "Europe/Paris")
                for _ in 0..<10 {
                    let progress = try await coach.progress(at: RehearsalRows.now, in: calendar)
                    guard progress.attempts == 100_000, progress.streakDays >= 1_000 else {
                        throw BenchFailure(what: rawValue)
                    }
                }
            }
        }
    }

    static func measure(rounds: Int) async throws -> [Comparison] {
        let work = try BenchDirectory.make()
        defer { try? FileManager.default.removeItem(at: work) }
        let directory = FilePath(work.path)
        let store = try Store.create(
            at: directory.appending("store"),
            unlockers: [(UnlockSecret.makeKeyFile(directory.appending("key")), "bench")],
            options: StoreOptions(schema: RehearsalSchema.current))
        let info = try store.createProfile(named: "bench")
        let profile = try store.openProfile(info)
        try await profile.database.write { try $0.execute(sql: fill) }
        try profile.close()
        try store.exportProfile(info, toPlaintext: directory.appending("plain.db"), confirmingPlaintext: true)
        let ours = QuerySide(name: "Strongroom") {
            let profile = try store.openProfile(info)
            return (profile.database, { try profile.close() })
        }
        let theirs = QuerySide.byHand(
            at: directory.appending("plain.db"), isKeyed: false, policy: try KeyPolicy(shipped: "default"))

        return try await QueryRows.measure("100,000 runs", ours: ours, theirs: theirs, rounds: rounds) {
            (read: Read, database) in try await read.run(on: database)
        }
    }
}
