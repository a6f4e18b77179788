import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// An app's schema grows: from every earlier step to every later one, with data; and what must not happen does not.
@Suite struct MigrationTests {
    private struct AppError: Error { let content = TestStore.canary }

    /// The steps of an app that grew: the third adds a foreign key to old data, and gives orphans a parent.
    static func steps(_ count: Int) -> Migrations {
        var migrations = Migrations()
        let all: [(String, @Sendable (Database) throws -> Void)] = [
            ("create-talk", { try $0.execute(sql: "CREATE TABLE talk (id INTEGER PRIMARY KEY, title TEXT NOT NULL)") }),
            (
                "create-run",
                { try $0.execute(sql: "CREATE TABLE run (id INTEGER PRIMARY KEY, talk INTEGER, seconds INTEGER)") }
            ),
            (
                "runs-belong-to-talks",
                { db in
                    try db.execute(
                        sql: """
                            INSERT INTO talk (id, title) SELECT DISTINCT talk, 'lost' FROM run WHERE talk NOT IN (SELECT id FROM talk);
                            CREATE TABLE run2 (id INTEGER PRIMARY KEY, talk INTEGER NOT NULL REFERENCES talk, seconds INTEGER);
                            INSERT INTO run2 SELECT * FROM run; DROP TABLE run; ALTER TABLE run2 RENAME TO run;
                            CREATE INDEX run_talk ON run (talk)
                            """)
                }
            ),
            ("add-mood", { try $0.execute(sql: "ALTER TABLE run ADD COLUMN mood TEXT") }),
        ]
        for (name, body) in all.prefix(count) { migrations.add(name, migrate: body) }
        return migrations
    }

    private let test: TestStore
    private let info: ProfileInfo

    init() throws {
        test = try TestStore()
        let store = try test.open()
        info = try store.createProfile(named: "sample")
        try store.lock()
    }

