import Foundation
import GRDB
import Snapshots
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

@Suite struct RetirementTests {
    private static let noGrace = [("graceDays: 30", "graceDays: 0")]
    private static let day: TimeInterval = 86_400

    @Test func aKeyIsKeptForAsLongAsAFileIsUnderIt() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        let snapshot = try await sample.store.createSnapshot(of: sample.scope)
        try await sample.store.rotateDataKey(of: sample.scope)
        let kept = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(kept.keys.map(\.outcome) == [.inUse] && kept.keys[0].snapshots == 1 && kept.keys[0].databases == 0)
        #expect(try await sample.store.verifySnapshot(snapshot).isHealthy)
        // Restored, what was there goes to quarantine, under the newer key; the snapshot goes.
        _ = try await sample.store.createSnapshot(of: sample.scope)
        _ = try await sample.store.pruneSnapshots(of: sample.scope, keeping: Retention(last: 1))
        let gone = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(gone.keys.map(\.outcome) == [.destroyed])
        #expect(try sample.envelope().dataKeys.map(\.state) == [.destroyed, .active])
        #expect(
            code { _ = try sample.store.keyring.dataKey(generation: 1, of: sample.envelope()) }
                == "data_key_unavailable")
        #expect(try sample.test.rows(sample.info, in: sample.store) == 300)
    }

    @Test(arguments: [
        "corrupted/x/profile.db", "corrupted/x/profile.db-wal", "old copy", "backups/stray.db", "backups/deep/er/x",
    ])
    func wherever(place: String) async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        let path = sample.files.directory.pushing(FilePath(place))
        try FileManager.default.createDirectory(
            atPath: path.removingLastComponent().string, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        if place.hasSuffix("-wal") {
            let profile = try sample.store.openProfile(sample.info)
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('x')") }
            try TestFiles.write(TestFiles.read(sample.files.wal), to: path)
            try profile.close()
        } else {
            var bytes = try TestFiles.read(sample.main)
            // A damaged header does not hide it: its pages tell.
            if place.hasPrefix("corrupted") { for index in 0..<16 { bytes[index] = 0xff } }
            try TestFiles.write(bytes, to: path)
        }
        try await sample.store.rotateDataKey(of: sample.scope)
        let report = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(report.keys.map(\.outcome) == [.inUse], "\(place)")
        #expect(report.keys[0].quarantined == (place.hasPrefix("corrupted") ? 1 : 0))
        #expect(try sample.envelope().dataKeys.map(\.state) == [.decryptOnly, .active])
        try FileManager.default.removeItem(atPath: path.string)
        #expect(
            try await sample.store.retireDataKeys(of: [sample.scope], destroying: true).keys.map(\.outcome) == [
                .destroyed
            ])
    }

    /// Beside another file whose name is what text would make of it.
    @Test func underANameThatIsNotText() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        let strange = FileName(bytes: [0x63, 0xff])
        try TestFiles.write(TestFiles.read(sample.main), named: strange, in: sample.files.directory)
        try TestFiles.write([1, 2, 3], named: FileName(bytes: Array("c\u{fffd}".utf8)), in: sample.files.directory)
        try await sample.store.rotateDataKey(of: sample.scope)
        let report = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(report.keys.map(\.outcome) == [.inUse])
        try DurableFiles.remove(sample.files.directory.appending(strange))
        let gone = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(gone.keys.map(\.outcome) == [.destroyed])
    }

    @Test func whatCannotBeLookedAtKeepsTheKey() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        try await sample.store.rotateDataKey(of: sample.scope)
        let link = sample.files.directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: "/tmp")
        let report = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(report.keys.map(\.outcome) == [.undetermined] && report.keys[0].filesUnreadable == 1)
        #expect(try sample.envelope().dataKeys[0].state == .decryptOnly)
    }

    /// The clock may jump; it makes no key older than it is when it goes backwards.
    @Test func graceIsKept() async throws {
        let sample = try RotationStore()
        try await sample.store.rotateDataKey(of: sample.scope)
        let now = Date()
        for (date, outcome) in [
            (now, RetirementReport.Outcome.inGrace), (now + 29 * Self.day, .inGrace),
            (now - 4_000 * Self.day, .inGrace),
            (now + 31 * Self.day, .destroyed),
        ] {
            let report = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true, now: date)
            #expect(report.keys.map(\.outcome) == [outcome])
        }
    }

    @Test func nothingIsWrittenInADryRun() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        try await sample.store.rotateDataKey(of: sample.scope)
        let before = try TestFiles.snapshot(sample.store.keyring.directory)
        let report = try await sample.store.retireDataKeys(destroying: true, isDryRun: true)
        #expect(report.isDryRun && report.keys.map(\.outcome) == [.destroyed])
        #expect(try TestFiles.snapshot(sample.store.keyring.directory) == before)
    }

    @Test func certificatesSayWhatIsTrue() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        try await sample.store.rotateDataKey(of: sample.scope)
        _ = try await sample.store.retireDataKeys(of: [sample.scope], destroying: false)
        let path = sample.store.keyring.directory.appending("certificates").appending("\(sample.scope)-1.json")
        let unused = try sample.store.certificate(at: path)
        #expect(unused.outcome == .unused && unused.filesUnderKey == 0 && unused.filesExamined > 0)
        #expect(unused.keyId == (try sample.envelope().dataKeys[0].keyID.description))
        _ = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        #expect(try sample.store.certificate(at: path).outcome == .destroyed)
        // It stays readable when the root key rotates.
        try await sample.store.rotateRootKey()
        #expect(sample.store.keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(try sample.store.certificate(at: path).outcome == .destroyed)
        // Edited, it is none.
        let text = String(decoding: try TestFiles.read(path), as: UTF8.self)
        try TestFiles.write(Array(text.replacing("\"filesExamined\" : ", with: "\"filesExamined\" : 9").utf8), to: path)
        #expect(code { _ = try sample.store.certificate(at: path) } == "certificate_damaged")
        try TestFiles.write(TestDigest.resummed(text.replacing("\"destroyed\"", with: "\"shredded\"")), to: path)
        #expect(code { _ = try sample.store.certificate(at: path) } == "certificate_forged")
        // One that is lost is made again, on what is found then.
        try FileManager.default.removeItem(atPath: path.string)
        _ = try await sample.store.retireDataKeys(destroying: false)
        #expect(try sample.store.certificate(at: path).outcome == .destroyed)
    }

    /// One that says a key is gone which is there is refused, although it is authentic.
    @Test func aCertificateThatIsNotTrueIsRefused() async throws {
        let sample = try RotationStore(policy: Self.noGrace)
        try await sample.store.rotateDataKey(of: sample.scope)
        let envelope = sample.store.keyring.directory.appending("envelopes").appending("\(sample.scope).json")
        let before = try TestFiles.read(envelope)
        _ = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
        let after = try TestFiles.read(envelope)
        let path = sample.store.keyring.directory.appending("certificates").appending("\(sample.scope)-1.json")
        // Where the envelope is the older one, it is not the certificate's fault.
        try TestFiles.write(before, to: envelope)
        #expect(code { _ = try sample.store.certificate(at: path) } == "envelope_rolled_back")
        try TestFiles.write(after, to: envelope)
        let text = String(decoding: try JSONEncoder().encode(try sample.store.certificate(at: path)), as: UTF8.self)
        let untrue = text.replacing("\"generation\":1", with: "\"generation\":2")
        try #require(untrue != text)
        let certificate = try JSONDecoder().decode(RetirementCertificate.self, from: Data(untrue.utf8))
        try sample.store.keyring.write(certificate, to: path)
        #expect(code { _ = try sample.store.certificate(at: path) } == "certificate_malformed")
    }

    // MARK: Shredding

    @Test func afterShreddingNothingOpens() async throws {
        let sample = try RotationStore()
        let first = try await sample.store.createSnapshot(of: sample.scope)
        try await sample.store.rotateDataKey(of: sample.scope)
        let second = try await sample.store.createSnapshot(of: sample.scope)
        let backup = sample.test.directory.appending("backup")
        try await sample.store.backUpKeyring(to: backup)
        let planned = try await sample.store.shredProfile(sample.info.id, isDryRun: true)
        #expect(planned.keysDestroyed == 2 && planned.filesUnderKeys == 3)
        #expect(try sample.test.rows(sample.info, in: sample.store) == 300)
        // Nobody may have it open.
        let profile = try sample.store.openProfile(sample.info)
        #expect(await code { _ = try await sample.store.shredProfile(sample.info.id) } == "profile_in_use")
        try profile.close()

        let report = try await sample.store.shredProfile(sample.info.id)
        #expect(report.keysDestroyed == 2 && report.filesUnderKeys == 3)
        #expect(report.lastBackup != nil && report.lastBackupSequence == 1, "the backup is named as what still could")
        #expect(try sample.store.profiles().isEmpty)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "database_shredded")
        for snapshot in [first, second] {
            #expect(await code { _ = try await sample.store.restoreSnapshot(snapshot) } == "database_shredded")
            #expect(
                await code {
                    _ = try await sample.store.exportSnapshot(
                        snapshot, to: sample.test.directory.appending("o.db"),
                        newKeyFile: sample.test.directory.appending("o.key"))
                } == "snapshot_key_destroyed")
        }
        // With everything that is left in the keyring, and every unlocker: no key opens a page of any file.
        try sample.store.lock()
        let again = try sample.test.open()
        let envelope = try again.keyring.envelope(for: sample.scope)
        #expect(envelope.isShredded)
        for generation in 1...2 {
            #expect(
                code { _ = try again.keyring.dataKey(generation: generation, of: envelope) } == "data_key_unavailable")
        }
        let certificate = again.keyring.directory.appending("certificates").appending("\(sample.scope)-2.json")
        #expect(try again.certificate(at: certificate).outcome == .shredded)
        // The backup still could: the negative control.
        let rehearsal = try await Store.rehearseRecovery(
            of: sample.test.path, from: backup, with: .keyFile(sample.test.keyFile))
        #expect(rehearsal.databases == 2 && rehearsal.snapshots == 2 && rehearsal.failed.isEmpty)
        // And again: nothing to do.
        #expect(try await again.shredProfile(sample.info.id).keysDestroyed == 0)
        // Its files stay on purpose, and are none that nobody knows.
        #expect(try await again.diagnostics().posture.unregisteredProfiles == 0)
    }

    @Test func aDeletedProfileLeavesNothingButItsCertificate() async throws {
        let sample = try RotationStore()
        _ = try await sample.store.createSnapshot(of: sample.scope)
        let directory = sample.test.databaseFile(sample.info).removingLastComponent()
        let profile = try sample.store.openProfile(sample.info)
        #expect(await code { try await sample.store.deleteProfile(sample.info.id) } == "profile_in_use")
        #expect(try sample.store.profiles() == [sample.info])
        try profile.close()

        // One that was shredded already goes too, and a second time is no error.
        _ = try await sample.store.shredProfile(sample.info.id)
        #expect(try StrictFiles.exists(directory))
        for _ in 1...2 { try await sample.store.deleteProfile(sample.info.id) }
        #expect(try !StrictFiles.exists(directory))
        #expect(try sample.store.profiles().isEmpty)
        #expect(try await sample.store.diagnostics().posture.unregisteredProfiles == 0)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "database_missing")
        let certificate = sample.store.keyring.directory.appending("certificates").appending("\(sample.scope)-1.json")
        #expect(try sample.store.certificate(at: certificate).outcome == .shredded)
        // The name is free again.
        try sample.store.createProfile(named: sample.info.name)
    }

    @Test func anOlderRegistryDoesNotListAShreddedProfile() async throws {
        let sample = try RotationStore()
        let registry = try await sample.store.createSnapshot(of: .global)
        _ = try await sample.store.shredProfile(sample.info.id)
        _ = try await sample.store.restoreSnapshot(registry)
        #expect(try sample.store.profiles().isEmpty)
    }
}
