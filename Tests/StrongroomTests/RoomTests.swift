import Foundation
import KeyPolicy
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Strongroom

/// A disk without a byte left.
@Suite(.enabled(if: SmallDisk.isPossible, "only root may mount a file system"))
struct RoomTests {
    private let disk: SmallDisk
    private let store: Store
    private let info: ProfileInfo
    private let keyFile: FilePath

    init() async throws {
        disk = try SmallDisk(bytes: 24 << 20)
        keyFile = disk.path.appending("key")
        try TestFiles.write(TestStore.key, to: keyFile)
        store = try Store.create(at: disk.path.appending("store"), unlockers: [(.keyFile(keyFile), "test")])
        info = try store.createProfile(named: "one")
        let profile = try store.openProfile(info)
        try await profile.database.write { db in
            try db.execute(sql: "CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(2000000))")
        }
        try profile.close()
        _ = try await store.createSnapshot(of: .profile(info.id))
        _ = try await store.createSnapshot(of: .profile(info.id))
    }

    private func code(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch { return (error as? any ReportableError)?.code ?? "\(error)" }
    }

    @Test func whatOnlyLooksOrRemovesWorks() async throws {
        try DurableFiles.remove(store.reserve.path)
        try disk.fill()
        let scope = KeyScope.profile(info.id)
        #expect(await code { _ = try store.profiles() } == nil)
        #expect(await code { _ = try store.verifyGlobal() } == nil)
        #expect(await code { _ = try store.keyStatus() } == nil)
        #expect(await code { _ = try await store.removeLeftovers() } == nil)
        #expect(await code { _ = try await store.quarantines(of: scope) } == nil)
        let verified = try store.verify(info).condition
        #expect(verified == .healthy)
        let found = try await store.diagnostics(profile: info.id)
        #expect(!found.hasFindings)
        let snapshots = try await store.snapshots(of: scope).snapshots
        #expect(snapshots.count == 2)
        #expect(await code { _ = try await store.verifySnapshot(snapshots[0]) } == nil)
        #expect(try Room.available(in: disk.path) == 0)
        let pruned = try await store.pruneSnapshots(of: scope, keeping: Retention(last: 1))
        #expect(pruned.removed.count == 1)
    }

    @Test func aProfileCanBeDeletedWithTheRoomThatIsKept() async throws {
        try disk.fill()
        #expect(try Room.available(in: disk.path) == 0)
        _ = try await store.deleteProfile(info.id)
        #expect(try store.profiles().isEmpty)
        #expect(try !StrictFiles.exists(DatabaseFiles(.profile(info.id), in: store.directory).directory))
    }

    /// What the room that is kept is good for.
    @Test func withoutItThereIsAnError() async throws {
        try DurableFiles.remove(store.reserve.path)
        try disk.fill()
        #expect(await code { _ = try await store.deleteProfile(info.id) } == "disk_full")
        try disk.empty()
        // Nothing was lost, and it goes on from there.
        _ = try await store.deleteProfile(info.id)
        #expect(try store.profiles().isEmpty)
    }

    @Test func whatNeedsRoomSaysSoAndLeavesNothing() async throws {
        try DurableFiles.remove(store.reserve.path)
        try disk.fill()
        let before = try TestFiles.snapshot(store.directory)
        let scope = KeyScope.profile(info.id)
        #expect(await code { _ = try store.createProfile(named: "two") } == "disk_full")
        #expect(await code { _ = try await store.createSnapshot(of: scope) } == "disk_full")
        #expect(await code { _ = try await store.rotateDataKey(of: scope) } == "disk_full")
        let snapshot = try await store.snapshot("latest", of: scope)
        #expect(await code { _ = try await store.restoreSnapshot(snapshot) } == "disk_full")
        #expect(await code { _ = try await store.drillSnapshot(snapshot) } == "disk_full")
        #expect(
            await code {
                _ = try store.exportProfile(
                    info, toPlaintext: disk.path.appending("export.db"), confirmingPlaintext: true)
            } == "disk_full")
        #expect(try Room.available(in: disk.path) == 0)
        // What could not be written back is left to the next one to open the database.
        let after = try TestFiles.snapshot(store.directory).filter { !$0.key.hasSuffix("-wal") }
        #expect(Set(after.keys) == Set(before.keys))
        #expect(after.filter { before[$0.key] != $0.value }.isEmpty)
        try disk.empty()
        #expect(try store.verify(info).condition == .healthy)
        #expect(try await store.removeLeftovers().leftovers.isEmpty)
    }

    /// A transaction of the app's own finds no room in the middle.
    @Test func anAppLearnsIt() async throws {
        let profile = try store.openProfile(info)
        try disk.fill()
        do {
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t VALUES (randomblob(1000000))") }
            Issue.record("there was room")
        } catch { #expect("\(error)".contains("13")) }
        try disk.empty()
        try await profile.database.write { try $0.execute(sql: "INSERT INTO t VALUES (1)") }
        try profile.close()
    }

    /// Whether it is gone, or was being made when the machine stopped.
    @Test(arguments: [false, true]) func theReserveComesBack(isShort: Bool) throws {
        try DurableFiles.remove(store.reserve.path)
        if isShort { try TestFiles.write([0], to: store.reserve.path) }
        _ = try store.createProfile(named: "two")
        #expect(try StrictFiles.exists(store.reserve.path))
        #expect(try DiskUse(of: store.reserve.path).bytes >= RoomReserve.bytes)
    }

    @Test func howMuchIsSaid() throws {
        #expect(throws: DurableFilesError.self) { try Room.require(1 << 40, in: disk.path) }
        let error = DurableFilesError(.noRoom(needed: 12_345_678, available: 999_960), disk.path)
        #expect(error.code == "disk_full" && error.summary == "this needs about 12.3 MB, and 1.0 MB are free")
        #expect(Room.text(999) == "999 bytes" && Room.text(.max) == "9.2 EB")
    }
}
