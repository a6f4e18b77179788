// Every error that bad input can make, made with input that must not be repeated.

import CryptoPrimitives
import Foundation
import GRDB
import Keyring
import LeakageScan
import Secrets
import Strongroom
import SystemPackage
import TestSupport
import Testing

@Suite struct ErrorTests {
    private static let content = "CONTENT-canary-6e0f91ac"

    /// Everything that a program could print of a value.
    private static func descriptions(of value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        var text = "\(value)\n\(String(reflecting: value))\n\(dumped)\n"
        if let encodable = value as? any Encodable, let json = try? JSONEncoder().encode(encodable) {
            text += String(decoding: json, as: UTF8.self)
        }
        if let error = value as? any ReportableError { text += "\(error.code) \(error.summary) \(error.hint)" }
        return text
    }

    private func search(_ key: [UInt8]) throws -> LeakSearch {
        var search = LeakSearch()
        try search.add(text: Self.content, as: "content")
        try search.add(text: Canary.passphrase, as: "passphrase")
        try search.add(key: key, as: "key")
        return search
    }

    private func secret(_ text: String) throws -> SecretBytes { try SecretBytes(testing: Array(text.utf8)) }

    @Test func noErrorRepeatsWhatItWasGiven() async throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 20)
        let key = try Random.bytes(count: 32)
        let hex = key.map { String(format: "%02x", $0) }.joined()
        let store = try test.open()
        let profile = try store.openProfile(info)
        func file(_ bytes: [UInt8], _ name: String = UUID().uuidString, mode: Int = 0o600) throws -> FilePath {
            let path = test.directory.appending(name)
            try TestFiles.write(bytes, to: path, mode: mode)
            return path
        }
        let broken = Array("SQLite format 3\0".utf8) + [UInt8](repeating: 0, count: 84) + Array(Self.content.utf8) + key
        let policy = String(decoding: try TestFiles.read(test.directory.appending("policy.yaml")), as: UTF8.self)

        let attempts: [(String, () async throws -> (any Sendable)?)] = [
            ("profile name", { try store.createProfile(named: Self.content + "\n") }),
            ("profile name of a key", { try store.createProfile(named: hex + hex + hex) }),
            ("profile not found", { try store.profile(Self.content) }),
            ("passphrase", { try Store.open(at: test.path, with: .passphrase(secret(Canary.passphrase))) }),
            ("key file", { try Store.open(at: test.path, with: .key(SecretBytes(testing: key))) }),
            ("short key", { try UnlockSecret.key(SecretBytes(testing: Array(key.prefix(20)))) }),
            (
                "open key file",
                {
                    #expect(chmod(test.directory.path.string, 0o755) == 0)
                    return try UnlockSecret.keyFile(file(key, mode: 0o644))
                }
            ),
            ("recovery key", { try UnlockSecret.recoveryKey(text: secret(Canary.passphrase)) }),
            ("recovery key as hex", { try UnlockSecret.recoveryKey(text: secret(hex)) }),
            ("import of a broken file", { try store.importProfile(named: "x", from: ImportSource(file(broken))) }),
            (
                "import of no database",
                { try store.importProfile(named: "y", from: ImportSource(file(Array(Self.content.utf8) + key))) }
            ),
            (
                "policy value",
                {
                    try KeyPolicy.read(
                        from: file(Array(policy.replacing("size: 4096", with: "size: \(Self.content)").utf8)))
                }
            ),
            ("policy key", { try KeyPolicy.read(from: file(Array((policy + "\n\(hex): 1\n").utf8))) }),
            ("policy that is none", { try KeyPolicy.read(from: file(Array("{\(Self.content): [\(hex)".utf8))) }),
            ("snapshot reason", { SnapshotReason(Self.content + "/") }),
            ("unlocker label", { try store.addUnlocker(.key(SecretBytes(testing: key)), label: Self.content + "\n") }),
            ("needle file", { try NeedleFile.read(file(Array("hex:\(hex)zz\n".utf8))) }),
            ("needle line", { try NeedleFile.read(file(Array("text:fine and long\n\(Self.content)\n".utf8))) }),
            ("needle name", { try Needle(Self.content + "!", .key, SecretBytes(testing: key)) }),
            ("kit", { try BlindKit(file(Array("{\"format\": \"\(hex)\", \"x\": \"\(Self.content)\"}".utf8))) }),
            ("baseline", { try Baseline(file(Array("{\"format\": \"\(Self.content)\"}".utf8))) }),
            ("verify key", { try VerifyKey(file(key + Array(Self.content.utf8))) }),
            (
                "keyring",
                {
                    let copy = try TestStore(copyOf: test)
                    try TestFiles.edit(copy.path.appending("keyring").appending("keyring.json")) {
                        $0.insert(contentsOf: Self.content.utf8, at: 40)
                    }
                    return try copy.open()
                }
            ),
            (
                "constraint",
                {
                    try await profile.database.write { db in
                        try db.execute(sql: "CREATE TABLE u (a UNIQUE)")
                        for _ in 0..<2 { try db.execute(sql: "INSERT INTO u VALUES (?)", arguments: [Self.content]) }
                    }
                    return nil
                }
            ),
            (
                "migration",
                {
                    var migrations = Migrations()
                    migrations.add("fails") { try $0.execute(sql: "INSERT INTO nowhere VALUES ('\(Self.content)')") }
                    let other = try TestStore(copyOf: test)
                    let open = try Store.open(
                        at: other.path, with: .keyFile(other.keyFile),
                        options: StoreOptions(schema: StoreSchema(profile: migrations)))
                    return try open.openProfile(info)
                }
            ),
        ]
        let search = try search(key)
        var codes: Set<String> = []
        for (name, attempt) in attempts {
            do {
                let value = try await attempt()
                // Where it is no error, the answer is a value that says nothing either.
                #expect(name == "snapshot reason" && value is SnapshotReason?, "\(name) was taken")
            } catch let error as DatabaseError {
                // GRDB's own, which an app gets from its own SQL: what it prints has no argument of a statement in it. A dump has;
                // docs/security/policy.md says so.
                #expect(try search.found(in: "\(error) \(String(reflecting: error))") == [], "\(name)")
                codes.insert("sqlite")
            } catch {
                #expect(try search.found(in: Self.descriptions(of: error)) == [], "\(name)")
                codes.insert((error as? any ReportableError)?.code ?? "unexpected: \(error)")
            }
        }
        #expect(codes.count >= 16 && !codes.contains { $0.hasPrefix("unexpected") }, "\(codes.sorted())")
        try profile.close()
        for value: Any in [
            try await store.diagnostics(profile: info.id), try store.keyStatus(), store, store.keyring, profile,
            UnlockSecret.self,
        ] {
            #expect(try search.found(in: Self.descriptions(of: value)) == [])
        }
        try store.lock()
    }

    /// The negative control: an error that keeps what it was given is seen, in a dump as well.
    @Test func anErrorThatRepeatsItsInputIsSeen() throws {
        struct Careless: Error, CustomStringConvertible {
            let input: [UInt8]
            var description: String { "careless" }
        }
        let key = try Random.bytes(count: 32)
        let found = try search(key).found(in: Self.descriptions(of: Careless(input: key)))
        #expect(found == ["key as decimal of raw"])
    }
}
