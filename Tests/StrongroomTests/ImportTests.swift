import CSQLCipher
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

@Suite struct ImportTests {
    let test: TestStore
    let store: Store
    let source: FilePath

    init() throws {
        test = try TestStore()
        store = try test.open()
        source = test.directory.appending("source.db")
    }

    /// Everything that a schema can hold and a careless copy loses.
    private static let difficultSchema = """
        PRAGMA user_version = 77; PRAGMA application_id = 0x53545247;
        CREATE TABLE plain (a, b TEXT COLLATE NOCASE, c REAL);
        INSERT INTO plain (rowid, a, b, c) VALUES (5, 1, 'one', 1.5), (9, x'00ff', NULL, 2), (-3, 'text', '', -0.0), (1000000, 9e999, 'ü\u{1F98A}', 3);
        CREATE TABLE keyed (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT UNIQUE, CHECK (length(v) < 50));
        INSERT INTO keyed VALUES (10, 'ten'), (20, 'twenty'); DELETE FROM keyed WHERE id = 20;
        CREATE TABLE flat (k TEXT, n INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID;
        INSERT INTO flat VALUES ('b', 2), ('a', 1);
        CREATE TABLE made (a INTEGER, twice INTEGER GENERATED ALWAYS AS (a * 2) STORED, thrice AS (a * 3));
        INSERT INTO made (a) VALUES (7);
        CREATE TABLE strict (a INTEGER, b BLOB) STRICT; INSERT INTO strict VALUES (1, x'01');
        CREATE TABLE "odd ""name" ("select" TEXT, rowid TEXT); INSERT INTO "odd ""name" VALUES ('x', 'y');
        CREATE TABLE child (p INTEGER REFERENCES keyed (id)); INSERT INTO child VALUES (10), (999);
        CREATE INDEX i1 ON plain (b DESC) WHERE a IS NOT NULL; CREATE UNIQUE INDEX i2 ON plain (lower(b), a);
        CREATE VIEW v AS SELECT a, 'it''s' AS t FROM plain; CREATE VIEW broken AS SELECT * FROM nowhere;
        CREATE TRIGGER tr AFTER INSERT ON plain BEGIN INSERT INTO keyed (v) VALUES ('fired' || new.rowid); END;
        CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('a quick fox'), ('a slow tortoise');
        CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1); INSERT INTO boxes VALUES (1, 0, 10);
        ANALYZE;
        """

    private func makeSource(_ sql: String = difficultSchema, configuration: Configuration = Configuration()) throws {
        var configuration = configuration
        configuration.foreignKeysEnabled = false
        try DatabaseQueue(path: source.string, configuration: configuration).writeWithoutTransaction {
            try $0.execute(sql: sql)
        }
    }

    /// Schema and rows, as both sides answer.
    private func contents(_ db: Database) throws -> [String] {
        let schema = try Row.fetchAll(
            db,
            sql:
                "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE '\\_strongroom%' ESCAPE '\\' ORDER BY type, name"
        )
        var lines = schema.map { "\($0)" }
        for table in [
            "plain", "keyed", "flat", "made", "strict", "odd \"name", "child", "words", "boxes", "sqlite_sequence",
            "sqlite_stat1",
        ] {
            let quoted = "\"" + table.replacing("\"", with: "\"\"") + "\""
            lines += try Row.fetchAll(db, sql: "SELECT * FROM \(quoted)").map { "\(table): \($0)" }
        }
        lines += try Row.fetchAll(db, sql: "SELECT rowid FROM plain").map { "\($0)" }
        lines += try ["user_version", "application_id"].map { try String.fetchOne(db, sql: "PRAGMA \($0)") ?? "" }
        lines += try Row.fetchAll(db, sql: "SELECT rowid, body FROM words WHERE words MATCH 'fox'").map { "\($0)" }
        return lines
    }

