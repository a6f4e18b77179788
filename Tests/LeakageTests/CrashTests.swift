import Foundation
import LeakageScan
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// A process that crashes while it has a profile open: its core file, and what it says.
@Suite struct CrashLeakTests {
    private static let writesCoreFiles =
        (try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)) == "core\n"

    private func crash(_ test: TestStore, _ name: String, hardened: Bool) throws -> (FilePath, ChildProcess.Outcome) {
        let place = test.directory.appending(hardened ? "hardened" : "open")
        try FileManager.default.createDirectory(atPath: place.string, withIntermediateDirectories: false)
        let helper = ChildProcess.products.appending("TestHelper")
        let outcome = try ChildProcess.shell(
            "cd '\(place)'; ulimit -c unlimited; '\(helper)' crash-open '\(test.path)' '\(test.keyFile)' \(name) \(hardened ? "hardened" : "")",
            environment: ["SWIFT_BACKTRACE": "enable=yes,color=no,interactive=no,registers=all,timeout=60s"])
        #expect(outcome.outputText.contains("crashing") && outcome.status != 0)
        return (place, outcome)
    }

    @Test(.enabled(if: writesCoreFiles, "core files go elsewhere on this machine"))
    func aCrashWithAProfileOpenLeavesNoKey() throws {
        let test = try TestStore()
        let info = try test.makeProfile(named: "Work", rows: 20)
        var search = LeakSearch()
        try search.addKeys(of: test.path, unlockedWith: .keyFile(test.keyFile))
        let dataKey = search.keeping { $0.name.hasPrefix("data key, generation 1, of \(info.id)") }

        // Without hardening: the core file has the expanded key of the cipher's context, and the search must see it.
        let (open, _) = try crash(test, "Work", hardened: false)
        let cores = try TestFiles.tree(open)
        #expect(cores.count == 1, "negative control: there is a core file")
        let found = try dataKey.result([.path(open)]).findings
        #expect(!found.isEmpty, "negative control: the key is seen in a core file")

        let (hardened, outcome) = try crash(test, "Work", hardened: true)
        #expect(try TestFiles.tree(hardened).isEmpty, "there is no core file")
        #expect(try search.found(in: outcome.outputText + outcome.errorText) == [])
    }
}
