import Foundation
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// `strongroom snapshot`, as an operator runs it.
@Suite struct SnapshotCommandTests {
    private let work: CommandLineStore

    init() throws { work = try CommandLineStore() }

    @Test func aSnapshotIsTakenListedVerifiedAndRestored() async throws {
        #expect(try work.run("snapshot", "list").outputText == "There are no snapshots.\n")
        let taken = try work.run("snapshot", "create", "Work", "--reason", "before-lunch", "--json")
        #expect(taken.status == 0, "\(taken.errorText)")
        let snapshot = try json(taken)
        #expect(snapshot["reason"] as? String == "before-lunch" && snapshot["scope"] as? String == work.id)
        let all = try work.run("snapshot", "create", "--all")
        #expect(all.status == 0 && all.outputText.contains("2 database(s), frozen at one moment"))
        let verified = try work.run("snapshot", "verify", "--all", "--drill")
        #expect(verified.status == 0 && verified.outputText.contains("a restore would take"))
        let list = try work.run("snapshot", "list", "work")
        #expect(list.outputText.contains("before-lunch") && !list.outputText.contains("never"))
        #expect((try json(work.run("snapshot", "list", "--json"))["databases"] as? [Any])?.count == 2)

        _ = try work.run("profile", "sql", "--write", "Work", "DELETE FROM t")
        let name = try #require(snapshot["id"] as? String)
        let restored = try work.run("snapshot", "restore", "Work", name)
        #expect(restored.status == 0, "\(restored.errorText)")
        #expect(restored.outputText.contains("Work is now what it was on 20"))
        #expect(restored.outputText.contains("corrupted/restore-"))
        #expect(try work.rows().contains("n=3"))
        let copy = try work.run("snapshot", "restore", "Work", "latest", "--as", "Copy", "--json")
        #expect(((try json(copy)["profile"] as? [String: Any])?["name"]) as? String == "Copy")
        #expect(((try json(copy)["restored"] as? [String: Any])?["isReencrypted"]) as? Bool == true)

        let dry = try work.run("snapshot", "prune", "Work", "--keep-last", "1", "--dry-run")
        #expect(dry.status == 0 && dry.outputText.contains("would remove 1, keeps 1"))
        #expect(
            try work.run("snapshot", "prune", "--all").outputText.contains("removed 0, keeps 2"),
            "the policy keeps five")
        #expect(
            try work.run("snapshot", "prune", "Work", "--keep-daily", "1").outputText.contains("removed 1, keeps 1"))
    }

    @Test func exitCodes() throws {
        _ = try work.run("snapshot", "create", "Work")
        _ = try work.run("profile", "create", "Empty")
        let before = try TestFiles.snapshot(work.path, ignoring: [".lock", "-shm", "-wal"])
        let expected: [([String], Int32, String)] = [
            (["create"], 2, "Name a database"), (["create", "Work", "--all"], 2, "Name a database"),
            (["create", "Nobody"], 10, "error[profile_not_found]"),
            (["create", "../../etc"], 10, "error[profile_not_found]"),
            (["create", "Work", "--reason", "a/b"], 2, "error[snapshot_reason_invalid]"),
            (["create", "Work", "--reason", "pre-x"], 2, "error[snapshot_reason_invalid]"),
            (["create", "prof_aaaaaaaaaaaaaaaa"], 10, "error[profile_not_found]"),
            (["restore", "Work", "snap_aaaaaaaaaaaaaaaa"], 10, "error[snapshot_not_found]"),
            (["restore", "Empty", "latest"], 14, "error[snapshot_none]"),
            (["restore", "Work", "latest", "--as", "../x"], 2, "error[profile_name_invalid]"),
            (["restore", "Work", "latest", "--as", "global"], 2, "error[profile_name_invalid]"),
            (["verify"], 2, "Name a database"), (["verify", "--all", "Work"], 2, "Name a database"),
            (["verify", "Work", "nothing"], 10, "error[snapshot_not_found]"),
            (["prune", "Work", "--keep-last", "0"], 2, "keep nothing"),
            (["prune", "Work", "--keep-last=-1"], 2, "0 to 100000"), (["prune"], 2, "Name a database"),
            (["export", "Work", "latest", "--out", "x", "--new-key-file", "k"], 2, "error[export_name_invalid]"),
            (["export", "Work", "latest", "--out", "x.db"], 2, "--new-key-file"),
        ]
        for (arguments, status, text) in expected {
            let outcome = try ChildProcess.run(
                "strongroom", ["snapshot"] + arguments + ["--key-file", work.directory.appending("key").string],
                environment: ["STRONGROOM_STORE": work.path.string], in: work.directory.path)
            #expect(outcome.status == status, "\(arguments): \(outcome.errorText)")
            #expect(outcome.errorText.contains(text), "\(arguments): \(outcome.errorText)")
        }
        #expect(try TestFiles.snapshot(work.path, ignoring: [".lock", "-shm", "-wal"]) == before)
    }

    @Test func damageIsToldAndNothingIsRestored() throws {
        _ = try work.run("snapshot", "create", "Work")
        let file = try #require(try TestFiles.tree(work.backups).first { $0.extension == "db" })
        try TestFiles.edit(file) { $0[4096 + 9] ^= 1 }
        let before = try TestFiles.read(work.database)
        let verified = try work.run("snapshot", "verify", "Work")
        #expect(verified.status == 1)
        #expect(
            verified.outputText.contains("snapshot_pages_damaged") && verified.outputText.contains("page 2: wrong_tag"))
        let restored = try work.run("snapshot", "restore", "Work", "latest")
        #expect(restored.status == 13 && restored.errorText.contains("error[snapshot_pages_damaged]"))
        #expect(try TestFiles.read(work.database) == before)
        // The live database is damaged: no snapshot of that, and what there is stays.
        try TestFiles.edit(work.database) { $0[4096 + 9] ^= 1 }
        let create = try work.run("snapshot", "create", "Work")
        #expect(create.status == 13, "\(create.errorText)")
        let all = try work.run("snapshot", "create", "--all")
        #expect(all.status == 3 && all.errorText.contains("not in the set: \(work.id)"))
        // A manifest that cannot be read is never pruned.
        try TestFiles.edit(file.removingLastComponent().appending((file.stem ?? "") + ".json")) { $0[0] ^= 1 }
        let pruned = try work.run("snapshot", "prune", "Work", "--keep-last", "1")
        #expect(pruned.status == 3 && pruned.errorText.contains("left alone"))
        let list = try work.run("snapshot", "list")
        #expect(list.status == 1 && list.errorText.contains("snapshot_manifest_damaged"))
    }

    @Test func aBrokenGlobalDatabaseIsNoObstacleToItsOwnRestore() throws {
        _ = try work.run("snapshot", "create", "--all")
        try TestFiles.edit(work.path.appending("global.db")) { $0[50] ^= 1 }
        #expect(try work.run("profile", "list").status == 13)
        #expect(try work.run("snapshot", "create", "Work").status == 13, "a name is known to the global database only")
        let list = try work.run("snapshot", "list", "global")
        #expect(list.status == 0 && list.errorText.contains("Going on without the global database"))
        let restored = try work.run("snapshot", "restore", "global", "latest")
        #expect(restored.status == 0, "\(restored.errorText)")
        #expect(try work.run("profile", "list").outputText.contains("Work"))
        #expect(try work.rows().contains("n=3"))
    }

    @Test func oneDatabaseThatFailsDoesNotStopTheOthers() throws {
        _ = try work.run("snapshot", "create", "--all")
        try FileManager.default.removeItem(
            atPath: work.path.appending("keyring").appending("envelopes").appending("\(work.id).json").string)
        for verb in [["list"], ["verify", "--all"], ["prune", "--all"]] {
            let outcome = try ChildProcess.run(
                "strongroom", ["snapshot"] + verb + ["--key-file", work.directory.appending("key").string],
                environment: ["STRONGROOM_STORE": work.path.string])
            #expect(outcome.status == 3, "\(verb)")
            #expect(
                outcome.errorText.contains("\(work.id):\nerror[envelope_missing]")
                    && outcome.outputText.contains("global"))
        }
    }

    @Test func aVerifyKeyNeedsNoStore() throws {
        _ = try work.run("snapshot", "create", "Work")
        let verifyKey = work.directory.appending("verify.key")
        #expect(try work.run("snapshot", "verify-key", "Work", verifyKey.string).status == 0)
        #expect(try work.run("snapshot", "verify-key", "Work", verifyKey.string).status == 2, "nothing is overwritten")
        let file = try #require(try TestFiles.tree(work.backups).first { $0.extension == "db" })
        func verify() throws -> ChildProcess.Outcome {
            try ChildProcess.run(
                "strongroom", ["snapshot", "verify", "--verify-only-key", verifyKey.string, file.string],
                environment: ["STRONGROOM_STORE": ""])
        }
        let good = try verify()
        #expect(good.status == 0 && good.outputText.contains("healthy"), "\(good.errorText)")
        try TestFiles.edit(file) { $0[4096 + 9] ^= 1 }
        let bad = try verify()
        #expect(bad.status == 1 && bad.outputText.contains("page 2: wrong_tag"))
    }

    @Test func aProfileThatIsOpenElsewhereIs11() throws {
        _ = try work.run("snapshot", "create", "Work")
        let holder = try ChildProcess(
            "TestHelper", ["hold", work.path.string, work.directory.appending("key").string, "Work"])
        #expect(holder.line() == "open")
        let restored = try work.run("snapshot", "restore", "Work", "latest")
        #expect(restored.status == 11 && restored.errorText.contains("has this profile open"))
        #expect(try work.run("snapshot", "verify", "Work", "--drill").status == 0)
        holder.send("")
        _ = holder.finish()
        #expect(try work.run("snapshot", "restore", "Work", "latest").status == 0)
    }
}