    @Test func everythingInADifficultDatabaseIsKept() throws {
        try makeSource()
        let before = try TestFiles.read(source)
        let (info, report) = try store.importProfile(named: "difficult", from: ImportSource(source))
        #expect(report.kind == .plaintext)
        #expect(report.tables.contains { $0.name == "plain" && $0.rows == 4 })
        #expect(try TestFiles.read(source) == before)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: test.directory.path.string).filter {
                $0.hasPrefix("source")
            } == ["source.db"])

        let expected = try DatabaseQueue(path: source.string).read { try contents($0) }
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try contents($0) } == expected)
        #expect(try profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        // The triggers are there, and did not fire while rows were copied.
        try profile.database.write { try $0.execute(sql: "INSERT INTO plain (a, b) VALUES (1, 'new')") }
        #expect(
            try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM keyed WHERE v LIKE 'fired%'") }
                == 1)
        try profile.close()
    }

    @Test func aRealDatabaseIsKept() throws {
        let path = FilePath("/usr/share/proj/proj.db")
        let (info, report) = try store.importProfile(named: "maps", from: ImportSource(path))
        #expect(report.tables.count == 36)
        #expect(report.rows > 50_000)
        let profile = try store.openProfile(info)
        let kinds = try profile.database.read { db in
            try ["table", "view", "trigger"].map { kind in
                try Int.fetchOne(
                    db,
                    sql:
                        "SELECT count(*) FROM sqlite_schema WHERE type = ? AND name NOT LIKE '\\_strongroom%' ESCAPE '\\'",
                    arguments: [kind]) ?? 0
            }
        }
        #expect(kinds == [36, 7, 35])
        try profile.close()
    }

    @Test func whatStandsInAWALIsPartOfIt() throws {
        try makeSource("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        // A copy taken while a connection is open has its last changes in the WAL only.
        let live = test.directory.appending("live.db")
        let pool = try DatabasePool(path: live.string)
        try pool.write { try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)") }
        for suffix in ["", "-wal"] {
            try TestFiles.write(
                try TestFiles.read(FilePath(live.string + suffix)), to: FilePath(source.string + suffix))
        }
        try pool.close()
        let before = try ["", "-wal"].map { try TestFiles.read(FilePath(source.string + $0)) }
        let (info, _) = try store.importProfile(named: "wal", from: ImportSource(source))
        #expect(try ["", "-wal"].map { try TestFiles.read(FilePath(source.string + $0)) } == before)
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 3)
        try profile.close()
    }

    @Test func aHotJournalIsRolledBackInTheCopy() throws {
        let live = test.directory.appending("live.db")
        let queue = try DatabaseQueue(path: live.string)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA journal_mode = DELETE; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            try db.execute(sql: "PRAGMA cache_size = 1; BEGIN")
            for _ in 0..<200 { try db.execute(sql: "INSERT INTO t VALUES (randomblob(3000))") }
            // In the middle of a transaction that has spilled: what a crash leaves behind.
            for suffix in ["", "-journal"] {
                try TestFiles.write(
                    try TestFiles.read(FilePath(live.string + suffix)), to: FilePath(source.string + suffix))
            }
            try db.execute(sql: "ROLLBACK")
        }
        #expect(try TestFiles.read(FilePath(source.string + "-journal")).count > 0)
        let before = try ["", "-journal"].map { try TestFiles.read(FilePath(source.string + $0)) }
        let (info, report) = try store.importProfile(named: "hot", from: ImportSource(source))
        #expect(report.rows == 1)
        #expect(try ["", "-journal"].map { try TestFiles.read(FilePath(source.string + $0)) } == before)
        _ = info
    }

    @Test(arguments: [4, 3])
    func sqlcipherFilesAreImported(version: Int) throws {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            let passphrase = Array("the old passphrase".utf8)
            _ = sqlite3_key_v2(db.sqliteConnection, "main", passphrase, Int32(passphrase.count))
            try db.execute(sql: "PRAGMA cipher_compatibility = \(version)")
        }
        try makeSource(configuration: configuration)
        let before = try TestFiles.read(source)
        let passphrase = Array("the old passphrase".utf8)
        let (info, report) = try store.importProfile(
            named: "old", from: ImportSource(source, passphrase: .init(testing: passphrase)))
        #expect(report.kind == (version == 4 ? .sqlcipher4 : .sqlcipher3))
        let expected = try DatabaseQueue(path: source.string, configuration: configuration).read { try contents($0) }
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try contents($0) } == expected)
        try profile.close()

        #expect(
            code {
                try store.importProfile(named: "x", from: ImportSource(source, passphrase: .init(testing: [1, 2, 3])))
            } == "import_source_wrong_passphrase")
        #expect(
            code { try store.importProfile(named: "x", from: ImportSource(source)) } == "import_source_not_a_database")
        #expect(try TestFiles.read(source) == before)
    }

    @Test func sourcesThatCannotBeImportedAreEachNamed() throws {
        let before = try TestFiles.snapshot(test.path)
        func importing(_ bytes: [UInt8]) throws -> String? {
            try TestFiles.write(bytes, to: source)
            return code { try store.importProfile(named: "bad", from: ImportSource(source)) }
        }
        #expect(
            code { try store.importProfile(named: "bad", from: ImportSource("/nonexistent/file")) }
                == "import_source_missing")
        #expect(
            code { try store.importProfile(named: "bad", from: ImportSource(test.directory.path)) }
                == "file_is_not_regular")
        #expect(try importing([]) == "import_source_not_a_database")
        #expect(
            try importing(Array("just some text, and not a database at all".utf8)) == "import_source_not_a_database")
        try FileManager.default.removeItem(atPath: source.string)

        try makeSource()
        let sound = try TestFiles.read(source)
        #expect(try importing(Array(sound.prefix(sound.count / 2))) == "import_source_damaged")
        #expect(try importing(Array(sound.prefix(50))) == "import_source_damaged")
        var zeroed = sound
        zeroed.replaceSubrange(8192..<12288, with: [UInt8](repeating: 0, count: 4096))
        #expect(try importing(zeroed) == "import_source_damaged")
        // Nothing of any of these is left: no row, no directory, no envelope.
        let after = try TestFiles.snapshot(test.path)
        #expect(Set(after.keys) == Set(before.keys))
        #expect(try store.profiles().isEmpty)
    }

    @Test func anIndexThatOnlyItsOwnAppKnowsIsNamed() throws {
        var configuration = Configuration()
        configuration.prepareDatabase {
            $0.add(
                collation: DatabaseCollation("theirs") {
                    $0 < $1 ? .orderedAscending : $0 > $1 ? .orderedDescending : .orderedSame
                })
        }
        try makeSource(
            "CREATE TABLE t (a TEXT COLLATE theirs PRIMARY KEY); INSERT INTO t VALUES ('x')",
            configuration: configuration)
        #expect(
            code { try store.importProfile(named: "theirs", from: ImportSource(source)) } == "import_source_unsupported"
        )
    }

    @Test func aSourceThatIsOpenElsewhereIsRefused() throws {
        let holder = try ChildProcess("TestHelper", ["hold-sqlite", source.string])
        #expect(holder.line() == "open")
        #expect(code { try store.importProfile(named: "held", from: ImportSource(source)) } == "import_source_in_use")
        #expect(holder.finish().status == 0)
        try store.importProfile(named: "held", from: ImportSource(source))
    }

    @Test func aSourceThatChangesWhileItIsReadIsRefused() throws {
        try makeSource()
        let result = code {
            try store.importProfile(named: "changing", from: ImportSource(source)) { progress in
                if progress.phase == .copying { try? TestFiles.edit(source) { $0[99] ^= 1 } }
            }
        }
        #expect(result == "import_source_changed")
        #expect(try store.profiles().isEmpty)
    }

    @Test func aCancelledImportLeavesNothing() async throws {
        try makeSource()
        let store = store
        let source = source
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return code { try store.importProfile(named: "cancelled", from: ImportSource(source)) }
        }
        task.cancel()
        #expect(await task.value == "cancelled")
        #expect(try store.profiles().isEmpty)
    }

    @Test func aTakenNameIsRefusedBeforeAnythingIsRead() throws {
        try store.createProfile(named: "taken")
        #expect(
            code { try store.importProfile(named: "Taken", from: ImportSource("/nonexistent")) } == "profile_exists")
    }

    @Test func anExportIsPlaintextAndTheSame() throws {
        try makeSource()
        let (info, _) = try store.importProfile(named: "difficult", from: ImportSource(source))
        let target = test.directory.appending("out.db")
        #expect(
            code { try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: false) }
                == "plaintext_not_confirmed")
        #expect(try !StrictFiles.exists(target))
        try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true)
        let expected = try DatabaseQueue(path: source.string).read { try contents($0) }
        #expect(try DatabaseQueue(path: target.string).read { try contents($0) } == expected)
        #expect(try FileManager.default.attributesOfItem(atPath: target.string)[.posixPermissions] as? Int == 0o600)
        let before = try TestFiles.read(target)
        #expect(code { try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true) } == "file_exists")
        #expect(try TestFiles.read(target) == before)
    }

    /// Every system call of an import failing in turn: it is registered and holds all rows, or nothing of it is left.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFailsWhileItRuns(error: Errno) throws {
        try makeSource("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
        var number = 0
        let failed = try withEachCallFailing(error) { probe in
            number += 1
            let name = "import \(number)"
            let outcome = SystemCalls.$probe.withValue(probe) {
                Result { try store.importProfile(named: name, from: ImportSource(source)).info }
            }
            let registered = try store.profiles().first { $0.name == name }
            if case .success(let info) = outcome { #expect(registered == info) }
            guard let registered else { return }
            let profile = try store.openProfile(registered)
            #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT sum(a) FROM t") } == 6)
            try profile.close()
        }
        print("faults, import: \(failed) system calls failed with \(error)")
        #expect(failed > 100)
    }
}
