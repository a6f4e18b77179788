import Foundation
import GRDB
import Strongroom
import TestSupport
import Testing

@testable import Rehearsal

/// From every earlier step of the schema to today's, with data as that step's app wrote it, through the store as an app does it.
@Suite struct SchemaTests {
    private let test: TestStore
    private let info: ProfileInfo

    init() throws {
        test = try TestStore()
        let store = try test.open()
        info = try store.createProfile(named: "Me")
        try store.lock()
    }

    private func open(global: Int = 99, profile: Int = 99) throws -> Store {
        let schema = StoreSchema(
            global: RehearsalSchema.migrations(RehearsalSchema.globalSteps.prefix(global)),
            profile: RehearsalSchema.migrations(RehearsalSchema.profileSteps.prefix(profile)))
        return try Store.open(at: test.path, with: .keyFile(test.keyFile), options: StoreOptions(schema: schema))
    }

    /// What an app of each step would have kept, orphans among it. `step` counts from 1.
    private static func fill(_ db: Database, step: Int) throws {
        let feedback = step >= 2
        let hasArtifacts = step >= 5
        try db.execute(
            sql: """
                INSERT INTO project (id, title, created_at) VALUES (1, 'Talk', 1000), (2, 'Other', 2000);
                INSERT INTO run (id, project_id, recorded_at) VALUES
                    (1, 1, 5000), (2, 1, 6000), (3, 2, 7000), (4, 77, 8000), (5, NULL, 9000);
                """)
        if step < 5 {
            try db.execute(sql: "UPDATE run SET audio = x'0102', transcript = 'one' WHERE id = 1")
            try db.execute(sql: "UPDATE run SET transcript = 'four' WHERE id = 4")
        }
        if feedback {
            try db.execute(
                sql: """
                    INSERT INTO feedback (id, run_id, score, comments, created_at) VALUES
                        (1, 1, 50, 'old', 5100), (2, 1, 60, 'new', 5200), (3, 99, 140, 'lost', 5300),
                        (4, NULL, NULL, NULL, 5400), (5, NULL, 30, 'linked', 5500), (6, 2, 20, 'not linked', 6100);
                    -- 1 links to its older feedback, 3 to one that names no run, 4 to another run's, 5 to none that is there.
                    UPDATE run SET feedback_id = 1 WHERE id = 1;
                    UPDATE run SET feedback_id = 5 WHERE id = 3;
                    UPDATE run SET feedback_id = 2 WHERE id = 4;
                    UPDATE run SET feedback_id = 88 WHERE id = 5;
                    """)
        }
        if step >= 3 { try db.execute(sql: "INSERT INTO preference VALUES ('ui.theme', 'dark', 1000)") }
        if step >= 4 {
            try db.execute(sql: "UPDATE project SET audience = 'executives', planned_minutes = 9999 WHERE id = 2")
            try db.execute(sql: "UPDATE run SET title = 'First', duration_seconds = -5 WHERE id = 1")
        }
        if hasArtifacts {
            try db.execute(
                sql: """
                    INSERT INTO artifact (run_id, kind, media_type, content, created_at) VALUES
                        (1, 'audio', 'audio/ogg', x'0102', 5000), (1, 'transcript', 'text/plain', CAST('draft' AS BLOB), 4000),
                        (1, 'transcript', 'text/plain', CAST('one' AS BLOB), 5000),
                        (4, 'transcript', 'text/plain', CAST('four' AS BLOB), 8000),
                        (55, 'transcript', 'text/plain', CAST('nobody''s' AS BLOB), 8500);
                    """)
        }
    }

