import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import KeyPolicy
@testable import Keyring

@Suite struct RootRotationTests {
    let test: TestKeyring
    init() throws { test = try TestKeyring() }

    private func scopes(_ count: Int) throws -> [KeyScope] {
        [.global] + (try (1..<count).map { _ in .profile(try .random()) })
    }

    @discardableResult
    private func makeEnvelopes(_ count: Int, in keyring: UnlockedKeyring) throws -> [KeyScope] {
        let scopes = try scopes(count)
        for scope in scopes { try keyring.createEnvelope(for: scope, pageFormat: test.policy.pageFormat) }
        return scopes
    }

    private func rotate(_ keyring: UnlockedKeyring) throws {
        _ = try keyring.begin(.root)
        let failures = try keyring.rewrapEnvelopes()
        try keyring.endRootRotation(
            destroyingOlder: failures.isEmpty && keyring.envelopesUnderOlderRootKeys() == 0)
    }

    @Test func everyUnlockerOpensWhatOneOfThemRotated() throws {
        let recovery = try SecretBytes.random32()
        let keyring = try test.create([TestKeyring.key(), TestKeyring.key(1), TestKeyring.passphrase()])
        try keyring.addRecoveryRecipient(publicKey: recovery.publicKey, label: "safe", policy: test.policy)
        let scopes = try makeEnvelopes(300, in: keyring)
        let before = try scopes.map { try keyring.envelope(for: $0).activeDataKey?.keyID }
        try rotate(keyring)
        #expect(keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(keyring.rotations.isEmpty)
        for secret in [
            try TestKeyring.key(), try TestKeyring.key(1), try TestKeyring.passphrase(),
            try .recoveryKey(recovery.secret.copy()),
        ] {
            let opened = try test.unlock(secret)
            for (scope, keyID) in zip(scopes, before) {
                let envelope = try opened.envelope(for: scope)
                #expect(envelope.activeDataKey?.keyID == keyID)
                #expect(try opened.dataKey(generation: 1, of: envelope).info.keyID == keyID)
            }
        }
        let text = String(decoding: try TestFiles.read(test.file), as: UTF8.self)
        #expect(text.contains(#""critical" : ["#) && text.contains(#""endorsement""#))
    }

