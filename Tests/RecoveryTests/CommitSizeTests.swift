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

/// Rule 6: a commit's number of pages decides nothing that page 1 does not say, and no number decides how much is allocated.
@Suite struct CommitSizeTests {
    private static let crashed = Result { try CrashedStore() }
    private let crashed: CrashedStore
    private static let frame = CrashedStore.frameLength
    private static let extremes: [UInt32] = [0, 1, 2, 1 << 31, .max]

    init() throws { crashed = try Self.crashed.get() }

    private var allRows: Int { crashed.rows(after: crashed.frames.count) }
    private var lastCommit: Int { crashed.frames.indices.last { crashed.frames[$0].isCommit } ?? 0 }
    private var commitSize: UInt32 { WALForgery.number(at: 32 + lastCommit * Self.frame + 4, in: crashed.wal) }

    private func forged(_ edit: (inout [UInt8]) throws -> Void) throws -> DrillStore {
        let drill = try crashed.drill.copy()
        var wal = crashed.wal
        try edit(&wal)
        try TestFiles.write(wal, to: drill.files.wal)
        return drill
    }

    private func verify(_ drill: DrillStore) throws -> VerificationReport {
        let store = try drill.test.open()
        defer { try? store.lock() }
        return try store.verify(drill.info)
    }

    /// 2 cut the database down when it was opened; 4,294,967,295 made a repair ask for 70 GB.
    @Test(arguments: [1, 2, -2, -1, 1 << 31, 1 << 32 - 1]) func ofTheLastCommitIsToldAndRepairedWithoutLoss(
        _ wanted: Int
    ) async throws {
        // Negative: so many pages more or fewer than there are.
        let size = wanted == -1 ? commitSize - 1 : wanted == -2 ? commitSize + 1 : UInt32(wanted)
        let drill = try forged { WALForgery.setCommitSize(size, of: lastCommit, in: &$0) }
        let before = try drill.bytes()
        let report = try verify(drill)
        #expect(report.condition == .walDamaged && report.wal?.damage == "commit_size")
        #expect(report.wal?.damagedFrame == lastCommit + 1)
        for mode in [RecoveryMode.never] {
            #expect(code { _ = try drill.laterRows(recovery: mode) } == "database_wal_damaged")
        }
        let store = try drill.test.open()
        #expect(await code { _ = try await store.createSnapshot(of: drill.scope) } == "database_wal_damaged")
        #expect(await code { _ = try await store.rotateDataKey(of: drill.scope) } == "database_wal_damaged")
        let plan = try await store.recoveryPlan(of: drill.scope)
        #expect(plan.action == .repair && plan.isLossless && plan.lostTransactions == 0 && plan.lostPages == 0)
        #expect(try drill.bytes() == before)
        #expect(try await store.repair(drill.scope)?.plan.isLossless == true)
        try store.lock()
        #expect(try drill.laterRows(recovery: .never) == allRows)
        #expect(try verify(drill).isHealthy)
    }

    @Test func anAppThatMayRecoversByItself() throws {
        for mode in [RecoveryMode.automatic, .lossless] {
            let events = Events()
            let drill = try forged { WALForgery.setCommitSize(2, of: lastCommit, in: &$0) }
            #expect(try drill.laterRows(recovery: mode, events) == allRows)
            #expect(events.all.map(\.plan.isLossless) == [true])
        }
    }

    /// Nothing but the last one decides, until the WAL is cut: then this is the last one.
    @Test func ofEveryOtherCommitIsToldAsWell() throws {
        for index in crashed.frames.indices where crashed.frames[index].isCommit {
            for size: UInt32 in [1, .max] {
                for isCut in [false, true] {
                    let drill = try forged { wal in
                        if isCut { wal = Array(wal[..<(32 + (index + 1) * Self.frame)]) }
                        WALForgery.setCommitSize(size, of: index, in: &wal)
                    }
                    #expect(try verify(drill).wal?.damage == "commit_size", "frame \(index + 1)")
                    let events = Events()
                    #expect(try drill.laterRows(events) == (isCut ? crashed.rows(after: index + 1) : allRows))
                    #expect(events.all.map(\.plan.lostTransactions) == [0])
                }
            }
        }
    }

    /// A mark that was taken from the last commit is what a power loss before it leaves.
    @Test func withoutAMarkItIsATornTail() throws {
        let drill = try forged { WALForgery.setCommitSize(0, of: lastCommit, in: &$0) }
        #expect(try drill.laterRows(recovery: .never) == allRows - 1)
    }

    // MARK: With a verify key

    private func holder(_ drill: DrillStore) async throws -> VerifyKeyHolder {
        let path = drill.test.directory.appending("verify.key")
        let store = try drill.test.open()
        try await store.writeVerifyKey(of: drill.scope, to: path)
        try store.lock()
        return try VerifyKeyHolder(path)
    }