    private func open(global: Migrations? = nil, profile: Migrations? = nil) throws -> Store {
        try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(schema: StoreSchema(global: global, profile: profile)))
    }

    /// What the profile has, with everything in it, whatever the bytes are.
    private func contents() throws -> [String] {
        let store = try test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        return try profile.database.read { db in
            var lines = try String.fetchAll(
                db, sql: "SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")
            for table in ["talk", "run", "grdb_migrations"] where try db.tableExists(table) {
                lines += try Row.fetchAll(db, sql: "SELECT rowid, * FROM \(table)").map(\.description)
            }
            return lines
        }
    }

    private func snapshots(of scope: KeyScope? = nil) throws -> [String] {
        let directory = DatabaseFiles(scope ?? .profile(info.id), in: test.path).backups
        guard try StrictFiles.exists(directory) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: directory.string).filter { $0.hasSuffix(".db") }
    }

    private func migrate(to count: Int) throws {
        let store = try open(profile: Self.steps(count))
        try store.openProfile(info).close()
        try store.lock()
    }

    private func fill() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            if try db.tableExists("talk") {
                try db.execute(sql: "INSERT INTO talk (title) VALUES ('one'), ('two')")
            }
            if try db.tableExists("run") {
                try db.execute(sql: "PRAGMA defer_foreign_keys = ON")
                try db.execute(sql: "INSERT INTO run (talk, seconds) VALUES (1, 10), (1, 20)")
                if try db.foreignKeys(on: "run").isEmpty {
                    try db.execute(sql: "INSERT INTO run (talk, seconds) VALUES (99, 30)")
                }
            }
        }
        try profile.close()
        try store.lock()
    }

    /// The matrix: every earlier step, with data of its time, to every later one.
    @Test(arguments: 0...4, 0...4)
    func everyStepLeadsToEveryLaterOne(from: Int, to: Int) throws {
        guard from <= to else { return }
        if from > 0 { try migrate(to: from) }
        try fill()
        try migrate(to: to)
        let store = try open(profile: Self.steps(to))
        let profile = try store.openProfile(info)
        try profile.database.read { (db: Database) throws -> Void in
            #expect(try MigrationHistory(db).applied == Self.steps(to).names)
            if from >= 1 { #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM talk WHERE title <> 'lost'") == 2) }
            if from == 2 { #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM run") == 3) }
            if from == 2, to >= 3 { #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM talk WHERE id = 99") == 1) }
            if to >= 3 { #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM pragma_foreign_key_check") == 0) }
        }
        try profile.close()
        #expect(try snapshots().count == (from > 0 && to > from ? 1 : 0), "an empty database needs no snapshot")
        // What GRDB's own migrator would say.
        var own = DatabaseMigrator()
        for step in Self.steps(to).steps { own.registerMigration(step.name, migrate: step.migrate) }
        let again = try store.openProfile(info)
        let hasAll = try again.database.read { try own.hasCompletedMigrations($0) }
        #expect(hasAll)
        try store.lock()
    }

    @Test func theSnapshotIsNamedAfterTheNextMigrationAndFiveAreKept() throws {
        try migrate(to: 1)
        try fill()
        var migrations = Self.steps(1)
        for step in 2...8 {
            migrations.add("step-\(step)") { try $0.execute(sql: "CREATE TABLE t\(step) (a)") }
            let store = try open(profile: migrations)
            try store.openProfile(info).close()
            try store.lock()
        }
        let names = try snapshots().sorted()
        #expect(names.count == 5)
        for (name, step) in zip(names, 4...8) {
            #expect(name.hasPrefix("profile-\(info.id)-pre-step-\(step)-20"), "\(name)")
        }
    }

    /// One step of three fails: nothing of any of them is there, the pages of the file included.
    @Test func aStepThatFailsLeavesEverythingAsItWas() throws {
        try migrate(to: 2)
        try fill()
        let before = try contents()
        let bytes = try TestFiles.read(test.databaseFile(info))
        for failing in 2..<5 {
            for (error, reason) in [
                ("sql", "(SQLite result 1)"), ("app", "(an error of the app's type AppError)"),
                ("orphan", "1 row(s) would have a foreign key that leads nowhere"),
            ] {
                var migrations = Self.steps(failing)
                migrations.add("breaks") { db in
                    switch error {
                    case "sql": try db.execute(sql: "INSERT INTO nowhere VALUES ('\(TestStore.canary)')")
                    case "app": throw AppError()
                    default:
                        try db.execute(
                            sql: "CREATE TABLE child (a INTEGER REFERENCES talk); INSERT INTO child VALUES (12345)")
                    }
                }
                migrations.add("never-reached") { _ in }
                let store = try open(profile: migrations)
                do {
                    _ = try store.openProfile(info)
                    Issue.record("\(error) did not fail")
                } catch let failed as StrongroomError {
                    #expect(failed.code == "migration_failed")
                    // Foreign keys are looked at when all steps have run.
                    #expect(failed.description.contains(error == "orphan" ? "never-reached" : "breaks"))
                    #expect(failed.description.contains(reason), "\(failed)")
                    #expect(!failed.description.contains(TestStore.canary))
                }
                try store.lock()
                #expect(try contents() == before)
            }
        }
        #expect(try snapshots().count == 5)
        // Opening the pool writes an empty transaction, which the page that holds the change counter shows.
        let after = try TestFiles.read(test.databaseFile(info))
        let changed = stride(from: 0, to: bytes.count, by: 4096).filter {
            bytes[$0..<$0 + 4096] != after[$0..<$0 + 4096]
        }
        #expect(after.count == bytes.count && changed.count <= 2, "\(changed)")
    }

    @Test func aNewDatabaseWhoseFirstMigrationFailsIsEmptyAsBefore() throws {
        let before = try contents()
        var migrations = Self.steps(2)
        migrations.add("breaks") { _ in throw AppError() }
        let store = try open(profile: migrations)
        #expect(code { _ = try store.openProfile(info) } == "migration_failed")
        try store.lock()
        #expect(try contents() == before)
        try migrate(to: 2)
    }

    @Test(arguments: [
        (["create-run", "create-talk"], 1, "create-run", "create-talk"),
        (["create-talk"], 2, nil, "create-run"),
        (["create-talk", "between", "create-run"], 2, "between", "create-run"),
        ([], 1, nil, "create-talk"),
    ])
    func aHistoryThatIsNoPrefixIsRefused(names: [String], position: Int, registered: String?, applied: String) throws {
        try migrate(to: 2)
        try fill()
        let before = try contents()
        var migrations = Migrations()
        for name in names { migrations.add(name) { _ in Issue.record("nothing runs") } }
        let store = try open(profile: migrations)
        do {
            _ = try store.openProfile(info)
            Issue.record("it was accepted")
        } catch let error as StrongroomError {
            #expect(error.code == "migration_history_gap" && error.category.rawValue == 2)
            let gap = MigrationGap(
                position: position, registered: registered.map { MigrationName(showing: $0) },
                applied: MigrationName(showing: applied))
            #expect(error.reason == .migrationHistoryGap(gap))
        }
        try store.lock()
        #expect(try contents() == before)
        #expect(try snapshots().isEmpty)
    }

    @Test(arguments: [["a", "a"], [""], ["-a"], ["a b"], [String(repeating: "a", count: 81)], ["ä"]])
    func namesAreChecked(names: [String]) throws {
        var migrations = Migrations()
        for name in names { migrations.add(name) { _ in } }
        let store = try open(profile: migrations)
        defer { try? store.lock() }
        #expect(code { _ = try store.openProfile(info) } == "migration_name_invalid")
    }

    @Test func theGlobalDatabaseHasMigrationsOfItsOwn() throws {
        var migrations = Migrations()
        migrations.add("create-setting") { try $0.execute(sql: "CREATE TABLE setting (k TEXT PRIMARY KEY, v)") }
        var store = try open(global: migrations)
        try store.writeGlobal { try $0.execute(sql: "INSERT INTO setting VALUES ('a', 1)") }
        try store.lock()
        migrations.add("drop-nothing") { _ in }
        store = try open(global: migrations, profile: Self.steps(1))
        #expect(try store.readGlobal { try MigrationHistory($0).applied.count } == 2)
        #expect(try store.readGlobal { try Int.fetchOne($0, sql: "SELECT v FROM setting") } == 1)
        #expect(try snapshots(of: .global).first?.hasPrefix("global-global-pre-drop-nothing-") == true)
        #expect(try store.profiles().map(\.name) == ["sample"])
        try store.lock()
        #expect(code { _ = try open(global: Migrations()) } == "migration_history_gap")
        // An operator's program knows no migrations, and is not asked for any.
        try test.open().lock()
    }

    @Test func aNewStoreIsMigrated() throws {
        var migrations = Migrations()
        migrations.add("create-setting") { try $0.execute(sql: "CREATE TABLE setting (k TEXT PRIMARY KEY, v)") }
        let path = test.directory.appending("second")
        let key = try UnlockSecret.makeKeyFile(test.directory.appending("second.key"))
        let store = try Store.create(
            at: path, unlockers: [(key, "test")],
            options: StoreOptions(schema: StoreSchema(global: migrations, profile: Self.steps(4))))
        #expect(try store.readGlobal { try $0.tableExists("setting") })
        let profile = try store.openProfile(store.createProfile(named: "new"))
        #expect(try profile.database.read { try $0.columns(in: "run").map(\.name) }.last == "mood")
        try store.lock()
    }

    /// Where no snapshot can be taken nothing is migrated.
    @Test func withoutASnapshotNothingIsMigrated() throws {
        try migrate(to: 1)
        try fill()
        let before = try contents()
        let backups = DatabaseFiles(.profile(info.id), in: test.path).backups
        try TestFiles.write([], to: backups)
        let store = try open(profile: Self.steps(2))
        #expect(code { _ = try store.openProfile(info) } != nil)
        try store.lock()
        try FileManager.default.removeItem(atPath: backups.string)
        #expect(try contents() == before)
        let rotating = try test.open()
        let held = try rotating.keyring.beginRotation()
        let second = try open(profile: Self.steps(2))
        #expect(code { _ = try second.openProfile(info) } == "rotation_blocked")
        held.release()
        try second.openProfile(info).close()
    }

    /// A process is killed in the middle: the next one finds all of it or none, and goes on.
    @Test func aMigrationThatIsKilledIsDoneByTheNext() throws {
        try migrate(to: 2)
        try fill()
        for _ in 0..<3 {
            let child = try ChildProcess(
                "TestHelper", ["migrate-slowly", test.path.string, test.keyFile.string, info.name])
            #expect(child.line() == "migrating")
            child.kill()
            _ = child.finish()
            let store = try test.open()
            let profile = try store.openProfile(info)
            #expect(try profile.database.read { try MigrationHistory($0).applied.count } == 2)
            #expect(try profile.database.read { try !$0.tableExists("slow") })
            try store.lock()
        }
        try migrate(to: 4)
    }
}