    @Test func theOldRootKeyOpensNothingAnyMore() throws {
        let keyring = try test.create()
        try makeEnvelopes(3, in: keyring)
        let old = try TestFiles.read(test.path.appending("envelopes").appending("global.json"))
        let oldKeyring = try TestFiles.read(test.file)
        try rotate(keyring)
        // The older envelope, put back, is told as what it is.
        try TestFiles.write(old, to: test.path.appending("envelopes").appending("global.json"))
        for opened in [keyring, try test.unlock()] {
            #expect(reason { _ = try opened.envelope(for: .global) } == .rolledBack(.envelope))
        }
        // So is the older keyring, by whoever saw the newer one.
        try TestFiles.write(oldKeyring, to: test.file)
        #expect(
            reason { try keyring.addUnlocker(TestKeyring.key(3), label: "", policy: test.policy) }
                == .rolledBack(.keyring))
    }

    @Test func whoHasItOpenGoesOn() throws {
        let first = try test.create([TestKeyring.key(), TestKeyring.key(1)])
        let scopes = try makeEnvelopes(5, in: first)
        let second = try test.unlock(TestKeyring.key(1))
        let stale = try second.envelope(for: scopes[1])
        try rotate(first)
        #expect(second.rootKeyInfos.count == 1, "it has not looked yet")
        // It reads, writes, and makes new ones under the new root key.
        try second.note(epoch: 1, in: stale)
        try second.createEnvelope(
            for: scopes[0] == .global ? .profile(.random()) : .global, pageFormat: test.policy.pageFormat)
        #expect(second.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(try first.envelopesUnderOlderRootKeys() == 0)
        // Whose unlocker was removed before the rotation has lost the keyring.
        let third = try test.unlock(TestKeyring.key(1))
        let unlocker = third.openedBy
        try first.removeUnlocker(unlocker, policy: test.policy)
        try rotate(first)
        #expect(reason { _ = try third.envelope(for: scopes[1]) } == .unlockerRemoved)
    }

    @Test func aNewOneIsNotMadeUnderAnOldRootKeyByWhoDidNotLook() throws {
        let first = try test.create()
        let second = try test.unlock()
        try rotate(first)
        try second.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
        #expect(try first.envelopesUnderOlderRootKeys() == 0)
    }

    /// Whoever can write the file and has no secret seals a root key of his own to the public halves that stand in it.
    @Test func aForgedRootKeyIsRefused() throws {
        let keyring = try test.create()
        try makeEnvelopes(2, in: keyring)
        let document = try LockedKeyring(in: test.path).document
        let forgedRoot = try Random.secret(count: 32)
        let unlocker = try #require(document.unlockers.first)
        func forged(endorsement: Data?, keepingTrueOne: Bool) throws -> KeyringDocument {
            var forged = document
            forged.sequence += 1
            forged.critical = ["endorsement"]
            let recipient = try RootKeySealing.seal(
                forgedRoot, version: 2, to: Array(unlocker.publicKey), unlocker: unlocker.id,
                keyring: document.keyringId)
            forged.rootKeys[0].state = keepingTrueOne ? .decryptOnly : .destroyed
            if !keepingTrueOne { forged.rootKeys[0].recipients = [] }
            forged.rootKeys.append(
                .init(
                    version: 2, state: .active, created: document.created, endorsement: endorsement,
                    recipients: [recipient]))
            return forged
        }
        func write(_ document: KeyringDocument) throws {
            let bytes = try AuthenticatedFile.bytes(
                of: DocumentCoding.encode(document), format: KeyringDocument.format, rootVersion: 2, rootKey: forgedRoot
            )
            try TestFiles.write(bytes, to: test.file)
        }
        try write(forged(endorsement: Data(repeating: 7, count: 32), keepingTrueOne: true))
        #expect(reason { try test.unlock().lock() } == .forged(.keyring))
        #expect(
            reason { _ = try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy) }
                == .forged(.keyring))
        try write(forged(endorsement: nil, keepingTrueOne: true))
        #expect(reason { try test.unlock().lock() } == .malformed(.keyring))
        // Without the true root key it opens, and nothing in it does.
        try write(forged(endorsement: Data(repeating: 7, count: 32), keepingTrueOne: false))
        #expect(reason { _ = try test.unlock().envelope(for: .global) } == .rolledBack(.envelope))
        // The negative control: with the endorsement that only the true root key makes, it passes.
        let made = try keyring.withRootKey(1) {
            try RootKeyEndorsement.make(
                of: forgedRoot, version: 2, by: $0, previousVersion: 1, keyring: document.keyringId)
        }
        try write(forged(endorsement: Data(made), keepingTrueOne: true))
        try test.unlock().lock()
    }

    /// The journal stands in the keyring file, so that it is as authentic and as new as that is.
    @Test func aForgedJournalIsRefused() throws {
        let keyring = try test.create()
        let before = try TestFiles.read(test.file)
        _ = try keyring.begin(.data)
        #expect(keyring.rotations.map(\.kind) == [.data])
        let text = String(decoding: try TestFiles.read(test.file), as: UTF8.self)
        let edited = text.replacing(#""kind" : "data""#, with: #""kind" : "root""#)
        try #require(edited != text)
        try TestFiles.write(TestDigest.resummed(edited), to: test.file)
        #expect(reason { try test.unlock().lock() } == .forged(.keyring))
        try TestFiles.write(before, to: test.file)
        #expect(reason { _ = try keyring.begin(.data) } == .rolledBack(.keyring))
        // Another keyring's is not this one's.
        let other = try TestKeyring()
        _ = try other.create().begin(.data)
        try TestFiles.write(TestFiles.read(other.file), to: test.file)
        #expect(reason { _ = try keyring.begin(.data) } == .belongsToAnotherKeyring(.keyring))
    }

    @Test func anInterruptedOneGoesOn() throws {
        let keyring = try test.create()
        try makeEnvelopes(3, in: keyring)
        let first = try keyring.begin(.root)
        #expect(!first.isResumed)
        #expect(try keyring.envelopesUnderOlderRootKeys() == 3)
        keyring.lock()
        let again = try test.unlock()
        let second = try again.begin(.root)
        #expect(second.isResumed && second.rotation == first.rotation)
        #expect(again.rootKeyInfos.map(\.version) == [1, 2], "no third one is made")
        try rotate(again)
        #expect(again.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(again.rotations.isEmpty)
    }

    @Test func aBrokenEnvelopeIsReportedAndKeepsTheOldRootKey() throws {
        let keyring = try test.create()
        let scopes = try makeEnvelopes(4, in: keyring)
        let path = test.path.appending("envelopes").appending("\(scopes[2]).json")
        let whole = try TestFiles.read(path)
        try TestFiles.write(Array(whole.dropLast(40)), to: path)
        _ = try keyring.begin(.root)
        let failures = try keyring.rewrapEnvelopes()
        #expect(failures.map(\.scope) == [scopes[2]] && failures.map(\.code) == ["envelope_damaged"])
        try keyring.endRootRotation(destroyingOlder: false)
        #expect(keyring.rootKeyInfos.map(\.state) == [.decryptOnly, .active])
        // Put back from a backup, it opens still; the next rotation takes it along.
        try TestFiles.write(whole, to: path)
        _ = try keyring.dataKey(generation: 1, of: keyring.envelope(for: scopes[2]))
        try rotate(keyring)
        #expect(keyring.rootKeyInfos.map(\.state) == [.destroyed, .destroyed, .active])
        for scope in scopes { _ = try test.unlock().dataKey(generation: 1, of: keyring.envelope(for: scope)) }
    }

    @Test func rotationsAndSnapshotsKeepEachOtherAway() throws {
        let keyring = try test.create()
        let held = try keyring.holdRotation()
        let another = try keyring.holdRotation()
        #expect(reason { _ = try keyring.beginRotation() } == .rotationBlocked)
        held.release()
        another.release()
        let rotation = try keyring.beginRotation()
        #expect(reason { _ = try keyring.holdRotation() } == .rotationBlocked)
        #expect(reason { _ = try keyring.beginRotation() } == .rotationBlocked)
        rotation.release()
    }

    /// A reader from before must not take part: it would leave fields out when it writes.
    @Test func anUnknownCriticalFieldIsRefused() throws {
        try test.create().lock()
        let text = String(decoding: try TestFiles.read(test.file), as: UTF8.self)
        let edited = text.replacing("\"critical\" : [\n\n  ]", with: #""critical" : ["unheard-of"]"#)
        try #require(edited != text)
        try TestFiles.write(TestDigest.resummed(edited), to: test.file)
        #expect(reason { _ = try test.unlock() } == .unsupportedFeature(.keyring))
    }
}