    /// Steps 1 to 5: what came before references were enforced.
    @Test(arguments: 1...5)
    func oldDataComesThroughWhole(step: Int) async throws {
        var store = try open(profile: step)
        var profile = try store.openProfile(info)
        try await profile.database.write { try Self.fill($0, step: step) }
        try store.lock()

        store = try open()
        profile = try store.openProfile(info)
        let runs = RunRepository(profile)
        let projects = try await runs.projects()
        #expect(projects.map(\.title) == ["Talk", "Other", "Recovered"])
        let planned = step >= 4 ? 480 : 20
        #expect(projects.map(\.plannedMinutes) == [20, planned, 20])
        #expect(projects[1].audience == (step >= 4 ? .executives : .peers))

        // Every run is there, and every run has a project that is there.
        let talk = try await runs.list(RunPageRequest(of: 1)).runs
        #expect(talk.map(\.id) == [2, 1])
        #expect(try await runs.list(RunPageRequest(of: 2)).runs.map(\.id) == [3])
        let recovered = try await runs.list(RunPageRequest(of: projects[2].id)).runs
        #expect(Set(recovered.map(\.id)).isSuperset(of: [4, 5]))
        #expect(try await runs.run(1).durationSeconds == (step >= 4 ? 0 : nil))

        // What was attached, whoever it was attached to.
        #expect(try await runs.audio(of: 1).content == Data([1, 2]))
        #expect(try await runs.transcript(of: 1).text == "one")
        #expect(try await runs.transcript(of: 4).text == "four")
        if step >= 5 {
            #expect(try await runs.transcript(of: 55).text == "nobody's")
            #expect(try await runs.run(55).projectId == projects[2].id)
            let older = try await profile.database.read {
                try String.fetchAll($0, sql: "SELECT CAST(content AS TEXT) FROM older_artifact")
            }
            #expect(older == ["draft"])
        }

        if step >= 2 {
            let kept = try await profile.database.read { db in
                try String.fetchAll(
                    db, sql: "SELECT concat_ws(' ', id, run_id, score, comments) FROM feedback ORDER BY id")
            }
            // 4 named no run and none linked to it: a run is made for it, beyond every number in use.
            #expect(
                kept == [
                    "1 1 50 old", "2 1 60 new", "3 99 100 lost", "4 100 0", "5 3 30 linked", "6 2 20 not linked",
                ])
            #expect(try await runs.run(1).feedback?.comments == "old", "a link that holds is left as it is")
            #expect(try await runs.run(2).feedback?.comments == "not linked")
            #expect(try await runs.run(3).feedback?.comments == "linked")
            #expect(try await runs.run(4).feedback == nil)
            #expect(try await runs.run(5).feedback == nil)
            #expect(try await runs.run(99).feedback?.comments == "lost")
            #expect(try await runs.run(99).recordedAt == Date(seconds: 5_300))
            #expect(recovered.count == (step >= 5 ? 5 : 4))
        } else {
            #expect(recovered.count == 2)
        }
        if step >= 3 {
            #expect(try await PreferencesRepository(profile).preference(PreferenceKey("ui.theme")).value == "dark")
        }

