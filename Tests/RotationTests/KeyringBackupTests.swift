import Foundation
import GRDB
import Snapshots
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

@Suite struct KeyringBackupTests {
    private let sample: RotationStore
    private var backup: FilePath { sample.test.directory.appending("backup") }
    private var keyring: FilePath { sample.store.keyring.directory }
    private func secret() throws -> UnlockSecret { try .keyFile(sample.test.keyFile) }

    init() throws { sample = try RotationStore() }

    private func rehearse() async throws -> RehearsalReport {
        try await Store.rehearseRecovery(of: sample.test.path, from: backup, with: secret())
    }

    @Test func whatIsCopiedIsSealed() async throws {
        let key = try RecoveryKey.random()
        try sample.store.addRecoveryRecipient(publicKey: key.publicKey, label: "safe")
        let report = try await sample.store.backUpKeyring(to: backup)
        #expect(report.envelopes == 2 && report.unusable.isEmpty)
        #expect(await code { try await sample.store.backUpKeyring(to: backup) } == "file_exists")
        // The global database's own envelope has gone on since.
        for file in try TestFiles.tree(backup) where file.stem != "global" {
            let name = String(file.string.dropFirst(backup.string.count + 1))
            let original = ["store.json", "policy.yaml"].contains(name) ? sample.test.path : keyring
            #expect(try TestFiles.read(file) == TestFiles.read(original.pushing(FilePath(name))))
            let mode = try FileManager.default.attributesOfItem(atPath: file.string)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
        #expect(try sample.store.keyStatus().lastBackup?.keyringSequence == report.sequence)
        _ = try await sample.store.createSnapshot(of: sample.scope)
        // With the store's own keyring gone, the backup and the recovery key open everything, and nothing is written.
        try sample.store.lock()
        try FileManager.default.removeItem(atPath: keyring.string)
        let before = try TestFiles.snapshot(sample.test.path, ignoring: [])
        let rehearsal = try await Store.rehearseRecovery(
            of: sample.test.path, from: backup, with: .recoveryKey(text: key.words()))
        #expect(rehearsal.databases == 2 && rehearsal.snapshots == 1 && rehearsal.failed.isEmpty)
        #expect(try TestFiles.snapshot(sample.test.path, ignoring: []) == before)
    }

    @Test func aRehearsalReportsWhatTheBackupDoesNotOpen() async throws {
        try await sample.store.backUpKeyring(to: backup)
        let later = try sample.store.createProfile(named: "later")
        try await sample.store.rotateDataKey(of: sample.scope)
        let snapshot = try await sample.store.createSnapshot(of: sample.scope)
        try TestFiles.write([1, 2, 3], to: sample.test.path.appending("global.db"))
        let report = try await rehearse()
        #expect(report.databases == 0 && report.snapshots == 0)
        let failures = Dictionary(grouping: report.failed, by: \.scope).mapValues { Set($0.map(\.code)) }
        #expect(failures["global"] == ["database_truncated"])
        #expect(failures[later.id.description] == ["envelope_missing"])
        #expect(failures[sample.info.id.description] == ["database_unknown_key", "snapshot_key_unknown"])
        #expect(report.failed.contains { $0.snapshot == snapshot.name })
    }

    @Test func aWrongUnlockerOrBackupIsTold() async throws {
        try await sample.store.backUpKeyring(to: backup)
        let other = try RotationStore()
        let wrong = try UnlockSecret.key(.init(testing: Array(repeating: 9, count: 32)))
        #expect(
            await code { _ = try await Store.rehearseRecovery(of: sample.test.path, from: backup, with: wrong) }
                == "unlock_failed")
        #expect(
            await code { _ = try await Store.rehearseRecovery(of: other.test.path, from: backup, with: secret()) }
                == "backup_of_another_keyring")
        #expect(
            await code { _ = try await Store.restoreKeyring(of: other.test.path, from: backup, with: secret()) }
                == "backup_of_another_keyring")
        #expect(
            await code {
                _ = try await Store.rehearseRecovery(
                    of: sample.test.path, from: sample.test.directory.appending("nowhere"), with: secret())
            } == "keyring_missing")
    }

    /// The whole keyring is lost, and databases were changed since the backup.
    @Test func aLostKeyringComesBack() async throws {
        try await sample.store.backUpKeyring(to: backup)
        try sample.test.fill(sample.info, in: sample.store, rows: 1)
        try sample.test.fill(sample.info, in: sample.store, rows: 1)
        try sample.store.addUnlocker(.key(.init(testing: Array(repeating: 9, count: 32))), label: "later")
        let newer = try TestFiles.snapshot(keyring)
        try sample.store.lock()
        try FileManager.default.removeItem(atPath: keyring.string)
        // The backup is older than what the global database has seen: that is an operator's decision.
        let before = try TestFiles.snapshot(sample.test.path)
        for accepted in [nil, 2] {
            #expect(
                await code {
                    _ = try await Store.restoreKeyring(
                        of: sample.test.path, from: backup, with: secret(), acceptingSequence: accepted)
                } == "keyring_rolled_back")
        }
        let plan = try await Store.restoreKeyring(of: sample.test.path, from: backup, with: secret(), isDryRun: true)
        #expect(plan.olderState?.sequence == 1 && plan.olderState?.newestSequenceSeen == 2)
        #expect(try TestFiles.snapshot(sample.test.path) == before, "nothing was changed")
        let report = try await Store.restoreKeyring(
            of: sample.test.path, from: backup, with: secret(), acceptingSequence: 1)
        #expect(report.isKeyringReplaced && report.envelopesReplaced.count == 2 && report.failed.isEmpty)
        #expect(report.epochsBroughtUpToDate.contains(sample.info.id.description))
        #expect(report.olderState?.unlockers.count == 1 && report.olderState?.rootKeys == [1])
        let store = try sample.test.open()
        #expect(try sample.test.rows(sample.info, in: store) == 302)
        // It is shown until it is acknowledged.
        let shown = try await store.diagnostics()
        #expect(shown.hasFindings && shown.posture.acceptedOlderStates?.map(\.sequence) == [1])
        #expect(try store.acknowledgeOlderStates().count == 1)
        let after = try await store.diagnostics()
        #expect(!after.hasFindings)
        // The one that was lost turns up again: it is older now than what was seen.
        try store.lock()
        let envelope = keyring.appending("envelopes").appending("global.json")
        let current = try TestFiles.read(envelope)
        for (path, bytes) in newer { try TestFiles.write(bytes, to: FilePath(path)) }
        #expect(code { _ = try sample.test.open() } == "envelope_rolled_back")
        try TestFiles.write(current, to: envelope)
        #expect(code { _ = try sample.test.open() } == "keyring_rolled_back")
    }

    /// An older keyring was put in place: the newer one of the backup is taken, and not the one that happens to open.
    @Test func anOlderKeyringGivesWayToTheBackup() async throws {
        let older = try TestFiles.read(keyring.appending("keyring.json"))
        try sample.store.addUnlocker(.key(.init(testing: Array(repeating: 9, count: 32))), label: "later")
        try await sample.store.backUpKeyring(to: backup)
        try sample.store.lock()
        try TestFiles.write(older, to: keyring.appending("keyring.json"))
        #expect(code { _ = try sample.test.open() } == "keyring_rolled_back")
        let report = try await Store.restoreKeyring(of: sample.test.path, from: backup, with: secret())
        #expect(report.isKeyringReplaced)
        let store = try sample.test.open()
        #expect(store.keyring.unlockers.map(\.label) == ["test", "later"])
        #expect(try sample.test.rows(sample.info, in: store) == 300)
    }

    /// One envelope is lost; the root key has been rotated since, so the one in the backup is sealed under a key that is gone.
    @Test func aLostEnvelopeComesBackUnderTheNewRootKey() async throws {
        try await sample.store.backUpKeyring(to: backup)
        try await sample.store.rotateRootKey()
        let path = keyring.appending("envelopes").appending("\(sample.scope).json")
        try FileManager.default.removeItem(atPath: path.string)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "envelope_missing")
        try sample.store.lock()
        let before = try TestFiles.snapshot(sample.test.path)
        let plan = try await Store.restoreKeyring(
            of: sample.test.path, from: backup, with: secret(), isDryRun: true)
        #expect(!plan.isKeyringReplaced && plan.envelopesReplaced == [sample.info.id.description])
        #expect(try TestFiles.snapshot(sample.test.path) == before)
        let report = try await Store.restoreKeyring(of: sample.test.path, from: backup, with: secret())
        #expect(!report.isKeyringReplaced && report.envelopesReplaced == [sample.info.id.description])
        let store = try sample.test.open()
        #expect(try sample.test.rows(sample.info, in: store) == 300)
        #expect(try store.keyring.envelopesUnderOlderRootKeys() == 0)
        #expect(store.keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
    }

    /// The keyring file is damaged after a rotation of the root key: everything else there is under a root key that is lost.
    @Test func aDamagedKeyringFileComesBackWithTheEnvelopesOfItsTime() async throws {
        try await sample.store.backUpKeyring(to: backup)
        try await sample.store.rotateRootKey()
        try sample.store.lock()
        try TestFiles.edit(keyring.appending("keyring.json")) { $0[50] ^= 1 }
        let plan = try await Store.restoreKeyring(
            of: sample.test.path, from: backup, with: secret(), isDryRun: true)
        #expect(plan.isKeyringReplaced && plan.envelopesReplaced.count == 2 && plan.isStoreFileReplaced)
        let report = try await Store.restoreKeyring(
            of: sample.test.path, from: backup, with: secret(), acceptingSequence: plan.sequence)
        #expect(report.isKeyringReplaced && report.envelopesReplaced.count == 2 && report.failed.isEmpty)
        let store = try sample.test.open()
        #expect(try sample.test.rows(sample.info, in: store) == 300)
        let names = try FileManager.default.contentsOfDirectory(atPath: keyring.string)
        #expect(names.contains { $0.hasSuffix(".replaced") }, "what was there is kept: \(names)")
    }

    @Test func aBackupThatWasInterruptedIsNone() async throws {
        let probe = FailingProbe(failing: 3, with: .noSpace, calls: [.rename])
        #expect(
            await SystemCalls.$probe.withValue(probe) {
                await code { try await sample.store.backUpKeyring(to: backup) }
            } == "disk_full")
        #expect(await code { _ = try await rehearse() } == "keyring_missing")
    }
}
