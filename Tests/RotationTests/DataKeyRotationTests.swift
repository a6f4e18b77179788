import Foundation
import GRDB
import Snapshots
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// A store with one closed profile of so many rows.
struct RotationStore {
    let test: TestStore
    let store: Store
    let info: ProfileInfo
    var scope: KeyScope { .profile(info.id) }
    var main: FilePath { test.databaseFile(info) }
    var files: DatabaseFiles { DatabaseFiles(scope, in: test.path) }

    init(rows: Int = 300, policy: [(String, String)] = []) throws {
        test = try TestStore(policy: policy)
        store = try test.open()
        info = try store.createProfile(named: "sample")
        try test.fill(info, in: store, rows: rows)
    }

    func envelope() throws -> Envelope { try store.keyring.envelope(for: scope) }

    /// What the file at this path begins with.
    func keyID(_ path: FilePath? = nil) throws -> KeyID? {
        try KeyID(DataFile(path ?? main).bytes(at: 0, count: KeyID.length))
    }
}

@Suite struct DataKeyRotationTests {
    @Test(arguments: [
        [], [("authentication: hmac-sha512", "authentication: hmac-sha256"), ("size: 4096", "size: 8192")],
    ])
    func aClosedProfileMovesToAnotherKey(policy: [(String, String)]) async throws {
        let sample = try RotationStore(policy: policy)
        let old = try TestFiles.read(sample.main)
        let before = try #require(try sample.envelope().activeDataKey)
        let report = try await sample.store.rotateDataKey(of: sample.scope)
        #expect(report.generation == 2 && report.previousGeneration == 1 && report.pages > 10)
        #expect(report.millisecondsHeld == nil)
        let envelope = try sample.envelope()
        #expect(envelope.dataKeys.map(\.state) == [.decryptOnly, .active])
        #expect(envelope.dataKeys[0].retired != nil && envelope.dataKeys[1].retired == nil)
        #expect(try sample.keyID() == envelope.activeDataKey?.keyID)
        #expect(try sample.keyID() != before.keyID)
        let oldKey = try sample.store.keyring.dataKey(generation: 1, of: envelope)
        let scan = try PageScanner.scan(sample.main, under: oldKey)
        #expect(scan.badPageCount == scan.pageCount && scan.pageCount == report.pages, "old keys fail")
        #expect(try sample.test.rows(sample.info, in: sample.store) == 300)
        #expect(try sample.store.verify(sample.info).isHealthy)
        // The old file, put back, is told as what it is.
        let new = try TestFiles.read(sample.main)
        try TestFiles.write(old, to: sample.main)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "database_wrong_key")
        try TestFiles.write(new, to: sample.main)
        // Not a page is the same.
        let pageSize = before.pageFormat.size
        let oldPages = Set(stride(from: 0, to: old.count, by: pageSize).map { Array(old[$0..<$0 + pageSize]) })
        #expect(
            stride(from: 0, to: new.count, by: pageSize).allSatisfy {
                !oldPages.contains(Array(new[$0..<$0 + pageSize]))
            })
    }

    @Test func theGlobalDatabaseMovesToo() async throws {
        let sample = try RotationStore()
        try await sample.store.rotateDataKey(of: .global)
        #expect(try sample.store.profiles().map(\.name) == ["sample"])
        try sample.store.lock()
        let again = try sample.test.open()
        #expect(try again.profiles().count == 1)
        #expect(try again.keyring.envelope(for: .global).activeDataKey?.generation == 2)
    }

    @Test func snapshotsOfEveryGenerationOpen() async throws {
        let sample = try RotationStore()
        var snapshots: [Snapshot] = []
        for round in 1...3 {
            snapshots.append(try await sample.store.createSnapshot(of: sample.scope))
            let key = sample.test.directory.appending("verify-\(round)")
            try await sample.store.writeVerifyKey(of: sample.scope, to: key)
            try await sample.store.rotateDataKey(of: sample.scope)
        }
        #expect(snapshots.map(\.keyGeneration) == [1, 2, 3])
        for (index, snapshot) in snapshots.enumerated() {
            #expect(try await sample.store.verifySnapshot(snapshot).isHealthy)
            // A verify key from before the rotations verifies what was there then.
            let path = sample.main.removingLastComponent().appending("backups").appending(snapshot.name + ".db")
            let verified = try await VerifyKey(sample.test.directory.appending("verify-\(index + 1)")).verify(path)
            #expect(verified.isHealthy)
            _ = try await sample.store.exportSnapshot(
                snapshot, to: sample.test.directory.appending("out-\(index).db"),
                newKeyFile: sample.test.directory.appending("out-\(index).key"))
        }
        let report = try await sample.store.restoreSnapshot(snapshots[0])
        #expect(report.isReencrypted)
        #expect(try sample.keyID() == sample.envelope().activeDataKey?.keyID)
        #expect(try sample.test.rows(sample.info, in: sample.store) == 300)
    }

    @Test func whatCannotBeRotatedIsLeftAsItIs() async throws {
        let sample = try RotationStore()
        let before = try TestFiles.snapshot(sample.test.path.appending("profiles"))
        // Another process has it.
        let lock = try FileLock(sample.files.lock)
        #expect(await code { try await sample.store.rotateDataKey(of: sample.scope) } == "profile_in_use")
        lock.release()
        // A snapshot is under way, or another rotation.
        let held = try sample.store.keyring.holdRotation()
        #expect(await code { try await sample.store.rotateDataKey(of: sample.scope) } == "rotation_blocked")
        held.release()
        let other = try sample.store.keyring.beginRotation()
        #expect(await code { try await sample.store.rotateDataKey(of: sample.scope) } == "rotation_blocked")
        #expect(await code { _ = try await sample.store.createSnapshot(of: sample.scope) } == "rotation_blocked")
        other.release()
        #expect(try TestFiles.snapshot(sample.test.path.appending("profiles")) == before)
        // A damaged page ends it, and is named.
        try TestFiles.edit(sample.main) { $0[5 * 4096 + 100] ^= 1 }
        let damaged = try TestFiles.read(sample.main)
        #expect(await code { try await sample.store.rotateDataKey(of: sample.scope) } == "page_not_authentic")
        #expect(try TestFiles.read(sample.main) == damaged)
        #expect(try !StrictFiles.exists(sample.files.rotating))
        #expect(try sample.envelope().dataKeys.map(\.state) == [.active, .pending])
        // Whole again, the key that was made for it is used, and no third one.
        try TestFiles.edit(sample.main) { $0[5 * 4096 + 100] ^= 1 }
        let report = try await sample.store.rotateDataKey(of: sample.scope)
        #expect(report.generation == 2)
    }

    @Test func aFleetGoesOnWhereItWasAndNobodyStopsTheOthers() async throws {
        let sample = try RotationStore(rows: 20)
        var infos = [sample.info]
        for name in ["a", "b", "c"] {
            infos.append(try sample.store.createProfile(named: name))
            try sample.test.fill(infos[infos.count - 1], in: sample.store, rows: 20)
        }
        // Cancelled after the second database.
        let second = infos[1].id
        let task = Task {
            try await sample.store.rotateAllDataKeys { scope, progress in
                if scope == .profile(second), progress.phase == .exchanging { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        #expect(await code { _ = try await task.value } == "cancelled")
        #expect(sample.store.keyring.rotations.map(\.kind) == [.data])
        try sample.store.lock()
        let again = try sample.test.open()
        let broken = sample.test.databaseFile(infos[3])
        try TestFiles.edit(broken) { $0[4096 + 9] ^= 1 }
        let report = try await again.rotateAllDataKeys()
        #expect(report.isResumed && report.doneBefore == 2)
        #expect(report.rotated.count == 2)
        #expect(report.failed.map(\.scope) == [infos[3].id.description])
        #expect(again.keyring.rotations.isEmpty)
        for info in infos.dropLast() {
            #expect(try again.keyring.envelope(for: .profile(info.id)).activeDataKey?.generation == 2)
            #expect(try sample.test.rows(info, in: again) == 20)
        }
        #expect(try again.keyring.envelope(for: .profile(infos[3].id)).activeDataKey?.generation == 1)
    }

    /// Ages are judged by the clock that is given, and one that has gone backwards makes nothing old.
    @Test func agesAreDue() async throws {
        let sample = try RotationStore()
        let day: TimeInterval = 86_400
        let later = Date() + 366 * day
        #expect(try sample.store.policyViolations(now: later).map(\.code) == ["root_key_too_old", "data_keys_too_old"])
        let status = try sample.store.keyStatus(now: later)
        #expect(status.rootKeys.map(\.isDue) == [true] && status.dataKeys.allSatisfy { $0.isDue })
        #expect(
            try await sample.store.diagnostics(profile: sample.info.id, now: later).profile?.cipher?.isKeyDue == true)
        for now in [Date(), Date() - 4_000 * day] {
            #expect(try sample.store.policyViolations(now: now).isEmpty)
            #expect(try sample.store.keyStatus(now: now).dataKeys.allSatisfy { $0.ageDays == 0 })
        }
        // What is rotated is due no more, and what is retired never is.
        _ = try await sample.store.rotateAllDataKeys()
        let after = try sample.store.keyStatus(now: later)
        #expect(after.dataKeys.filter { $0.state == .decryptOnly }.allSatisfy { !$0.isDue })
    }

    /// An older envelope does not know the key that the database is under now.
    @Test func anOlderEnvelopeIsNotUsed() async throws {
        let sample = try RotationStore()
        let path = sample.store.keyring.directory.appending("envelopes").appending("\(sample.scope).json")
        let old = try TestFiles.read(path)
        try await sample.store.rotateDataKey(of: sample.scope)
        let new = try TestFiles.read(path)
        try TestFiles.write(old, to: path)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "envelope_rolled_back")
        #expect(await code { try await sample.store.rotateDataKey(of: sample.scope) } == "envelope_rolled_back")
        try TestFiles.write(new, to: path)
        #expect(try sample.test.rows(sample.info, in: sample.store) == 300)
    }

    @Test func anOlderDatabaseOfTheSameKeyIsNoticed() async throws {
        let sample = try RotationStore()
        try await sample.store.rotateDataKey(of: sample.scope)
        let old = try TestFiles.read(sample.main)
        try sample.test.fill(sample.info, in: sample.store, rows: 1)
        try sample.test.fill(sample.info, in: sample.store, rows: 1)
        try TestFiles.write(old, to: sample.main)
        #expect(code { _ = try sample.store.openProfile(sample.info) } == "database_rolled_back")
    }
}
