import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// Rules 1 to 3 of docs/security/custody.md, each attack as it was seen.
@Suite struct KeyringCustodyTests {
    private let test: TestStore
    private let info: ProfileInfo
    private let forger: Forger
    private var directory: FilePath { test.path.appending("keyring") }
    private var keyring: FilePath { directory.appending("keyring.json") }
    private var backup: FilePath { test.directory.appending("backup") }
    private func secret() throws -> UnlockSecret { try .keyFile(test.keyFile) }

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 5)
        forger = try Forger.shared.get()
    }

    private func restore(accepting sequence: Int? = nil, policy: String? = nil) async throws -> KeyringRestoreReport {
        try await Store.restoreKeyring(
            of: test.path, from: backup, with: secret(), acceptingSequence: sequence, acceptingPolicy: policy)
    }

    private func makeBackup() async throws {
        let store = try test.open()
        try await store.backUpKeyring(to: backup)
        try store.lock()
    }

    // MARK: Rule 1

    /// keyring.json is exchanged under a running process for one in which every known root key is destroyed and an unknown one is active.
    @Test(arguments: ["missing", "random"]) func aKeyringExchangedUnderAnOpenStoreIsNotFollowed(endorsed: String) throws
    {
        let store = try test.open()
        try forger("takeover", ["keyring": keyring, "out": keyring, "endorsed": endorsed])
        let forged = try TestFiles.read(keyring)
        #expect(code { try store.createProfile(named: "next") } == "keyring_continuity_broken")
        // What is under the true root key goes on.
        #expect(try test.rows(info, in: store) == 5)
        #expect(
            code { try store.addUnlocker(.key(.init(testing: Array(repeating: 3, count: 32))), label: "next") }
                == "keyring_continuity_broken")
        #expect(try TestFiles.read(keyring) == forged, "nothing is written on top of it")
        #expect(try DurableFiles.names(in: directory.appending("envelopes")).count == 2)
        try store.lock()
    }

    /// The negative control: without the check the next profile is sealed under the attacker's root key.
    @Test func withoutContinuityTheAttackersRootKeySealsTheNextProfile() throws {
        let store = try test.open()
        let made = try forger("takeover", ["keyring": keyring, "out": keyring, "endorsed": "random"])
        try CustodyCheck.$skipped.withValue(.continuity) {
            let scope = KeyScope.profile(try ProfileID.random())
            _ = try store.keyring.createEnvelope(for: scope, pageFormat: store.policy.pageFormat)
            let version: Int = try made.value("version")
            let keys = try forger(
                "data-keys",
                [
                    "envelope": directory.appending("envelopes").appending("\(scope).json"),
                    "roots": ["\(version)": made.value("root", as: String.self)],
                ])
            let key: String = try keys.value("keys", "1", "key")
            #expect(key.count == 64)
        }
        try store.lock()
    }

    /// One rotation by another process is followed, also after the key before it is gone. Of two, the process must open the store again.
    @Test func aRotationIsFollowedAndTwoAtOnceAreNot() async throws {
        let sleeping = try test.open()
        let working = try test.open()
        try await working.rotateRootKey()
        #expect(working.keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(try test.rows(info, in: sleeping) == 5)
        try await working.rotateRootKey()
        try await working.rotateRootKey()
        #expect(code { _ = try sleeping.openProfile(info) } == "keyring_continuity_broken")
        try sleeping.lock()
        #expect(try test.rows(info, in: working) == 5)
        try working.lock()
    }

    /// A forged keyring with a high sequence opens with the operator's key file, and would be the newer one.
    @Test func aForgedKeyringIsNotTheOneThatARestoreKeeps() async throws {
        try await makeBackup()
        let made = try forger("takeover", ["keyring": keyring, "out": keyring, "endorsed": "random", "by": 100])
        let forged = try TestFiles.read(keyring)
        #expect(await code { _ = try await restore() } == "keyring_continuity_broken")
        #expect(try TestFiles.read(keyring) == forged)
        // The operator says that the backup is what counts.
        let sequence = try LockedKeyring(in: backup).sequence
        let report = try await restore(accepting: sequence)
        #expect(report.isKeyringReplaced)
        let store = try test.open()
        #expect(try test.rows(info, in: store) == 5)
        try store.lock()
        let roots = ["\(try made.value("version", as: Int.self))": try made.value("root", as: String.self)]
        for file in try TestFiles.tree(directory) where file.extension == "json" {
            let found = try forger("masscheck", ["file": file, "roots": roots])
            let fits: [Any] = try found.value("roots")
            #expect(fits.isEmpty, "\(file)")
        }
    }

    // MARK: Rule 2

    /// A forged store.json beside a weakened policy.yaml: `key restore`, where the runbook leads, does not sign it.
    @Test(arguments: [true, false]) func aForgedStoreFileIsNotSignedByAKeyRestore(hasCopy: Bool) async throws {
        try await makeBackup()
        let (document, policy) = (test.path.appending("store.json"), test.path.appending("policy.yaml"))
        let (true1, true2) = (try TestFiles.read(document), try TestFiles.read(policy))
        let weak = Array(
            String(decoding: true2, as: UTF8.self).replacing("minimumBytes: ", with: "minimumBytes: 1 # ").utf8)
        #expect(weak != true2)
        try TestFiles.write(weak, to: policy)
        let digest = TestDigest.sha256(weak)
        try forger(
            "resum", ["file": document, "out": document, "edits": [Forger.edit(["policy", "digest"], digest)]])
        #expect(code { _ = try test.open() } == "store_forged")
        if hasCopy {
            let report = try await restore()
            #expect(report.isStoreFileReplaced && report.isPolicyReplaced)
            #expect(try TestFiles.read(policy) == true2)
        } else {
            for name in ["store.json", "policy.yaml"] { try DurableFiles.remove(backup.appending(name)) }
            let forged = try TestFiles.read(document)
            #expect(await code { _ = try await restore() } == "store_unverifiable")
            let other = String(repeating: "0", count: 64)
            #expect(await code { _ = try await restore(policy: other) } == "store_unverifiable")
            #expect(try TestFiles.read(document) == forged)
            try TestFiles.write(true1, to: document)
            try TestFiles.write(true2, to: policy)
            _ = try await restore()
        }
        let store = try test.open()
        #expect(store.policy.digest == TestDigest.sha256(true2))
        try store.lock()
    }

    // MARK: Rule 3

    /// An unlocker was removed; then an older keyring.json is put back, and `key restore` called with whatever backup there is.
    @Test func aRemovedUnlockerDoesNotComeBackByAKeyRestore() async throws {
        let removed = try UnlockSecret.key(.init(testing: Array(repeating: 0x6b, count: 32)))
        var store = try test.open()
        let id = try store.addUnlocker(removed, label: "leaver")
        try await store.backUpKeyring(to: backup)
        let older = try TestFiles.read(keyring)
        try store.removeUnlocker(id)
        try store.lock()
        try TestFiles.write(older, to: keyring)
        #expect(code { _ = try Store.open(at: test.path, with: removed) } == "keyring_rolled_back")
        #expect(await code { _ = try await restore() } == "keyring_rolled_back")
        #expect(try TestFiles.read(keyring) == older, "it is not signed under a higher sequence")
        // Accepted by its sequence: it says what comes back, writes it down, and shows it until it is acknowledged.
        let sequence = try LockedKeyring(in: directory).sequence
        let report = try await restore(accepting: sequence)
        #expect(report.olderState?.unlockers.contains(id) == true && report.olderState?.sequence == sequence)
        store = try test.open()
        #expect(try store.olderStates().map(\.unlockers) == [report.olderState?.unlockers ?? []])
        try store.lock()
    }

    /// The same through a damaged global.db, whose restore lowered the stored sequence.
    @Test func aRestoreOfTheGlobalDatabaseLowersNoSequence() async throws {
        let removed = try UnlockSecret.key(.init(testing: Array(repeating: 0x6b, count: 32)))
        var store = try test.open()
        let id = try store.addUnlocker(removed, label: "leaver")
        _ = try await store.createSnapshot(of: .global)
        let older = try TestFiles.read(keyring)
        try store.removeUnlocker(id)
        try store.lock()
        try TestFiles.write(older, to: keyring)
        try TestFiles.edit(test.path.appending("global.db")) { for index in 100..<200 { $0[index] ^= 0x55 } }
        let newest: () async throws -> Snapshot = {
            try await store.snapshot("latest", of: .global)
        }
        store = try Store.openWithoutGlobal(at: test.path, with: removed)
        #expect(await code { _ = try await store.restoreSnapshot(newest()) } == "keyring_rolled_back")
        #expect(code { try store.acceptOlderKeyring(sequence: 7) } == "keyring_rolled_back")
        let sequence = store.keyring.sequence
        #expect(try store.acceptOlderKeyring(sequence: sequence)?.unlockers.contains(id) == true)
        #expect(try TestFiles.read(keyring) == older)
        let report = try await store.restoreSnapshot(newest())
        #expect(report.acceptedOlderState?.unlockers.contains(id) == true)
        try store.lock()
        store = try test.open()
        #expect(try store.olderStates().count == 1)
        let stored = try await store.readGlobal { try ProfileRegistry.keyringSequence($0) }
        #expect(stored > sequence && stored <= store.keyring.sequence)
        try store.lock()
    }

    /// An envelope from before a key was destroyed has that key still.
    @Test(arguments: ["retired", "shredded"]) func anEnvelopeWithADestroyedKeyDoesNotComeBack(by way: String)
        async throws
    {
        let test = try TestStore(policy: [("graceDays: ", "graceDays: 0 # ")])
        let info = try test.makeProfile(rows: 5)
        let scope = KeyScope.profile(info.id)
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(info.id).json")
        var store = try test.open()
        try await store.rotateDataKey(of: scope)
        let older = try TestFiles.read(envelope)
        if way == "retired" {
            let report = try await store.retireDataKeys(of: [scope], destroying: true)
            #expect(report.keys.map(\.outcome) == [.destroyed])
        } else {
            _ = try await store.shredProfile(info.id)
        }
        try store.lock()
        try TestFiles.write(older, to: envelope)
        store = try test.open()
        #expect(code { _ = try store.openProfile(info) } == "envelope_rolled_back")
        #expect(await code { _ = try await store.rotateDataKey(of: scope) } == "envelope_rolled_back")
        try store.lock()
    }
}
