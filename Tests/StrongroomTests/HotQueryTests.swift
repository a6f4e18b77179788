import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// What runs often uses an index, and goes on doing so whatever is done to the file: encryption, rotations, restores and
/// recoveries must not cost an app a plan.
@Suite struct HotQueryTests {
    private let test: TestStore

    init() throws { test = try TestStore() }

    /// How SQLite would answer: one line a step.
    private static func plan(_ db: Database, _ sql: String) throws -> [String] {
        // A traced statement has its arguments left out; none changes a plan.
        let arguments = StatementArguments(Array(repeating: Int?.none, count: sql.count { $0 == "?" }))
        return try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN \(sql)", arguments: arguments).map { $0["detail"] }
    }

    // MARK: Our own queries

    /// Every statement that the registry runs for one profile among a thousand finds it by an index.
    @Test func theRegistryFindsByIndex() throws {
        let store = try test.open()
        let infos = try (0..<1_000).map { try ProfileInfo(id: .random(), name: "Profile \($0)", created: Date()) }
        var statements: [String] = []
        try store.writeGlobal { db in
            for info in infos { try ProfileRegistry.add(info, name: ProfileName(info.name), db) }
            try db.execute(sql: "ANALYZE")
        }
        try store.writeGlobal { db in
            let wanted = infos[500]
            db.trace { statements.append($0.description) }
            #expect(try ProfileRegistry.find(wanted.id, db)?.name == wanted.name)
            #expect(try ProfileRegistry.find(ProfileName(wanted.name), db)?.id == wanted.id)
            #expect(try ProfileRegistry.all(db).count == infos.count)
            try ProfileRegistry.remove(wanted.id, db)
            try ProfileRegistry.add(wanted, name: ProfileName(wanted.name), db)
            try ProfileRegistry.setLastBackup(Date(), sequence: 7, db)
            #expect(try ProfileRegistry.lastBackup(db)?.sequence == 7)
            _ = try ProfileRegistry.keyringSequence(db)
            _ = try Bookkeeping.epoch(db)
            db.trace(nil)

            let queries = statements.filter { $0.hasPrefix("SELECT") || $0.hasPrefix("DELETE") }
            #expect(queries.count >= 8, "\(statements)")
            for query in queries {
                let isList = query.contains("ORDER BY")
                for step in try Self.plan(db, query) {
                    // The schema is as large as it is, however many profiles there are.
                    let isSmall = step.hasPrefix("SEARCH ") || step == "SCAN sqlite_schema"
                    #expect(isList || isSmall, "\(query): \(step)")
                    #expect(!step.contains("TEMP B-TREE"), "\(query): \(step)")
                }
            }
        }
        try store.lock()
    }

    // MARK: An app's

    private static let schema = """
        CREATE TABLE folder (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, parent INTEGER REFERENCES folder);
        CREATE TABLE message (
            id INTEGER PRIMARY KEY, folder INTEGER NOT NULL REFERENCES folder, received INTEGER NOT NULL, sender TEXT NOT NULL,
            subject TEXT, isRead INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE tag (message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE, word TEXT NOT NULL,
            PRIMARY KEY (message, word)) WITHOUT ROWID;
        CREATE INDEX message_list ON message (folder, received DESC);
        CREATE INDEX message_unread ON message (folder) WHERE isRead = 0;
        CREATE INDEX message_sender ON message (lower(sender));
        CREATE INDEX tag_word ON tag (word, message);
        CREATE VIRTUAL TABLE message_text USING fts5 (subject, content='message', content_rowid='id');
        """

