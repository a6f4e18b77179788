// The vectors of docs/formats. With STRONGROOM_WRITE_VECTORS=1 they are made anew (and the documents with them);
// without, they must open, and `verify.py` beside them opens them by an implementation of its own.

import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import KeyPolicy
@testable import Keyring

@Suite struct FormatVectorTests {
    private static let vectors = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent().appending("docs").appending("formats").appending("vectors")
    private static let passphrase = "correct horse battery staple"
    private static let profile = "prof_abcdefghij234567"

    private func keyFileSecret() throws -> UnlockSecret { try .key(.init(testing: Array(0..<32))) }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["STRONGROOM_WRITE_VECTORS"] == "1", "it writes new vectors"))
    func writeVectors() throws {
        let test = try TestKeyring()
        let keyring = try test.create([keyFileSecret(), TestKeyring.passphrase(Self.passphrase)])
        let scope = try #require(KeyScope(Self.profile))
        let envelope = try keyring.createEnvelope(for: scope, pageFormat: test.policy.pageFormat)
        try TestFiles.write(try TestFiles.read(test.file), to: Self.vectors.appending("keyring-v1.json"), mode: 0o644)
        let envelopeFile = test.path.appending("envelopes").appending("\(Self.profile).json")
        try TestFiles.write(
            try TestFiles.read(envelopeFile), to: Self.vectors.appending("envelope-v1.json"), mode: 0o644)
        let text = """
            # Vectors

            Written by `Tests/KeyringTests/FormatVectorTests.swift`, read back by it and by `verify.py`, which shares no code
            with it. The key file holds the bytes 00 to 1f; the passphrase is `\(Self.passphrase)`.

            | what | value |
            |---|---|
            | HMAC-SHA256 of `strongroom vector` under root key 1 | `\(try proof(of: keyring))` |
            | key id of generation 1 in the envelope | `\(envelope.activeDataKey?.keyID.description ?? "")` |

            """
        try TestFiles.write(Array(text.utf8), to: Self.vectors.appending("README.md"), mode: 0o644)
    }

    /// A keyring whose root key is being rotated: two root keys, the second endorsed by the first.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["STRONGROOM_WRITE_VECTORS"] == "1", "it writes new vectors"))
    func writeVectorOfARotation() throws {
        let test = try TestKeyring()
        _ = try test.create([keyFileSecret()]).begin(.root)
        try TestFiles.write(
            try TestFiles.read(test.file), to: Self.vectors.appending("keyring-rotating-v1.json"), mode: 0o644)
    }

    @Test func theVectorOfARotationOpens() throws {
        let directory = try TemporaryDirectory()
        let bytes = try TestFiles.read(Self.vectors.appending("keyring-rotating-v1.json"))
        try TestFiles.write(bytes, to: directory.appending("keyring.json"))
        let keyring = try LockedKeyring(in: directory.path).unlock(with: keyFileSecret())
        #expect(keyring.rootKeyInfos.map(\.state) == [.decryptOnly, .active])
        #expect(keyring.rotations.map(\.kind) == [.root])
    }

    @Test func vectorsOpen() throws {
        let directory = try TemporaryDirectory()
        let envelopes = directory.appending("envelopes")
        try FileManager.default.createDirectory(
            atPath: envelopes.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try TestFiles.write(
            try TestFiles.read(Self.vectors.appending("keyring-v1.json")), to: directory.appending("keyring.json"))
        try TestFiles.write(
            try TestFiles.read(Self.vectors.appending("envelope-v1.json")),
            to: envelopes.appending("\(Self.profile).json"))
        let expected = String(decoding: try TestFiles.read(Self.vectors.appending("README.md")), as: UTF8.self)
        let scope = try #require(KeyScope(Self.profile))
        for secret in [try keyFileSecret(), try TestKeyring.passphrase(Self.passphrase)] {
            let keyring = try LockedKeyring(in: directory.path).unlock(with: secret)
            #expect(expected.contains(try proof(of: keyring)))
            let envelope = try keyring.envelope(for: scope)
            let key = try keyring.dataKey(generation: 1, of: envelope)
            #expect(expected.contains(key.info.keyID.description))
        }
    }

    /// One that says that its database is in use, and that was written under a keyring of this sequence.
    @Test func anEnvelopeWithASessionOpens() throws {
        let directory = try TemporaryDirectory()
        let envelopes = directory.appending("envelopes")
        try FileManager.default.createDirectory(
            atPath: envelopes.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try TestFiles.write(
            try TestFiles.read(Self.vectors.appending("keyring-v1.json")), to: directory.appending("keyring.json"))
        try TestFiles.write(
            try TestFiles.read(Self.vectors.appending("envelope-session-v1.json")),
            to: envelopes.appending("\(Self.profile).json"))
        let keyring = try LockedKeyring(in: directory.path).unlock(with: keyFileSecret())
        let envelope = try keyring.envelope(for: #require(KeyScope(Self.profile)))
        #expect(envelope.session == .open && envelope.keyringSequence == 1 && envelope.sequence == 2)
        // A change by a former version would drop what it does not know; the field is critical, so there is none.
        #expect(envelope.document.critical == ["session"])
    }

    private func proof(of keyring: UnlockedKeyring) throws -> String {
        Hex.encode(
            try keyring.withRootKey(1) {
                try HMAC.tag(of: Array("strongroom vector".utf8), key: $0, algorithm: .sha256)
            })
    }
}
