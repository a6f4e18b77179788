import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// Rules 2 and 3 of docs/security/custody.md where `key restore` has to choose between what is there and a backup.
@Suite struct KeyRestorationCustodyTests {
    private let test: TestStore
    private let info: ProfileInfo
    private var directory: FilePath { test.path.appending("keyring") }
    private var keyring: FilePath { directory.appending("keyring.json") }
    private var backup: FilePath { test.directory.appending("backup") }

    init() throws {
        test = try TestStore(policy: [("graceDays: ", "graceDays: 0 # ")])
        info = try test.makeProfile(rows: 5)
    }

    private func envelope(_ scope: KeyScope) -> FilePath {
        directory.appending("envelopes").appending("\(scope).json")
    }

    private func use(_ body: (Store) async throws -> Void) async throws {
        let store = try test.open()
        try await body(store)
        try store.lock()
    }

    private func rows() async throws -> Int {
        let store = try test.open()
        defer { try? store.lock() }
        return try test.rows(info, in: store)
    }

    private func restore(accepting sequence: Int? = nil) async throws -> KeyringRestoreReport {
        try await Store.restoreKeyring(
            of: test.path, from: backup, with: .keyFile(test.keyFile), acceptingSequence: sequence)
    }

    /// An envelope from before its database was rotated stands there, and the backup has the newer one.
    @Test(arguments: ["profile", "global"]) func theNewerEnvelopeOfABackupTakesThePlaceOfAnOlderOne(
        of kind: String
    ) async throws {
        let scope: KeyScope = kind == "global" ? .global : .profile(info.id)
        let older = try TestFiles.read(envelope(scope))
        try await use { store in
            try await store.rotateDataKey(of: scope)
            try await store.backUpKeyring(to: backup)
        }
        try TestFiles.write(older, to: envelope(scope))
        #expect(await code { _ = try await rows() }?.hasPrefix("database_") == true)
        let report = try await restore()
        #expect(report.envelopesReplaced == ["\(scope)"] && report.olderState == nil && report.failed.isEmpty)
        #expect(try await rows() == 5)
    }

    /// The backup's envelope is older than the one that is there, and knows nothing of the key that the database is under.
    @Test func anOlderEnvelopeOfABackupTakesNoPlace() async throws {
        try await use { store in
            try await store.backUpKeyring(to: backup)
            try await store.rotateDataKey(of: .profile(info.id))
        }
        let newest = try TestFiles.read(envelope(.profile(info.id)))
        let report = try await restore()
        #expect(report.envelopesReplaced.isEmpty && report.failed.isEmpty)
        #expect(try TestFiles.read(envelope(.profile(info.id))) == newest)
        #expect(try await rows() == 5)
    }

    /// An older envelope with the right key stands there, and the backup has none that is newer: it is brought up to its database.
    @Test func anEnvelopeThatStaysIsBroughtUpToItsDatabase() async throws {
        try await use { try await $0.backUpKeyring(to: backup) }
        let older = try TestFiles.read(envelope(.profile(info.id)))
        for _ in 0..<3 { try await use { try test.fill(info, in: $0, rows: 1) } }
        try TestFiles.write(older, to: envelope(.profile(info.id)))
        #expect(await code { _ = try await rows() } == "envelope_rolled_back")
        let report = try await restore()
        #expect(report.epochsBroughtUpToDate == ["\(info.id)"] && report.failed.isEmpty)
        #expect(try await rows() == 8)
    }

    /// Nobody has the keyring of before, and the global database cannot be opened: what was accepted is asked again when it is back.
    @Test func whatCannotBeWrittenDownIsNotAcceptedForEver() async throws {
        try await use { try await $0.backUpKeyring(to: backup) }
        let older = try TestFiles.read(envelope(.global))
        try await use { store in
            try store.addUnlocker(.key(.init(testing: Array(repeating: 9, count: 32))), label: "later")
            try await store.rotateDataKey(of: .global)
            _ = try await store.retireDataKeys(of: [.global], destroying: true)
        }
        let newest = try TestFiles.read(envelope(.global))
        try TestFiles.write(older, to: envelope(.global))
        try FileManager.default.removeItem(atPath: keyring.string)
        #expect(await code { _ = try await restore() } == "keyring_sequence_unproven")
        _ = try? await restore(accepting: 1)
        #expect(await code { _ = try await restore() } == "keyring_sequence_unproven", "it is asked again")
        // With the true envelope, what was lost is known, and it is asked with that.
        try TestFiles.write(newest, to: envelope(.global))
        #expect(await code { _ = try await restore() } == "keyring_rolled_back")
        let report = try await restore(accepting: LockedKeyring(in: directory).sequence)
        #expect(report.olderState != nil)
        try await use { store in
            let states = try store.olderStates()
            #expect(!states.isEmpty)
        }
    }

    /// The registry of before cannot be read, and the envelope of before the profile was shredded is back: the certificate says what became
    /// of its key.
    @Test func aCertificateIsAWitnessWhenTheRegistryIsGone() async throws {
        let before = try TestFiles.read(envelope(.profile(info.id)))
        try await use { store in
            _ = try await store.createSnapshot(of: .global)
            _ = try await store.shredProfile(info.id)
        }
        try TestFiles.write(before, to: envelope(.profile(info.id)))
        try TestFiles.write([], to: test.path.appending("global.db"))
        let recovered = try Store.openWithoutGlobal(at: test.path, with: .keyFile(test.keyFile))
        _ = try await recovered.restoreSnapshot(recovered.snapshot("latest", of: .global))
        try recovered.lock()
        try await use { store in
            let ids = try store.profiles().map(\.id)
            #expect(!ids.contains(info.id))
        }
    }

    /// Without the certificate nobody knows, and the profile is there again: what the test above finds is the certificate.
    @Test func withoutACertificateAShreddedProfileIsThereAgain() async throws {
        let before = try TestFiles.read(envelope(.profile(info.id)))
        try await use { store in
            _ = try await store.createSnapshot(of: .global)
            _ = try await store.shredProfile(info.id)
        }
        try TestFiles.write(before, to: envelope(.profile(info.id)))
        try TestFiles.write([], to: test.path.appending("global.db"))
        try FileManager.default.removeItem(atPath: directory.appending("certificates").string)
        let recovered = try Store.openWithoutGlobal(at: test.path, with: .keyFile(test.keyFile))
        _ = try await recovered.restoreSnapshot(recovered.snapshot("latest", of: .global))
        try recovered.lock()
        try await use { store in
            let ids = try store.profiles().map(\.id)
            #expect(ids.contains(info.id))
        }
    }

    /// keyring.json from before the root key was rotated: the store's own file is under a newer one.
    @Test func aKeyringFromBeforeARootRotationIsCalledOlder() async throws {
        let older = try TestFiles.read(keyring)
        try await use { try await $0.rotateRootKey() }
        try TestFiles.write(older, to: keyring)
        #expect(code { _ = try test.open() } == "keyring_rolled_back")
        // The store's own file of before beside it: then it is the envelopes that are told, which are newer.
        #expect(try TestFiles.read(keyring) == older)
    }
}
