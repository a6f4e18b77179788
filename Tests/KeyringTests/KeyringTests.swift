import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import KeyPolicy
@testable import Keyring

/// A keyring in a directory of its own.
struct TestKeyring {
    let directory: TemporaryDirectory
    var path: FilePath { directory.appending("keyring") }
    var file: FilePath { path.appending("keyring.json") }
    let policy: KeyPolicy

    init(policy edits: [(String, String)] = [("scryptLogN: 17", "scryptLogN: 15")]) throws {
        directory = try TemporaryDirectory()
        var text = String(decoding: try KeyPolicy.shippedBytes(named: "default"), as: UTF8.self)
        for (old, new) in edits { text = text.replacing(old, with: new) }
        policy = try KeyPolicy(parsing: Array(text.utf8), file: "test")
    }

    static func key(_ seed: UInt8 = 0) throws -> UnlockSecret {
        try .key(.init(testing: (0..<32).map { UInt8(truncatingIfNeeded: $0 &* 7) ^ seed }))
    }

    static func passphrase(_ text: String = "a long enough passphrase") throws -> UnlockSecret {
        try .passphrase(.init(testing: Array(text.utf8)))
    }

    @discardableResult
    func create(_ secrets: [UnlockSecret]? = nil) throws -> UnlockedKeyring {
        try LockedKeyring.create(in: path, policy: policy, unlockers: (secrets ?? [Self.key()]).map { ($0, "test") })
    }

    func unlock(_ secret: UnlockSecret? = nil) throws -> UnlockedKeyring {
        try LockedKeyring(in: path).unlock(with: secret ?? Self.key())
    }
}

/// The reason of a keyring error, or nil where there was none or another.
func reason(_ body: () throws -> Void) -> KeyringError.Reason? {
    do {
        try body()
        return nil
    } catch { return (error as? KeyringError)?.reason }
}

@Suite struct KeyringLifeTests {
    let test: TestKeyring
    init() throws { test = try TestKeyring() }

    @Test func opensWithEveryKindOfUnlocker() throws {
        let keyring = try test.create([TestKeyring.key(), TestKeyring.passphrase()])
        let recovery = try SecretBytes.random32()
        try keyring.addRecoveryRecipient(publicKey: recovery.publicKey, label: "safe", policy: test.policy)
        let pageFormat = test.policy.pageFormat
        let keyID = try keyring.createEnvelope(for: .global, pageFormat: pageFormat).activeDataKey?.keyID
        keyring.lock()
        for secret in [try TestKeyring.key(), try TestKeyring.passphrase(), try .recoveryKey(recovery.secret.copy())] {
            let opened = try test.unlock(secret)
            let envelope = try opened.envelope(for: .global)
            #expect(envelope.activeDataKey?.keyID == keyID)
            #expect(try opened.dataKey(generation: 1, of: envelope).info.state == .active)
        }
        #expect(try LockedKeyring(in: test.path).unlockers.map(\.kind) == [.keyFile, .passphrase, .recovery])
    }

