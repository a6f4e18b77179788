import Foundation
import Keyring
import Secrets
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// docs/security/custody.md, rule 8, through the program.
@Suite struct CostTests {
    private let directory: TemporaryDirectory
    private let forger: Forger
    private var store: FilePath { directory.appending("store") }
    private var keyring: FilePath { store.appending("keyring").appending("keyring.json") }
    private static let passphrase = "a long enough passphrase"

    init() throws {
        directory = try TemporaryDirectory()
        forger = try Forger.shared.get()
        let secret = try UnlockSecret.passphrase(SecretBytes(testing: Array(Self.passphrase.utf8)))
        try Store.create(at: store, unlockers: [(secret, "own")]).lock()
    }

    /// Starts the program as a terminal's shell does: a process that Foundation starts has most signals blocked. Its notes come with its
    /// output.
    private func start(_ arguments: [String], passphrase: String = passphrase) throws -> ChildProcess {
        let script = """
            import os, signal, sys
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.dup2(1, 2)
            os.execv(sys.argv[1], sys.argv[1:])
            """
        let program = ChildProcess.products.appending("strongroom").string
        let child = try ChildProcess(
            executable: "/usr/bin/python3",
            ["-c", script, program] + arguments + ["--store", store.string, "--passphrase-fd", "0"], environment: [:],
            in: nil)
        child.send(passphrase)
        try? child.input.fileHandleForWriting.close()
        return child
    }

    private func run(_ arguments: String..., passphrase: String = passphrase) throws -> ChildProcess.Outcome {
        try start(arguments, passphrase: passphrase).finish()
    }

    /// 63 forged unlockers of the highest cost and one of the owner's, which is cheaper: 63 half minutes, and 2 GB each, are not spent.
    @Test func sixtyFourForgedUnlockersEndWithAnErrorThatNamesTheWayOut() throws {
        #expect(try run("profile", "list").status == 0)
        let original = try TestFiles.read(keyring)
        let own: String = try forger("unlockers", ["keyring": keyring, "out": keyring]).value("true", "0")
        let wrong = try run("profile", "list", passphrase: "a wrong passphrase")
        #expect(wrong.status == 12)
        #expect(wrong.outputText.contains("error[unlock_cost_exceeded]") && wrong.outputText.contains("the other 63"))
        #expect(wrong.outputText.contains("--unlocker ID") && wrong.outputText.contains("strongroom unlocker list"))
        #expect(wrong.outputText.contains("Trying unlocker 1 of 64: \(own)\n"))
        #expect(!wrong.outputText.contains("Trying unlocker 2"))
        #expect(try !run("profile", "list", "--quiet", passphrase: "a wrong passphrase").outputText.contains("Trying"))
        // The right one is tried first, and with it the forgery is told.
        #expect(try run("profile", "list").outputText.contains("error[keyring_forged]"))
        let named = try run("profile", "list", "--unlocker", own, passphrase: "a wrong passphrase")
        #expect(named.outputText.contains("error[unlock_failed]") && !named.outputText.contains("Trying"))
        #expect(
            try run("key", "rehearse", "--backup", store.appending("keyring").string, passphrase: "a wrong passphrase")
                .outputText.contains(
                    "error[unlock_cost_exceeded]"))

        try TestFiles.write(original, to: keyring)
        #expect(try run("profile", "list", "--unlocker", own).status == 0)
        let unknown = try run("profile", "list", "--unlocker", "ulk_abcdefghij234567")
        #expect(unknown.status == 10 && unknown.outputText.contains("error[unlocker_not_found]"))
    }

    /// The way out that the runbook has: with the right secret the forgery is told at the first try, and the backup takes its place. Where
    /// the owner's unlocker is not in it any more, the file that is there is not replaced unasked: it may be newer than the backup.
    @Test func aForgedKeyringIsReplacedFromItsBackup() throws {
        let backup = directory.appending("backup").string
        #expect(try run("key", "backup", backup).status == 0)
        try forger("unlockers", ["keyring": keyring, "out": keyring])
        #expect(try run("key", "restore", "--backup", backup).status == 0)
        #expect(try run("profile", "list").status == 0)

        let ids = try forger("unlockers", ["keyring": keyring, "out": keyring])
        let own: String = try ids.value("true", "0")
        try forger("unlockers", ["keyring": keyring, "out": keyring, "keep": ids.value("forged", as: [String].self)])
        let forged = try TestFiles.read(keyring)
        let refused = try run("key", "restore", "--backup", backup, "--unlocker", own)
        #expect(refused.status == 10 && refused.outputText.contains("error[unlocker_not_found]"))
        #expect(try TestFiles.read(keyring) == forged)
        try FileManager.default.removeItem(atPath: keyring.string)
        #expect(try run("key", "restore", "--backup", backup, "--unlocker", own).status == 0)
        #expect(try run("profile", "list").status == 0)
    }

    /// Each of them takes half a minute, so a program that ends before that was ended in the middle of one.
    @Test func anInterruptEndsADerivationAtOnce() throws {
        try forger("unlockers", ["keyring": keyring, "out": keyring, "keep": [String]()])
        let child = try start(["profile", "list"])
        #expect(child.line().hasPrefix("Trying unlocker 1 of 64: ulk_"))
        // In the middle of it: the memory of the derivation is being filled.
        usleep(300_000)
        kill(child.processIdentifier, SIGINT)
        let giveUp = Thread { [process = child.processIdentifier] in
            sleep(20)
            if !Thread.current.isCancelled { kill(process, SIGKILL) }
        }
        giveUp.start()
        let outcome = child.finish()
        giveUp.cancel()
        #expect(outcome.wasSignalled && outcome.status == SIGINT, "\(outcome.status) \(outcome.outputText)")
    }

    /// Unlockers are tried one after the other, each with memory that the one before it has given back.
    @Test func onlyTheMemoryOfOneDerivationIsNeeded() throws {
        func peak(_ count: Int) throws -> Int {
            let sealing: [String: Any] = ["algorithm": "scrypt", "logN": 15, "blockSize": 16, "parallelism": 1]
            try forger(
                "unlockers",
                ["keyring": keyring, "out": keyring, "keep": [String](), "count": count, "sealing": sealing])
            let script = """
                import resource, subprocess, sys
                child = subprocess.run(sys.argv[1:], input=b"a wrong passphrase", capture_output=True)
                print(b"[unlock_failed]" in child.stderr, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
                """
            let program = ChildProcess.products.appending("strongroom").string
            let arguments = ["-c", script, program, "profile", "list", "--store", store.string, "--passphrase-fd", "0"]
            let words = try ChildProcess.run(executable: "/usr/bin/python3", arguments).outputText.split(separator: " ")
            #expect(words.first == "True")
            return try #require(words.last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        }
        // 64 MiB each, in KiB.
        let (one, eight) = (try peak(1), try peak(8))
        #expect(one > 64 << 10, "the negative control: what one takes is seen")
        #expect(eight < one + (48 << 10), "\(one) \(eight)")
    }

    /// A list that is not verified may have any label.
    @Test func aForgedLabelSteersNoTerminal() throws {
        let label = "\u{1b}[2J\u{202e}own\n"
        try forger(
            "resum", ["file": keyring, "out": keyring, "edits": [Forger.edit(["unlockers", 0, "label"], label)]])
        let list = try ChildProcess.run("strongroom", ["unlocker", "list", "--store", store.string])
        #expect(list.status == 0 && list.outputText.contains("\\u{1b}[2J\\u{202e}own\\u{a}"))
        #expect(!list.output.contains(0x1b))
    }
}
