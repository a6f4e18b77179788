import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Strongroom

/// A profile as a crash leaves it: a WAL with transactions that were acknowledged, each of which adds one row.
struct CrashedStore {
    static let transactions = 8
    static let frameLength = WALFrame.headerLength + DrillStore.pageSize

    let drill: DrillStore
    let main: [UInt8]
    let wal: [UInt8]
    /// The page of each frame, and whether it ends a transaction.
    let frames: [(page: Int, isCommit: Bool)]
    let rowsBefore: Int

    init() throws {
        let running = try DrillStore(rows: 40)
        try running.write(rows: 5)
        rowsBefore = 5
        let store = try running.test.open()
        let profile = try store.openProfile(running.info)
        for number in 0..<Self.transactions {
            try profile.database.write { db in
                try db.execute(
                    sql: "INSERT INTO later (filling) VALUES (?)",
                    arguments: ["w" + String(repeating: "z", count: number * 100)])
            }
        }
        // A copy while it is open is what a crash leaves.
        drill = try running.copy()
        try profile.close()
        try store.lock()
        main = try TestFiles.read(drill.files.main)
        wal = try TestFiles.read(drill.files.wal)
        frames = stride(from: 32, to: wal.count - Self.frameLength + 1, by: Self.frameLength).map { [wal] start in
            func number(_ offset: Int) -> Int {
                wal[start + offset..<start + offset + 4].reduce(0) { $0 << 8 | Int($1) }
            }
            return (number(0), number(4) > 0)
        }
    }

    /// How many rows there are after so many whole frames.
    func rows(after count: Int) -> Int {
        let all = frames.count(where: \.isCommit)
        return rowsBefore + max(0, frames.prefix(count).count(where: \.isCommit) - (all - Self.transactions))
    }

    /// Up to which frame the transactions can be kept without a frame's page.
    func kept(without damaged: Int) -> Int {
        let again = frames.indices.first { $0 > damaged && frames[$0].page == frames[damaged].page } ?? .max
        let commit = frames.indices.last { frames[$0].isCommit && ($0 < damaged || $0 >= again) }
        return commit.map { $0 + 1 } ?? 0
    }
}

/// Each kind of damage to a WAL that a crash left, and what an app finds that opens the profile.
@Suite struct WALDrills {
    private static let crashed = Result { try CrashedStore() }
    private let crashed: CrashedStore

    init() throws { crashed = try Self.crashed.get() }

    private func damaged(_ edit: (inout [UInt8]) -> Void) throws -> DrillStore {
        let drill = try crashed.drill.copy()
        var wal = crashed.wal
        edit(&wal)
        try TestFiles.write(wal, to: drill.files.wal)
        return drill
    }

    @Test func aWholeOneIsReadToItsEnd() throws {
        let events = Events()
        #expect(crashed.frames.count(where: \.isCommit) >= CrashedStore.transactions)
        #expect(try damaged { _ in }.laterRows(events) == crashed.rows(after: crashed.frames.count))
        #expect(events.all.isEmpty)
    }

