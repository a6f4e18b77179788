import Foundation
import TestSupport
import Testing

@Suite struct ProcessHardeningTests {
    /// The Swift runtime's crash report prints the memory that registers point to. Without hardening the secret must
    /// be seen in it, or this test could not fail.
    @Test func aCrashReportDoesNotShowTheSecret() throws {
        let backtrace = ["SWIFT_BACKTRACE": "enable=yes,color=no,interactive=no,registers=all,timeout=30s"]
        let open = try ChildProcess.run("TestHelper", ["crash"], environment: backtrace)
        #expect(open.outputText.contains("crashing"))
        #expect(open.wasSignalled)
        // The report shows memory as hex: sixteen times the letter K.
        let shown = Array(repeating: "4b", count: 16)
        let isShown = open.errorText.contains(shown.joined(separator: " ")) || open.errorText.contains("KKKKKKKK")
        #expect(isShown, "negative control: an unhardened crash shows the secret")

        let hardened = try ChildProcess.run("TestHelper", ["crash", "hardened"], environment: backtrace)
        #expect(hardened.outputText.contains("crashing"))
        #expect(hardened.wasSignalled)
        #expect(!hardened.errorText.contains("4b 4b"))
        #expect(!hardened.errorText.contains("KK"))
    }

    private static let writesCoreFiles =
        (try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)) == "core\n"

    /// A core file of a process that did not even set the limit: it holds ordinary memory, and not the secret.
    @Test(
        .enabled(if: writesCoreFiles, "core files go elsewhere on this machine; the page flags are tested everywhere"))
    func aCoreFileDoesNotHoldTheSecret() throws {
        let directory = try TemporaryDirectory()
        let outcome = try ChildProcess.run("TestHelper", ["dump-core"], in: directory.path)
        #expect(outcome.wasSignalled)
        let name = try #require(
            FileManager.default.contentsOfDirectory(atPath: directory.path.string).first { $0.hasPrefix("core") })
        let core = try TestFiles.read(directory.appending(name))
        #expect(ByteSearch.count(Array(repeating: UInt8(ascii: "O"), count: 64), in: core) > 0, "negative control")
        #expect(ByteSearch.count(Array(repeating: UInt8(ascii: "K"), count: 64), in: core) == 0)
    }

    @Test func hardeningSetsLimitsAndMask() throws {
        let before = try ChildProcess.run("TestHelper", ["hardening"]).outputText
        let after = try ChildProcess.run("TestHelper", ["hardening", "hardened"]).outputText
        #expect(after.contains("refused: 0"))
        #expect(after.contains("core: 0, umask: 77"))
        #expect(!before.contains("umask: 77"))
    }

    @Test func readingPastTheEndFaultsAtOnce() throws {
        let outcome = try ChildProcess.run("TestHelper", ["read-past-end"])
        #expect(outcome.outputText.contains("in bounds: 0"))
        #expect(!outcome.outputText.contains("past end"))
        #expect(outcome.wasSignalled)
    }
}
