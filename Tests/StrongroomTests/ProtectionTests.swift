import CSQLCipher
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// A connection keeps the format, the key and the settings that it was given.
@Suite struct ProtectionTests {
    let test: TestStore
    let info: ProfileInfo

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 40)
    }

    /// What the linked engine has, and what SQLCipher has besides, which no list of it tells.
    static func pragmas() throws -> Set<String> {
        let listed = try DatabaseQueue().read { try String.fetchAll($0, sql: "PRAGMA pragma_list") }
        return Set(listed + ofSQLCipher)
    }

    /// By the strings of its archive and by its documentation.
    static let ofSQLCipher = [
        "cipher", "cipher_add_random", "cipher_compatibility", "cipher_default_compatibility",
        "cipher_default_hmac_algorithm", "cipher_default_kdf_algorithm", "cipher_default_kdf_iter",
        "cipher_default_page_size", "cipher_default_plaintext_header_size", "cipher_default_settings",
        "cipher_default_use_hmac", "cipher_fips_status", "cipher_hmac_algorithm", "cipher_hmac_pgno",
        "cipher_hmac_salt_mask", "cipher_integrity_check", "cipher_kdf_algorithm", "cipher_license", "cipher_log",
        "cipher_log_level", "cipher_log_source", "cipher_memory_security", "cipher_migrate", "cipher_page_size",
        "cipher_plaintext_header_size", "cipher_profile", "cipher_provider", "cipher_provider_version", "cipher_salt",
        "cipher_settings", "cipher_store_pass", "cipher_use_hmac", "cipher_version", "fast_kdf_iter", "hexkey",
        "hexrekey", "key", "kdf_iter", "rekey", "rekey_cipher", "rekey_kdf_iter", "textkey", "textrekey",
    ]

    private static let values = [
        "0", "1", "2", "5", "8192", "65536", "OFF", "'x'", "''", "DELETE", "HMAC_SHA1", "-1", "9223372036854775807",
        "99999999999999999999", "1e300",
    ]

    /// Every pragma has a rule, so that a newer engine with a new one is noticed here.
    @Test func everyPragmaOfTheEngineHasARule() throws {
        let without = try Self.pragmas().filter { PragmaTable.rules[$0] == nil }
        #expect(without.isEmpty)
    }

    /// Every pragma, asked for and set, in a transaction and outside of one, by the connection that writes and by one that reads, with
    /// the name of the database and without: the database is whole, opens again, and has its rows.
    @Test(arguments: [true, false]) func noPragmaDestroysADatabase(inTransaction: Bool) throws {
        let names = try Self.pragmas().sorted()
        for schema in ["", "main.", "temp."] {
            let store = try test.open()
            let profile = try store.openProfile(info)
            for name in names {
                for value in [nil] + Self.values.map(Optional.some) {
                    let sql = "PRAGMA \(schema)\(name)" + (value.map { " = \($0)" } ?? "")
                    let run: @Sendable (Database) throws -> Void = { db in
                        // Most are refused, and some say that their value makes no sense.
                        _ = try? Row.fetchAll(db, sql: sql)
                    }
                    if inTransaction {
                        try? profile.database.write { db in
                            try run(db)
                            try db.execute(sql: "INSERT INTO t (filling) VALUES ('a')")
                        }
                    } else {
                        try profile.database.writeWithoutTransaction { db in
                            try run(db)
                            try? db.execute(sql: "INSERT INTO t (filling) VALUES ('a')")
                            // Those that an app may set and that would make the rest of the test say nothing.
                            try db.execute(
                                sql: "PRAGMA query_only = 0; PRAGMA max_page_count = 4294967294")
                        }
                    }
                    try? profile.database.read(run)
                    if inTransaction {
                        try profile.database.writeWithoutTransaction {
                            try $0.execute(
                                sql: "PRAGMA query_only = 0; PRAGMA max_page_count = 4294967294")
                        }
                    }
                }
            }
            try profile.close()
            try store.lock()
            try requireWhole(atLeast: 40)
        }
    }

    private func requireWhole(atLeast rows: Int) throws {
        let store = try test.open()
        #expect(try store.verify(info).isHealthy)
        #expect(try test.rows(info, in: store) >= rows)
        try store.lock()
    }

    // MARK: What was seen

    static let attacks = [
        "PRAGMA page_size = 8192", "PRAGMA page_size = 1024", "PRAGMA page_size = 65536", "PRAGMA main.page_size(8192)",
        "PRAGMA rekey = 'x'", "PRAGMA hexrekey = '00ff'", "PRAGMA textrekey = 'x'", "PRAGMA key = 'x'",
        "PRAGMA cipher_page_size = 8192", "PRAGMA kdf_iter = 5", "PRAGMA cipher_migrate",
        "PRAGMA cipher_plaintext_header_size = 32", "PRAGMA cipher_default_page_size = 8192",
        "PRAGMA cipher_use_hmac = OFF",
        "PRAGMA cipher_salt = \"x'00112233445566778899aabbccddeeff'\"", "PRAGMA journal_mode = DELETE",
        "PRAGMA journal_mode = OFF", "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA temp_store = FILE",
        "PRAGMA temp.temp_store = 1", "PRAGMA temp_store_directory = '/tmp'", "PRAGMA mmap_size = 1000000",
        "PRAGMA synchronous = OFF", "PRAGMA synchronous = NORMAL", "PRAGMA synchronous = 1",
        "PRAGMA trusted_schema = ON",
        "PRAGMA writable_schema = ON", "PRAGMA schema_version = 7", "PRAGMA cipher_profile = '/tmp/never'",
        "PRAGMA cipher_log = '/tmp/never'", "SELECT load_extension('/tmp/never.so')", "EXPLAIN PRAGMA page_size = 8192",
        "PRAGMA PAGE_SIZE = 8192", "PRAGMA \"page_size\" = 8192", "PRAGMA cipher_something_new = 1",
        "PRAGMA hard_heap_limit = 1", "PRAGMA/**/ main /* a */ . page_size\n=\n8192", "PRAGMA [rekey] = 'x'",
        "PRAGMA `main`.\"kdf_iter\"(5)", "PRAGMA writable_schema(1)", "PRAGMA temp.page_size = 8192",
    ]

    @Test(arguments: attacks) func anAttackIsRefusedBeforeItActs(sql: String) throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        let run: (Database) throws -> Void = { db in
            try db.execute(sql: sql)
            try db.execute(sql: "INSERT INTO t (filling) VALUES ('a')")
        }
        for attempt in [
            { try profile.database.write(run) }, { try profile.database.writeWithoutTransaction(run) },
            { try profile.database.barrierWriteWithoutTransaction(run) },
            { try profile.database.read { try $0.execute(sql: sql) } },
        ] {
            do {
                try attempt()
                Issue.record("it ran")
            } catch let error as DatabaseError {
                // Of a function SQLite says that there is a mistake.
                #expect(error.resultCode == (sql.contains("load_extension") ? .SQLITE_ERROR : .SQLITE_AUTH), "\(error)")
                if !sql.contains("temp."), sql.hasPrefix("PRAGMA") {
                    #expect(error.message?.contains(" is protected: ") == true, "\(error)")
                }
                let told = try #require(profile.explained(error) as? StrongroomError)
                #expect(told.code == "engine_setting_protected")
                #expect(told.category == .usage)
            }
        }
        // The connections go on.
        try profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('b')") }
        try profile.close()
        #expect(code { try store.writeGlobal { try $0.execute(sql: sql) } } == "engine_setting_protected")
        #expect(code { try store.readGlobal { try $0.execute(sql: sql) } } == "engine_setting_protected")
        _ = try store.profiles()
        try store.lock()
        try requireWhole(atLeast: 41)
    }

    /// The same on a connection that was keyed by hand: what the protection keeps away.
    @Test func withoutTheProtectionADatabaseIsDestroyed() throws {
        let path = test.directory.appending("scratch.db").string
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            let key = "x'\(String(repeating: "0123456789abcdef", count: 6))'"
            let result = key.withCString { sqlite3_key_v2(db.sqliteConnection, "main", $0, Int32(strlen($0))) }
            #expect(result == 0)
        }
        let fill =
            "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i, hex(randomblob(40)) AS x FROM n"
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.write { try $0.execute(sql: fill) }
            try queue.writeWithoutTransaction {
                try $0.execute(sql: "BEGIN IMMEDIATE; PRAGMA page_size = 8192; COMMIT")
            }
            try? queue.write { try $0.execute(sql: "INSERT INTO t VALUES (0, '')") }
            try? queue.close()
        }
        let rows = try? DatabaseQueue(path: path, configuration: configuration).read {
            try Int.fetchOne($0, sql: "SELECT count(x) FROM t")
        }
        #expect(rows == nil)

        let other = test.directory.appending("rekeyed.db").string
        do {
            let queue = try DatabaseQueue(path: other, configuration: configuration)
            try queue.write { try $0.execute(sql: fill) }
            try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA rekey = 'x'") }
            try queue.close()
        }
        #expect(throws: (any Error).self) {
            try DatabaseQueue(path: other, configuration: configuration).read {
                try Int.fetchOne($0, sql: "SELECT count(*) FROM t")
            }
        }
    }

    /// GRDB goes on being told what a statement reads and writes.
    @Test func theGuardHandsOnToGRDB() throws {
        let store = try test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            let statement = try db.makeStatement(sql: "SELECT filling FROM t")
            #expect(statement.databaseRegion.description == "t(filling)")
            #expect(AuthorizerSlot.current(of: try ConnectionExchange.handle(db))?.context != nil)
        }
    }

    @Test func aMessageNamesItsSetting() {
        for (name, rule) in PragmaTable.rules {
            guard let reason = rule.reason else { continue }
            let setting = ProtectedSetting(name: name, reason: reason)
            #expect(ProtectedSetting(message: setting.message) == setting)
        }
        #expect(ProtectedSetting(message: ProtectedSetting.plaintextAttach.message) == .plaintextAttach)
        #expect(ProtectedSetting(message: "no such table: x") == nil)
    }
}