    /// What a power loss leaves, too: no damage, and every transaction before it is there.
    @Test func cutAtEveryFrameAndInside() throws {
        for count in 0...crashed.frames.count {
            for inside in [0, 1, 24, 500] where count < crashed.frames.count || inside == 0 {
                let events = Events()
                let drill = try damaged { $0 = Array($0.prefix(32 + count * CrashedStore.frameLength + inside)) }
                #expect(
                    try drill.laterRows(events) == crashed.rows(after: count), "\(count) frames and \(inside) bytes")
                #expect(events.all.isEmpty)
            }
        }
    }

    /// A bit of a page in a frame: what can be kept is kept, and what is lost is counted.
    @Test func aBitOfAPageInEveryFrame() throws {
        var lossless = 0
        for number in crashed.frames.indices {
            for offset in [24 + 16, 24 + 500, 24 + DrillStore.pageSize - 1] {
                let events = Events()
                let drill = try damaged { $0[32 + number * CrashedStore.frameLength + offset] ^= 2 }
                let kept = crashed.kept(without: number)
                #expect(try drill.laterRows(events) == crashed.rows(after: kept), "frame \(number + 1)")
                guard let plan = events.all.first?.plan else {
                    // The last transaction: the same as a power loss in the middle of it.
                    #expect(crashed.frames[number...].dropLast().count { $0.isCommit } == 0)
                    continue
                }
                #expect(plan.condition == .walDamaged && plan.action == .repair)
                #expect(plan.lostTransactions == crashed.frames[kept...].count(where: \.isCommit))
                #expect(plan.isLossless == (plan.lostTransactions == 0))
                if plan.isLossless { lossless += 1 }
            }
        }
        #expect(lossless > 0, "some pages were written again later")
    }

    /// A bit of what SQLite puts before a page: the tags say what it must have been.
    @Test func aBitOfAFrameHeaderLosesNothing() throws {
        let last = crashed.frames.indices.dropLast().last { crashed.frames[$0].isCommit } ?? 0
        for number in crashed.frames.indices where number <= last {
            for offset in [0, 3, 4, 7, 8, 15, 16, 23] {
                let events = Events()
                let drill = try damaged { $0[32 + number * CrashedStore.frameLength + offset] ^= 1 }
                #expect(
                    try drill.laterRows(events) == crashed.rows(after: crashed.frames.count),
                    "frame \(number + 1), byte \(offset)")
                #expect(events.all.map(\.plan.lostTransactions) == [0])
            }
        }
    }

    @Test func aBitOfTheHeaderLosesNothing() throws {
        for offset in 0..<32 where !(12..<16).contains(offset) {
            let events = Events()
            let drill = try damaged { $0[offset] ^= 1 }
            #expect(try drill.laterRows(events) == crashed.rows(after: crashed.frames.count), "byte \(offset)")
            #expect(events.all.map(\.plan.isLossless) == [true], "byte \(offset)")
        }
    }

    /// Where something must be lost, only an app that accepts it goes on, and nothing is moved otherwise.
    @Test func anAppThatAcceptsNoLossIsTold() throws {
        let middle = crashed.frames.count / 2
        let number =
            (middle..<crashed.frames.count).first { crashed.kept(without: $0) < crashed.frames.count } ?? middle
        for mode in [RecoveryMode.lossless, .never] {
            let drill = try damaged { $0[32 + number * CrashedStore.frameLength + 100] ^= 2 }
            let before = try drill.bytes()
            #expect(code { _ = try drill.laterRows(recovery: mode) } == "database_wal_damaged")
            #expect(try drill.bytes() == before)
        }
    }

    @Test func removedItIsMissed() async throws {
        let drill = try crashed.drill.copy()
        try DurableFiles.remove(drill.files.wal)
        let before = try drill.bytes()
        #expect(code { _ = try drill.laterRows() } == "database_wal_missing")
        #expect(try drill.bytes() == before)
        let store = try drill.test.open()
        #expect(await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "database_wal_missing")
        // Only an operator knows that it will not come back.
        try await store.settleWAL(of: drill.scope, .without)
        try store.lock()
        #expect(try drill.laterRows() == crashed.rows(after: 0))
    }

    @Test func ofAnotherDatabaseItIsRefused() async throws {
        let other = try CrashedStore()
        let drill = try damaged { $0 = other.wal }
        let before = try drill.bytes()
        #expect(code { _ = try drill.laterRows() } == "database_wal_damaged")
        let store = try drill.test.open()
        #expect(try await store.recoveryPlan(of: drill.scope).action == .refuse)
        #expect(await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "database_wal_damaged")
        try store.lock()
        #expect(try drill.bytes() == before)
    }

    /// Put beside a database that was closed properly: laid over it, it would undo what came after.
    @Test(arguments: [Store.WALDecision.with, .without]) func ofAnOlderTimeItIsUnexpected(decision: Store.WALDecision)
        async throws
    {
        let drill = try crashed.drill.copy()
        // Opened, changed and closed again.
        try drill.write(rows: 300)
        let rows = try drill.laterRows()
        #expect(rows == crashed.rows(after: crashed.frames.count) + 300)
        try TestFiles.write(crashed.wal, to: drill.files.wal)
        let before = try drill.bytes()
        #expect(code { _ = try drill.laterRows() } == "database_wal_unexpected")
        let store = try drill.test.open()
        #expect(
            await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "database_wal_unexpected")
        #expect(try drill.bytes() == before)
        if decision == .with {
            #expect(await code { try await store.settleWAL(of: drill.scope, .with) } == "wal_does_not_fit")
            #expect(try drill.bytes() == before)
        } else {
            try await store.settleWAL(of: drill.scope, .without)
            try store.lock()
            #expect(try drill.laterRows() == rows)
            #expect(try quarantined("profile.db-wal", drill) == crashed.wal)
        }
    }

    /// As after a crash of an app that did not mark what it had open.
    @Test func ofTheSameTimeItCanBeLaidOver() async throws {
        let drill = try crashed.drill.copy()
        try drill.forgetSession()
        #expect(code { _ = try drill.laterRows() } == "database_wal_unexpected")
        let store = try drill.test.open()
        try await store.settleWAL(of: drill.scope, .with)
        try store.lock()
        #expect(try drill.laterRows() == crashed.rows(after: crashed.frames.count))
        #expect(try quarantined("profile.db-wal", drill) == crashed.wal)
        #expect(try quarantined("profile.db", drill) == crashed.main)
    }

    // MARK: Interrupted

    private static let states = CrashEnumerator.sampleSize == .max ? .max : 12

    /// Rows as whoever has the store open finds them.
    private func rows(_ store: Store, _ drill: DrillStore) throws -> Int {
        let profile = try store.openProfile(drill.info)
        defer { try? profile.close() }
        return try profile.database.read { db in
            #expect(try String.fetchAll(db, sql: "PRAGMA integrity_check") == ["ok"])
            return try Int.fetchOne(db, sql: "SELECT count(*) FROM later") ?? 0
        }
    }

    /// A page, a frame's header and the WAL's header, each damaged, and the recovery cut at every point: whoever comes next does it,
    /// or finds it done.
    @Test(arguments: ["page", "frame header", "header"]) func aRecoveryIsInterrupted(damage: String) async throws {
        let number = crashed.frames.count / 2
        let frame = 32 + number * CrashedStore.frameLength
        let offset = damage == "page" ? frame + 24 + 500 : damage == "frame header" ? frame + 8 : 17
        let expected = crashed.rows(after: damage == "page" ? crashed.kept(without: number) : crashed.frames.count)
        let drill = try damaged { $0[offset] ^= 1 }
        let outcome = try await StoreCrashes.enumerate(
            "a WAL with a damaged \(damage)", in: drill.directory, limit: Self.states
        ) {
            let store = try drill.test.open()
            #expect(try await store.repair(drill.scope, acceptingLoss: true) != nil)
            try store.lock()
        } check: { again, _ in
            _ = try await again.repair(drill.scope, acceptingLoss: true)
            let found = try rows(again, drill)
            #expect(found == expected)
            return "done"
        }
        #expect(Set(outcome.keys) == ["done"])
        #expect(try drill.laterRows() == expected)
    }

    /// An operator's decision about a WAL, cut at every point, and taken again.
    @Test(arguments: Store.WALDecision.allCases) func aDecisionIsInterrupted(decision: Store.WALDecision) async throws {
        let drill = try crashed.drill.copy()
        try drill.forgetSession()
        let expected = crashed.rows(after: decision == .with ? crashed.frames.count : 0)
        let outcome = try await StoreCrashes.enumerate(
            "repair --\(decision.rawValue)-wal", in: drill.directory, limit: Self.states
        ) {
            let store = try drill.test.open()
            try await store.settleWAL(of: drill.scope, decision)
            try store.lock()
        } check: { again, _ in
            let code = await code { try await again.settleWAL(of: drill.scope, decision) }
            #expect([nil, "wal_not_in_question"].contains(code))
            let found = try rows(again, drill)
            #expect(found == expected)
            return code ?? "done again"
        }
        #expect(outcome["done again"] ?? 0 > 0)
    }

    private func quarantined(_ name: String, _ drill: DrillStore) throws -> [UInt8] {
        let kept = try #require(try drill.files.quarantines().last)
        #expect(kept.kind == .wal)
        return try TestFiles.read(drill.files.corrupted.appending(kept.name).appending(name))
    }

    @Test(arguments: [[], [UInt8](repeating: 0xab, count: 32768), [1, 2, 3]]) func whateverTheSharedMemoryFileHolds(
        bytes: [UInt8]
    ) throws {
        let drill = try crashed.drill.copy()
        if bytes.isEmpty {
            try DurableFiles.remove(drill.files.shm)
        } else {
            try TestFiles.write(bytes, to: drill.files.shm)
        }
        #expect(try drill.laterRows() == crashed.rows(after: crashed.frames.count))
    }
}