    /// Page 1 says what it likes, and every check sum and tag fits: but the pages are not there.
    @Test(arguments: [UInt32(1) << 31, .max, 100_000]) func aPageOneThatCountsWhatIsNotThere(count: UInt32) async throws
    {
        let drill = try crashed.drill.copy()
        let holder = try await holder(drill)
        let first = try #require(crashed.frames.indices.last { crashed.frames[$0].page == 1 })
        var wal = crashed.wal
        let known = try #require(crashed.frames.indices.first { $0 >= first && crashed.frames[$0].isCommit })
        try holder.count(
            count, insteadOf: WALForgery.number(at: 32 + known * Self.frame + 4, in: wal),
            inPageAt: 32 + first * Self.frame + 24, of: &wal, crashed.main)
        for index in crashed.frames.indices where index >= first && crashed.frames[index].isCommit {
            WALForgery.setCommitSize(count, of: index, in: &wal)
        }
        try TestFiles.write(wal, to: drill.files.wal)
        #expect(try verify(drill).wal?.damage == "commit_size")
        try await isGivenUp(drill, "database_wal_damaged")
    }

    /// The same without a WAL.
    @Test(arguments: [UInt32(1) << 31, .max, 100_000]) func aPageOneOfTheMainFileThatCountsWhatIsNotThere(count: UInt32)
        async throws
    {
        let drill = try crashed.drill.copy()
        #expect(try drill.laterRows(recovery: .never) == allRows)
        let holder = try await holder(drill)
        let pages = UInt32(try TestFiles.read(drill.files.main).count / DrillStore.pageSize)
        var main = try TestFiles.read(drill.files.main)
        try holder.count(count, insteadOf: pages, inPageAt: 0, of: &main, main)
        try TestFiles.write(main, to: drill.files.main)
        let report = try verify(drill)
        #expect(report.condition == .truncated && report.badPageCount == Int(count - pages))
        try await isGivenUp(drill, "database_truncated")
    }

    private func isGivenUp(_ drill: DrillStore, _ expected: String) async throws {
        let before = try drill.bytes()
        let store = try drill.test.open()
        let plan = try await store.recoveryPlan(of: drill.scope)
        #expect(plan.action == .noSnapshot && plan.lostPages > 0)
        #expect(
            await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "db_recovery_no_snapshot")
        #expect(code { _ = try store.openProfile(drill.info) } == expected)
        try store.lock()
        #expect(try drill.bytes() == before)
    }

    // MARK: Any number anywhere

    /// Each field of a WAL's header and of a frame's, with check sums that fit and with such that do not: what comes out is all rows,
    /// or fewer with an error or as after a power loss; and it comes out.
    @Test(arguments: [false, true]) func anExtremeInAnyFieldOfAWAL(isSummed: Bool) async throws {
        let middle = 32 + crashed.frames.count / 2 * Self.frame
        let fields =
            [0, 4, 8, 12, 16, 20, 24, 28]
            + [0, 4, 8, 12, 16, 20].flatMap { [middle + $0, 32 + lastCommit * Self.frame + $0] }
        for field in fields {
            for value in Self.extremes {
                let drill = try forged { wal in
                    WALForgery.put(value, at: field, in: &wal)
                    if isSummed { WALForgery.sum(&wal) }
                }
                let report = try verify(drill)
                let store = try drill.test.open()
                _ = try await store.recoveryPlan(of: drill.scope)
                _ = await code { _ = try await store.repair(drill.scope, acceptingLoss: true) }
                try store.lock()
                let rows = try? drill.laterRows(recovery: .never)
                #expect(rows ?? 0 <= allRows, "\(field): \(value)")
                if report.wal?.damage == nil { #expect(rows != nil, "\(field): \(value)") }
            }
        }
    }

    /// Each number of SQLite's header in an authentic page 1, of the main file and of the WAL: what a holder of the data key could write.
    @Test(arguments: [false, true]) func anExtremeInAnyFieldOfPageOne(isInWAL: Bool) async throws {
        let settled = try crashed.drill.copy()
        if !isInWAL { _ = try settled.laterRows(recovery: .never) }
        let store = try settled.test.open()
        let key = try store.keyring.dataKey(generation: 1, of: store.keyring.envelope(for: settled.scope)).makePageKey()
        try store.lock()
        let first = try #require(crashed.frames.indices.last { crashed.frames[$0].page == 1 })
        let start = isInWAL ? 32 + first * Self.frame + 24 : 0
        let original = try TestFiles.read(isInWAL ? settled.files.wal : settled.files.main)
        for field in [16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 92, 96] {
            for value in Self.extremes {
                var bytes = original
                try bytes.withUnsafeMutableBytes { bytes in
                    let page = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + DrillStore.pageSize])
                    var plaintext = [UInt8](repeating: 0, count: page.count)
                    try plaintext.withUnsafeMutableBytes {
                        try key.open(
                            AuthenticPage(alreadyAuthenticated: SealedPage(UnsafeRawBufferPointer(page), number: 1)),
                            into: $0)
                    }
                    WALForgery.put(value, at: field, in: &plaintext)
                    try plaintext.withUnsafeBytes { plaintext in
                        try [UInt8](repeating: 9, count: 16).withUnsafeBytes {
                            try key.seal(plaintext, number: 1, iv: $0, into: page)
                        }
                    }
                }
                if isInWAL { WALForgery.sum(&bytes) }
                let drill = try settled.copy()
                try TestFiles.write(bytes, to: isInWAL ? drill.files.wal : drill.files.main)
                _ = try verify(drill)
                let store = try drill.test.open()
                _ = try await store.recoveryPlan(of: drill.scope)
                _ = await code { _ = try await store.repair(drill.scope, acceptingLoss: true) }
                _ = code { _ = try store.openProfile(drill.info) }
                try store.lock()
            }
        }
    }
}
