import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// Every state of the disk that a power loss may leave of each operation on snapshots, and every system call failing in turn.
@Suite struct SnapshotCrashTests {
    /// Small pages, so that a database has several of them and few sectors.
    static func sample(rows: Int = 12) throws -> SnapshotStore {
        try SnapshotStore(rows: rows, policy: [("size: 4096", "size: 1024")])
    }

    /// That every snapshot which is listed is good, and that nothing is listed as unusable.
    private func goodSnapshots(_ store: Store, _ scope: KeyScope) throws -> [Snapshot] {
        let directory = try store.snapshotDirectory(of: scope)
        let list = try directory.list()
        #expect(list.unusable.isEmpty, "\(list.unusable)")
        for snapshot in list.snapshots { #expect(try directory.verify(snapshot).isHealthy) }
        return list.snapshots
    }

    private func rows(_ sample: SnapshotStore, _ store: Store) throws -> Int {
        let profile = try store.openProfile(sample.info)
        defer { try? profile.close() }
        return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") ?? 0 }
    }

    @Test func creating() async throws {
        let sample = try Self.sample()
        let live = try TestFiles.read(sample.test.databaseFile(sample.info))
        let outcomes = try await StoreCrashes.enumerate("snapshot create", in: sample.test.directory.path) {
            _ = try await sample.store.createSnapshot(of: sample.scope)
        } check: { store, path in
            let found = try goodSnapshots(store, sample.scope)
            let files = DatabaseFiles(sample.scope, in: store.directory)
            #expect(try TestFiles.read(files.main) == live)
            // The next one clears away what is left of it.
            _ = try store.snapshotDirectory(of: sample.scope).create(SnapshotOccasion(reason: .manual)) { _ in
                try PageSource(DataFile(files.main), pageSize: 1024)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: files.backups.string)
            #expect(names.count == 2 * (found.count + 1) + found.count, "\(names)")
            return "\(found.count) snapshot(s)"
        }
        #expect(Set(outcomes.keys) == ["0 snapshot(s)", "1 snapshot(s)"])
    }

    @Test func pruning() async throws {
        let sample = try Self.sample()
        for _ in 0..<3 { _ = try await sample.store.createSnapshot(of: sample.scope) }
        let newest = try await sample.store.snapshot("latest", of: sample.scope).id
        let outcomes = try await StoreCrashes.enumerate("snapshot prune", in: sample.test.directory.path) {
            let report = try await sample.store.pruneSnapshots(of: sample.scope, keeping: Retention(last: 1))
            #expect(report.removed.count == 2)
        } check: { store, _ in
            let found = try goodSnapshots(store, sample.scope)
            #expect(found.last?.id == newest)
            let directory = try store.snapshotDirectory(of: sample.scope)
            _ = try directory.prune(Retention(last: 1), isDryRun: false)
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.path.string)
            #expect(names.count == 3, "\(names)")
            return "\(found.count) snapshot(s)"
        }
        #expect(Set(outcomes.keys) == ["1 snapshot(s)", "2 snapshot(s)", "3 snapshot(s)"])
    }

    @Test func exporting() async throws {
        let sample = try Self.sample()
        let snapshot = try await sample.store.createSnapshot(of: sample.scope)
        let target = sample.test.directory.appending("out.db")
        let outcomes = try await StoreCrashes.enumerate("snapshot export", in: sample.test.directory.path) {
            _ = try await sample.store.exportSnapshot(
                snapshot, to: target, newKeyFile: sample.test.directory.appending("out.key"))
        } check: { store, root in
            #expect(try goodSnapshots(store, sample.scope).count == 1)
            guard FileManager.default.fileExists(atPath: root.appending("out.json").string) else { return "no export" }
            let manifest = try UnverifiedManifest<SnapshotManifest>(
                try TestFiles.read(root.appending("out.json")), format: SnapshotManifest.format
            ).document
            let key = try TestFiles.read(root.appending("out.key"))
            let layout = try #require(manifest.pageFormat?.layout)
            let keyID = try #require(manifest.keyID)
            let scan = try PageScan(of: DataFile(root.appending("out.db")), layout: layout) {
                try PageAuthenticator(
                    pageKey: PageAuthenticator.pageKey(of: .init(testing: key), salt: keyID.bytes), layout: layout)
            }
            #expect(scan.badPageCount == 0 && scan.tagRoot == manifest.root)
            return "export"
        }
        #expect(Set(outcomes.keys) == ["no export", "export"])
    }

