import Foundation
import SystemPackage
import Strongroom
import TestSupport
import Testing

/// `strongroom scan`, as an operator and an auditor use it.
@Suite struct ScanCommandTests {
    private let work: CommandLineStore
    private let place: FilePath

    init() throws {
        work = try CommandLineStore()
        place = work.directory.appending("place")
        try FileManager.default.createDirectory(atPath: place.string, withIntermediateDirectories: false)
        try TestFiles.write(Array("nothing to see\n".utf8), to: place.appending("notes.txt"))
    }

    private var key: FilePath { work.directory.appending("key") }

    private func leak(_ name: String = "leak.txt") throws {
        let encoded = Data(try TestFiles.read(key)).base64EncodedString()
        try TestFiles.write(Array("state=\(encoded)\n".utf8), to: place.appending(name))
    }

    @Test func aCleanStoreIsClean() throws {
        let scan = try work.run("scan", "--expect-ciphertext", work.path.string, place.string)
        #expect(scan.status == 0, "\(scan.outputText)\(scan.errorText)")
        #expect(scan.outputText.hasSuffix("Clean.\n") && scan.outputText.contains("throwaway keys found"))
        #expect(try work.run("scan", "--no-self-test", place.string).status == 3)
    }

    @Test func aLeakIsToldAndNeverQuoted() throws {
        try leak()
        let encoded = Data(try TestFiles.read(key)).base64EncodedString()
        let (html, sarif) = (work.directory.appending("r.html"), work.directory.appending("r.sarif"))
        let scan = try work.run("scan", "--html", html.string, "--sarif", sarif.string, place.string)
        #expect(scan.status == 1)
        #expect(scan.outputText.contains("key-material: keyFile of the unlocker as base64 of raw, all 32 bytes"))
        #expect(scan.outputText.contains("leak.txt@6, 43 bytes"))
        for text in [
            scan.outputText, String(decoding: try TestFiles.read(html), as: UTF8.self),
            String(decoding: try TestFiles.read(sarif), as: UTF8.self),
        ] {
            #expect(!text.contains(encoded.prefix(10)))
        }
        #expect(try work.run("scan", "--html", html.string, place.string).status == 2, "a report is not written over")
        let mode = try FileManager.default.attributesOfItem(atPath: html.string)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func standardInputAndNeedleFiles() throws {
        let needles = work.directory.appending("needles")
        let hex = String(repeating: "0123456789abcdef", count: 2) + String(repeating: "fedcba9876543210", count: 2)
        try TestFiles.write(Array("# keys\nhex:\(hex)\ntext:hunter2 is a secret\n".utf8), to: needles)
        let program = ChildProcess.products.appending("strongroom")
        func pipe(_ text: String) throws -> ChildProcess.Outcome {
            try ChildProcess.shell("printf '%s' '\(text)' | \(program) scan --needle-file \(needles) -")
        }
        #expect(try pipe("nothing").status == 0)
        let found = try pipe("a=\(hex.uppercased()); b=hunter2 is a secret")
        #expect(
            found.status == 1 && found.outputText.contains("needle 1 as hex of raw")
                && found.outputText.contains("needle 2 as raw"))
        #expect(try work.bare(["scan", "--needle-file", needles.string, place.string]).status == 0)
        #expect(chmod(work.directory.path.string, 0o755) == 0)
        try TestFiles.write(Array("hex:\(hex)\n".utf8), to: needles, mode: 0o644)
        #expect(try pipe("nothing").errorText.contains("error[file_open_to_others]"))
        try TestFiles.write(Array("hex:xyz\n".utf8), to: needles)
        #expect(try pipe("nothing").errorText.contains("error[needle_file_malformed]"))
        try TestFiles.write(Array("text:short\n".utf8), to: needles)
        #expect(try pipe("nothing").errorText.contains("error[needle_too_short]"))
    }

    /// A key that Strongroom made, as base64 in a file.
    private func leakDataKey() throws {
        let store = try Store.open(at: work.path, with: .keyFile(key))
        defer { try? store.lock() }
        var encoded: String?
        try store.forEachSecret { name, bytes in
            guard name.hasPrefix("data key") else { return }
            encoded = bytes.withUnsafeBytes { Data($0).base64EncodedString() }
        } unusable: { _ in
        }
        try TestFiles.write(Array("state=\(try #require(encoded))\n".utf8), to: place.appending("leak.txt"))
    }

