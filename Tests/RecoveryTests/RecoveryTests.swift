import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// What an app finds that opens a damaged store.
@Suite struct RecoveryTests {
    private static let sample = Result { try DrillStore() }
    private let drill: DrillStore

    init() throws { drill = try Self.sample.get().copy() }

    private func flip(_ page: Int, in file: FilePath) throws {
        try TestFiles.edit(file) { $0[(page - 1) * DrillStore.pageSize + 300] ^= 1 }
    }

    private func zero(_ page: Int) throws {
        try TestFiles.edit(drill.files.main) { bytes in
            for index in (page - 1) * DrillStore.pageSize..<page * DrillStore.pageSize { bytes[index] = 0 }
        }
    }

    private func open(_ recovery: RecoveryMode, _ events: Events? = nil, of other: DrillStore? = nil) throws -> Store {
        let test = (other ?? drill).test
        return try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(recovery: recovery, onRecovery: { events?.note($0) }))
    }

    // MARK: Opening a profile

    @Test func whatLosesNothingIsDoneAndTold() async throws {
        try await drill.takeSnapshot()
        let contents = try drill.contents()
        let map = try PageMap(drill)
        for mode in [RecoveryMode.automatic, .lossless] {
            try flip(map.leaves[2], in: drill.files.main)
            // After an unclean close every page is looked at.
            try drill.leaveOpen()
            let events = Events()
            let store = try open(mode, events)
            let profile = try store.openProfile(drill.info)
            let event = try #require(profile.recovery)
            #expect(event.plan.action == .repair && event.plan.isLossless && event.plan.badPages == 1)
            #expect(event.plan.foundPages.inSnapshots == 1 && event.plan.lostPages == 0)
            #expect(events.all == [event])
            try profile.close()
            #expect(try store.openProfile(drill.info).recovery == nil, "once")
            try store.lock()
            #expect(try drill.contents() == contents)
        }
        #expect(try drill.files.quarantines().map(\.kind) == [.repair, .repair])
    }

    @Test func whatLosesSomethingNeedsAnAppThatAcceptsIt() async throws {
        try drill.write()
        try await drill.takeSnapshot()
        let atSnapshot = try drill.contents()
        try drill.write(rows: 100)
        let rows = try drill.laterRows()
        let map = try PageMap(drill)
        try zero(map.laterLeaves[2])
        // After an unclean close every page is looked at.
        try drill.leaveOpen()
        // Opening writes the first page and free ones.
        func content() throws -> [Data] {
            let bytes = try Data(TestFiles.read(drill.files.main))
            return (map.interior + map.leaves + map.overflow + map.laterLeaves).map { page in
                bytes[(page - 1) * DrillStore.pageSize..<page * DrillStore.pageSize]
            }
        }
        let before = try content()
        for mode in [RecoveryMode.lossless, .never] {
            let store = try open(mode)
            #expect(code { try store.openProfile(drill.info).close() } == "database_pages_damaged")
            try store.lock()
        }
        #expect(try content() == before && drill.files.quarantines().isEmpty)
        let store = try drill.test.open()
        #expect(await code { _ = try await store.repair(drill.scope) } == "loss_not_accepted")
        #expect(try content() == before && drill.files.quarantines().isEmpty)
        let event = try #require(try await store.repair(drill.scope, acceptingLoss: true))
        try store.lock()
        #expect(event.plan.action == .restore && !event.plan.isLossless && event.plan.secondsLost != nil)
        #expect(try drill.contents() == atSnapshot)

        // What could still be read is beside it, under the same key.
        let salvage = try #require(event.salvage)
        #expect(salvage.tables == 4 && salvage.incompleteTables == 1)
        let salvaged = try readSalvaged(event)
        #expect(salvaged.t == DrillStore.rows && salvaged.big == 4)
        #expect(salvaged.later > 30 && salvaged.later < rows, "all of it but one page: \(salvaged.later) of \(rows)")
        #expect(salvage.rows == salvaged.t + salvaged.big + salvaged.later)
    }

    private func readSalvaged(_ event: RecoveryEvent) throws -> (t: Int, big: Int, later: Int) {
        let store = try drill.test.open()
        defer { try? store.lock() }
        let envelope = try store.keyring.envelope(for: drill.scope)
        let key = try store.keyring.dataKey(generation: 1, of: envelope)
        let queue = try DatabaseQueue(
            path: drill.files.corrupted.appending(event.quarantine).appending("salvaged.db").string,
            configuration: Engine.configuration(key: key, policy: store.policy, readonly: true))
        return try queue.read { db in
            #expect(try String.fetchAll(db, sql: "PRAGMA integrity_check") == ["ok"])
            func count(_ table: String) throws -> Int {
                try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table)") ?? 0
            }
            return (try count("t"), try count("big"), try count("later"))
        }
    }

    @Test func theGlobalDatabaseIsRecoveredWhenTheStoreIsOpened() async throws {
        let store = try drill.test.open()
        _ = try await store.createSnapshot(of: .global)
        try store.lock()
        let file = drill.test.path.appending("global.db")
        try flip(2, in: file)
        #expect(code { _ = try open(.never).profiles() } == "database_pages_damaged")
        let events = Events()
        let recovered = try open(.automatic, events)
        #expect(try recovered.profiles().map(\.id) == [drill.info.id])
        #expect(events.all.map(\.plan.scope) == [.global])
        #expect(events.all.map(\.plan.isLossless) == [true])
        try recovered.lock()
    }

    /// Damage that opening does not meet is told where it is met.
    @Test func whateverPageOfTheGlobalDatabaseIsDamagedItIsSaid() throws {
        let pages = try TestFiles.read(drill.test.path.appending("global.db")).count / DrillStore.pageSize
        for page in 1...pages {
            let copy = try drill.copy()
            try flip(page, in: copy.test.path.appending("global.db"))
            let met = code { _ = try open(.never, of: copy).profiles() }
            #expect([nil, "database_pages_damaged"].contains(met), "page \(page): \(met ?? "")")
            // Whether or not that read the page, verifying does.
            let store = try Store.openWithoutGlobal(at: copy.test.path, with: .keyFile(copy.test.keyFile))
            #expect(try store.verifyGlobal().condition == .pagesDamaged(count: 1), "page \(page)")
            try store.lock()
        }
    }

    // MARK: What is never recovered from

    private enum Harmless: String, CaseIterable {
        case olderFile, missing, directoryInItsPlace, noEnvelope, otherKey, plaintext, noProfiles
    }

    @Test(arguments: Harmless.allCases) private func nothingIsMovedForWhatIsNoDamage(kind: Harmless) async throws {
        try await drill.takeSnapshot()
        let older = try TestFiles.read(drill.files.main)
        let main = drill.files.main
        let manager = FileManager.default
        let expected: String
        switch kind {
        case .olderFile:
            try drill.write()
            try TestFiles.write(older, to: main)
            expected = "database_rolled_back"
        case .missing:
            try DurableFiles.remove(main)
            expected = "database_missing"
        case .directoryInItsPlace:
            try DurableFiles.remove(main)
            try DurableFiles.createDirectory(main)
            expected = "file_is_not_regular"
        case .noEnvelope:
            try manager.removeItem(atPath: drill.test.path.appending("keyring/envelopes/\(drill.info.id).json").string)
            expected = "envelope_missing"
        case .otherKey:
            let store = try drill.test.open()
            try await store.rotateDataKey(of: drill.scope)
            try store.lock()
            try TestFiles.write(older, to: main)
            expected = "database_wrong_key"
        case .plaintext:
            try DurableFiles.remove(main)
            try await DatabaseQueue(path: main.string).write { try $0.execute(sql: "CREATE TABLE t (a)") }
            expected = "database_plaintext"
        case .noProfiles:
            try manager.moveItem(
                atPath: drill.test.path.appending("profiles").string,
                toPath: drill.test.directory.appending("away").string)
            expected = "database_missing"
        }
        let before = try TestFiles.snapshot(drill.test.path, ignoring: ["-shm", ".lock"])
        let events = Events()
        let store = try open(.automatic, events)
        #expect(code { _ = try store.openProfile(drill.info) } == expected)
        let repaired = await code { _ = try await store.repair(drill.scope, acceptingLoss: true) }
        #expect(repaired == expected)
        try store.lock()
        #expect(events.all.isEmpty)
        #expect(try drill.files.quarantines().isEmpty)
        #expect(try TestFiles.snapshot(drill.test.path, ignoring: ["-shm", ".lock"]) == before)
    }

    // MARK: Snapshots

    /// The newest snapshot is bad and the one before is good, and the recovery is cut at every point.
    @Test func aRecoveryFromTheSecondSnapshotIsInterrupted() async throws {
        let first = try drill.contents()
        for _ in 0..<2 {
            try await drill.takeSnapshot()
            try drill.write()
        }
        let newest = try #require(try DurableFiles.names(in: drill.files.backups).filter { $0.hasSuffix(".db") }.max())
        try flip(5, in: drill.files.backups.appending(newest))
        for page in 3...6 { try zero(page) }
        let limit = CrashEnumerator.sampleSize == .max ? Int.max : 12
        let outcome = try await StoreCrashes.enumerate("the second snapshot", in: drill.directory, limit: limit) {
            let store = try open(.never)
            #expect(try await store.repair(drill.scope, acceptingLoss: true)?.plan.action == .restore)
            try store.lock()
        } check: { again, _ in
            _ = try await again.repair(drill.scope, acceptingLoss: true)
            let contents = try DrillStore.contents(of: again, drill.info)
            #expect(contents == first)
            return "done"
        }
        #expect(Set(outcome.keys) == ["done"])
    }

    private enum State: CaseIterable { case none, noDirectory, allBad, newestBad }

    @Test(arguments: State.allCases) private func whicheverSnapshotIsGood(state: State) async throws {
        let first = try drill.contents()
        if state != .none {
            try await drill.takeSnapshot()
            try drill.write()
            try await drill.takeSnapshot()
            try drill.write()
        }
        try TestFiles.edit(drill.files.main) { bytes in
            for index in bytes.indices.dropFirst(DrillStore.pageSize).prefix(20 * DrillStore.pageSize) {
                bytes[index] = 0
            }
        }
        let pages =
            state == .none
            ? [] : try DurableFiles.names(in: drill.files.backups).map(\.shown).filter { $0.hasSuffix(".db") }.sorted()
        switch state {
        case .none: break
        case .noDirectory: try FileManager.default.removeItem(atPath: drill.files.backups.string)
        case .allBad: for name in pages { try flip(5, in: drill.files.backups.appending(name)) }
        case .newestBad: try flip(5, in: drill.files.backups.appending(#require(pages.last)))
        }
        let before = try drill.bytes()
        let store = try open(.automatic)
        if state == .newestBad {
            let event = try #require(try await store.repair(drill.scope, acceptingLoss: true))
            #expect(event.plan.snapshot.map { "\($0.name).db" } == pages.first)
            #expect(
                try DrillStore.contents(of: store, drill.info) == first)
        } else {
            #expect(
                await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "db_recovery_no_snapshot"
            )
            #expect(try drill.bytes() == before)
        }
        try store.lock()
    }

    // MARK: The system refuses

    @Test(arguments: [Errno.noSpace, .ioError]) func whicheverCallFails(error: Errno) async throws {
        try await drill.takeSnapshot()
        let map = try PageMap(drill)
        let contents = try drill.contents()
        var next = 0
        let failed = try await withEachCallFailing(of: "repair", error, limit: 400) { probe in
            // A lost page, so that a snapshot takes the database's place, and a bad one, by turns.
            let copy = try drill.copy()
            next += 1
            try TestFiles.edit(copy.files.main) { bytes in
                let start = (map.leaves[3] - 1) * DrillStore.pageSize
                if next.isMultiple(of: 2) {
                    for index in start..<start + DrillStore.pageSize { bytes[index] = 0 }
                } else {
                    bytes[start + 300] ^= 1
                }
            }
            let store = try copy.test.open()
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code { _ = try await store.repair(copy.scope, acceptingLoss: true) }
            }
            if outcome == nil || !probe.hasFailed { #expect(outcome == nil, "\(outcome ?? "")") }
            _ = try await store.repair(copy.scope, acceptingLoss: true)
            #expect(try DrillStore.contents(of: store, copy.info) == contents)
            let names = try FileManager.default.contentsOfDirectory(atPath: copy.files.directory.string)
            #expect(!names.contains { $0.contains("restor") }, "\(names)")
            try store.lock()
        }
        #expect(failed >= 60)
    }
}
