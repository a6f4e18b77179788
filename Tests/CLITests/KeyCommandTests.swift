import Foundation
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// `strongroom key`, `unlocker` and `profile shred`, as an operator runs them.
@Suite struct KeyCommandTests {
    private let work: CommandLineStore

    init() throws { work = try CommandLineStore() }

    /// Every verb says what it does not protect, to people and to programs; a dry run changes nothing.
    @Test(arguments: [
        ["key", "rotate", "--root"], ["key", "rotate", "--data", "--all"],
        ["key", "rotate", "--data", "Work", "global"],
        ["key", "retire", "--destroy"], ["key", "backup", "DIR/copy"],
        ["profile", "shred", "Work", "--confirm", "Work"],
        ["unlocker", "add", "--new-key-file", "DIR/second"],
    ])
    func aDryRunChangesNothing(verb: [String]) throws {
        let arguments = verb.map { $0.replacing("DIR", with: work.directory.path.string) }
        let before = try TestFiles.snapshot(work.directory.path)
        for extra in [["--dry-run"], ["--dry-run", "--json"]] {
            let outcome = try ChildProcess.run(
                "strongroom", arguments + extra + ["--key-file", work.directory.appending("key").string],
                environment: ["STRONGROOM_STORE": work.path.string])
            #expect(outcome.status == 0, "\(verb): \(outcome.errorText)")
            if extra.count == 1 {
                #expect(outcome.errorText.contains("Not protected by this:"), "\(verb)")
            } else {
                #expect((try json(outcome)["notProtected"] as? [String])?.isEmpty == false, "\(verb)")
            }
        }
        // The global database's file may have been opened; what is in it is the same.
        let after = try TestFiles.snapshot(work.directory.path)
        #expect(Set(before.keys) == Set(after.keys))
        for (path, bytes) in before where !path.hasSuffix("global.db") { #expect(after[path] == bytes, "\(path)") }
    }

    @Test func keysRotateAndRetire() throws {
        let root = try json(work.run("key", "rotate", "--root", "--json"))
        #expect(root["version"] as? Int == 2 && root["destroyedVersions"] as? [Int] == [1])
        let data = try work.run("key", "rotate", "--data", "work")
        #expect(data.status == 0 && data.outputText.contains("generation 1 to 2"))
        let all = try json(work.run("key", "rotate", "--data", "--all", "--json"))
        #expect((all["rotated"] as? [[String: Any]])?.map { $0["generation"] as? Int } == [2, 3])
        #expect(try work.rows().contains("n=3"))
        let status = try work.run("key", "status")
        #expect(status.outputText.contains("old data key(s)") && status.outputText.contains("SQLCipher 4."))
        let keys = try #require(try json(work.run("key", "status", "--json"))["dataKeys"] as? [[String: Any]])
        #expect(keys.map { $0["files"] as? Int } == [0, 1, 0, 0, 1])
        #expect(try work.run("key", "retire").status == 0)
        let early = try work.run("key", "retire", "--destroy")
        #expect(early.status == 15 && early.outputText.contains("the policy asks for 30"))
        #expect(try work.run("snapshot", "create", "Work").status == 0)
        #expect(try work.run("key", "rotate", "--data", "Work").status == 0)
        let kept = try work.run("key", "retire", "Work")
        #expect(kept.status == 1 && kept.outputText.contains("1 snapshot(s) are under it"))
        let certificate = work.path.appending("keyring").appending("certificates").appending("\(work.id)-1.json")
        let shown = try work.run("key", "certificate", certificate.string)
        #expect(shown.status == 0 && shown.outputText.contains("authentic") && shown.outputText.contains("unused"))
    }

    @Test func mistakesAreUsageErrors() throws {
        for arguments in [
            ["key", "rotate"], ["key", "rotate", "--root", "--data"], ["key", "rotate", "--root", "Work"],
            ["key", "rotate", "--data"], ["key", "rotate", "--data", "--all", "Work"],
            ["key", "retire", "--all", "Work"],
            ["profile", "shred", "Work"], ["profile", "shred", "Work", "--confirm", "work"], ["key", "rehearse"],
            ["unlocker", "add", "--recipient", "srpub1-aaaa"],
            ["unlocker", "add", "--recipient", "srpub1-r5am", "--new-key-file", "x"],
            ["unlocker", "generate-recovery", "--key-out", "x", "--qr"],
        ] {
            let outcome = try ChildProcess.run(
                "strongroom",
                arguments
                    + (arguments[1] == "generate-recovery"
                        ? [] : ["--key-file", work.directory.appending("key").string]),
                environment: ["STRONGROOM_STORE": work.path.string])
            #expect(outcome.status == 2, "\(arguments): \(outcome.status) \(outcome.errorText)")
        }
        #expect(try work.run("key", "rotate", "--data", "Nobody").status == 10)
        #expect(try work.run("key", "backup", work.path.string).status == 2)
        #expect(try work.run("unlocker", "remove", "ulk_aaaaaaaaaaaaaaaa", "--dry-run").status == 10)
        #expect(try work.rows().contains("n=3"))
    }

    @Test func oneBrokenProfileDoesNotStopTheRest() throws {
        #expect(try work.run("profile", "create", "Other").status == 0)
        try TestFiles.edit(work.database) { $0[4096 + 40] ^= 1 }
        let plan = try work.run("key", "rotate", "--data", "--all", "--dry-run")
        #expect(plan.status == 0, "the first page is whole")
        let outcome = try work.run("key", "rotate", "--data", "--all")
        #expect(outcome.status == 3 && outcome.outputText.contains("\(work.id): not rotated, "))
        #expect(outcome.outputText.components(separatedBy: "generation 1 to 2").count == 3)
        let holder = try LockHolder(work.path.appending("profiles").appending(work.id).appending("profile.lock"))
        let held = try work.run("key", "rotate", "--data", "Work")
        #expect(held.status == 11 && held.errorText.contains("error[profile_in_use]"))
        holder.release()
    }

    @Test func aRecoveryKeyIsMadeAddedAndUsed() throws {
        let made = try work.bare(["unlocker", "generate-recovery", "--words", "--qr"])
        #expect(made.status == 0 && made.errorText.contains("shown this once"))
        let lines = made.outputText.split(separator: "\n")
        let recipient = try #require(lines.first { $0.hasPrefix("recipient") }?.split(separator: " ").last)
        let key = try #require(lines.first { $0.hasPrefix("key") }?.split(separator: " ").last)
        let words = try #require(lines.first { $0.hasPrefix("words") }).dropFirst(5)
        #expect(words.split(separator: " ").count == 18 && made.outputText.contains("█"))
        let added = try work.run("unlocker", "add", "--recipient", String(recipient))
        #expect(added.status == 0 && added.outputText.contains("ulk_"))
        #expect(try work.run("unlocker", "add", "--recipient", String(recipient)).status == 2)
        for (name, text) in [("text", String(key)), ("words", String(words) + "\n")] {
            let file = work.directory.appending(name)
            try TestFiles.write(Array(text.utf8), to: file)
            let opened = try work.bare(["profile", "list", "--recovery-key-file", file.string])
            #expect(opened.status == 0 && opened.outputText.contains("Work"), "\(opened.errorText)")
        }
        let mistyped = work.directory.appending("mistyped")
        try TestFiles.write(Array((words.dropLast() + "b").utf8), to: mistyped)
        #expect(
            try work.bare(["profile", "list", "--recovery-key-file", mistyped.string]).errorText.contains(
                "error[recovery_text_invalid]"))
        let file = work.directory.appending("recovery.key")
        #expect(
            try work.bare(["unlocker", "generate-recovery", "--key-out", file.string]).outputText.contains("srkey1")
                == false)
        #expect(try TestFiles.read(file).count == 7 + 56 + 13)
        #expect(try work.bare(["unlocker", "generate-recovery", "--json"]).status == 2, "no key in JSON")
        let other = work.directory.appending("other.key")
        let output = try json(work.bare(["unlocker", "generate-recovery", "--json", "--key-out", other.string]))
        #expect((output["recipient"] as? String)?.hasPrefix("srpub1-") == true && output.count == 1)
    }

    @Test func aBackupIsRehearsedAndComesBack() throws {
        let backup = work.directory.appending("backup").string
        let made = try work.run("key", "backup", backup)
        #expect(made.status == 0 && made.outputText.contains("2 envelope(s)"))
        let good = try work.run("key", "rehearse", "--backup", backup)
        #expect(good.status == 0 && good.outputText.contains("opens 2 database(s)"))
        try FileManager.default.removeItem(atPath: work.path.appending("keyring").string)
        #expect(try work.run("profile", "list").status == 12)
        #expect(try work.run("key", "restore", "--backup", backup).status == 0)
        #expect(try work.rows().contains("n=3"))
        #expect(try work.run("key", "rotate", "--data", "Work").status == 0)
        let stale = try work.run("key", "rehearse", "--backup", backup)
        #expect(stale.status == 1 && stale.outputText.contains("does NOT open \(work.id): database_unknown_key"))
    }

    @Test func aProfileIsShredded() throws {
        #expect(try work.run("key", "backup", work.directory.appending("backup").string).status == 0)
        let outcome = try work.run("profile", "shred", "Work", "--confirm", "Work")
        #expect(outcome.status == 0 && outcome.outputText.contains("1 key(s) destroyed"))
        #expect(outcome.outputText.contains("The keyring backup of 20"), "the backup is named")
        #expect(try work.run("profile", "list").outputText.contains("Work") == false)
        #expect(try work.run("key", "status").status == 0)
        #expect(try work.run("profile", "shred", work.id, "--confirm", work.id).status == 0, "again, by its id")
    }
}
