import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// A store with one profile of a few hundred rows.
struct SnapshotStore {
    let test: TestStore
    let info: ProfileInfo
    let store: Store
    var scope: KeyScope { .profile(info.id) }

    init(rows: Int = 300, policy: [(String, String)] = []) throws {
        test = try TestStore(policy: policy)
        info = try test.makeProfile(rows: rows)
        store = try test.open()
    }

    func backups() -> FilePath { test.directoryOf(info).appending("backups") }
    func file(_ snapshot: Snapshot, _ suffix: String = ".db") -> FilePath {
        backups().appending(snapshot.name + suffix)
    }
    func rows() throws -> Int { try test.rows(info, in: store) }

    /// Another generation of the profile's key becomes the active one, and the file is re-encrypted to it.
    func rotate() async throws {
        let keyring = store.keyring
        let pending = try keyring.addPendingDataKey(to: keyring.envelope(for: scope))
        let generation = try #require(pending.dataKeys.last?.generation)
        let snapshot = try await store.createSnapshot(of: scope)
        let key = try keyring.dataKey(generation: generation, of: pending)
        let target = test.databaseFile(info)
        try FileManager.default.removeItem(atPath: target.string)
        try store.snapshotDirectory(of: scope).extract(snapshot, to: target, under: key)
        _ = try keyring.activateDataKey(generation: generation, of: pending)
        try store.snapshotDirectory(of: scope).remove(snapshot)
    }
}

@Suite struct SnapshotTests {
    let sample: SnapshotStore
    var store: Store { sample.store }
    var scope: KeyScope { sample.scope }
    init() throws { sample = try SnapshotStore() }

    @Test func aSnapshotOfAClosedProfileIsItsFile() async throws {
        let snapshot = try await store.createSnapshot(of: scope, reason: #require(SnapshotReason("nightly")))
        #expect(try TestFiles.read(sample.file(snapshot)) == TestFiles.read(sample.test.databaseFile(sample.info)))
        #expect(snapshot.reason == "nightly" && snapshot.ordinal == 1 && snapshot.keyGeneration == 1)
        #expect(snapshot.size == snapshot.pages * 4096 && snapshot.verified == nil)
        #expect(
            try TestFiles.tree(sample.backups()).compactMap(\.lastComponent?.string) == [
                snapshot.name + ".db", snapshot.name + ".json",
            ])
        for file in try TestFiles.tree(sample.backups()) {
            let mode = try FileManager.default.attributesOfItem(atPath: file.string)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
        let report = try await store.verifySnapshot(snapshot)
        #expect(report.isHealthy && report.pages == snapshot.pages)
        let list = try await store.snapshots(of: scope)
        #expect(list.snapshots.count == 1 && list.unusable.isEmpty)
        #expect(list.snapshots[0].verified != nil)
        #expect(try await store.snapshot("latest", of: scope).id == snapshot.id)
        #expect(try await store.snapshot(snapshot.id, of: scope).name == snapshot.name)
        #expect(try await store.snapshot(snapshot.name, of: scope).id == snapshot.id)
        #expect(await code { _ = try await store.snapshot("snap_aaaaaaaaaaaaaaaa", of: scope) } == "snapshot_not_found")
        #expect(await code { _ = try await store.snapshot("../../key", of: scope) } == "snapshot_not_found")
        #expect(await code { _ = try await store.snapshot("latest", of: .global) } == "snapshot_none")
    }

    /// What is committed stands in the WAL alone, a reader that began long ago is still reading, and one is writing.
    @Test func anOpenProfileIsTakenWithItsWALAndNobodyWaits() async throws {
        let profile = try store.openProfile(sample.info)
        try await profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            for _ in 0..<50 {
                try db.execute(sql: "INSERT INTO t (filling) VALUES (hex(randomblob(3000)))")
                try db.execute(sql: "UPDATE t SET filling = filling || 'y' WHERE i % 7 = 0")
            }
        }
        let snapshot: Snapshot
        do {
            let old = try profile.database.makeSnapshot()
            try await profile.database.write { try $0.execute(sql: "DELETE FROM t WHERE i > 340") }
            let before = try TestFiles.read(sample.test.databaseFile(sample.info))
            snapshot = try await profile.snapshot()
            #expect(
                try TestFiles.read(sample.test.databaseFile(sample.info)) == before, "nothing was checkpointed for it")
            #expect(try await old.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 350)
        }
        try await profile.database.write { try $0.execute(sql: "DELETE FROM t") }
        try profile.close()