        let findings = try profile.diagnostics()
        #expect(findings.profile?.integrityCheck == .ok && findings.profile?.foreignKeyViolations == 0)
        #expect(findings.profile?.continuityOk == true && findings.profile?.appliedMigrationCount == 7)
        // Before it, a snapshot was taken.
        #expect(try await store.snapshots(of: .profile(info.id)).snapshots.count == 1)
        // And from here on references hold.
        #expect(throws: DatabaseError.self) {
            try profile.database.writeWithoutTransaction {
                try $0.execute(sql: "INSERT INTO run (project_id, recorded_at) VALUES (77, 1)")
            }
        }
        try store.lock()
    }

    /// Step 6: references hold already, and what there may be twice of is told apart.
    @Test func dataWithReferencesComesThroughWhole() async throws {
        var store = try open(profile: 6)
        var profile = try store.openProfile(info)
        try await profile.database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO project (id, title, audience, planned_minutes, created_at) VALUES (1, 'Talk', 'students', 30, 1000);
                    INSERT INTO run (id, project_id, title, recorded_at, duration_seconds) VALUES (1, 1, 'First', 5000, 60), (2, 1, NULL, 6000, NULL);
                    INSERT INTO feedback (id, run_id, score, comments, created_at) VALUES (1, 1, 50, 'x', 5100);
                    UPDATE run SET feedback_id = 1 WHERE id = 1;
                    INSERT INTO artifact (run_id, kind, media_type, content, created_at) VALUES
                        (1, 'audio', 'audio/ogg', x'01', 1), (1, 'audio', 'audio/wav', x'02', 2), (1, 'audio', 'audio/flac', x'03', 3),
                        (2, 'audio', 'audio/ogg', x'04', 4), (2, 'transcript', 'text/plain', CAST('two' AS BLOB), 5);
                    """)
        }
        try store.lock()
        store = try open()
        profile = try store.openProfile(info)
        let runs = RunRepository(profile)
        #expect(try await runs.list(RunPageRequest(of: 1)).runs.map(\.id) == [2, 1])
        let first = try await runs.run(1)
        #expect(first.title == "First" && first.feedback?.score == 50)
        #expect(try await runs.audio(of: 1).content == Data([3]))
        #expect(try await runs.audio(of: 1).artifact.mediaType == "audio/flac")
        #expect(try await runs.audio(of: 2).content == Data([4]))
        #expect(try await runs.transcript(of: 2).text == "two")
        let older = try await profile.database.read { db in
            try String.fetchAll(
                db, sql: "SELECT concat_ws(' ', run_id, media_type, hex(content)) FROM older_artifact ORDER BY id")
        }
        #expect(older == ["1 audio/ogg 01", "1 audio/wav 02"])
        try store.lock()
    }

    /// From each step to each later one, one at a time, the data of the first coming through.
    @Test func oneStepAtATimeComesToTheSame() async throws {
        let other = try SchemaTests()
        for (sample, stops) in [(self, Array(1...7)), (other, [1, 7])] {
            for step in stops {
                let store = try sample.open(profile: step)
                let profile = try store.openProfile(sample.info)
                if step == 1 { try await profile.database.write { try Self.fill($0, step: 1) } }
                try store.lock()
            }
        }
        let whole = try contents()
        #expect(try whole == other.contents())
        #expect(whole.count == 11)
    }

    private func contents() throws -> [String] {
        let store = try open()
        let profile = try store.openProfile(info)
        defer { try? store.lock() }
        return try profile.database.read { db in
            try ["project", "run", "feedback", "artifact", "older_artifact"].flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table) ORDER BY id").map { row in
                    table + " " + row.description
                }
            }
        }
    }

    /// Data without orphans gets no project that nobody made.
    @Test func nothingIsInventedWhereNothingIsLost() async throws {
        var store = try open(profile: 5)
        var profile = try store.openProfile(info)
        try await profile.database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO project (id, title, created_at) VALUES (1, 'Talk', 1000);
                    INSERT INTO run (id, project_id, recorded_at) VALUES (1, 1, 5000);
                    INSERT INTO feedback (id, run_id, score, comments, created_at) VALUES (1, 1, 50, 'x', 5100);
                    UPDATE run SET feedback_id = 1;
                    INSERT INTO artifact (run_id, kind, media_type, content, created_at) VALUES (1, 'audio', 'audio/ogg', x'01', 1);
                    """)
        }
        try store.lock()
        store = try open()
        profile = try store.openProfile(info)
        #expect(try await RunRepository(profile).projects().map(\.title) == ["Talk"])
        #expect(try await RunRepository(profile).run(1).feedback?.comments == "x")
        try store.lock()
        // An empty database too.
        let empty = try open()
        let another = try empty.openProfile(empty.createProfile(named: "New"))
        #expect(try await RunRepository(another).projects().isEmpty)
    }

    @Test func settingsBecomePreferences() async throws {
        var store = try open(global: 1)
        try await store.writeGlobal { db in
            try db.execute(
                sql: "INSERT INTO setting (name, value) VALUES ('ui.theme', 'dark'), ('empty', NULL), ('n', 5)")
        }
        try store.lock()
        store = try open()
        let preferences = PreferencesRepository(store)
        #expect(try await preferences.preference(PreferenceKey("ui.theme")).value == "dark")
        #expect(try await preferences.preference(PreferenceKey("n")).value == "5")
        #expect(try await preferences.preference(PreferenceKey("empty")).value == nil)
        try store.lock()
    }

    /// The steps that were shipped stay as they are: an app that has run them goes on from there.
    @Test func theStepsAreThese() {
        #expect(RehearsalSchema.globalSteps.map(\.0) == ["create-settings", "settings-become-preferences"])
        #expect(
            RehearsalSchema.profileSteps.map(\.0) == [
                "create-projects-and-runs", "add-feedback", "add-preferences", "plan-talks",
                "move-artifacts-out-of-runs",
                "enforce-references", "index-hot-reads",
            ])
    }
}
