import Foundation
import GRDB
import TestSupport
import Testing

@testable import Strongroom

/// `profile sql`: it only reads unless told otherwise, and nothing that is typed destroys a profile.
@Suite struct SQLCommandTests {
    let work: CommandLineStore

    init() throws { work = try CommandLineStore() }

    private func sql(_ sql: String, write: Bool = false, json: Bool = false) throws -> ChildProcess.Outcome {
        try work.bare(
            ["profile", "sql", "Work", "--key-file", work.directory.appending("key").string]
                + (write ? ["--write"] : []) + (json ? ["--json"] : []) + ["--", sql])
    }

    private func shell(_ command: String) throws -> ChildProcess.Outcome {
        let program = ChildProcess.products.appending("strongroom")
        let verb = "\(program) profile sql --key-file \(work.directory.appending("key")) Work"
        return try ChildProcess.shell(
            command.replacing("SQL", with: verb), environment: ["STRONGROOM_STORE": work.path.string])
    }

    @Test(arguments: [
        "INSERT INTO t VALUES (4)", "DELETE FROM t", "DROP TABLE t", "CREATE TABLE u (a)", "PRAGMA user_version = 5",
        "VACUUM",
        "SELECT 1; UPDATE t SET a = 9", "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "REINDEX", "ANALYZE",
    ])
    func nothingIsWrittenWithoutSayingSo(statement: String) throws {
        let outcome = try sql(statement)
        #expect(outcome.status == 2)
        #expect(outcome.errorText.contains("error[sql_would_write]") || statement == "VACUUM", "\(outcome.errorText)")
        #expect(outcome.output.isEmpty)
        #expect(try work.rows().contains("n=3"))
    }

    @Test func whatOnlyReadsNeedsNothing() throws {
        for statement in [
            "SELECT * FROM t", "PRAGMA table_info(t)", "EXPLAIN DELETE FROM t", "EXPLAIN QUERY PLAN SELECT * FROM t",
            "WITH x AS (SELECT 1) SELECT * FROM x", "PRAGMA user_version", "VALUES (1)", "PRAGMA integrity_check",
        ] {
            let outcome = try sql(statement)
            #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(statement): \(outcome.errorText)")
            #expect(outcome.errors.isEmpty)
        }
    }

    @Test func everyResultIsPrinted() throws {
        let outcome = try sql(
            "SELECT 1 AS a, 2 AS a; -- a comment\nINSERT INTO t VALUES (x'00ff'), (NULL); SELECT a, a FROM t WHERE rowid > 3; SELECT 7 WHERE 0",
            write: true, json: true)
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(outcome.errorText == "2 rows changed.\n")
        let answer = try json(outcome)
        #expect(answer["changedRows"] as? Int == 2)
        let results = try #require(answer["results"] as? [[String: Any]])
        #expect(results.map { $0["columns"] as? [String] } == [["a", "a"], ["a", "a"], ["7"]])
        #expect(results[0]["rows"] as? [[Int]] == [[1, 2]])
        #expect((results[1]["rows"] as? [[Any]])?.first as? [String] == ["x'00ff'", "x'00ff'"])
        #expect((results[1]["rows"] as? [[Any]])?.last?.first is NSNull)
        #expect((results[2]["rows"] as? [[Any]])?.isEmpty == true)
        let text = try sql("SELECT 'one' AS x; SELECT 'two' AS y").outputText
        #expect(text.contains("one") && text.contains("two"))
    }

