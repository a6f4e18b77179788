import Foundation
import GRDB
import GRDBSQLite
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// What was seen to go wrong with databases from outside, each as it was done.
@Suite struct SeenTests {
    let test: TestStore
    let store: Store
    let source: FilePath
    /// Where an attack would put what it takes.
    let leak: FilePath

    init() throws {
        test = try TestStore()
        store = try test.open()
        source = test.directory.appending("source.db")
        leak = test.directory.appending("leak.db")
    }

    private func makeSource(_ sql: String, settings: String = "") throws {
        var configuration = Configuration()
        configuration.prepareDatabase { if !settings.isEmpty { try $0.execute(sql: settings) } }
        try DatabaseQueue(path: source.string, configuration: configuration)
            .writeWithoutTransaction { try $0.execute(sql: sql) }
    }

    private var attack: String {
        "ATTACH DATABASE '\(leak)' AS z KEY ''; CREATE TABLE z.stolen AS SELECT * FROM main.t; DETACH z"
    }

    private func plant(_ sql: String, into db: Database) throws {
        try db.execute(sql: "PRAGMA writable_schema = ON")
        try db.execute(
            sql: "INSERT INTO sqlite_master VALUES ('view', 'v', 'v', 0, ?)",
            arguments: ["CREATE VIEW v AS SELECT 1; \(sql)"])
        try db.execute(sql: "PRAGMA writable_schema = OFF")
    }

    private func fails(_ body: () throws -> Void) -> StrongroomError? {
        do { try body() } catch { return error as? StrongroomError }
        return nil
    }

    // MARK: 1, arbitrary SQL

    /// The program says which object and why, on the terminal and not in `--json`, ends with 2, and nothing was written.
    @Test func theProgramNamesTheObjectAndWritesNothing() throws {
        try makeSource("CREATE TABLE t (a); INSERT INTO t VALUES ('secret')")
        try DatabaseQueue(path: source.string).writeWithoutTransaction { try plant(attack, into: $0) }
        func run(_ name: String, _ more: String...) throws -> ChildProcess.Outcome {
            try ChildProcess.run(
                "strongroom",
                ["profile", "import", "--key-file", test.keyFile.string, name, source.string] + more,
                environment: ["STRONGROOM_STORE": test.path.string])
        }
        try store.lock()
        let refused = try run("Work")
        #expect(refused.status == 2)
        #expect(refused.errorText.contains(#"view "v": its schema row is not one statement"#))
        #expect(try !StrictFiles.exists(leak))
        let skipped = try run("Work", "--skip", "V")
        #expect(skipped.status == 0 && skipped.outputText.contains("Left out: view v\n"), "\(skipped.errorText)")
        #expect(try !StrictFiles.exists(leak))
        #expect(try run("Other", "--skip", "nothing").errorText.contains("import_source_skip_unknown"))
    }

    /// A profile may have such a row from an earlier version of ours.
    @Test func anExportAndASalvageRunNothing() throws {
        let info = try test.makeProfile(rows: 200)
        let envelope = try store.keyring.envelope(for: .profile(info.id))
        let key = try store.keyring.dataKey(generation: 1, of: envelope)
        let queue = try DatabaseQueue(
            path: test.databaseFile(info).string, configuration: Engine.configuration(key: key, policy: store.policy))
        try queue.writeWithoutTransaction { try plant(attack, into: $0) }
        try queue.close()
        let target = test.directory.appending("out.db")
        let error = fails { try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true) }
        #expect(error?.code == "export_unsupported" && error?.object?.obstacle == .notOneStatement)
        #expect(try !StrictFiles.exists(leak) && !StrictFiles.exists(target))

