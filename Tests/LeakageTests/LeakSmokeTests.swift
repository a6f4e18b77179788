// The steps of the demo with a key and a passphrase that the test knows; then a search for them, in every form of a
// first look: raw, hex, base64. The scanner that knows every form comes later; this one already must find what it is
// shown, or its silence would mean nothing.

import Foundation
import GRDB
import Strongroom
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots

/// Secrets in the forms in which they are looked for.
private struct Needles {
    let forms: [(name: String, bytes: [UInt8])]

    init(_ secrets: [(name: String, bytes: [UInt8])]) {
        forms = secrets.flatMap { name, bytes in
            let hex = bytes.map { String(format: "%02x", $0) }.joined()
            // Base64 at each alignment, without the ends, which depend on what stands around them.
            let base64 = (0..<3).map { shift in
                let text = Data([UInt8](repeating: 0, count: shift) + bytes).base64EncodedString()
                return String(text.dropFirst(shift == 0 ? 0 : 4).dropLast(4))
            }
            return [
                ("\(name), raw", bytes), ("\(name), hex", Array(hex.utf8)),
                ("\(name), HEX", Array(hex.uppercased().utf8)),
            ]
                + base64.map { ("\(name), base64", Array($0.utf8)) }
        }
    }

    /// The names of the forms that are in `haystack`.
    func found(in haystack: [UInt8]) -> [String] {
        forms.filter { ByteSearch.count($0.bytes, in: haystack) > 0 }.map(\.name)
    }
}

@Suite struct LeakSmokeTests {
    private static let passphrase = Array("PASSPHRASE-canary-5f0c9d1e".utf8)
    private static let row = Array("ROW-canary-91b7d2c4".utf8)

    /// The search finds what is planted, whatever the form and wherever it is.
    @Test func theSearchFindsWhatIsPlanted() {
        let needles = Needles([("key", TestStore.key)])
        for (name, bytes) in needles.forms {
            for shift in 0..<5 {
                let haystack =
                    [UInt8](repeating: 0x2f, count: 1_000 + shift) + bytes + [UInt8](repeating: 0x41, count: 99)
                #expect(needles.found(in: haystack).contains(name))
            }
        }
        let embedded = Data([1, 2, 3, 4, 5] + TestStore.key + [9, 9]).base64EncodedString()
        #expect(needles.found(in: Array(embedded.utf8)) == ["key, base64"])
        #expect(needles.found(in: [UInt8](repeating: 7, count: 10_000)).isEmpty)
    }

    /// The key material of the store itself, opened by the test from the same key file.
    private func keyMaterial(of store: FilePath, keyFile: FilePath) throws -> [(name: String, bytes: [UInt8])] {
        let keyring = try LockedKeyring(in: store.appending("keyring")).unlock(with: .keyFile(keyFile))
        var material: [(String, [UInt8])] = [
            ("root key", try keyring.withRootKey(keyring.activeRootVersion) { $0.withUnsafeBytes { Array($0) } })
        ]
        for file in try TestFiles.tree(store.appending("keyring").appending("envelopes")) {
            let scope = try #require(KeyScope(file.stem ?? ""))
            let envelope = try keyring.envelope(for: scope)
            // Of a shredded profile there is none.
            guard let active = envelope.activeDataKey else { continue }
            let key = try keyring.dataKey(generation: active.generation, of: envelope)
            _ = key.secret.withSecret { secret in
                material.append(("data key of \(scope)", secret.withUnsafeBytes { Array($0) }))
            }
            material.append(("page key of \(scope)", try key.pageKey().withUnsafeBytes { Array($0) }))
        }
        return material
    }