    /// The operator's own key file may hold anything, so a kit has nothing of it; nor of what a needle file gives.
    @Test func aKitHasOnlyKeysThatWereMadeAtRandom() throws {
        try leak()
        let (kit, needles) = (work.directory.appending("kit.json"), work.directory.appending("needles"))
        try TestFiles.write(Array("correct horse battery staple, and a bird".utf8), to: needles)
        let made = try json(work.run("scan", "kit", "--json", "--out", kit.string, "--needle-file", needles.string))
        #expect(
            made["leftOut"] as? [[String: String]] == [
                ["name": "needle 1", "reason": "not_generated"],
                ["name": "keyFile of the unlocker", "reason": "not_generated"],
            ])
        #expect((made["keys"] as? [Any])?.count ?? 0 > 10)
        #expect(try ChildProcess.run("strongroom", ["scan", "--kit", kit.string, place.string]).status == 0)
        // The negative control: it is a leak, and a search with the key itself finds it.
        #expect(try work.run("scan", place.string).status == 1)
        let empty = try work.bare([
            "scan", "kit", "--out", work.directory.appending("no.json").string, "--needle-file", needles.string,
        ])
        #expect(empty.status == 2 && empty.errorText.contains("error[kit_would_be_empty]"))
        #expect(empty.errorText.contains("made at random"))
    }

    /// A recovery key was given, and is the private key of its unlocker at the same time: neither is in a kit.
    @Test func aRecoveryKeyIsNotInAKit() throws {
        let (text, kit) = (work.directory.appending("recovery"), work.directory.appending("kit.json"))
        let generated = try json(work.bare(["unlocker", "generate-recovery", "--json", "--key-out", text.string]))
        let recipient = try #require(generated["recipient"] as? String)
        #expect(try work.run("unlocker", "add", "--recipient", recipient).status == 0)
        let made = try json(
            work.bare(["scan", "kit", "--json", "--out", kit.string, "--recovery-key-file", text.string]))
        let names = try #require(made["leftOut"] as? [[String: String]]).compactMap { $0["name"] }
        #expect(names.count == 2 && names.contains("recovery of the unlocker"))
        #expect(names.contains { $0.hasPrefix("private key of unlocker ulk_") })
    }

    @Test func anAuditorHoldsNoKey() throws {
        try leakDataKey()
        let kit = work.directory.appending("kit.json")
        let made = try work.run("scan", "kit", "--out", kit.string)
        #expect(made.status == 0 && made.outputText.contains("96"))
        // Without a store, a keyring or a key.
        let audit = try ChildProcess.run("strongroom", ["scan", "--kit", kit.string, "--json", place.string])
        #expect(audit.status == 1)
        let report = try json(audit)
        #expect(report["outcome"] as? String == "findings" && (report["kit"] as? [Any])?.count ?? 0 > 10)
        try FileManager.default.removeItem(atPath: place.appending("leak.txt").string)
        #expect(try ChildProcess.run("strongroom", ["scan", "--kit", kit.string, place.string]).status == 0)
        #expect(
            try work.run("scan", "--expect-ciphertext", kit.string, work.path.string).status == 1,
            "a kit is no ciphertext")
        #expect(try work.run("scan", kit.string).status == 0, "and holds no key")
        try TestFiles.edit(kit) { $0[$0.count / 2] ^= 1 }
        let broken = try ChildProcess.run("strongroom", ["scan", "--kit", kit.string, place.string])
        #expect(broken.status == 2 && broken.errorText.contains("error[kit_malformed]"))
    }

    @Test func aBaselineAcceptsForAWhile() throws {
        try leak()
        let first = try json(work.run("scan", "--json", place.string))
        let finding = try #require((first["findings"] as? [[String: Any]])?.first)
        let fingerprint = try #require(finding["fingerprint"] as? String)
        let baseline = work.directory.appending("baseline.json")
        func write(until day: String, _ fingerprint: String = fingerprint) throws {
            let text = """
                {"format": "strongroom/scan-baseline", "version": 1,
                 "accepted": [{"fingerprint": "\(fingerprint)", "reason": "a test", "expires": "\(day)"}]}
                """
            try TestFiles.write(Array(text.utf8), to: baseline)
        }
        try write(until: "2999-12-31")
        let accepted = try work.run("scan", "--baseline", baseline.string, place.string)
        #expect(accepted.status == 0 && accepted.outputText.contains("1 finding(s) are accepted"))
        try leak("another.txt")
        #expect(try work.run("scan", "--baseline", baseline.string, place.string).status == 1, "only what was accepted")
        try FileManager.default.removeItem(atPath: place.appending("another.txt").string)
        try write(until: "2020-01-01")
        let expired = try work.run("scan", "--baseline", baseline.string, place.string)
        #expect(expired.status == 1 && expired.errorText.contains("accepts nothing any more"))
        try write(until: "never")
        #expect(
            try work.run("scan", "--baseline", baseline.string, place.string).errorText.contains(
                "error[baseline_malformed]"))
    }

    /// What SARIF 2.1.0 requires of the properties that are written (OASIS, sections 3.13 to 3.30).
    @Test func theSARIFLogFollowsItsSchema() throws {
        try leak()
        try FileManager.default.createSymbolicLink(atPath: place.appending("link").string, withDestinationPath: "/")
        _ = try ChildProcess.shell("mkfifo '\(place)/fifo'; cd '\(place)' && tar cf leaks.tar leak.txt")
        let log = work.directory.appending("log.sarif")
        #expect(try work.run("scan", "--sarif", log.string, place.string).status == 1)
        let schema = FilePath(URL(fileURLWithPath: #filePath).deletingLastPathComponent().path).appending(
            "sarif-properties.schema.json")
        let check = try ChildProcess.shell("python3 -m jsonschema -i '\(log)' '\(schema)'")
        #expect(check.status == 0, "\(check.outputText)\(check.errorText)")
        let text = String(decoding: try TestFiles.read(log), as: UTF8.self)
        #expect(!text.contains("snippet") && text.contains("leaks.tar"))
        // The negative control.
        try TestFiles.write(Array(text.replacing("\"error\"", with: "\"dreadful\"").utf8), to: log)
        #expect(try ChildProcess.shell("python3 -m jsonschema -i '\(log)' '\(schema)'").status != 0)
    }

    @Test func mistakesAreTold() throws {
        #expect(try work.run("scan").status == 2)
        #expect(try work.run("scan", "--process", "999999999").errorText.contains("error[process_missing]"))
        #expect(try work.run("scan", place.appending("nowhere").string).status == 3)
        #expect(
            try work.bare(["scan", "kit", "--out", "x", "--needle-passphrase-command", "echo a passphrase"]).errorText
                .contains("error[kit_would_be_empty]"))
    }
}