        let files = DatabaseFiles(.profile(info.id), in: store.directory)
        let salvage = try store.salvage(
            files, store.keyring.envelope(for: .profile(info.id)), into: Quarantine(.repair))
        #expect(salvage?.rows == 200)
        #expect(try !StrictFiles.exists(leak))
    }

    /// Every file that the program opens for writing, makes, renames or removes, as the kernel saw it.
    @Test(
        .enabled(
            if: FileManager.default.isExecutableFile(atPath: "/usr/bin/strace"), "strace is not there"),
        arguments: [
            "a_second_statement_in_a_view", "a_second_statement_in_a_table", "a_statement_in_a_name",
            "a_virtual_table_of_zipfile", "cve_2025_6965_aggregates", "changes_in_a_wal", "a_hot_journal",
        ])
    func nothingOutsideTheStoreIsWritten(name: String) throws {
        let menageries = [try Menagerie.hostile.get(), try Menagerie.zoo.get()]
        let found = menageries.compactMap { all in
            all.databases.first { $0.name == name }.map { (foreign: $0, path: all.path($0)) }
        }
        let (foreign, path) = try #require(found.first)
        try store.lock()
        let trace = test.directory.appending("trace")
        let outcome = try ChildProcess(
            executable: "/usr/bin/strace",
            [
                "-f", "-y", "-qq", "-o", trace.string, "-e",
                "trace=openat,open,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,symlink,symlinkat,memfd_create,execve,connect",
                ChildProcess.products.appending("strongroom").string, "profile", "import", "--key-file",
                test.keyFile.string, "Work", path.string,
            ], environment: ["STRONGROOM_STORE": test.path.string], in: nil
        ).finish()
        #expect((outcome.status == 0) == foreign.refused.isEmpty, "\(outcome.errorText)")
        let lines = String(decoding: try TestFiles.read(trace), as: UTF8.self).split(separator: "\n")
        let writes = lines.filter { line in
            !line.contains("= -1 ")
                && (!line.contains("open") || ["O_WRONLY", "O_RDWR", "O_CREAT"].contains { line.contains($0) })
        }
        // The program itself, and what it made: otherwise nothing was seen.
        #expect(writes.contains { $0.contains("execve(") })
        #expect(writes.contains { $0.contains("\(test.path)/profiles") })
        let outside = writes.filter { line in
            // By its path, or by the descriptor of a directory of the store.
            !line.contains("\"\(test.path)") && !line.contains("<\(test.path)") && !line.contains("\"/dev/null\"")
                && !line.contains("\"/proc/self/")
                && !line.contains("execve(\"\(ChildProcess.products)")
        }
        #expect(outside == [])
    }

    // MARK: 2, a crash inside SQLite

    /// The engine as it is crashes or refuses; the connections of ours answer.
    @Test func concatWithSeparatorsAnswersOrRefuses() throws {
        let profile = try store.openProfile(store.createProfile(named: "Work"))
        let short = "SELECT concat_ws('-', 'a', NULL, '', 1, x'62')"
        // What it answers is what the linked SQLite answers: neither NULL nor an empty text counts.
        #expect(try profile.database.read { try String.fetchOne($0, sql: short) } == "a-1-b")
        #expect(try profile.database.read { try String.fetchOne($0, sql: "SELECT concat_ws(NULL, 'a')") } == nil)
        #expect(try profile.database.read { try String.fetchOne($0, sql: "SELECT concat_ws('-', 'ä')") } == "ä")
        // 125 separators of this length are 79 bytes more than 32 bits can count.
        let separator = "substr(hex(zeroblob(17179870)), 2)"
        let huge = "SELECT length(concat_ws(\(separator)" + String(repeating: ", 'a'", count: 126) + "))"
        #expect(throws: DatabaseError.self) { try profile.database.read { try Int.fetchOne($0, sql: huge) } }
        try profile.close()
        guard try LibraryVersion(reading: Engine.versions().sqlite) < LibraryVersion(3, 49, 1) else { return }
        // The negative control, in a process that may crash.
        let shell = FilePath("/usr/bin/sqlcipher")
        try #require(FileManager.default.isExecutableFile(atPath: shell.string))
        let same = try ChildProcess(executable: shell, [":memory:", short], environment: [:], in: nil).finish()
        #expect(same.outputText.contains("a-1-b"))
        let crashed = try ChildProcess(executable: shell, [":memory:", huge], environment: [:], in: nil).finish()
        #expect(crashed.wasSignalled, "\(crashed.status) \(crashed.errorText)")
    }

    // MARK: 5, staging

    /// While it runs, what stands in a WAL alone is in no other file of this machine that an import could make.
    @Test(arguments: ["-wal", "-journal"]) func nothingIsStagedAnywhere(companion: String) throws {
        let needle = "a needle in what was not finished"
        let live = test.directory.appending("live.db")
        let queue = try DatabaseQueue(path: live.string)
        try queue.writeWithoutTransaction { db in
            if companion == "-wal" {
                try db.execute(sql: "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES ('\(needle)')")
            } else {
                try db.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES ('\(needle)'); PRAGMA cache_size = 1")
                try db.execute(sql: "BEGIN; UPDATE t SET a = 'gone'; CREATE TABLE u (b)")
                for _ in 0..<50 { try db.execute(sql: "INSERT INTO u VALUES (randomblob(3000))") }
            }
            for suffix in ["", companion] {
                try TestFiles.write(
                    try TestFiles.read(FilePath(live.string + suffix)), to: FilePath(source.string + suffix))
            }
            if companion != "-wal" { try db.execute(sql: "ROLLBACK") }
        }
        try queue.close()
        for suffix in ["", "-wal", "-shm", "-journal"] {
            try? FileManager.default.removeItem(atPath: live.string + suffix)
        }
        #expect(try holders(of: needle) == [source.string + companion], "otherwise the rest would show nothing")
        var phases: Set<TransferProgress.Phase> = []
        try store.importProfile(named: "Work", from: ImportSource(source)) { progress in
            phases.insert(progress.phase)
            #expect((try? holders(of: needle)) == [source.string + companion])
        }
        #expect(phases == [.checkingSource, .copying, .verifying])
        #expect(try holders(of: needle) == [source.string + companion])
    }

    /// The files under the test's directory and in shared memory that hold a text.
    private func holders(of needle: String) throws -> [String] {
        var found: [String] = []
        for root in [test.directory.path.string, "/dev/shm"] {
            let manager = FileManager.default
            for path in manager.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
                let place = "\(root)/\(path)"
                if let data = manager.contents(atPath: place), data.range(of: Data(needle.utf8)) != nil {
                    found.append(place)
                }
            }
        }
        return found
    }

    // MARK: 6, SQLCipher of every age

    struct Age: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let pragmas: String
        let settings: ImportSource.CipherSettings?
        let kind: ImportReport.SourceKind
    }

    private static func settings(
        _ version: ImportSource.CipherSettings.Version, _ change: (inout ImportSource.CipherSettings) -> Void
    ) -> ImportSource.CipherSettings {
        var settings = ImportSource.CipherSettings(version: version)
        change(&settings)
        return settings
    }

    private static let ages = [
        Age(testDescription: "version 1", pragmas: "cipher_compatibility = 1", settings: nil, kind: .sqlcipher1),
        Age(testDescription: "version 2", pragmas: "cipher_compatibility = 2", settings: nil, kind: .sqlcipher2),
        Age(testDescription: "version 3", pragmas: "cipher_compatibility = 3", settings: nil, kind: .sqlcipher3),
        Age(testDescription: "version 4", pragmas: "cipher_compatibility = 4", settings: nil, kind: .sqlcipher4),
        Age(
            testDescription: "iterations of its own", pragmas: "kdf_iter = 1234",
            settings: settings(.four) { $0.kdfIterations = 1234 }, kind: .sqlcipher4),
        Age(
            testDescription: "pages of 16384", pragmas: "cipher_page_size = 16384",
            settings: settings(.four) { $0.pageSize = 16_384 }, kind: .sqlcipher4),
        Age(
            testDescription: "SHA-256", pragmas: "cipher_hmac_algorithm = HMAC_SHA256",
            settings: settings(.four) { $0.authentication = .sha256 }, kind: .sqlcipher4),
        Age(
            testDescription: "no authentication", pragmas: "cipher_use_hmac = OFF",
            settings: settings(.four) { $0.authentication = .off }, kind: .sqlcipher4),
        Age(
            testDescription: "a header in plaintext",
            pragmas: "cipher_plaintext_header_size = 32;cipher_salt = \"x'000102030405060708090a0b0c0d0e0f'\"",
            settings: settings(.four) {
                $0.plaintextHeaderSize = 32
                $0.salt = Array(0..<16)
            }, kind: .sqlcipher4),
    ]

    @Test(arguments: ages) func aSQLCipherFileComesIn(age: Age) throws {
        let pragmas = age.pragmas.split(separator: ";").map { "PRAGMA \($0);" }.joined()
        try makeSource(
            "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)", settings: "PRAGMA key = 'phrase'; \(pragmas)")
        func importing(_ settings: ImportSource.CipherSettings?, _ phrase: String = "phrase") throws -> ImportReport {
            let secret = try SecretBytes(testing: Array(phrase.utf8))
            return try store.importProfile(
                named: "Work", from: ImportSource(source, passphrase: secret, settings: settings)
            ).report
        }
        let wrong = fails { _ = try importing(age.settings, "another") }
        #expect(wrong?.code == "import_source_wrong_passphrase")
        #expect(wrong?.detail?.contains("SQLCipher \(age.settings == nil ? 1 : 4)") == true)
        if age.settings != nil {
            // Without them it does not open, and the error says as what it was tried.
            let error = fails { _ = try importing(nil) }
            let header = age.testDescription.contains("header")
            #expect(error?.code == (header ? "import_source_plaintext_header" : "import_source_wrong_passphrase"))
            #expect(header || error?.detail == "tried as SQLCipher 4; SQLCipher 3; SQLCipher 2; SQLCipher 1")
        }
        let report = try importing(age.settings)
        #expect(report.kind == age.kind && report.rows == 2)
    }

    /// A result names what was left out, in `--json` too, and options that cannot be are told before anything is asked for.
    @Test func theOptionsOfTheProgram() throws {
        try makeSource(
            "CREATE TABLE t (a); CREATE TABLE u (b); CREATE INDEX i ON u (b); CREATE VIRTUAL TABLE f USING fts5 (a)")
        try store.lock()
        func run(_ arguments: String...) throws -> ChildProcess.Outcome {
            try ChildProcess.run(
                "strongroom", arguments + ["--key-file", test.keyFile.string],
                environment: ["STRONGROOM_STORE": test.path.string])
        }
        let path = source.string
        let done = try run("profile", "import", "--json", "Work", path, "--skip", "u", "--skip", "f")
        let output = try #require(try JSONSerialization.jsonObject(with: Data(done.output)) as? [String: Any])
        let skipped = (output["skipped"] as? [[String: String]] ?? []).map { "\($0["kind"] ?? "") \($0["name"] ?? "")" }
        // With a table its index goes, and with a full-text index the tables that it is kept in.
        #expect(
            Set(skipped) == [
                "table u", "index i", "virtual table f", "table f_data", "table f_idx", "table f_content",
                "table f_docsize", "table f_config",
            ])
        #expect((output["tables"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["t"])
        for (options, message) in [
            (["--cipher-version", "5"], "1, 2, 3 or 4"), (["--salt", "00"], "32 hex digits"),
            (["--hmac", "md5"], "sha1, sha256"), (["--page-size", "1000"], "power of two"),
            (["--kdf-iter", "0"], "--kdf-iter"),
            (["--kdf-iter", "1000"], "need --source-passphrase-fd"),
        ] {
            var arguments = ["profile", "import", "--key-file", test.keyFile.string, "Other", path] + options
            if options != ["--kdf-iter", "1000"] { arguments += ["--source-passphrase-command", "echo x"] }
            let refused = try ChildProcess.run(
                "strongroom", arguments, environment: ["STRONGROOM_STORE": test.path.string])
            #expect(refused.status == 2 && refused.errorText.contains(message), "\(options): \(refused.errorText)")
        }
        let found = try run("diagnose").outputText
        #expect(found.contains("flaws known at \(CalendarDay.engineFlaws)"))
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let list = try String(contentsOf: root.appending(path: "docs/security/engine.md"), encoding: .utf8)
        #expect(list.contains("As of \(CalendarDay.engineFlaws)."))
    }

    /// The limits that the list of known flaws counts on are those that a connection has.
    @Test func everyConnectionHasTheLimitsOfTheList() throws {
        let connection = try RawConnection(uri: "file::memory:", flags: SQLITE_OPEN_READWRITE, place: "/")
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let list = try String(contentsOf: root.appending(path: "docs/security/engine.md"), encoding: .utf8)
        for (name, id, value) in [
            ("value", SQLITE_LIMIT_LENGTH, 1_000_000_000), ("columns", SQLITE_LIMIT_COLUMN, 2_000),
            ("depth of an expression", SQLITE_LIMIT_EXPR_DEPTH, 1_000),
            ("arguments of a function", SQLITE_LIMIT_FUNCTION_ARG, 127),
            ("LIKE pattern", SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 5_000), ("program", SQLITE_LIMIT_VDBE_OP, 10_000_000),
        ] as [(String, CInt, CInt)] {
            #expect(sqlite3_limit(connection.handle, id, -1) == value)
            #expect(list.contains("| \(name) | \(Self.grouped(Int(value)))"), "\(name)")
        }
        #expect(sqlite3_limit(connection.handle, SQLITE_LIMIT_ATTACHED, -1) == 0)
        #expect(throws: StrongroomError.self) { try RawSQL.execute("ATTACH ':memory:' AS z", on: connection.handle) }
        #expect(throws: StrongroomError.self) {
            try RawSQL.execute("CREATE VIRTUAL TABLE f USING fts5 (a)", on: connection.handle)
        }
        #expect(throws: StrongroomError.self) {
            try RawSQL.execute("SELECT load_extension('x')", on: connection.handle)
        }
    }

    private static func grouped(_ number: Int) -> String {
        let digits = String(number)
        return digits.enumerated().map { ($0 > 0 && (digits.count - $0) % 3 == 0 ? "," : "") + String($1) }.joined()
    }

    @Test func settingsThatCannotBeAreNotHandedOn() {
        for change: (inout ImportSource.CipherSettings) -> Void in [
            { $0.pageSize = 1000 }, { $0.pageSize = 131_072 }, { $0.kdfIterations = 0 },
            { $0.plaintextHeaderSize = 17 },
            { $0.salt = [1] },
        ] {
            #expect(!Self.settings(.four, change).isValid)
        }
        #expect(ImportSource.CipherSettings(version: .one).isValid)
    }

    /// Indexes with everything that the linked FTS5 writes: tombstones, deletions in place, lists over many pages, no positions.
    @Test func fullTextIndexesComeInAndAreSearched() throws {
        try makeSource(
            """
            CREATE TABLE numbers (x); WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 4000)
            INSERT INTO numbers SELECT x FROM c;
            CREATE VIRTUAL TABLE deleted USING fts5 (a, content = '', contentless_delete = 1);
            INSERT INTO deleted (rowid, a) SELECT x, 'common word' || x FROM numbers; INSERT INTO deleted (deleted) VALUES ('optimize');
            DELETE FROM deleted WHERE rowid % 3 = 0;
            CREATE VIRTUAL TABLE secure USING fts5 (a); INSERT INTO secure (secure, rank) VALUES ('secure-delete', 1);
            INSERT INTO secure (rowid, a) SELECT x, 'common word' || x FROM numbers; DELETE FROM secure WHERE rowid % 3 = 0;
            CREATE VIRTUAL TABLE slim USING fts5 (a, b UNINDEXED, detail = none, columnsize = 0, prefix = '1 2');
            INSERT INTO slim (rowid, a) SELECT x, 'common word' || x FROM numbers;
            CREATE VIRTUAL TABLE long USING fts5 (a, detail = column);
            INSERT INTO long (rowid, a) SELECT x, replace(hex(zeroblob(2000)), '0', 'common ') FROM numbers WHERE x < 30;
            INSERT INTO long (rowid, a) SELECT x + 100, 'common' FROM numbers; INSERT INTO long (long) VALUES ('optimize');
            CREATE VIRTUAL TABLE empty USING fts5 (a); INSERT INTO empty VALUES ('x'); DELETE FROM empty
            """)
        let searches = ["deleted", "secure", "slim", "long", "empty"].map {
            "SELECT count(*) || ' ' || coalesce(sum(rowid), 0) FROM \($0) WHERE \($0) MATCH 'common'"
        }
        func found(_ db: Database) throws -> [String] { try searches.map { try String.fetchOne(db, sql: $0) ?? "" } }
        let expected = try DatabaseQueue(path: source.string).read { try found($0) }
        #expect(expected[0] == "2667 5334667" && expected[4] == "0 0")
        let (info, report) = try store.importProfile(named: "Work", from: ImportSource(source))
        #expect(report.skipped.isEmpty)
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try found($0) } == expected)
        try profile.close()
    }

    // MARK: 7, damaged pages

    @Test func anExportOfADamagedProfileSaysSo() throws {
        let info = try test.makeProfile(rows: 300)
        try TestFiles.edit(test.databaseFile(info)) { $0[5 * 4096 + 100] ^= 1 }
        let target = test.directory.appending("out.db")
        #expect(
            code { try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true) }
                == "database_pages_damaged")
        #expect(try !StrictFiles.exists(target))
    }
}