    /// A profile whose last changes stand in the WAL, because its application was killed.
    private func killed() async throws -> (sample: SnapshotStore, snapshot: Snapshot) {
        let sample = try Self.sample()
        let snapshot = try await sample.store.createSnapshot(of: sample.scope)
        let profile = try sample.store.openProfile(sample.info)
        try await profile.database.write {
            try $0.execute(sql: "INSERT INTO t (filling) VALUES ('a'), ('b'), ('c')")
        }
        let main = sample.test.databaseFile(sample.info)
        let wal = FilePath(main.string + "-wal")
        let bytes = (try TestFiles.read(main), try TestFiles.read(wal))
        #expect(bytes.1.count > 0)
        try profile.close()
        // As if it had not been closed.
        let envelope = try sample.store.keyring.envelope(for: sample.scope)
        let files = DatabaseFiles(sample.scope, in: sample.store.directory)
        _ = try files.beginSession(
            sample.store.keyring.note(epoch: envelope.epoch - 1, in: envelope), sample.store.keyring)
        try TestFiles.write(bytes.0, to: main)
        try TestFiles.write(bytes.1, to: wal)
        return (sample, snapshot)
    }

    @Test func restoring() async throws {
        let (sample, snapshot) = try await killed()
        let interrupted = Interrupted()
        let outcomes = try await StoreCrashes.enumerate("snapshot restore", in: sample.test.directory.path) {
            _ = try await sample.store.restoreSnapshot(snapshot)
        } check: { store, root in
            #expect(try goodSnapshots(store, sample.scope).count == 1)
            let files = DatabaseFiles(sample.scope, in: store.directory)
            if FileManager.default.fileExists(atPath: files.restoreJournal.string) {
                interrupted.add(try TestFiles.snapshot(root, ignoring: ["-shm"]), root)
            }
            let count = try rows(sample, store)
            // And once more, from whatever state that was.
            _ = try await store.restoreSnapshot(snapshot)
            #expect(try rows(sample, store) == 12)
            return count == 12 ? "restored" : count == 15 ? "as before" : "\(count) rows"
        }
        #expect(Set(outcomes.keys) == ["restored", "as before"])

        // Recovery itself, interrupted at every point: what was decided stays decided.
        var again: [String: Int] = [:]
        #expect(interrupted.states.count >= 3)
        for (files, root) in interrupted.states {
            let directory = try TemporaryDirectory()
            try DiskState(files).materialise(at: directory.path, insteadOf: root)
            let probe = RecordingProbe()
            try SystemCalls.$probe.withValue(probe) {
                let store = try Store.openWithoutGlobal(
                    at: directory.appending("store"), with: .keyFile(directory.appending("key")))
                #expect(try rows(sample, store) == 12)
                try store.lock()
            }
            let initial = Dictionary(
                uniqueKeysWithValues: files.map { name, bytes in
                    (directory.path.string + name.dropFirst(root.string.count), bytes)
                })
            for state in CrashEnumerator(initial: initial, effects: probe.effects).states() {
                let next = try TemporaryDirectory()
                try state.materialise(at: next.path, insteadOf: directory.path)
                let store = try Store.openWithoutGlobal(
                    at: next.appending("store"), with: .keyFile(next.appending("key")))
                again["\(try rows(sample, store)) rows", default: 0] += 1
                try store.lock()
            }
        }
        print(
            "crash enumeration, recovery of a restore: \(interrupted.states.count) states interrupted again: \(again)")
        #expect(Set(again.keys) == ["12 rows"])
    }

