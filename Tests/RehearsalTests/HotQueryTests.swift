import Foundation
import GRDB
import Strongroom
import TestSupport
import Testing

@testable import Rehearsal

/// What the app asks all day finds its rows by an index and sorts nothing, however many there are.
@Suite struct RehearsalHotQueryTests {
    /// The indexes that the hot reads rely on, with their columns.
    private static let indexes = [
        "artifact_of_run": ["run_id", "kind"], "run_of_project": ["project_id", "recorded_at", "id"],
        "run_by_date": ["recorded_at"], "run_with_feedback": ["feedback_id"], "feedback_of_run": ["run_id"],
    ]

    /// Each hot read with the indexes that its plan names. `rowid` stands for a table's own key.
    private static let reads: [(name: String, sql: String, uses: [String])] = [
        ("run_list", RunQueries.firstPage, ["run_of_project", "rowid", "artifact_of_run"]),
        ("run_list, next page", RunQueries.pageBefore, ["run_of_project", "rowid", "artifact_of_run"]),
        ("run_latest", RunQueries.latest, ["run_by_date"]),
        ("run_latest of a project", RunQueries.latestOfProject, ["run_of_project"]),
        ("run_get", RunQueries.run, ["rowid"]),
        ("run_get, artifacts", RunQueries.artifacts, ["artifact_of_run"]),
        ("run_get, feedback", RunQueries.feedback, ["rowid"]),
        ("run_audio", RunQueries.artifactContent, ["artifact_of_run"]),
        ("project by number", RunQueries.project, ["rowid"]),
        ("preference", PreferencesQueries.value, ["PRIMARY KEY"]),
        ("progress, attempts", CoachQueries.attempts, ["COVERING INDEX"]),
        ("progress, feedback", CoachQueries.feedbackReady, ["COVERING INDEX run_with_feedback"]),
        ("progress, streak", CoachQueries.lastBefore, ["COVERING INDEX run_by_date"]),
        ("progress, week", CoachQueries.countBetween, ["COVERING INDEX run_by_date"]),
        ("blueprint", CoachQueries.talk, ["rowid", "run_of_project", "artifact_of_run"]),
    ]

    /// Those that have to see every entry of an index, and nothing but the index.
    private static let counts = ["progress, attempts", "progress, feedback"]

    private static func plan(_ db: Database, _ sql: String) throws -> [String] {
        let arguments = StatementArguments(Array(repeating: Int?.none, count: sql.count { $0 == "?" }))
        return try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN \(sql)", arguments: arguments).map { $0["detail"] }
    }

    /// What is wrong with the plans.
    private static func problems(_ db: Database) throws -> [String] {
        try reads.flatMap { read in
            let plan = try plan(db, read.sql)
            var problems: [String] = []
            for wanted in read.uses {
                let words = wanted == "rowid" ? "INTEGER PRIMARY KEY" : wanted
                if !plan.contains(where: { $0.contains(words) }) {
                    problems.append("\(read.name) does not use \(wanted): \(plan)")
                }
            }
            for step in plan {
                if step.contains("TEMP B-TREE") { problems.append("\(read.name) sorts: \(step)") }
                let isScan = step.hasPrefix("SCAN ") && !step.contains("CONSTANT ROW")
                let mayScan = step.contains("COVERING INDEX") && counts.contains(read.name)
                // The latest run is the first entry of its index.
                let isFirst = read.sql == RunQueries.latest && step.contains("INDEX run_by_date")
                if isScan && !mayScan && !isFirst { problems.append("\(read.name) scans: \(step)") }
            }
            return problems
        }
    }

    private func fill(_ db: Database) throws {
        for number in 1...20 {
            try db.execute(sql: RunQueries.insertProject, arguments: ["Project \(number)", "peers", 20, number])
        }
        for number in 1...2_000 {
            try db.execute(sql: RunQueries.insertRun, arguments: [number % 20 + 1, nil, number * 60, 100])
            if number % 3 == 0 {
                try db.execute(sql: RunQueries.insertArtifact, arguments: [number, "audio", "audio/ogg", Data([1]), 1])
                try db.execute(sql: RunQueries.insertFeedback, arguments: [number, 50, "", 1])
                try db.execute(sql: RunQueries.linkFeedback, arguments: [db.lastInsertedRowID, number])
            }
        }
    }

    @Test func requiredIndexesAreThere() async throws {
        let sample = try RehearsalStore()
        try await sample.profile.database.read { db in
            for (name, columns) in Self.indexes {
                let found = try String.fetchAll(
                    db, sql: "SELECT name FROM pragma_index_info(?) ORDER BY seqno", arguments: [name])
                #expect(found == columns, "\(name)")
            }
            #expect(
                try Bool.fetchOne(
                    db, sql: "SELECT \"unique\" FROM pragma_index_list('artifact') WHERE name = 'artifact_of_run'")
                    == true)
        }
    }

    /// Before SQLite knows anything about the data, and after.
    @Test func everyHotReadUsesItsIndexAndSortsNothing() async throws {
        let sample = try RehearsalStore()
        try await sample.profile.database.write { db in
            #expect(try Self.problems(db) == [], "empty")
            try fill(db)
            #expect(try Self.problems(db) == [], "filled")
            try db.execute(sql: "ANALYZE")
            #expect(try Self.problems(db) == [], "analysed")
        }
    }

    /// Everything that is asked is looked at here.
    @Test func everyReadIsLookedAt() throws {
        let asked = [
            RunQueries.firstPage, RunQueries.pageBefore, RunQueries.latest, RunQueries.latestOfProject, RunQueries.run,
            RunQueries.artifacts,
            RunQueries.feedback, RunQueries.artifactContent, RunQueries.project, PreferencesQueries.value,
            CoachQueries.attempts,
            CoachQueries.feedbackReady, CoachQueries.lastBefore, CoachQueries.countBetween, CoachQueries.talk,
        ]
        #expect(Set(asked) == Set(Self.reads.map(\.sql)))
        // The one read that has no condition is of all projects, in the order of their keys.
        #expect(RunQueries.projects.contains("ORDER BY id") && !RunQueries.projects.contains("WHERE"))
    }

    /// The negative control.
    @Test(arguments: ["artifact_of_run", "run_of_project", "run_by_date", "run_with_feedback"])
    func aMissingIndexIsNoticed(name: String) async throws {
        let sample = try RehearsalStore()
        try await sample.profile.database.write { db in
            try fill(db)
            try db.execute(sql: "DROP INDEX \(name)")
            #expect(try !Self.problems(db).isEmpty)
        }
    }
}