    @Test func aMistakeHasItsPlace() throws {
        let misspelt = try sql("SELECT 1;\nSELECT a,\n  wrong FROM t")
        #expect(misspelt.status == 2)
        #expect(misspelt.errorText.contains("no such column: wrong (line 3, column 3)"), "\(misspelt.errorText)")
        #expect(try sql("SELEKT 1").errorText.contains("(line 1, column 1)"))
        // What came before it is taken back.
        #expect(try sql("INSERT INTO t VALUES (4); SELEKT 1", write: true).status == 2)
        #expect(
            try sql("INSERT INTO t VALUES (4); INSERT INTO t SELECT abs(-9223372036854775808)", write: true).status == 2
        )
        for end in [
            "COMMIT", "ROLLBACK", "/* */ end", "BEGIN", "\u{feff}COMMIT", "ROLLBACK /* x TO y */",
            "COMMIT -- SAVEPOINT",
            "END TRANSACTION", "BEGIN IMMEDIATE",
        ] {
            let outcome = try sql("INSERT INTO t VALUES (4); \(end)", write: true)
            #expect(outcome.status == 2 && outcome.errorText.contains("error[sql_transaction]"), "\(outcome.errorText)")
        }
        #expect(try work.rows().contains("n=3"))
        let savepoint = "SAVEPOINT s; INSERT INTO t VALUES (4); ROLLBACK TO s; INSERT INTO t VALUES (5); RELEASE s"
        #expect(try sql(savepoint, write: true).status == 0)
        #expect(try work.rows().contains("n=4"))
    }

    @Test func whatComesFromStandardInput() throws {
        #expect(try shell("printf 'SELECT 5 AS n' | SQL -").outputText.contains("5"))
        for (command, name) in [
            ("SQL - </dev/null", "empty"), ("SQL - <&-", "closed"), ("printf ' ;\\n' | SQL -", "blank"),
            ("printf 'SELECT \\377' | SQL -", "not UTF-8"), ("printf 'SELECT 1\\000; x' | SQL -", "NUL"),
            ("SQL ''", "nothing"),
            ("SQL - </", "a directory"),
        ] {
            let outcome = try shell(command)
            #expect(outcome.status == 2, "\(name): \(outcome.status) \(outcome.errorText)")
            #expect(outcome.errorText.contains("error[sql_input_invalid]"), "\(name): \(outcome.errorText)")
        }
    }

    @Test func resultsThatAreLostAreNoSuccess() throws {
        for command in ["SQL 'SELECT 1' >/dev/full", "SQL --json 'SELECT 1' >/dev/full", "SQL 'SELECT 1' >&-"] {
            let outcome = try shell(command)
            #expect(outcome.status == 74, "\(command): \(outcome.status)")
            #expect(outcome.errorText.contains("error[output_not_written]"))
        }
    }

    // MARK: What destroyed a profile

    @Test(arguments: [
        "PRAGMA page_size = 8192", "PRAGMA page_size = 1024; INSERT INTO t VALUES (4)", "PRAGMA page_size = 65536",
        "PRAGMA rekey = 'x'", "PRAGMA cipher_page_size = 8192; INSERT INTO t VALUES (4)", "PRAGMA kdf_iter = 5",
        "PRAGMA journal_mode = DELETE", "PRAGMA temp_store = FILE", "PRAGMA temp.page_size = 8192",
        "PRAGMA cipher_migrate",
        "PRAGMA writable_schema = ON", "SELECT load_extension('x')", "PRAGMA synchronous = OFF", "PRAGMA key = 'x'",
    ])
    func anAttackIsRefused(statement: String) throws {
        for write in [true, false] {
            let outcome = try sql(statement, write: write)
            #expect(outcome.status == 2, "\(outcome.errorText)")
            #expect(outcome.errorText.contains("error[engine_setting_protected]"), "\(outcome.errorText)")
            #expect(outcome.output.isEmpty)
        }
        #expect(try work.rows().contains("n=3"))
        #expect(try work.run("verify", "Work").status == 0)
    }

    /// Every pragma of the engine, and of SQLCipher, as an operator may type it.
    @Test(arguments: 0..<4) func noPragmaDestroysAProfile(part: Int) throws {
        let listed = try DatabaseQueue().read { try String.fetchAll($0, sql: "PRAGMA pragma_list") }
        let names = Set(listed).union(PragmaTable.rules.keys).sorted()
        let before = try files()
        for (index, name) in names.enumerated() where index % 4 == part {
            for value in ["", " = 0", " = -1", " = 1", " = 8192", " = 99999999999999999999", " = 'x'", "(DELETE)"] {
                let statement = "PRAGMA \(name)\(value); INSERT INTO t VALUES ('more')"
                let outcome = try sql(statement, write: true)
                #expect([0, 2].contains(outcome.status), "\(name)\(value): \(outcome.status) \(outcome.errorText)")
            }
            let outcome = try sql("PRAGMA \(name) = 1")
            #expect([0, 2].contains(outcome.status), "\(name), reading: \(outcome.status) \(outcome.errorText)")
        }
        #expect(try sql("SELECT 'rows: ' || (count(*) > 3) FROM t WHERE a IS NOT NULL").outputText.contains("rows: 1"))
        #expect(try work.run("verify", "Work").status == 0)
        #expect(try files() == before)
    }

    /// What lies beside the store; a log or a database of its own would be there.
    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: work.directory.path.string).sorted()
    }

    /// Ways around what is refused: comments, table-valued functions, URIs, temporary objects of our own name, what SQLCipher brings.
    @Test(arguments: [
        "PRAGMA /* x */ main /* PRAGMA rekey */ . page_size = 8192", "SAVEPOINT s; PRAGMA rekey = 'x'; RELEASE s",
        "CREATE TEMP TABLE _strongroom (name TEXT PRIMARY KEY, value)", "SELECT sqlcipher_export('temp')",
        "CREATE TEMP TRIGGER r AFTER UPDATE ON main._strongroom BEGIN DELETE FROM t; END",
        "CREATE TEMP VIEW _STRONGROOM AS SELECT 1",
        "ATTACH 'file:leak.db?key=' AS p; CREATE TABLE p.t AS SELECT * FROM t",
        "ATTACH 'file:leak.db?vfs=unix-none' AS p KEY ''", "ATTACH 'leak' || '.db' AS p KEY ''",
    ])
    func aWayAroundIsRefused(statement: String) throws {
        let inside = statement.replacing("leak", with: work.directory.appending("leak").string)
        let outcome = try sql(inside, write: true)
        #expect(outcome.status == 2)
        #expect(outcome.errorText.contains("error[engine_setting_protected]"), "\(outcome.errorText)")
        #expect(try work.rows().contains("n=3"))
        #expect(try work.run("verify", "Work").status == 0)
    }

    /// What an app may set on its connection does not keep the close from writing.
    @Test(arguments: ["query_only = 1", "max_page_count = 1", "full_column_names = 1", "count_changes = 1"])
    func aSettingOfTheConnectionEndsWithIt(setting: String) throws {
        let outcome = try sql("INSERT INTO t VALUES (4); DROP TABLE _strongroom; PRAGMA \(setting)", write: true)
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(try work.rows().contains("n=4"))
        #expect(try work.run("verify", "Work").status == 0)
    }

    @Test func onlyRowsThatWereAskedForAreCounted() throws {
        for (statement, count) in [
            ("CREATE VIRTUAL TABLE f USING fts5(a)", "0 rows"), ("INSERT INTO f VALUES ('a word')", "1 row "),
            ("UPDATE t SET a = a", "3 rows"), ("CREATE TABLE u AS SELECT * FROM t", "0 rows"), ("ANALYZE", "0 rows"),
            ("INSERT INTO u SELECT * FROM t; DELETE FROM u", "9 rows"), ("DROP TABLE f", "0 rows"),
            ("DELETE FROM u", "0 rows"), ("SELECT 1", "0 rows"),
        ] {
            let outcome = try sql(statement, write: true)
            #expect(outcome.errorText.hasPrefix(count), "\(statement): \(outcome.errorText)")
        }
    }

    @Test func aFileThatIsNoDatabaseIsNoDamage() throws {
        let other = work.directory.appending("key").string
        for key in ["KEY 'x'", ""] {
            let outcome = try sql("ATTACH '\(other)' AS p \(key)", write: true)
            #expect(outcome.status == 2 && outcome.errorText.contains("file is not a database"), "\(outcome.errorText)")
        }
    }

    /// What may be typed, and what it does to our own table, is mended when the profile is closed.
    @Test(arguments: [
        "DROP TABLE _strongroom", "DELETE FROM _strongroom", "UPDATE _strongroom SET value = -1",
        "UPDATE _strongroom SET value = 9223372036854775807", "ALTER TABLE _strongroom RENAME TO gone",
        "CREATE TRIGGER r AFTER UPDATE ON _strongroom BEGIN DELETE FROM t; END",
        "CREATE TEMP TABLE x (name TEXT PRIMARY KEY, value); ALTER TABLE x RENAME TO _strongroom",
        "DROP TABLE _strongroom; CREATE VIEW _strongroom AS SELECT 'epoch' AS name, 5 AS value",
    ])
    func ourOwnTableIsMended(statement: String) throws {
        #expect(try sql(statement, write: true).status == 0)
        #expect(try work.rows().contains("n=3"))
        #expect(try sql("INSERT INTO t VALUES (4)", write: true).status == 0)
        #expect(try work.rows().contains("n=4"))
        #expect(try work.run("verify", "Work").status == 0)
    }

    @Test func nothingLeavesInPlaintext() throws {
        let leak = work.directory.appending("leak.db").string
        for statement in [
            "ATTACH '\(leak)' AS p KEY ''; CREATE TABLE p.t AS SELECT * FROM t", "ATTACH '\(leak)' AS p KEY ''",
            "ATTACH '\(leak)' AS p KEY ''; SELECT sqlcipher_export('p')",
        ] {
            let outcome = try sql(statement, write: true)
            #expect(outcome.status == 2)
            #expect(outcome.errorText.contains("error[engine_setting_protected]"), "\(outcome.errorText)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: leak)).isEmpty)
        }
        let kept = work.directory.appending("kept.db").string
        #expect(try sql("ATTACH '\(kept)' AS p KEY 'k'; CREATE TABLE p.t AS SELECT * FROM t", write: true).status == 0)
        #expect(try !Data(contentsOf: URL(fileURLWithPath: kept)).starts(with: Data("SQLite format 3".utf8)))
    }

    /// SQLite does it outside of a transaction only, so it stands alone. A copy by VACUUM INTO is under the key of the profile.
    @Test func aVacuumStandsAlone() throws {
        #expect(try sql("VACUUM", write: true).status == 0)
        let copy = work.directory.appending("copy.db").string
        #expect(try sql("VACUUM INTO '\(copy)';", write: true).status == 0)
        #expect(try !Data(contentsOf: URL(fileURLWithPath: copy)).starts(with: Data("SQLite format 3".utf8)))
        let second = try sql("DELETE FROM t; VACUUM", write: true)
        #expect(second.status == 2 && second.errorText.contains("from within a transaction"), "\(second.errorText)")
        #expect(try sql("VACUUM; DELETE FROM t", write: true).status == 2)
        #expect(try work.rows().contains("n=3"))
        #expect(try work.run("verify", "Work").status == 0)
    }

    @Test func damageIsThirteen() throws {
        _ = try sql(
            "CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i, hex(randomblob(40)) AS x FROM n",
            write: true)
        try TestFiles.edit(work.database) { $0[20 * 4096 + 100] ^= 1 }
        for statement in ["SELECT sum(length(x)) FROM big", "SELECT * FROM big", "PRAGMA integrity_check"] {
            let outcome = try sql(statement)
            #expect(outcome.status == 13, "\(statement): \(outcome.status) \(outcome.errorText)")
            #expect(outcome.errorText.contains("error[database_pages_damaged]"))
        }
        #expect(try sql("DELETE FROM big", write: true).status == 13)
        let copy = work.directory.appending("copy.sqlite").string
        let export = try work.run("profile", "export", "--plaintext", "Work", copy)
        #expect(export.status == 13, "\(export.errorText)")
        #expect(export.errorText.contains("error[database_pages_damaged]"))
        #expect(export.errorText.contains("strongroom repair"))
        #expect(!FileManager.default.fileExists(atPath: copy))
        // A mistake in the SQL stays one.
        #expect(try sql("SELECT * FROM nowhere").status == 2)
    }
}