    /// Distinct states in which a restore was decided and not finished.
    private final class Interrupted {
        private(set) var states: [(files: [String: [UInt8]], root: FilePath)] = []
        private var seen: Set<Set<String>> = []

        func add(_ files: [String: [UInt8]], _ root: FilePath) {
            let names = Set(
                files.map { name, bytes in "\(name.dropFirst(root.string.count)) \(TestDigest.sha256(bytes))" })
            if states.count < 12, seen.insert(names).inserted { states.append((files, root)) }
        }
    }

    // MARK: Every call failing

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfCreatingFails(error: Errno) async throws {
        let sample = try Self.sample()
        let failed = try await withEachCallFailing(of: "snapshot create", error) { probe in
            let directory = try sample.store.snapshotDirectory(of: sample.scope)
            let before = try directory.list().snapshots.count
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code { _ = try await sample.store.createSnapshot(of: sample.scope) }
            }
            let after = try goodSnapshots(sample.store, sample.scope).count
            #expect(after == (outcome == nil ? before + 1 : before))
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path.string)) ?? []
            #expect(
                names.allSatisfy { !$0.hasSuffix(".tmp") && !$0.hasSuffix(".partial") },
                "nothing is left behind: \(names)")
            #expect(try rows(sample, sample.store) == 12)
            if after > 3 { _ = try directory.prune(Retention(last: 1), isDryRun: false) }
        }
        #expect(failed >= 40)
    }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfRestoringFails(error: Errno) async throws {
        let sample = try Self.sample()
        let snapshot = try await sample.store.createSnapshot(of: sample.scope)
        var expected: Set<Int> = [12]
        let failed = try await withEachCallFailing(of: "snapshot restore", error) { probe in
            try sample.test.fill(sample.info, in: sample.store, rows: 3)
            let before = try rows(sample, sample.store)
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code { _ = try await sample.store.restoreSnapshot(snapshot) }
            }
            let after = try rows(sample, sample.store)
            #expect(after == before && outcome != nil || after == 12, "\(outcome ?? "done"): \(before) became \(after)")
            if outcome == nil { #expect(after == 12) }
            expected.insert(after)
            #expect(try sample.store.verify(sample.info).isHealthy)
            let names = try FileManager.default.contentsOfDirectory(atPath: sample.test.directoryOf(sample.info).string)
            #expect(!names.contains { $0.contains("restor") }, "\(names)")
        }
        #expect(failed >= 60)
        #expect(expected.count > 1)
    }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfPruningAndExportingFails(error: Errno) async throws {
        let sample = try Self.sample()
        let failed = try await withEachCallFailing(of: "snapshot prune and export", error) { probe in
            let work = try TemporaryDirectory()
            for _ in 0..<2 { _ = try await sample.store.createSnapshot(of: sample.scope) }
            let newest = try await sample.store.snapshot("latest", of: sample.scope)
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code {
                    _ = try await sample.store.exportSnapshot(
                        newest, to: work.appending("o.db"), newKeyFile: work.appending("k"))
                    _ = try await sample.store.pruneSnapshots(of: sample.scope, keeping: Retention(last: 1))
                }
            }
            #expect(try goodSnapshots(sample.store, sample.scope).last?.id == newest.id)
            let exported = try FileManager.default.contentsOfDirectory(atPath: work.path.string).sorted()
            #expect(exported == ["k", "o.db", "o.json"] || exported.isEmpty && outcome != nil, "\(exported)")
            _ = try await sample.store.pruneSnapshots(of: sample.scope, keeping: Retention(last: 1))
            #expect(try goodSnapshots(sample.store, sample.scope).count == 1)
        }
        #expect(failed >= 60)
    }
}
