import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import KeyPolicy
@testable import Keyring

/// Whatever is done to a file, the answer is a clear error and the file is left as it is.
@Suite struct DamagedFileTests {
    let test: TestKeyring
    let keyring: UnlockedKeyring
    let scope: KeyScope
    let envelopeFile: FilePath

    init() throws {
        test = try TestKeyring()
        keyring = try test.create()
        scope = .profile(try .random())
        try keyring.createEnvelope(for: scope, pageFormat: test.policy.pageFormat)
        envelopeFile = test.path.appending("envelopes").appending("\(scope).json")
    }

    private func openKeyring() throws { try test.unlock().lock() }
    private func openEnvelope() throws { _ = try keyring.dataKey(generation: 1, of: keyring.envelope(for: scope)) }

    /// Puts changed bytes in a file's place, and answers what opening it says.
    private func outcome(_ bytes: [UInt8], in file: FilePath, _ open: () throws -> Void) throws -> KeyringError.Reason?
    {
        let original = try TestFiles.read(file)
        try TestFiles.write(bytes, to: file)
        let reason = reason(open)
        #expect(try TestFiles.read(file) == bytes, "nothing is changed")
        try TestFiles.write(original, to: file)
        return reason
    }

    @Test func everyFlippedByteOfTheKeyringIsDamage() throws {
        let bytes = try TestFiles.read(test.file)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1 << UInt8(index % 8)
            #expect(try outcome(changed, in: test.file, openKeyring) == .damaged(.keyring), "byte \(index)")
        }
    }

    @Test func everyFlippedByteOfAnEnvelopeIsDamage() throws {
        let bytes = try TestFiles.read(envelopeFile)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1 << UInt8(index % 8)
            #expect(try outcome(changed, in: envelopeFile, openEnvelope) == .damaged(.envelope), "byte \(index)")
        }
    }

    /// The same with a check sum that fits: it must never open, whatever the error is called.
    @Test func noForgeryOpens() throws {
        for (file, open) in [(test.file, openKeyring), (envelopeFile, openEnvelope)] {
            let bytes = try TestFiles.read(file)
            let original = TestDigest.resummed(bytes)
            #expect(original == bytes)
            for index in 0..<(bytes.count - 73) {
                var changed = bytes
                changed[index] ^= 1 << UInt8(index % 8)
                let reason = try outcome(TestDigest.resummed(changed), in: file, open)
                #expect(reason != nil, "byte \(index) of \(file.lastComponent?.string ?? "")")
            }
        }
    }

    @Test func everyTruncationIsDamage() throws {
        for (file, open, kind) in [
            (test.file, openKeyring, KeyringError.File.keyring), (envelopeFile, openEnvelope, .envelope),
        ] {
            let bytes = try TestFiles.read(file)
            for count in bytes.indices {
                #expect(try outcome(Array(bytes.prefix(count)), in: file, open) == .damaged(kind), "\(count) bytes")
            }
        }
    }

    @Test func trailingBytesAreDamage() throws {
        let bytes = try TestFiles.read(test.file)
        for extra in [[0x0a], [0x20], [0x00], Array("{}".utf8), bytes] as [[UInt8]] {
            #expect(try outcome(bytes + extra, in: test.file, openKeyring) == .damaged(.keyring))
        }
    }

    @Test func aMissingFileIsMissing() throws {
        try FileManager.default.removeItem(atPath: envelopeFile.string)
        #expect(reason(openEnvelope) == .missing(.envelope))
        try FileManager.default.removeItem(atPath: test.file.string)
        #expect(reason(openKeyring) == .missing(.keyring))
        #expect(reason { _ = try LockedKeyring(in: test.directory.appending("none")) } == .missing(.keyring))
    }

    /// Changes the JSON and authenticates it anew, with the real key or, where there is none to be had, a check sum only.
    private func rewritten(_ file: FilePath, _ format: String, _ change: (String) -> String) throws -> [UInt8] {
        let text = String(decoding: try TestFiles.read(file), as: UTF8.self)
        let body = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast(2).joined(separator: "\n")
        let changed = change(body)
        #expect(changed != body)
        return try keyring.withRootKey(1) {
            try AuthenticatedFile.bytes(of: Array(changed.utf8), format: format, rootVersion: 1, rootKey: $0)
        }
    }

    @Test(arguments: [
        ("\"version\" : 1\n", "\"version\" : 2\n", KeyringError.Reason.unsupportedVersion(.keyring)),
        ("\"critical\" : [\n\n  ]", "\"critical\" : [ \"quorum\" ]", .unsupportedFeature(.keyring)),
        ("hkdf-sha256", "none", .unsupportedFeature(.keyring)),
        ("\"strongroom/keyring\"", "\"other\"", .malformed(.keyring)),
        ("\"sequence\" : 1", "\"sequence\" : -1", .malformed(.keyring)),
        ("\"sequence\" : 1", "\"sequence\" : 1e400", .malformed(.keyring)),
        ("\"state\" : \"active\"", "\"state\" : \"destroyed\"", .malformed(.keyring)),
        ("\"keyFile\"", "\"none\"", .malformed(.keyring)),
    ])
    func aKeyringThatBreaksItsFormat(old: String, new: String, expected: KeyringError.Reason) throws {
        let bytes = try rewritten(test.file, KeyringDocument.format) { text in
            if old.contains("version") {
                // The last one in the file is the format's own.
                guard let range = text.range(of: "\"version\" : 1", options: .backwards) else { return text }
                return text.replacingCharacters(in: range, with: "\"version\" : 2")
            }
            return text.replacing(old, with: new)
        }
        #expect(try outcome(bytes, in: test.file, openKeyring) == expected)
    }

    @Test func anUnknownMACAlgorithmIsRefused() throws {
        let text = String(decoding: try TestFiles.read(test.file), as: UTF8.self)
        for name in ["hmac-sha512", "none"] {
            let changed = TestDigest.resummed(text.replacing("mac hmac-sha256", with: "mac \(name)"))
            #expect(try outcome(changed, in: test.file, openKeyring) == .unsupportedFeature(.keyring))
        }
    }

    /// A scrypt cost of 2^40, authentic: refused without asking for its 128 terabytes.
    @Test func anAbsurdCostIsRefusedBeforeItIsPaid() throws {
        let test = try TestKeyring()
        let keyring = try test.create([TestKeyring.key(), TestKeyring.passphrase()])
        for cost in [40, 21, 14, -1] {
            let text = String(decoding: try TestFiles.read(test.file), as: UTF8.self)
            let body = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast(2).joined(separator: "\n")
            let changed = try keyring.withRootKey(1) {
                try AuthenticatedFile.bytes(
                    of: Array(body.replacing("\"logN\" : 15", with: "\"logN\" : \(cost)").utf8),
                    format: KeyringDocument.format, rootVersion: 1, rootKey: $0)
            }
            try TestFiles.write(changed, to: test.file)
            #expect(reason { _ = try test.unlock(TestKeyring.passphrase()) } == .costOutOfRange(.keyring))
            try TestFiles.write(Array(text.utf8), to: test.file)
        }
    }

    @Test func anotherProfilesEnvelopeIsNamed() throws {
        let other = KeyScope.profile(try .random())
        try keyring.createEnvelope(for: other, pageFormat: test.policy.pageFormat)
        let bytes = try TestFiles.read(test.path.appending("envelopes").appending("\(other).json"))
        #expect(try outcome(bytes, in: envelopeFile, openEnvelope) == .envelopeOfAnotherScope)
    }

    @Test func anotherKeyringsFilesAreNamed() throws {
        let other = try TestKeyring()
        try other.create().createEnvelope(for: scope, pageFormat: test.policy.pageFormat)
        let envelope = try TestFiles.read(other.path.appending("envelopes").appending("\(scope).json"))
        #expect(try outcome(envelope, in: envelopeFile, openEnvelope) == .belongsToAnotherKeyring(.envelope))
        // The same key file opens the other keyring: what this one knows of it must not be written over.
        try TestFiles.write(try TestFiles.read(other.file), to: test.file)
        #expect(
            reason { try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy) }
                == .belongsToAnotherKeyring(.keyring))
    }

    @Test func aFileThatIsTooLongIsNotRead() throws {
        try TestFiles.write([UInt8](repeating: 0x20, count: KeyringDocument.maximumBytes + 1), to: test.file)
        #expect(throws: DurableFilesError(.isLongerThan(KeyringDocument.maximumBytes), test.file)) { try openKeyring() }
    }

    @Test func aKeyringThatOthersCanReachIsRefused() throws {
        for mode in [0o640, 0o604, 0o666] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: test.file.string)
            #expect(throws: DurableFilesError.self) { try openKeyring() }
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: test.file.string)
        try FileManager.default.setAttributes([.posixPermissions: 0o750], ofItemAtPath: test.path.string)
        #expect(throws: DurableFilesError(.isOpenToOthers(mode: 0o750), test.path)) { try openKeyring() }
    }
}
