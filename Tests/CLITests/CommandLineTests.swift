import Foundation
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// The program as an operator runs it: exit codes, what is on which stream, and nothing changed by a mistake.
@Suite struct CommandLineTests {
    let directory: TemporaryDirectory
    let store: FilePath
    let key: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        store = directory.appending("store")
        key = directory.appending("key")
        let outcome = try ChildProcess.run(
            "strongroom", ["init", "--store", store.string, "--new-key-file", key.string])
        #expect(outcome.status == 0, "\(outcome.errorText)")
    }

    private func run(_ arguments: String..., input: String? = nil, environment: [String: String] = [:]) throws
        -> ChildProcess.Outcome
    {
        try ChildProcess.run(
            "strongroom", arguments, environment: ["STRONGROOM_STORE": store.string].merging(environment) { $1 },
            input: input)
    }

    private func shell(_ command: String) throws -> ChildProcess.Outcome {
        try ChildProcess.shell(
            command.replacing("strongroom ", with: "\(ChildProcess.products.appending("strongroom")) "),
            environment: ["STRONGROOM_STORE": store.string])
    }

    @Test func aDayWithAStore() throws {
        let created = try run("profile", "create", "--key-file", key.string, "--json", "Work")
        #expect(created.status == 0)
        let id = try #require(try json(created)["id"] as? String)
        #expect(ProfileID(id) != nil)

        let imported = try run(
            "profile", "import", "--key-file", key.string, "--json", "Maps", "/usr/share/proj/proj.db")
        #expect(imported.status == 0, "\(imported.errorText)")
        #expect((try json(imported)["tables"] as? [Any])?.count == 36)
        #expect(imported.errors.isEmpty)

        let list = try run("--json", "profile", "list", "--key-file", key.string)
        #expect(
            (try json(list)["profiles"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["Maps", "Work"])

        let sql = try run(
            "profile", "sql", "--key-file", key.string, "--json", "maps", "SELECT count(*) AS n FROM unit_of_measure")
        let answer = try #require((try json(sql)["results"] as? [[String: Any]])?.first)
        #expect(answer["columns"] as? [String] == ["n"])
        #expect(((answer["rows"] as? [[Int]])?.first?.first ?? 0) > 10)
        let piped = try run(
            "profile", "sql", "--write", "--key-file", key.string, id, "-",
            input: "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, x'00ff'); SELECT * FROM t;")
        #expect(piped.outputText.contains("x'00ff'"))

        let status = try run("key", "status", "--key-file", key.string, "--json")
        #expect((try json(status)["dataKeys"] as? [Any])?.count == 3)
        let diagnosis = try run("diagnose", "--key-file", key.string, "--profile", "Maps", "--json")
        #expect(diagnosis.status == 0)
        #expect((try json(diagnosis)["profile"] as? [String: Any])?["condition"] as? String == "healthy")
        #expect((try json(diagnosis)["engine"] as? [String: Any])?["sqlcipherVersion"] as? String != nil)
        #expect(try run("policy", "check", "--key-file", key.string).status == 0)
        #expect(try run("policy", "list").outputText.contains("strict"))
        #expect(try run("policy", "show", "fips").outputText.contains("pbkdf2-hmac-sha512"))
    }

    @Test func exitCodes() throws {
        _ = try run("profile", "create", "--key-file", key.string, "Work")
        let wrong = directory.appending("wrong")
        try TestFiles.write([UInt8](repeating: 7, count: 32), to: wrong)
        // The envelope of a profile that is opened says so; nothing else may change.
        let profile = try #require(
            TestFiles.tree(store).compactMap { $0.lastComponent?.string }.first { $0.hasPrefix("prof_") })
        let ignored = [".lock", "-shm", "-wal", profile]
        let before = try TestFiles.snapshot(store, ignoring: ignored)
        let expected: [([String], Int32, String)] = [
            (["profile", "list", "--key-file", wrong.string], 12, "error[unlock_failed]"),
            (["profile", "list", "--key-file", "/nonexistent"], 10, "error[file_missing]"),
            (["profile", "list", "--key-file", key.string, "--store", "/nonexistent"], 10, "error[store_missing]"),
            (["profile", "list", "--key-file", key.string, "--keyring", "/nonexistent"], 12, "error[keyring_missing]"),
            (["profile", "sql", "--key-file", key.string, "nobody", "SELECT 1"], 10, "error[profile_not_found]"),
            (["profile", "sql", "--key-file", key.string, "Work", "SELEKT 1"], 2, "error[sql_error]"),
            (["profile", "create", "--key-file", key.string, "work"], 2, "error[profile_exists]"),
            (["profile", "create", "--key-file", key.string, "a/b"], 2, "error[profile_name_invalid]"),
            (["profile", "import", "--key-file", key.string, "X", "/nonexistent"], 10, "error[import_source_missing]"),
            (
                ["profile", "import", "--key-file", key.string, "X", "/etc/passwd"], 2,
                "error[import_source_not_a_database]"
            ),
            (
                ["profile", "export", "--key-file", key.string, "Work", "/tmp/never"], 2,
                "error[plaintext_not_confirmed]"
            ),
            (["init", "--new-key-file", directory.appending("k2").string], 2, "error[store_exists]"),
            (
                [
                    "init", "--store", directory.appending("s2").string, "--policy", "strict", "--new-key-file",
                    directory.appending("k3").string,
                ], 15, "error[too_few_unlockers]"
            ),
            (
                ["init", "--store", directory.appending("s2").string, "--new-key-file", key.string], 2,
                "error[file_exists]"
            ),
            (["init", "--store", directory.appending("s2").string], 2, "Say what shall open the store"),
            (["policy", "check", "/etc/hostname"], 2, "error[policy_"),
            (["unlocker", "remove", "--key-file", key.string, "ulk_none"], 10, "error[unlocker_not_found]"),
            (["profile", "list", "--passphrase-fd", "999999"], 2, "error[passphrase_descriptor_unreadable]"),
            (["profile", "list", "--passphrase-command", "exit 3"], 2, "error[passphrase_command_failed]"),
            (["profile", "list", "--credential", "x"], 2, "error[no_credential_directory]"),
            (["profile", "list", "--key-file", key.string, "--passphrase-fd", "0"], 2, "Give one of"),
            (["no-such-verb"], 2, "Unexpected argument"),
        ]
        for (arguments, status, text) in expected {
            let outcome = try ChildProcess.run("strongroom", arguments, environment: ["STRONGROOM_STORE": store.string])
            #expect(outcome.status == status, "\(arguments): \(outcome.errorText)")
            #expect(outcome.errorText.contains(text), "\(arguments): \(outcome.errorText)")
            #expect(outcome.output.isEmpty, "\(arguments)")
        }
        #expect(
            try ChildProcess.run("strongroom", ["profile", "list"], environment: ["STRONGROOM_STORE": ""]).status == 2)
        #expect(try TestFiles.snapshot(store, ignoring: ignored) == before)
        // No key file is left behind by an init that failed.
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.path.string).sorted() == [
                "key", "store", "wrong",
            ])
    }

    @Test func aProfileThatIsOpenElsewhereIs11() throws {
        _ = try run("profile", "create", "--key-file", key.string, "Work")
        let holder = try ChildProcess("TestHelper", ["hold", store.string, key.string, "Work"])
        #expect(holder.line() == "open")
        let outcome = try run("profile", "sql", "--key-file", key.string, "Work", "SELECT 1")
        #expect(outcome.status == 11)
        #expect(outcome.errorText.contains("process \(holder.processIdentifier) has this profile open"))
        #expect(outcome.errorText.contains("close the application"))
        // Looking does not need the profile for itself.
        #expect(try run("diagnose", "--key-file", key.string, "--profile", "Work").status == 0)
        _ = holder.finish()
    }

    @Test func damageIsOneInDiagnoseAndThirteenInUse() throws {
        let id = try #require(
            try json(try run("profile", "create", "--key-file", key.string, "--json", "Work"))["id"] as? String)
        try TestFiles.edit(store.appending("profiles").appending(id).appending("profile.db")) { $0[100] ^= 1 }
        let diagnosis = try run("diagnose", "--key-file", key.string, "--profile", "Work")
        #expect(diagnosis.status == 1)
        #expect(diagnosis.outputText.contains("pages_damaged (1 bad page(s))"))
        let use = try run("profile", "sql", "--key-file", key.string, "Work", "SELECT 1")
        #expect(use.status == 13)
        #expect(use.errorText.contains("error[database_pages_damaged]"))
    }

    @Test func everyDatabaseIsVerified() throws {
        let id = try #require(
            try json(try run("profile", "create", "--key-file", key.string, "--json", "Work"))["id"] as? String)
        _ = try run("profile", "create", "--key-file", key.string, "Other")
        let healthy = try run("verify", "--all", "--key-file", key.string, "--json")
        #expect(healthy.status == 0, "\(healthy.errorText)")
        #expect((try json(healthy)["databases"] as? [Any])?.count == 3)

        try TestFiles.edit(store.appending("profiles").appending(id).appending("profile.db")) { $0[4096 + 7] ^= 1 }
        let damaged = try run("verify", "--key-file", key.string, "Work")
        #expect(damaged.status == 1)
        #expect(damaged.outputText.contains("page 2: wrong_tag"))
        // One envelope that is gone does not keep the others from being looked at.
        try FileManager.default.removeItem(
            atPath: store.appending("keyring").appending("envelopes").appending("\(id).json").string)
        let all = try run("verify", "--all", "--key-file", key.string, "--json")
        #expect(all.status == 3)
        #expect((try json(all)["databases"] as? [Any])?.count == 2)
        #expect(((try json(all)["failed"] as? [[String: Any]])?.first?["code"]) as? String == "envelope_missing")
        #expect(try run("verify", "--key-file", key.string).status == 2)
    }

    @Test func unlockersAreManaged() throws {
        let added = try shell(
            "strongroom unlocker add --key-file \(key) --new-passphrase-fd 3 --label laptop 3<<< 'a passphrase that is long'"
        )
        #expect(added.status == 0, "\(added.errorText)")
        let id = added.outputText.trimmingCharacters(in: .newlines)
        #expect(try shell("strongroom profile list --passphrase-fd 3 3<<< 'a passphrase that is long'").status == 0)
        #expect(
            try shell("strongroom profile list --passphrase-command \"printf 'a passphrase that is long'\"").status == 0
        )
        #expect(try shell("strongroom profile list --passphrase-fd 3 3<<< 'a passphrase that is lone'").status == 12)
        #expect(
            try shell("strongroom unlocker change --key-file \(key) \(id) --new-passphrase-command 'echo short'").status
                == 15)

        let changed = try shell(
            "strongroom unlocker change --key-file \(key) \(id) --new-passphrase-command 'echo another long passphrase'"
        )
        #expect(changed.status == 0, "\(changed.errorText)")
        #expect(changed.errorText.contains("no revocation"))
        #expect(try shell("strongroom profile list --passphrase-command 'echo another long passphrase'").status == 0)
        #expect(try shell("strongroom profile list --passphrase-fd 3 3<<< 'a passphrase that is long'").status == 12)

        let list = try run("unlocker", "list")
        #expect(list.outputText.contains("laptop") && list.errorText.contains("not verified"))
        #expect(try json(run("unlocker", "list", "--json", "--key-file", key.string))["verified"] as? Bool == true)
        let changedID = changed.outputText.trimmingCharacters(in: .newlines)
        #expect(try run("unlocker", "remove", "--key-file", key.string, changedID).status == 0)
        let last = try #require(
            (try json(run("unlocker", "list", "--json"))["unlockers"] as? [[String: Any]])?.first?["id"] as? String)
        let refused = try run("unlocker", "remove", "--key-file", key.string, last)
        #expect(refused.status == 15)
        #expect(refused.errorText.contains("error[too_few_unlockers]"))
    }

    @Test func aCredentialOpensTheStore() throws {
        let environment = ["CREDENTIALS_DIRECTORY": directory.path.string]
        #expect(try run("profile", "list", "--credential", "key", environment: environment).status == 0)
        #expect(try run("profile", "list", "--credential", "../key", environment: environment).status == 2)
    }

    /// SQLite's own writes meet a limit too: the file may not grow any more in the middle of an import.
    @Test func anImportThatFillsTheDiskLeavesNothing() throws {
        let before = try TestFiles.snapshot(store)
        let outcome = try shell(
            "ulimit -f 3000; strongroom profile import --key-file \(key) Maps /usr/share/proj/proj.db")
        #expect(outcome.status == 74, "\(outcome.errorText)")
        #expect(outcome.errorText.contains("error[sql_engine_refused]"))
        #expect(try TestFiles.snapshot(store) == before)
        #expect(try run("profile", "import", "--key-file", key.string, "Maps", "/usr/share/proj/proj.db").status == 0)
    }

    /// On a terminal of its own (`script`), typed with a mistake that is taken back; the passphrase is not echoed.
    @Test func aPromptTakesAPassphraseWithoutEcho() throws {
        #expect(
            try shell("strongroom unlocker add --key-file \(key) --new-passphrase-command 'echo typed on a terminal'")
                .status == 0)
        let typed = try shell(
            "(sleep 1; printf 'typed om\\177n a terminal\\n'; sleep 2) | script -qec 'strongroom profile list' /dev/null"
        )
        #expect(typed.status == 0, "\(typed.outputText)")
        #expect(typed.outputText.contains("Passphrase: "))
        #expect(!typed.outputText.contains("terminal"))
        let interrupted = try shell(
            "(sleep 1; printf 'typed\\003'; sleep 2) | script -qec 'strongroom profile list' /dev/null")
        #expect(interrupted.status == 3)
        #expect(interrupted.outputText.contains("error[cancelled]"))
    }

    @Test func helpAndCompletions() throws {
        #expect(try run("--help").outputText.contains("Exit codes"))
        for shell in ["bash", "zsh", "fish"] {
            let outcome = try run("--generate-completion-script", shell)
            #expect(outcome.status == 0 && outcome.outputText.contains("unlocker"))
        }
        #expect(try run("--version").outputText.contains("."))
    }
}
