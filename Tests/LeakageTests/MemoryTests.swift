import Foundation
import GRDB
import Keyring
import LeakageScan
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// The memory of processes that had keys: they must be seen while they are in use, or the search could not see them; afterwards not one may
/// be left, in any form.
@Suite struct MemoryTests {
    private let test: TestStore
    private let info: ProfileInfo
    private var search = LeakSearch()

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(named: "Work", rows: 20)
        let store = try test.open()
        try store.addUnlocker(.passphrase(.init(testing: Array(Canary.passphrase.utf8))), label: "passphrase")
        try store.lock()
        try TestFiles.write(Array(Canary.passphrase.utf8), to: test.directory.appending("passphrase"))
        try search.addKeys(of: test.path, unlockedWith: .keyFile(test.keyFile))
        try search.add(text: Canary.passphrase, as: "passphrase")
    }

    private func dataKey(_ era: String = "now") -> String { "data key, generation 1, of \(info.id) (\(era))" }

    /// Only this profile's keys are in use while it is open, and the ones of the keyring.
    @Test func noKeyIsInMemoryAfterLocking() throws {
        let process = try ChildProcess(
            "TestHelper", ["memory", test.path.string, test.directory.appending("passphrase").string, info.name])
        #expect(process.line() == "open")
        let whileOpen = try search.found(inMemoryOf: process.processIdentifier)
        for name in ["root key 1 (now)", dataKey(), "passphrase"] {
            #expect(whileOpen.contains(name), "negative control: \(name)")
        }
        process.send("lock")
        #expect(process.line() == "locked")
        #expect(try search.found(inMemoryOf: process.processIdentifier) == [])
        process.send("end")
        #expect(process.finish().status == 0)
    }

    /// A key that has been rotated is not left in the memory of a process that goes on; the new one is there to be seen.
    @Test func noOldKeyIsInMemoryAfterARotation() throws {
        let process = try ChildProcess(
            "TestHelper", ["memory-of-rotations", test.path.string, test.keyFile.string, info.name])
        #expect(process.line() == "open")
        #expect(try search.found(inMemoryOf: process.processIdentifier).contains(dataKey()), "negative control")
        process.send("rotate")
        while case let line = process.line(), line != "rotated" { try #require(!line.isEmpty) }
        let old = search.keeping { $0.name == dataKey() }
        #expect(try old.found(inMemoryOf: process.processIdentifier) == [])
        process.send("rotate the root")
        while case let line = process.line(), line != "rotated the root" { try #require(!line.isEmpty) }
        // The unlocker is the same; its private key stays in use.
        let gone = search.keeping { $0.name == dataKey() || $0.name.hasPrefix("root key 1") }
        #expect(try gone.found(inMemoryOf: process.processIdentifier) == [])
        process.send("end")
        #expect(process.finish().status == 0)
    }

    private static let canLookIntoHardened =
        FileManager.default.isExecutableFile(atPath: "/usr/bin/strace") && geteuid() == 0

    /// The command line, held at a system call: in the middle of a commit, and when everything is over.
    @Test(
        .enabled(if: canLookIntoHardened, "strace is not there, or this is not root, who alone sees a hardened process")
    )
    func theCommandLineWipesBeforeItEnds() throws {
        // Numbers of x86_64 and arm64.
        let (commit, end): (Set<Substring>, Set<Substring>) = (["74", "75", "82", "83"], ["231", "94"])
        let whileWorking = try memory(heldAt: "fsync,fdatasync", commit, times: "when=1")
        #expect(whileWorking.contains(dataKey()), "negative control")
        #expect(whileWorking.contains("root key 1 (now)"), "negative control")
        #expect(try memory(heldAt: "exit_group", end, times: "when=1") == [])
    }

    private func memory(heldAt call: String, _ numbers: Set<Substring>, times: String) throws -> Set<String> {
        let program = ChildProcess.products.appending("strongroom")
        let command = """
            exec /usr/bin/strace -qq -o /dev/null -e trace=\(call) -e inject=\(call):delay_enter=8000000:\(times) \
              '\(program)' profile sql --write --store '\(test.path)' --passphrase-fd 3 Work "INSERT INTO t (filling) VALUES ('a')" \
              3< '\(test.directory.appending("passphrase"))'
            """
        let tracer = try ChildProcess(executable: "/bin/bash", ["-c", command], environment: [:], in: nil)
        defer {
            tracer.kill()
            _ = tracer.finish()
        }
        // The traced program is the tracer's only child.
        for _ in 0..<1_000 {
            let children = try? TestFiles.readProc(
                "/proc/\(tracer.processIdentifier)/task/\(tracer.processIdentifier)/children")
            for child in (children ?? "").split(separator: " ").compactMap({ Int32($0) }) {
                let now = (try? TestFiles.readProc("/proc/\(child)/syscall"))?.split(separator: " ").first
                if let now, numbers.contains(now) { return try search.found(inMemoryOf: child) }
            }
            usleep(10_000)
        }
        Issue.record("the program never came to \(call)")
        return []
    }
}