    /// What such an app asks all day, and what each must not do without.
    private static let queries: [(sql: String, index: String)] = [
        ("SELECT * FROM message WHERE folder = 3 ORDER BY received DESC LIMIT 50", "message_list"),
        ("SELECT count(*) FROM message WHERE folder = 3 AND isRead = 0", "message_unread"),
        ("SELECT id FROM message WHERE lower(sender) = 'person7@example.org'", "message_sender"),
        ("SELECT id FROM folder WHERE name = 'INBOX' COLLATE NOCASE", "sqlite_autoindex_folder_1"),
        ("SELECT subject FROM message WHERE id = 77", "INTEGER PRIMARY KEY"),
        ("SELECT word FROM tag WHERE message = 77", "PRIMARY KEY"),
        ("SELECT m.subject FROM tag t JOIN message m ON m.id = t.message WHERE t.word = 'rare'", "tag_word"),
        ("SELECT rowid FROM message_text WHERE message_text MATCH 'budget'", "VIRTUAL TABLE INDEX"),
    ]

    private func fill(_ db: Database) throws {
        try db.execute(sql: Self.schema)
        for number in 1...20 {
            try db.execute(sql: "INSERT INTO folder (name) VALUES (?)", arguments: ["Folder \(number)"])
        }
        for number in 1...3_000 {
            try db.execute(
                sql: "INSERT INTO message (folder, received, sender, subject, isRead) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    number % 20 + 1, number, "person\(number % 200)@example.org", "budget \(number)",
                    number % 50 == 0 ? 0 : 1,
                ])
            try db.execute(
                sql: "INSERT INTO tag VALUES (?, ?)", arguments: [number, number % 300 == 0 ? "rare" : "common"])
        }
        try db.execute(sql: "INSERT INTO message_text (message_text) VALUES ('rebuild'); ANALYZE")
    }

    /// The plans as they are in a profile now; each of them uses its index.
    private func plans(_ store: Store, _ info: ProfileInfo, _ when: String) throws -> [[String]] {
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        return try profile.database.read { try plans($0, when) }
    }

    private func plans(_ db: Database, _ when: String) throws -> [[String]] {
        try Self.queries.map { query in
            let plan = try Self.plan(db, query.sql)
            let usesIndex = plan.contains { $0.contains(query.index) }
            #expect(usesIndex, "\(when): \(query.sql): \(plan)")
            let scans = plan.filter { $0.hasPrefix("SCAN") && !$0.contains("VIRTUAL TABLE INDEX") }
            #expect(scans.isEmpty, "\(when): \(query.sql): \(plan)")
            return plan
        }
    }

    @Test func anAppKeepsItsPlansWhateverIsDoneToItsFile() async throws {
        let source = test.directory.appending("source.db")
        let plaintext = try DatabaseQueue(path: source.string)
        let expected = try await plaintext.write { db -> [[String]] in
            try fill(db)
            return try plans(db, "plaintext")
        }
        try plaintext.close()

        let store = try test.open()
        let info = try await store.importProfile(named: "Mail", from: ImportSource(source)).info
        #expect(try plans(store, info, "imported") == expected)

        try await store.rotateDataKey(of: .profile(info.id))
        #expect(try plans(store, info, "after a rotation") == expected)

        let snapshot = try await store.createSnapshot(of: .profile(info.id))
        _ = try await store.restoreSnapshot(snapshot)
        #expect(try plans(store, info, "restored") == expected)
        let copy = try await store.restoreSnapshot(snapshot, asProfileNamed: "Copy").info
        #expect(try plans(store, copy, "restored as a new profile") == expected)

        // A page of messages, which is the same in the snapshot.
        try TestFiles.edit(test.databaseFile(info)) { $0[29 * store.policy.pageFormat.size + 700] ^= 1 }
        let event = try await store.repair(.profile(info.id))
        #expect(event?.plan.action == .repair)
        #expect(try plans(store, info, "repaired") == expected)
        try store.lock()
    }

    /// The negative control: a plan without its index is noticed.
    @Test func aMissingIndexIsNoticed() async throws {
        let queue = try DatabaseQueue()
        try await queue.write { db in
            try fill(db)
            try db.execute(sql: "DROP INDEX message_sender")
        }
        withKnownIssue { _ = try queue.read { try plans($0, "without an index") } }
    }
}