    @Test func theWrongSecretIsToldFromDamage() throws {
        try test.create([TestKeyring.key(), TestKeyring.passphrase()])
        #expect(reason { _ = try test.unlock(TestKeyring.key(1)) } == .unlockFailed)
        #expect(reason { _ = try test.unlock(TestKeyring.passphrase("a long enough passphrasE")) } == .unlockFailed)
        #expect(
            reason { _ = try test.unlock(.recoveryKey(.init(testing: Array(repeating: 1, count: 32)))) }
                == .unlockFailed)
    }

    @Test func aKeyringIsNotMadeTwice() throws {
        try test.create()
        let before = try TestFiles.snapshot(test.path)
        #expect(reason { try test.create() } == .alreadyExists)
        #expect(try TestFiles.snapshot(test.path) == before)
    }

    @Test func policiesAreKept() throws {
        let strict = try TestKeyring(policy: [
            ("required: 1", "required: 2"), ("allowed: [passphrase, keyFile, recovery]", "allowed: [keyFile]"),
        ])
        #expect(reason { try strict.create() } == .tooFewUnlockers(required: 2))
        #expect(reason { try strict.create([TestKeyring.key(), TestKeyring.passphrase()]) } == .unlockerKindForbidden)
        #expect(try !StrictFiles.exists(strict.path))
        #expect(
            reason { try test.create([TestKeyring.passphrase("too short")]) } == .passphraseTooShort(minimumBytes: 12))
        #expect(reason { _ = try UnlockSecret.key(.init(testing: [1])) } == .keyLength(minimumBytes: 32))
        let keyring = try strict.create([TestKeyring.key(), TestKeyring.key(1)])
        #expect(
            reason { try keyring.removeUnlocker(keyring.unlockers[0].id, policy: strict.policy) }
                == .tooFewUnlockers(required: 2))
        #expect(try LockedKeyring(in: strict.path).unlockers.count == 2)
    }

    @Test func unlockersAreAddedChangedAndRemoved() throws {
        let keyring = try test.create()
        let added = try keyring.addUnlocker(TestKeyring.key(1), label: "second", policy: test.policy)
        #expect(
            reason { try keyring.addUnlocker(TestKeyring.key(1), label: "again", policy: test.policy) }
                == .unlockerExists)
        #expect(
            reason { try keyring.addUnlocker(TestKeyring.key(2), label: "a\u{7}b", policy: test.policy) }
                == .labelInvalid)
        try test.unlock(TestKeyring.key(1)).lock()

        let changed = try keyring.changeUnlocker(added, to: TestKeyring.key(3), policy: test.policy)
        #expect(changed != added)
        #expect(reason { _ = try test.unlock(TestKeyring.key(1)) } == .unlockFailed)
        try test.unlock(TestKeyring.key(3)).lock()
        #expect(keyring.unlockers.map(\.label) == ["test", "second"])

        try keyring.removeUnlocker(changed, policy: test.policy)
        #expect(reason { _ = try test.unlock(TestKeyring.key(3)) } == .unlockFailed)
        #expect(reason { try keyring.removeUnlocker(changed, policy: test.policy) } == .unlockerNotFound)
        #expect(
            reason { try keyring.changeUnlocker("ulk_x", to: TestKeyring.key(9), policy: test.policy) }
                == .unlockerNotFound)
        // The last one stays, whatever the policy says.
        #expect(
            reason { try keyring.removeUnlocker(keyring.unlockers[0].id, policy: test.policy) }
                == .tooFewUnlockers(required: 1))
        #expect(keyring.sequence == 5)
        try test.unlock().lock()
    }

    @Test func aLockedKeyringGivesNothing() throws {
        let keyring = try test.create()
        let envelope = try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
        keyring.lock()
        #expect(reason { _ = try keyring.envelope(for: .global) } == .locked)
        #expect(reason { _ = try keyring.dataKey(generation: 1, of: envelope) } == .locked)
        #expect(reason { try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy) } == .locked)
    }

    @Test func anOlderFileIsNotWrittenOver() throws {
        let keyring = try test.create()
        let old = try TestFiles.read(test.file)
        try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy)
        try TestFiles.write(old, to: test.file)
        #expect(
            reason { try keyring.addUnlocker(TestKeyring.key(2), label: "", policy: test.policy) }
                == .rolledBack(.keyring))
        #expect(try TestFiles.read(test.file) == old)
    }

    @Test func descriptionsSayNothing() throws {
        let keyring = try test.create()
        let envelope = try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
        let key = try keyring.dataKey(generation: 1, of: envelope)
        for value: Any in [keyring, key, try TestKeyring.key()] {
            var text = ""
            dump(value, to: &text)
            #expect(text.count < 80, "\(text)")
            #expect(Mirror(reflecting: value).children.isEmpty)
        }
    }

    @Test func idsAreCheckedBeforeTheyBecomePaths() {
        for text in [
            "", "prof_", "../global", "prof_../../etc/passw", "prof_aaaaaaaaaaaaaaa1", "prof_aaaaaaaaaaaaaaaaa",
            "PROF_aaaaaaaaaaaaaaaa", "prof_aaaaaaaaaaaaaaa\0",
        ] {
            #expect(ProfileID(text) == nil)
            #expect(KeyScope(text) == nil)
        }
        #expect(ProfileID("prof_abcdefghij234567") != nil)
        #expect(KeyScope("global") == .global)
    }
}

extension SecretBytes {
    /// A random X25519 pair.
    static func random32() throws -> (secret: SecretHolder, publicKey: [UInt8]) {
        let holder = SecretHolder(secret: try X25519.makePrivateKey())
        return (holder, try X25519.publicKey(of: holder.secret))
    }

    final class SecretHolder {
        let secret: SecretBytes
        init(secret: consuming SecretBytes) { self.secret = secret }
        func copy() throws -> SecretBytes { try secret.copy() }
    }
}