        let report = try await store.restoreSnapshot(snapshot)
        #expect(report.integrityViolations == 0)
        #expect(try sample.rows() == 340)
    }

    @Test func theDatabaseMayGrowAndShrinkInTheWAL() async throws {
        let profile = try store.openProfile(sample.info)
        try await profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try db.execute(sql: "DELETE FROM t WHERE i > 3")
            try db.execute(sql: "VACUUM")
        }
        let small = try await profile.snapshot()
        try await profile.database.write {
            try $0.execute(sql: "INSERT INTO t (filling) SELECT hex(randomblob(4000)) FROM t a, t b, t c, t d")
        }
        let large = try await profile.snapshot()
        try profile.close()
        #expect(small.pages < 6 && large.pages > 80)
        _ = try await store.restoreSnapshot(small)
        #expect(try sample.rows() == 3)
        _ = try await store.restoreSnapshot(large)
        #expect(try sample.rows() == 84)
        #expect(try store.verify(sample.info).isHealthy)
    }

    @Test func closingWaitsForASnapshotThatIsBeingTaken() async throws {
        let profile = try store.openProfile(sample.info)
        let frozen = try profile.freeze { $0 }
        let closing = Task.detached { try profile.close() }
        try await Task.sleep(for: .milliseconds(100))
        #expect(code { _ = try profile.freeze { $0 } } == "store_locked")
        let snapshot = try frozen.take(SnapshotOccasion(reason: .manual), store, nil)
        try await closing.value
        #expect(try await store.verifySnapshot(snapshot).isHealthy)
    }

    /// An app writes as fast as it can, in a process of its own, and is asked to close while the last snapshot is being taken.
    @Test func aProfileThatAnotherProcessHasOpenIsTakenWhileItIsWritten() async throws {
        let app = try ChildProcess(
            "TestHelper",
            ["write-and-close", sample.test.path.string, sample.test.keyFile.string, sample.info.name])
        #expect(app.line().hasPrefix("row"))
        let directory = try store.snapshotDirectory(of: scope)
        var last = 0
        for _ in 0..<8 {
            let committed = app.line()
            let snapshot = try await store.createSnapshot(of: scope)
            #expect(try directory.verify(snapshot).isHealthy)
            let rows = try directory.rows(of: snapshot)
            #expect(rows >= Int(committed.split(separator: " ").last ?? "") ?? .max && rows >= last)
            last = rows
        }
        // Nobody else may open it, and it cannot be part of what is frozen together.
        #expect(code { _ = try store.openProfile(sample.info) } == "profile_in_use")
        #expect(try await store.createSnapshotSet().failed.map(\.code) == ["profile_in_use"])

        let occasion = SnapshotOccasion(reason: .manual)
        let frozen = try store.freezeOpenElsewhere(DatabaseFiles(scope, in: store.directory))
        app.send("")
        while app.line() != "closing" {}
        try await Task.sleep(for: .milliseconds(300))
        #expect(code { _ = try store.openProfile(sample.info) } == "profile_in_use", "it waits for the copy")
        let snapshot = try frozen.take(occasion, store, nil)
        let outcome = app.finish()
        #expect(outcome.outputText.hasSuffix("closed\n"), "\(outcome.outputText.suffix(300))")
        #expect(try directory.verify(snapshot).isHealthy)
        #expect(try directory.rows(of: snapshot) >= last)
        #expect(try store.verify(sample.info).isHealthy)
        _ = try await store.restoreSnapshot(snapshot)
        #expect(try sample.rows() == 300)
    }

    /// A WAL that began anew is as long as it was: what is written after the freeze goes where frames of its last round stood.
    @Test func aWALThatBeganAnewIsFrozenToo() async throws {
        let profile = try store.openProfile(sample.info)
        try profile.database.beginWALAnew()
        let before = try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
        var failed: [FailedDatabase] = []
        let frozen = try store.freezeAll(&failed)
        for _ in 0..<5 {
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('later')") }
        }
        let own = try #require(frozen.first { $0.files.scope == scope })
        let snapshot = try own.take(SnapshotOccasion(reason: .manual), store, nil)
        for database in frozen { database.release() }
        try profile.close()
        let copy = try await store.restoreSnapshot(snapshot, asProfileNamed: "copy").info
        #expect(try sample.test.rows(copy, in: store) == before)
        #expect(try sample.rows() == (before ?? 0) + 5)
    }

    @Test func aSetIsFrozenAtOneMoment() async throws {
        let names = ["b", "c", "d"]
        let infos = try names.map { try store.createProfile(named: $0) }
        for info in infos { try sample.test.fill(info, in: store, rows: 1) }
        let open = try infos.prefix(2).map { try store.openProfile($0) }
        // One writes to the first, and then to the second: at every moment the second has as many, or one fewer.
        let writing = Task {
            while !Task.isCancelled {
                for profile in open {
                    try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('x')") }
                }
            }
        }
        for _ in 0..<5 {
            let set = try await store.createSnapshotSet()
            #expect(set.failed.isEmpty && set.snapshots.count == 5)
            #expect(Set(set.snapshots.map(\.set)) == [set.name])
            var counts: [Int] = []
            for (index, info) in infos.prefix(2).enumerated() {
                let snapshot = try await store.snapshot(set.name, of: .profile(info.id))
                let copy = try await store.restoreSnapshot(snapshot, asProfileNamed: "copy \(index)").info
                counts.append(try sample.test.rows(copy, in: store))
                try await store.writeGlobal {
                    try $0.execute(sql: "DELETE FROM _strongroom_profiles WHERE id = ?", arguments: ["\(copy.id)"])
                }
            }
            #expect((0...1).contains(counts[0] - counts[1]), "\(counts)")
        }
        writing.cancel()
        _ = try? await writing.value
        for profile in open { try profile.close() }
    }

    @Test func aProfileThatCannotBeTakenDoesNotStopTheOthers() async throws {
        let broken = try store.createProfile(named: "broken")
        try TestFiles.edit(sample.test.databaseFile(broken)) { $0[4096 + 7] ^= 1 }
        let busy = try store.createProfile(named: "busy")
        let holder = try ChildProcess(
            "TestHelper", ["hold", sample.test.path.string, sample.test.keyFile.string, "busy"])
        #expect(holder.line() == "open")
        let set = try await store.createSnapshotSet()
        #expect(set.snapshots.map(\.scope) == ["global", "\(sample.info.id)"])
        #expect(
            Set(set.failed) == [
                .init(scope: "\(broken.id)", code: "database_pages_damaged"),
                .init(scope: "\(busy.id)", code: "profile_in_use"),
            ])
        #expect(
            try TestFiles.tree(sample.test.directoryOf(broken).appending("backups")).isEmpty, "nothing is left behind")
        holder.send("")
        _ = holder.finish()
        // Everything was let go.
        try store.openProfile(busy).close()
        #expect(try store.profiles().count == 3)
    }

    /// An app lets its profile go, and with it the last reference, on the very thread that is to end the hold.
    @Test func aProfileThatIsLetGoWhileItIsFrozenIsClosedAfterwards() throws {
        var frozen: FrozenDatabase? = try store.openProfile(sample.info).freeze { $0 }
        #expect(code { _ = try store.openProfile(sample.info) } == "profile_in_use")
        let snapshot = try frozen?.take(SnapshotOccasion(reason: #require(SnapshotReason("late"))), store, nil)
        #expect(snapshot?.reason == "late")
        frozen = nil
        try store.openProfile(sample.info).close()
    }

    @Test func theOrderIsThatOfMakingWhateverTheClockSays() async throws {
        let directory = try store.snapshotDirectory(of: scope)
        let now = Date()
        for (offset, reason) in [(0.0, "a"), (-86_400 * 400, "b"), (-86_400 * 400, "b"), (5, "c")] {
            let frozen = try #require(try? store.openProfile(sample.info)).freeze { $0 }
            let occasion = SnapshotOccasion(
                reason: try #require(SnapshotReason(reason)), date: now.addingTimeInterval(offset))
            _ = try frozen.take(occasion, store, nil)
            try store.openProfile(sample.info.id)?.close()
        }
        let list = try directory.list().snapshots
        #expect(list.map(\.reason) == ["a", "b", "b", "c"])
        #expect(Set(list.map(\.name)).count == 4, "the same millisecond twice makes two names")
        #expect(try directory.find("latest").reason == "c")
        let pruned = try directory.prune(Retention(last: 2), isDryRun: false)
        #expect(pruned.kept.map(\.reason) == ["b", "c"])
    }

    @Test func manyAtOnceAreAllThere() async throws {
        let profile = try store.openProfile(sample.info)
        let snapshots = try await withThrowingTaskGroup(of: Snapshot.self) { group in
            for _ in 0..<8 { group.addTask { try await profile.snapshot() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try profile.close()
        let list = try await store.snapshots(of: scope)
        #expect(Set(list.snapshots.map(\.id)) == Set(snapshots.map(\.id)) && list.unusable.isEmpty)
        for snapshot in list.snapshots { #expect(try await store.verifySnapshot(snapshot).isHealthy) }
    }

    @Test func migrationsAreInTheManifestAndTheirSnapshotsAreKeptByThemselves() async throws {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { try $0.execute(sql: "CREATE TABLE a (b)") }
        migrator.registerMigration("v2 add c") { try $0.execute(sql: "ALTER TABLE a ADD c") }
        let manual = try await store.createSnapshot(of: scope)
        #expect(manual.appliedMigrations == nil)
        let profile = try store.openProfile(sample.info)
        try migrator.migrate(profile.database)
        for number in 1...7 { _ = try await store.createSnapshot(of: scope, beforeMigration: "v3 next/\(number)") }
        try profile.close()
        let list = try await store.snapshots(of: scope).snapshots
        #expect(list.first?.id == manual.id, "others are not counted")
        #expect(list.dropFirst().map(\.reason) == (3...7).map { "pre-v3_next_\($0)" })
        #expect(list.last?.appliedMigrations == 2 && list.last?.latestMigration == "v2 add c")
    }

    /// A page that opening does not look at: the snapshot fails, says which it is, and leaves nothing behind.
    @Test func aBadPageIsNamedWhetherTheProfileIsOpenOrNot() async throws {
        let path = sample.test.databaseFile(sample.info)
        try TestFiles.edit(path) { $0[4096 * 8 + 100] ^= 1 }
        func attempt() async throws {
            let error = await #expect(throws: PageCipherError.self) { try await store.createSnapshot(of: scope) }
            #expect(error == .pageNotAuthentic(number: 9) && error?.summary.contains("page 9") == true)
        }
        try await attempt()
        let profile = try store.openProfile(sample.info)
        try await attempt()
        try profile.close()
        #expect(try TestFiles.tree(sample.backups()).isEmpty)
        try TestFiles.edit(path) { $0[4096 * 8 + 100] ^= 1 }
        _ = try await store.createSnapshot(of: scope)
    }

    @Test func cancellingLeavesNothingBehind() async throws {
        let task = Task { try await store.createSnapshot(of: scope) { _ in withUnsafeCurrentTask { $0?.cancel() } } }
        task.cancel()
        let result = await task.result
        #expect(throws: (any Error).self) { try result.get() }
        #expect(try await store.snapshots(of: scope).snapshots.isEmpty)
        #expect((try? TestFiles.tree(sample.backups())) ?? [] == [])
    }

    @Test func aSnapshotAndARotationNeverOverlap() async throws {
        let rotating = try #require(try? LockHolder(sample.test.path.appending("keyring").appending("rotation.lock")))
        #expect(await code { _ = try await store.createSnapshot(of: scope) } == "rotation_blocked")
        rotating.release()
        _ = try await store.createSnapshot(of: scope)
    }
}

extension SnapshotDirectory {
    /// Rows that a snapshot of a writing helper holds, which must be 1 to n without a gap.
    func rows(of snapshot: Snapshot) throws -> Int {
        try withPages(of: snapshot) { file, key in
            let database = try SealedDatabase(file, key: key)
            let count = try RawSQL.integer("SELECT count(*) FROM n", on: database.connection.handle)
            let largest = try RawSQL.integer("SELECT coalesce(max(i), 0) FROM n", on: database.connection.handle)
            #expect(count == largest, "no gap")
            return Int(count ?? -1)
        }
    }
}