    @Test func nothingLeaksFromTheStepsOfTheDemo() throws {
        let directory = try TemporaryDirectory()
        let store = directory.appending("store")
        let key = directory.appending("key")
        let source = directory.appending("source.db")
        try DatabaseQueue(path: source.string).write { db in
            try db.execute(sql: "CREATE TABLE t (a)")
            for _ in 0..<500 {
                try db.execute(sql: "INSERT INTO t VALUES (?)", arguments: [String(decoding: Self.row, as: UTF8.self)])
            }
        }
        let passphrase = directory.appending("passphrase")
        try TestFiles.write(Self.passphrase, to: passphrase)

        var streams: [UInt8] = []
        func step(_ command: String, expecting status: Int32 = 0) throws {
            let program = ChildProcess.products.appending("strongroom")
            let outcome = try ChildProcess.shell(
                "\(program) \(command)", environment: ["STRONGROOM_STORE": store.string])
            #expect(outcome.status == status, "\(command): \(outcome.errorText)")
            streams += outcome.output + outcome.errors
        }
        try step("init --new-key-file \(key) --new-passphrase-fd 3 3< \(passphrase)")
        try step("profile create --key-file \(key) Work")
        try step("profile import --key-file \(key) Maps \(source)")
        try step("profile list --passphrase-fd 3 3< \(passphrase) --json")
        try step("profile sql --key-file \(key) Maps 'SELECT count(*) FROM t'")
        try step("unlocker list --key-file \(key)")
        try step("key status --key-file \(key) --json")
        try step("diagnose --key-file \(key) --profile Maps --json")
        let outside = try TemporaryDirectory()
        try step("snapshot create --key-file \(key) --all --reason leak-test")
        try step("snapshot verify --key-file \(key) --all --drill")
        try step("snapshot verify-key --key-file \(key) Maps \(outside.appending("verify.key"))")
        try step("snapshot restore --key-file \(key) Maps latest --json")
        try step("snapshot restore --key-file \(key) Maps latest --as Copy")
        try step(
            "snapshot export --key-file \(key) Maps latest --out \(outside.appending("e.db")) --new-key-file \(outside.appending("e.key"))"
        )
        try step("snapshot list --key-file \(key) --json")
        try step("snapshot prune --key-file \(key) --all --keep-last 1")
        try step("profile list --key-file \(source)", expecting: 2)
        try step("profile list --passphrase-command 'echo not it, but long enough'", expecting: 12)

        let keyFile = try TestFiles.read(key)
        let material = try keyMaterial(of: store, keyFile: key)
        #expect(material.count == 9)
        let needles = Needles(material + [("key file", keyFile), ("passphrase", Self.passphrase), ("row", Self.row)])
        // Shown to the same search, the key file and the source are found: it would see a leak.
        #expect(needles.found(in: keyFile) == ["key file, raw"])
        #expect(needles.found(in: try TestFiles.read(source)) == ["row, raw"])

        // So is the page key, in the verify key that is to hold it; the data key is in neither that nor an export.
        let verifyKey = needles.found(in: try TestFiles.read(outside.appending("verify.key")))
        #expect(verifyKey.count == 1 && verifyKey[0].hasPrefix("page key of prof_"))
        for name in ["e.db", "e.json", "e.key"] {
            #expect(needles.found(in: try TestFiles.read(outside.appending(name))).isEmpty, "\(name)")
        }

        // Keys that go, and the ones that take their place.
        try step("key rotate --key-file \(key) --root --json")
        try step("key rotate --key-file \(key) --data --all --json")
        try step("key backup --key-file \(key) \(outside.appending("backup"))")
        try step("key rehearse --key-file \(key) --backup \(outside.appending("backup")) --json")
        try step("key retire --key-file \(key) --json", expecting: 1)
        try step("profile shred --key-file \(key) Copy --confirm Copy --json")
        let after = try Needles(keyMaterial(of: store, keyFile: key))
        for file in try TestFiles.tree(outside.appending("backup")) + TestFiles.tree(store) {
            let bytes = try TestFiles.read(file)
            #expect(needles.found(in: bytes).isEmpty && after.found(in: bytes).isEmpty, "\(file)")
        }
        #expect(after.found(in: streams).isEmpty)

        let files = try TestFiles.tree(store)
        #expect(files.count >= 20)
        for file in files { #expect(needles.found(in: try TestFiles.read(file)).isEmpty, "\(file)") }
        #expect(streams.count > 2_000)
        #expect(needles.found(in: streams).isEmpty)
    }

    /// While a profile is open its keys must be seen in the process, or the search could not see them; after `lock()`
    /// not one may be left, in any form.
    @Test func noKeyIsInMemoryAfterLocking() throws {
        let test = try TestStore()
        let store = try test.open()
        let info = try store.createProfile(named: "Work")
        try store.addUnlocker(.passphrase(.init(testing: Self.passphrase)), label: "passphrase")
        try store.lock()
        let passphrase = test.directory.appending("passphrase")
        try TestFiles.write(Self.passphrase, to: passphrase)
        let needles = Needles(
            try keyMaterial(of: test.path, keyFile: test.keyFile).filter { !$0.name.contains("global") }
                + [("passphrase", Self.passphrase)])
        let process = try ChildProcess("TestHelper", ["memory", test.path.string, passphrase.string, info.name])
        #expect(process.line() == "open")
        func found() throws -> [String] {
            try needles.forms.filter { try ProcessMemory.occurrences(of: $0.bytes, in: process.processIdentifier) > 0 }
                .map(\.name)
        }
        let whileOpen = try found()
        #expect(whileOpen.contains("root key, raw"), "negative control")
        #expect(whileOpen.contains("data key of \(info.id), raw"), "negative control")
        #expect(whileOpen.contains("passphrase, raw"), "negative control")
        process.send("lock")
        #expect(process.line() == "locked")
        #expect(try found() == [])
        process.send("end")
        #expect(process.finish().status == 0)
    }

    /// A key that has been rotated is not left in the memory of a process that goes on; the new one is there to be seen.
    @Test func noOldKeyIsInMemoryAfterARotation() throws {
        let test = try TestStore()
        let store = try test.open()
        let info = try store.createProfile(named: "Work")
        try store.lock()
        func material() throws -> Needles {
            Needles(try keyMaterial(of: test.path, keyFile: test.keyFile).filter { !$0.name.contains("global") })
        }
        let before = try material()
        let process = try ChildProcess(
            "TestHelper", ["memory-of-rotations", test.path.string, test.keyFile.string, info.name])
        func found(_ needles: Needles) throws -> [String] {
            try needles.forms.filter { try ProcessMemory.occurrences(of: $0.bytes, in: process.processIdentifier) > 0 }
                .map(\.name)
        }
        let dataKey = "data key of \(info.id), raw"
        #expect(process.line() == "open")
        #expect(try found(before).contains(dataKey), "negative control")
        process.send("rotate")
        while case let line = process.line(), line != "rotated" { try #require(!line.isEmpty) }
        let old = Needles(before.forms.filter { $0.name == dataKey }.map { ("old data key", $0.bytes) })
        #expect(try found(old) == [])
        process.send("rotate the root")
        while case let line = process.line(), line != "rotated the root" { try #require(!line.isEmpty) }
        #expect(try found(before) == [], "neither the old root key nor the old data key")
        process.send("end")
        #expect(process.finish().status == 0)
    }
}
