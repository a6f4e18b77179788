import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// Snapshots that were damaged, exchanged or forged. Every one is named for what it is, and nothing that is in force changes.
@Suite struct UntrustedSnapshotTests {
    let sample: SnapshotStore
    let snapshot: Snapshot
    var store: Store { sample.store }
    var scope: KeyScope { sample.scope }

    init() async throws {
        sample = try SnapshotStore(rows: 60)
        snapshot = try await sample.store.createSnapshot(of: sample.scope)
    }

    private func live() throws -> [UInt8] { try TestFiles.read(sample.test.databaseFile(sample.info)) }

    /// What a verification says of the snapshot now.
    private func condition() async throws -> String { try await store.verifySnapshot(snapshot).condition }

    /// The snapshot is refused with this code, by listing, verifying and restoring alike.
    private func expectManifestRefused(_ expected: String, _ comment: Comment? = nil) async throws {
        let before = try live()
        let list = try await store.snapshots(of: scope)
        #expect(list.snapshots.allSatisfy { $0.name != snapshot.name }, comment)
        #expect(
            list.unusable.contains { $0 == UnusableSnapshot(name: snapshot.name, code: expected) }, "\(list.unusable)")
        #expect(await code { _ = try await store.verifySnapshot(snapshot) } == expected, comment)
        #expect(await code { _ = try await store.snapshot(snapshot.name, of: scope) } == expected, comment)
        #expect(await code { _ = try await store.restoreSnapshot(snapshot) } == expected, comment)
        #expect(try live() == before)
    }

    private func expectPagesRefused(_ expected: String) async throws {
        let before = try live()
        #expect(try await condition() == expected)
        #expect(try await store.snapshots(of: scope).snapshots.last?.verified == nil)
        #expect(await code { _ = try await store.restoreSnapshot(snapshot) } == expected)
        #expect(await code { _ = try await store.restoreSnapshot(snapshot, asProfileNamed: "new") } == expected)
        let export = sample.test.directory.appending("export.db")
        #expect(
            await code {
                _ = try await store.exportSnapshot(
                    snapshot, to: export, newKeyFile: sample.test.directory.appending("export.key"))
            } == expected)
        #expect(!FileManager.default.fileExists(atPath: export.string))
        #expect(!FileManager.default.fileExists(atPath: sample.test.directory.appending("export.key").string))
        #expect(try live() == before)
        #expect(try store.profiles().count == 1)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: sample.test.directoryOf(sample.info).string).sorted()
                .filter { !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") && !$0.hasSuffix(".lock") } == [
                    "backups", "profile.db",
                ])
    }

    @Test func everyFlippedByteOfTheManifestIsRefused() async throws {
        let path = sample.file(snapshot, ".json")
        let manifest = try TestFiles.read(path)
        let directory = try store.snapshotDirectory(of: scope)
        var codes: [String: Int] = [:]
        for index in manifest.indices {
            for bit in [UInt8(1), 0x20, 0x80] {
                var changed = manifest
                changed[index] ^= bit
                try TestFiles.write(changed, to: path)
                codes[code { _ = try directory.manifest(named: snapshot.name) } ?? "accepted", default: 0] += 1
            }
        }
        #expect(codes == ["snapshot_manifest_damaged": 3 * manifest.count])
        for length in 0..<manifest.count {
            try TestFiles.write(manifest.prefix(length), to: path)
            #expect(code { _ = try directory.manifest(named: snapshot.name) } == "snapshot_manifest_damaged")
        }
    }

    /// Whoever forges gets the check sum right; each field, each MAC, and each thing that the format says must not be.
    @Test(arguments: [
        ("\"ordinal\" : 1", "\"ordinal\" : 9", "snapshot_manifest_forged"),
        ("\"reason\" : \"manual\"", "\"reason\" : \"casual\"", "snapshot_manifest_forged"),
        ("\"keyGeneration\" : 1", "\"keyGeneration\" : 7", "snapshot_key_unknown"),
        ("\"pageSize\" : 4096", "\"pageSize\" : 8192", "snapshot_manifest_forged"),
        ("\"version\" : 1", "\"version\" : 2", "snapshot_version_unsupported"),
        ("strongroom/snapshot", "strongroom/snapshut", "snapshot_manifest_malformed"),
        ("\"storeId\" : \"store_", "\"storeId\" : \"stare_", "snapshot_of_another_store"),
        ("\"scope\" : \"prof_", "\"scope\" : \"prof-", "snapshot_of_another_database"),
        ("\"name\" : \"profile-", "\"name\" : \"prefile-", "snapshot_manifest_misplaced"),
        ("\nmac hmac-sha256", "\nmac hmac-sha999", "snapshot_feature_unsupported"),
        ("\nverify hmac-sha256", "\nverify none-000000", "snapshot_feature_unsupported"),
        ("\nverify ", "\nverity ", "snapshot_feature_unsupported"),
    ])
    func aForgedManifestIsRefused(_ old: String, _ new: String, _ expected: String) async throws {
        try Self.forge(sample.file(snapshot, ".json")) { $0 = $0.replacing(old, with: new) }
        try await expectManifestRefused(expected)
    }

    @Test func aCriticalFieldIsRefused() async throws {
        try Self.forge(sample.file(snapshot, ".json")) {
            let start = $0.range(of: "\"critical\" : [")
            if let start { $0.insert(contentsOf: "\"quantum\"", at: start.upperBound) }
        }
        try await expectManifestRefused("snapshot_feature_unsupported")
    }

    @Test func aMissingManifestIsNamedAndItsPagesStay() async throws {
        try FileManager.default.removeItem(atPath: sample.file(snapshot, ".json").string)
        try await expectManifestRefused("snapshot_manifest_missing")
        _ = try await store.createSnapshot(of: scope)
        _ = try await store.pruneSnapshots(of: scope)
        #expect(FileManager.default.fileExists(atPath: sample.file(snapshot).string))
    }

    @Test func theManifestOfAnotherSnapshotIsRefused() async throws {
        try sample.test.fill(sample.info, in: store, rows: 10)
        let other = try await store.createSnapshot(of: scope)
        try TestFiles.write(try TestFiles.read(sample.file(other, ".json")), to: sample.file(snapshot, ".json"))
        try await expectManifestRefused("snapshot_manifest_misplaced")
    }

    /// Made anew under the same name: the manifest of the first belongs to pages that are not there any more.
    @Test func anOlderVersionOfTheManifestIsRefused() async throws {
        let occasion = SnapshotOccasion(reason: .manual, date: Date().addingTimeInterval(1_000))
        func take() throws -> Snapshot { try store.openProfile(sample.info).takeAndClose(occasion) }
        let first = try take()
        let older = try TestFiles.read(sample.file(first, ".json"))
        try store.snapshotDirectory(of: scope).remove(first)
        try sample.test.fill(sample.info, in: store, rows: 1)
        let second = try take()
        #expect(second.name == first.name)
        try TestFiles.write(older, to: sample.file(first, ".json"))
        let found = try await store.snapshot(first.name, of: scope)
        #expect(try await store.verifySnapshot(found).condition == "snapshot_pages_of_another_version")
        #expect(await code { _ = try await store.restoreSnapshot(found) } == "snapshot_pages_of_another_version")
    }

    @Test func truncatedPages() async throws {
        try TestFiles.edit(sample.file(snapshot)) { $0.removeLast(4096) }
        try await expectPagesRefused("snapshot_length_differs")
    }

    @Test func tornPages() async throws {
        try TestFiles.edit(sample.file(snapshot)) { $0.removeLast(1) }
        try await expectPagesRefused("snapshot_length_differs")
    }

    @Test func missingPages() async throws {
        try FileManager.default.removeItem(atPath: sample.file(snapshot).string)
        try await expectPagesRefused("snapshot_pages_missing")
    }

    @Test func swappedPages() async throws {
        try TestFiles.edit(sample.file(snapshot)) { bytes in
            let second = Array(bytes[4096..<8192])
            bytes.replaceSubrange(4096..<8192, with: bytes[8192..<12288])
            bytes.replaceSubrange(8192..<12288, with: second)
        }
        try await expectPagesRefused("snapshot_pages_damaged")
        let report = try await store.verifySnapshot(snapshot)
        #expect(report.badPages == [.init(number: 2, kind: "wrong_tag"), .init(number: 3, kind: "wrong_tag")])
    }

    @Test func aFlippedBit() async throws {
        try TestFiles.edit(sample.file(snapshot)) { $0[4096 * 2 + 99] ^= 4 }
        try await expectPagesRefused("snapshot_pages_damaged")
    }

    @Test func anotherKeyIDInFront() async throws {
        try TestFiles.edit(sample.file(snapshot)) { $0[3] ^= 1 }
        try await expectPagesRefused("snapshot_key_id_differs")
    }

    /// Authentic, and an older version of itself: only the root over the tags shows it.
    @Test func aPageThatIsItsOwnOlderVersion() async throws {
        let older = try TestFiles.read(sample.file(snapshot))
        let profile = try store.openProfile(sample.info)
        try await profile.database.write { try $0.execute(sql: "UPDATE t SET filling = upper(filling)") }
        try profile.close()
        let newer = try await store.createSnapshot(of: scope)
        var exchanged = 0
        let pages = try TestFiles.read(sample.file(newer))
        for page in 1..<min(older.count, pages.count) / 4096 {
            let range = (page * 4096)..<((page + 1) * 4096)
            guard older[range] != pages[range] else { continue }
            exchanged += 1
            try TestFiles.edit(sample.file(newer)) { $0.replaceSubrange(range, with: older[range]) }
            #expect(try await store.verifySnapshot(newer).condition == "snapshot_pages_of_another_version")
            #expect(await code { _ = try await store.restoreSnapshot(newer) } == "snapshot_pages_of_another_version")
            try TestFiles.write(pages, to: sample.file(newer))
        }
        #expect(exchanged > 0)
        #expect(try await store.verifySnapshot(newer).isHealthy)
    }

    @Test func aSnapshotOfAnotherStore() async throws {
        let other = try SnapshotStore(rows: 5)
        let foreign = try await other.store.createSnapshot(of: other.scope)
        for suffix in [".db", ".json"] {
            try TestFiles.write(
                try TestFiles.read(other.file(foreign, suffix)), to: sample.backups().appending(foreign.name + suffix))
        }
        let list = try await store.snapshots(of: scope)
        #expect(list.unusable == [.init(name: foreign.name, code: "snapshot_of_another_store")])
        #expect(await code { _ = try await store.restoreSnapshot(foreign) } != nil)
    }

    @Test func aSnapshotOfAnotherProfile() async throws {
        let other = try store.createProfile(named: "other")
        let foreign = try await store.createSnapshot(of: .profile(other.id))
        let from = sample.test.directoryOf(other).appending("backups")
        for suffix in [".db", ".json"] {
            try TestFiles.write(
                try TestFiles.read(from.appending(foreign.name + suffix)),
                to: sample.backups().appending(foreign.name + suffix))
        }
        #expect(
            try await store.snapshots(of: scope).unusable == [
                .init(name: foreign.name, code: "snapshot_of_another_database")
            ])
    }

    @Test func keysThatAreOlderUnknownOrDestroyedAreNamed() async throws {
        let rows = try sample.rows()
        try await sample.rotate()
        // Older: re-encrypted on the way.
        let report = try await store.restoreSnapshot(snapshot)
        #expect(report.isReencrypted && report.snapshot.keyGeneration == 1)
        #expect(try sample.rows() == rows)
        #expect(try store.openProfile(sample.info).closing { $0.dataKey.generation } == 2)

        let keyring = store.keyring
        _ = try keyring.destroyDataKey(generation: 1, of: keyring.envelope(for: scope))
        let list = try await store.snapshots(of: scope)
        #expect(list.unusable == [.init(name: snapshot.name, code: "snapshot_key_destroyed")])
        let error = await #expect(throws: SnapshotError.self) { try await store.restoreSnapshot(snapshot) }
        #expect(error?.summary.contains("generation 1") == true && error?.category == .couldNotUnlock)
        #expect(try sample.rows() == rows)
    }

    /// What cannot be read is never removed, and the only good one neither.
    @Test func pruningKeepsWhatItCannotReadAndTheOnlyGoodOne() async throws {
        var snapshots = [snapshot]
        for _ in 0..<3 { snapshots.append(try await store.createSnapshot(of: scope)) }
        // The two newest are damaged, one in its pages and one in its manifest.
        try TestFiles.edit(sample.file(snapshots[2])) { $0[5000] ^= 1 }
        try TestFiles.edit(sample.file(snapshots[3], ".json")) { $0[9] ^= 1 }
        let dry = try await store.pruneSnapshots(of: scope, keeping: Retention(last: 1), isDryRun: true)
        #expect(dry.removed.map(\.id) == [snapshots[0].id] && dry.keptAsOnlyGood?.id == snapshots[1].id)
        #expect(try await store.snapshots(of: scope).snapshots.count == 3)
        let done = try await store.pruneSnapshots(of: scope, keeping: Retention(last: 1))
        #expect(
            done.removed.map(\.id) == [snapshots[0].id] && done.kept.map(\.id) == [snapshots[1].id, snapshots[2].id])
        #expect(done.unusable == [.init(name: snapshots[3].name, code: "snapshot_manifest_damaged")])
        #expect(FileManager.default.fileExists(atPath: sample.file(snapshots[3]).string))
        #expect(!FileManager.default.fileExists(atPath: sample.file(snapshots[0]).string))
        // None good at all: nothing goes.
        try TestFiles.edit(sample.file(snapshots[1])) { $0[5000] ^= 1 }
        let none = try await store.pruneSnapshots(of: scope, keeping: Retention(last: 1))
        #expect(none.removed.isEmpty && none.kept.count == 2)
    }

    @Test func filesThatOthersCouldHaveTouchedAreRefused() async throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o644], ofItemAtPath: sample.file(snapshot, ".json").string)
        try await expectManifestRefused("file_open_to_others")
    }

    /// Edits the JSON or the lines, and gets the check sum right.
    static func forge(_ path: FilePath, _ change: (inout String) -> Void) throws {
        var text = String(decoding: try TestFiles.read(path), as: UTF8.self)
        let sumStart = try #require(text.range(of: " sha256 ", options: .backwards)).lowerBound
        text = String(text[..<sumStart])
        let before = text
        change(&text)
        try #require(text != before)
        try TestFiles.write(Array((text + " sha256 \(TestDigest.sha256(Array(text.utf8)))\n").utf8), to: path)
    }
}

extension Profile {
    /// Takes a snapshot on an occasion of the test's choosing, and closes.
    func takeAndClose(_ occasion: SnapshotOccasion) throws -> Snapshot {
        defer { try? close() }
        return try freeze { $0 }.take(occasion, store, nil)
    }

    func closing<Value>(_ body: (Profile) throws -> Value) throws -> Value {
        defer { try? close() }
        return try body(self)
    }
}
