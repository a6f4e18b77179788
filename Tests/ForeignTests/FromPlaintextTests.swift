import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Strongroom

/// The path of docs/operations/from-plaintext.md.
@Suite struct FromPlaintextTests {
    let test: TestStore
    let plaintext: FilePath

    init() throws {
        test = try TestStore()
        plaintext = test.directory.appending("notes.sqlite")
    }

    private static func create(_ db: Database) throws {
        try db.create(table: "note") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("body", .text).notNull()
        }
    }

    private static func addMood(_ db: Database) throws {
        try db.alter(table: "note") { $0.add(column: "mood", .text) }
    }

    /// What the app was: GRDB, a file, and two migrations.
    private func runThePlaintextApp() throws {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("create-note", migrate: Self.create)
        migrator.registerMigration("add-mood", migrate: Self.addMood)
        let pool = try DatabasePool(path: plaintext.string)
        try migrator.migrate(pool)
        try pool.write { try $0.execute(sql: "INSERT INTO note VALUES (7, 'seven', NULL), (9, 'nine', 'glad')") }
        try pool.close()
    }

    private func open(_ more: String? = nil) throws -> Store {
        var migrations = Migrations()
        // A step that ran already must not run again.
        migrations.add("create-note", migrate: Self.create)
        migrations.add("add-mood", migrate: Self.addMood)
        if let more { migrations.add(more) { try $0.execute(sql: "UPDATE note SET mood = 'new' WHERE mood IS NULL") } }
        return try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(schema: StoreSchema(profile: migrations), recovery: .never))
    }

    @Test func theHistoryOfMigrationsGoesOn() async throws {
        try runThePlaintextApp()
        let store = try open("third")
        let profile = try await openNotes(store: store, plaintext: plaintext)
        let found = try await profile.database.read { db in
            try (
                String.fetchAll(db, sql: "SELECT id || body || mood FROM note ORDER BY id"),
                String.fetchAll(db, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid")
            )
        }
        #expect(found.0 == ["7sevennew", "9nineglad"])
        #expect(found.1 == ["create-note", "add-mood", "third"])
        // GRDB's own migrator sees the same.
        var migrator = DatabaseMigrator()
        for name in ["create-note", "add-mood", "third"] { migrator.registerMigration(name) { _ in } }
        let isComplete = try await profile.database.read { [migrator] in try migrator.hasCompletedMigrations($0) }
        #expect(isComplete)
        try profile.close()
        // The next launch imports nothing.
        try FileManager.default.removeItem(atPath: plaintext.string)
        let again = try await openNotes(store: store, plaintext: plaintext)
        #expect(try await again.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM note") } == 2)
        try again.close()
        try store.lock()
    }

    @Test func aNewerHistoryIsRefused() async throws {
        try runThePlaintextApp()
        let store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(
                schema: StoreSchema(
                    profile: {
                        var migrations = Migrations()
                        migrations.add("create-note", migrate: Self.create)
                        return migrations
                    }()), recovery: .never))
        #expect(await code { _ = try await openNotes(store: store, plaintext: plaintext) } == "migration_history_gap")
        try store.lock()
    }

    @Test func theCallThatWaitsCanBeCancelled() async throws {
        try await DatabaseQueue(path: plaintext.string).write { db in
            try db.execute(
                sql: """
                    CREATE TABLE t (a, b); WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200000)
                    INSERT INTO t SELECT x, hex(x) FROM c
                    """)
        }
        let store = try open()
        let before = Set(try TestFiles.snapshot(test.path).keys)
        let (phases, send) = AsyncStream.makeStream(of: TransferProgress.Phase.self)
        let source = plaintext
        let task = Task {
            await code {
                _ = try await store.importProfile(named: "Notes", from: ImportSource(source)) { send.yield($0.phase) }
            }
        }
        for await phase in phases where phase == .copying {
            task.cancel()
            break
        }
        #expect(await task.value == "cancelled")
        #expect(try store.profiles().isEmpty)
        #expect(Set(try TestFiles.snapshot(test.path).keys) == before)
        // It was the cancelling: the same goes through.
        let (_, report) = try await store.importProfile(named: "Notes", from: ImportSource(source))
        #expect(report.rows == 200_000)
        try store.lock()
    }

    /// What is compiled here is what the document shows.
    @Test func theDocumentShowsThisVeryCode() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        func text(_ path: String) throws -> String {
            try String(contentsOf: root.appending(path: path), encoding: .utf8)
        }
        let document = try text("docs/operations/from-plaintext.md")
        let block = try #require(
            document.components(separatedBy: "```swift\n").last?.components(separatedBy: "```").first)
        let function = try #require(block.components(separatedBy: "import Strongroom\n").last)
        #expect(try text("Tests/ForeignTests/OpenNotes.swift").hasSuffix(function))
    }
}
