import Foundation
import GRDB
import TestSupport
import Testing

@testable import Strongroom

/// ATTACH, VACUUM INTO and what an app does with its database all day, on connections that are protected.
@Suite struct AttachTests {
    let test: TestStore
    let info: ProfileInfo

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 40)
    }

    private func isPlaintext(_ name: String) throws -> Bool {
        let data = try Data(contentsOf: URL(fileURLWithPath: test.directory.appending(name).string))
        return data.range(of: Data(TestStore.canary.utf8)) != nil || data.starts(with: Data("SQLite format 3".utf8))
    }

    private func file(_ name: String) -> String { test.directory.appending(name).string }

    @Test(arguments: ["KEY ''", "KEY x''"]) func aFileWithoutAKeyIsNotUsed(key: String) throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        for (index, use) in [
            "CREATE TABLE p.t AS SELECT * FROM t", "CREATE TABLE p.x (a)", "CREATE VIRTUAL TABLE p.f USING fts5(a)",
            "SELECT sqlcipher_export('p')", "PRAGMA p.user_version = 3", "PRAGMA p.rekey = 'x'", "VACUUM p",
            "ANALYZE p",
            "SELECT * FROM p.sqlite_schema",
        ].enumerated() {
            let name = "leak\(index).db"
            try profile.database.writeWithoutTransaction { db in
                try db.execute(sql: "ATTACH '\(file(name))' AS p \(key)")
                do {
                    try db.execute(sql: use)
                    // There is nothing there, so VACUUM and ANALYZE may have had nothing to do.
                    #expect(use.hasPrefix("VACUUM") || use.hasPrefix("ANALYZE"), "\(use)")
                } catch let error as DatabaseError {
                    #expect(
                        error.resultCode == (use.contains("sqlcipher_export") ? .SQLITE_ERROR : .SQLITE_AUTH),
                        "\(use): \(error)")
                    let told = try #require(profile.explained(error) as? StrongroomError, "\(use)")
                    #expect(told.code == "engine_setting_protected")
                }
                try db.execute(sql: "DETACH p")
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: file(name))).isEmpty, "\(use)")
        }
        // As it was seen: in one transaction, in a migration, in the global database.
        let attack = "ATTACH '\(file("leak.db"))' AS p KEY ''; CREATE TABLE p.t AS SELECT * FROM t"
        #expect(throws: DatabaseError.self) { try profile.database.write { try $0.execute(sql: attack) } }
        #expect(throws: DatabaseError.self) { try profile.database.read { try $0.execute(sql: attack) } }
        #expect(
            code {
                try store.writeGlobal {
                    try $0.execute(sql: "ATTACH '\(file("leak2.db"))' AS p KEY ''; CREATE TABLE p.t AS SELECT 1")
                }
            } == "engine_setting_protected")
        #expect(try Data(contentsOf: URL(fileURLWithPath: file("leak.db"))).isEmpty)
        try store.lock()
    }

    @Test func anAppMayAskForPlaintextByName() throws {
        let store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile), options: StoreOptions(allowsPlaintextAttach: true))
        let profile = try store.openProfile(info)
        try profile.database.writeWithoutTransaction { db in
            try db.execute(
                sql: "ATTACH '\(file("wanted.db"))' AS p KEY ''; CREATE TABLE p.t AS SELECT * FROM t; DETACH p")
        }
        #expect(try isPlaintext("wanted.db"))
        // And nothing else.
        #expect(throws: DatabaseError.self) {
            try profile.database.write { try $0.execute(sql: "PRAGMA page_size = 8192") }
        }
        try store.lock()
    }

    @Test func whatHasAKeyOrNoFileIsAttached() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.writeWithoutTransaction { db in
            try db.execute(
                sql: """
                    ATTACH '\(file("own.db"))' AS o KEY 'of its own'; CREATE TABLE o.t AS SELECT * FROM t;
                    ATTACH '\(file("inherited.db"))' AS i; CREATE TABLE i.t AS SELECT * FROM t;
                    ATTACH ':memory:' AS m KEY ''; CREATE TABLE m.t AS SELECT * FROM t;
                    ATTACH '' AS e KEY ''; CREATE TABLE e.t AS SELECT * FROM t;
                    PRAGMA o.journal_mode = DELETE; PRAGMA o.synchronous = NORMAL;
                    """)
            for schema in ["o", "i", "m", "e"] {
                #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM \(schema).t") == 40)
            }
            try db.execute(
                sql:
                    "ATTACH '\(file("exported.db"))' AS x KEY 'another'; SELECT sqlcipher_export('x'); DETACH x; DETACH o; DETACH i"
            )
            try db.execute(sql: "ATTACH '\(file("own.db"))' AS o KEY 'of its own'")
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM o.t") == 40)
            try db.execute(sql: "DETACH o")
        }
        for name in ["own.db", "inherited.db", "exported.db"] { #expect(try !isPlaintext(name)) }
        // A file that was plaintext before is refused by name, and not called damaged.
        try DatabaseQueue(path: file("plain.db")).write { try $0.execute(sql: "CREATE TABLE a (b)") }
        try profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "ATTACH '\(file("plain.db"))' AS p KEY ''")
            #expect(throws: DatabaseError.self) { try db.execute(sql: "INSERT INTO p.a SELECT filling FROM t") }
            // What a trigger of this connection alone would carry there, without a name of a database in it.
            try db.execute(sql: "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO a VALUES (new.filling); END")
            #expect(throws: DatabaseError.self) { try db.execute(sql: "INSERT INTO t (filling) VALUES ('leak')") }
            try db.execute(sql: "DROP TRIGGER r")
            try db.execute(sql: "DETACH p")
        }
        try store.lock()
    }

    /// A name that was of an encrypted file, and is then of another one: what was prepared before does not write there.
    @Test func aStatementIsAskedAboutAnewWhenItsFileIsAnotherOne() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "ATTACH '\(file("first.db"))' AS p KEY 'k'; CREATE TABLE p.a (b)")
            let statement = try db.makeStatement(sql: "INSERT INTO p.a VALUES (1)")
            try statement.execute()
            try db.execute(sql: "DETACH p")
            try DatabaseQueue(path: file("second.db")).write { try $0.execute(sql: "CREATE TABLE a (b)") }
            try db.execute(sql: "ATTACH '\(file("second.db"))' AS p KEY ''")
            #expect(throws: DatabaseError.self) { try statement.execute() }
            try db.execute(sql: "DETACH p")
        }
        #expect(
            try DatabaseQueue(path: file("second.db")).read { try Int.fetchOne($0, sql: "SELECT count(*) FROM a") } == 0
        )
        try store.lock()
    }

    @Test func aCopyByVacuumIsEncrypted() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.vacuum(into: file("copy.db"))
        #expect(try !isPlaintext("copy.db"))
        let data = try Data(contentsOf: URL(fileURLWithPath: file("copy.db")))
        #expect(Array(data.prefix(16)) == profile.dataKey.keyID.bytes)
        #expect(code { try profile.database.backup(to: DatabaseQueue(path: file("backup.db"))) } != nil)
        try store.lock()
    }

    /// SQLCipher copies pages between two databases that both have a key.
    @Test func aBackupToAnEncryptedDatabaseWorks() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        var configuration = Configuration()
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA key = 'of its own'") }
        let target = try DatabaseQueue(path: file("backup.db"), configuration: configuration)
        try profile.database.backup(to: target)
        #expect(try target.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 40)
        try target.close()
        #expect(try !isPlaintext("backup.db"))
        try profile.close()
        #expect(try store.verify(info).isHealthy)
        try store.lock()
    }

    /// What would replace the whole database: another page size, no key, and GRDB's `erase`, which copies an empty one without a key.
    @Test(arguments: [4096, 1024, 8192, 65536, nil]) func aBackupIntoAProfileKeepsItsFormat(pageSize: Int?) throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        var configuration = Configuration()
        if let pageSize {
            configuration.prepareDatabase {
                try $0.execute(sql: "PRAGMA key = 'of its own'; PRAGMA cipher_page_size = \(pageSize)")
            }
        }
        let source = try DatabaseQueue(path: file("source.db"), configuration: configuration)
        try source.write { try $0.execute(sql: "CREATE TABLE other (a); INSERT INTO other VALUES (1)") }
        // Of the same page size it may be done: it is a change like any other. Otherwise it is refused.
        let isDone = code { try source.backup(to: profile.database) } == nil
        #expect(pageSize == 4096 || !isDone)
        if pageSize == nil { #expect(throws: (any Error).self) { try profile.database.erase() } }
        let table = isDone ? "other" : "t"
        #expect(
            try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") }
                == (isDone ? 1 : 40))
        try profile.database.write { try $0.execute(sql: "CREATE TABLE more (a)") }
        try profile.close()
        #expect(try store.verify(info).isHealthy)
        try store.lock()
        let again = try test.open()
        let whole = try again.openProfile(info)
        #expect(
            try whole.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") } == (isDone ? 1 : 40))
        try again.lock()
    }

    /// A database that is attached to itself keeps its format under that name as well.
    @Test func aDatabaseAttachedToItselfIsProtected() throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "ATTACH '\(test.databaseFile(info).string)' AS again")
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM again.t") == 40)
            for pragma in [
                "journal_mode = DELETE", "synchronous = OFF", "page_size = 8192", "locking_mode = EXCLUSIVE",
            ] {
                do {
                    try db.execute(sql: "PRAGMA again.\(pragma)")
                    Issue.record("it ran: \(pragma)")
                } catch let error as DatabaseError {
                    #expect(error.resultCode == .SQLITE_AUTH, "\(pragma): \(error)")
                }
            }
            try db.execute(sql: "DETACH again")
        }
        try profile.close()
        #expect(try store.verify(info).isHealthy)
        try store.lock()
    }

    // MARK: What an app does

    @Test func anAppsDay() async throws {
        var migrator = Migrations()
        migrator.add("one") { db in
            try db.execute(sql: "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT REFERENCES bodies, n INTEGER)")
            try db.execute(sql: "CREATE TABLE bodies (body TEXT PRIMARY KEY)")
            try db.execute(sql: "CREATE VIRTUAL TABLE found USING fts5(body)")
        }
        let store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile), options: StoreOptions(schema: StoreSchema(profile: migrator)))
        let profile = try store.openProfile(info)
        let pool = profile.database
        let observed = ValueObservation.tracking { try Int.fetchOne($0, sql: "SELECT count(*) FROM found") ?? -1 }
        let seen = Task {
            for try await count in observed.values(in: pool) where count == 2 { return true }
            return false
        }
        try await pool.write { db in
            try db.execute(sql: "INSERT INTO found VALUES ('a word'), ('another one')")
            try db.inSavepoint {
                try db.execute(sql: "INSERT INTO bodies VALUES ('x'); INSERT INTO notes (body) VALUES ('x')")
                return .rollback
            }
            try db.inSavepoint {
                try db.execute(sql: "INSERT INTO bodies VALUES ('y'); INSERT INTO notes (body) VALUES ('y')")
                return .commit
            }
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM notes") == 1)
            #expect(try String.fetchOne(db, sql: "SELECT body FROM found WHERE found MATCH 'word'") == "a word")
            _ = try db.columns(in: "notes")
            _ = try db.foreignKeys(on: "notes")
            try db.checkForeignKeys()
            for pragma in [
                "user_version = 4", "application_id = 5", "cache_size = -4000", "foreign_key_check",
                "table_info(notes)",
                "integrity_check", "optimize", "defer_foreign_keys = ON", "page_size", "journal_mode", "synchronous",
                "cipher_version", "cipher_settings", "cipher_page_size", "temp_store = MEMORY",
                "secure_delete = ON", "wal_autocheckpoint = 500", "cipher_integrity_check", "compile_options",
            ] { _ = try Row.fetchAll(db, sql: "PRAGMA \(pragma)") }
            try db.alter(table: "notes") { $0.add(column: "more", .text) }
            try db.execute(sql: "DELETE FROM t WHERE i % 2")
        }
        #expect(try await seen.value)
        try await pool.writeWithoutTransaction { db in
            try db.execute(
                sql:
                    "PRAGMA synchronous = FULL; PRAGMA auto_vacuum = INCREMENTAL; VACUUM; DELETE FROM t; PRAGMA incremental_vacuum(10)"
            )
            _ = try db.checkpoint(.truncate)
        }
        try await pool.vacuum()
        #expect(try await pool.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 4)
        try profile.close()
        #expect(try store.verify(info).isHealthy)
        try store.lock()
    }

    /// What is protected before a rotation of the open profile is so after it, on the connection that has followed.
    @Test func aConnectionThatFollowedIsProtected() async throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try await profile.rotateDataKey()
        for sql in ["PRAGMA page_size = 8192", "PRAGMA rekey = 'x'", "PRAGMA journal_mode = DELETE"] {
            do {
                try await profile.database.write { try $0.execute(sql: sql) }
                Issue.record("it ran")
            } catch let error as DatabaseError {
                #expect(error.message?.contains("is protected") == true)
            }
        }
        try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('a')") }
        try profile.close()
        #expect(try store.verify(info).isHealthy)
        try store.lock()
    }

    /// Damage that a query meets has its own name, whatever SQLite says.
    @Test func aQueryThatMeetsDamageIsToldSo() throws {
        try test.fill(info, in: test.open(), rows: 300)
        try TestFiles.edit(test.databaseFile(info)) { $0[9 * 4096 + 100] ^= 1 }
        let store = try test.open()
        let profile = try store.openProfile(info)
        do {
            _ = try profile.database.read { try Row.fetchAll($0, sql: "SELECT * FROM t") }
            Issue.record("it was read")
        } catch {
            #expect((profile.explained(error) as? StrongroomError)?.code == "database_pages_damaged", "\(error)")
        }
        try store.lock()
    }
}
