import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// Rule 6: what is done to the WAL of a profile that is open never makes a snapshot that has less than the profile.
@Suite struct LiveWALTests {
    private static let sample = Result { try DrillStore(rows: 40) }
    private let drill: DrillStore
    private static let frame = CrashedStore.frameLength

    init() throws { drill = try Self.sample.get().copy() }

    private enum Attack: String, CaseIterable {
        case smallCommit, largeCommit, brokenTail, cut, removed, mainCut
    }

    /// Acknowledged changes that stand in the WAL alone, a forgery in the file beside the app, and a snapshot.
    @Test(arguments: Attack.allCases) private func aSnapshotHasAllOrThereIsNone(attack: Attack) async throws {
        let store = try drill.test.open()
        let profile = try store.openProfile(drill.info)
        try await profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            for _ in 0..<20 { try db.execute(sql: "INSERT INTO later (filling) VALUES (hex(randomblob(400)))") }
        }
        let whole = try await profile.snapshot()
        let wal = try TestFiles.read(drill.files.wal)
        let frames = (0..<(wal.count - 32) / Self.frame)
        let last = try #require(frames.last { WALForgery.number(at: 32 + $0 * Self.frame + 4, in: wal) > 0 })
        switch attack {
        case .smallCommit: try TestFiles.edit(drill.files.wal) { WALForgery.setCommitSize(2, of: last, in: &$0) }
        case .largeCommit: try TestFiles.edit(drill.files.wal) { WALForgery.setCommitSize(.max, of: last, in: &$0) }
        case .brokenTail: try TestFiles.edit(drill.files.wal) { $0[32 + last * Self.frame + 500] ^= 1 }
        case .cut: try TestFiles.edit(drill.files.wal) { $0.removeLast(Self.frame) }
        case .removed: try DurableFiles.remove(drill.files.wal)
        case .mainCut:
            // Nothing of it stands in the WAL any more.
            _ = try await profile.database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try TestFiles.edit(drill.files.main) {
                $0.removeLast($0.count / 2 / DrillStore.pageSize * DrillStore.pageSize)
            }
        }
        let taken = await code { _ = try await profile.snapshot() }
        let rotated = await code { _ = try await profile.rotateDataKey() }
        switch attack {
        // What refuses is a second connection, which finds no WAL.
        case .removed: #expect(taken == "wal_not_authentic" && rotated != nil, "\(taken ?? "none")")
        case .mainCut: #expect(taken == "page_not_authentic" && rotated == "page_not_authentic")
        default: #expect(taken == "wal_not_authentic" && rotated == "wal_not_authentic")
        }
        #expect(try await store.snapshots(of: drill.scope).snapshots.map(\.id) == [whole.id])
        // What the app finds when it closes is another matter.
        try? profile.close()
        try? store.lock()
    }

    // MARK: What is written back

    /// After a crash between the checkpoint and the end of the WAL, everything is in the main file already.
    @Test func aWALThatIsWrittenBackIsKnown() throws {
        let store = try drill.test.open()
        let profile = try store.openProfile(drill.info)
        try profile.database.write { try $0.execute(sql: "INSERT INTO later (filling) VALUES ('a')") }
        try profile.database.write { try $0.execute(sql: "INSERT INTO later (filling) VALUES ('b')") }
        let pending = try drill.copy()
        _ = try profile.database.writeWithoutTransaction { try $0.checkpoint(.passive) }
        let written = try drill.copy()
        try profile.database.write { try $0.execute(sql: "INSERT INTO later (filling) VALUES (hex(randomblob(4000)))") }
        let restarted = try drill.copy()
        try profile.close()
        try store.lock()

        #expect(try !isWrittenBack(pending))
        #expect(try isWrittenBack(written) && written.files.hasPendingWAL())
        #expect(try !isWrittenBack(restarted))
        #expect(try isWrittenBack(drill), "there is none")
        // The main file as it is, and each way in which the two differ.
        let main = try TestFiles.read(written.files.main)
        let page = try TestFiles.read(written.files.wal)[32..<36].reduce(0) { $0 << 8 | Int($1) }
        for change in [
            { (bytes: inout [UInt8]) in bytes[page * DrillStore.pageSize - 1] ^= 1 },
            { $0 += [UInt8](repeating: 0, count: DrillStore.pageSize) },
            { $0.removeLast(DrillStore.pageSize) },
        ] as [(inout [UInt8]) -> Void] {
            try TestFiles.edit(written.files.main, change)
            #expect(try !isWrittenBack(written))
            try TestFiles.write(main, to: written.files.main)
        }
        #expect(try isWrittenBack(written))
        // Of a damaged one nothing is known.
        try TestFiles.edit(written.files.wal) { $0[32 + 500] ^= 1 }
        #expect(try !isWrittenBack(written))
    }

    private func isWrittenBack(_ drill: DrillStore) throws -> Bool {
        let store = try drill.test.open()
        defer { try? store.lock() }
        let envelope = try store.keyring.envelope(for: drill.scope)
        let diagnosis = Diagnosis(files: drill.files, envelope: envelope, keyring: store.keyring)
        return try diagnosis.isWrittenBack(under: #require(envelope.activeDataKey))
    }
}
