import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// A process that takes or restores snapshots under write load, killed at random moments; and a long run without a kill.
@Suite struct SnapshotKillTests {
    @Test func aHundredKillsWhileSnapshotsAreTaken() async throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 1)
        let period = try ChildProcess.period(
            of: ChildProcess("TestHelper", ["snapshots", test.path.string, test.keyFile.string, info.name]), "snapshot")
        var generator = SplitMix64(state: 100)
        var acknowledged = 0
        var taken = 0
        var unfinished = 0
        for round in 1...100 {
            let child = try ChildProcess("TestHelper", ["snapshots", test.path.string, test.keyFile.string, info.name])
            #expect(child.line().hasPrefix("row"))
            usleep(UInt32(generator.next() % (2 * period)))
            child.kill()
            let outcome = child.finish()
            #expect(outcome.wasSignalled, "\(outcome.errorText)")
            acknowledged = max(acknowledged, outcome.lines("row").compactMap { Int($0[1]) }.max() ?? 0)

            let store = try test.open()
            let directory = try store.snapshotDirectory(of: .profile(info.id))
            let left = (try? FileManager.default.contentsOfDirectory(atPath: directory.path.string)) ?? []
            if left.contains(where: { $0.hasSuffix(".partial") }) { unfinished += 1 }
            let list = try directory.list()
            #expect(list.unusable.isEmpty, "round \(round): \(list.unusable)")
            for line in outcome.lines("snapshot") {
                let snapshot = try #require(
                    list.snapshots.first { $0.name == line[1] }, "round \(round): it was said to be there")
                #expect(try directory.rows(of: snapshot) >= Int(line[2]) ?? .max)
            }
            for snapshot in list.snapshots where snapshot.verified == nil {
                #expect(try directory.verify(snapshot).isHealthy)
                _ = try directory.rows(of: snapshot)
                taken += 1
            }
            let profile = try store.openProfile(info)
            let live = try await profile.database.read { try Int.fetchOne($0, sql: "SELECT max(i) FROM n") ?? 0 }
            #expect(live >= acknowledged, "round \(round)")
            try profile.close()
            _ = try directory.prune(Retention(last: 2), isDryRun: false)
            // The first may have been killed before there was a directory.
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path.string)) ?? []
            #expect(names.allSatisfy { !$0.hasSuffix(".partial") && !$0.hasSuffix(".tmp") }, "round \(round): \(names)")
            try store.lock()
        }
        print(
            "kill -9 while snapshots are taken: 100 times, \(unfinished) in the middle; \(taken) snapshots, all good; \(acknowledged) rows, all there"
        )
        #expect(taken > 10 && unfinished > 10)
    }

    /// The operator's process is killed, the app's is not: it goes on writing, closes, and has every row.
    @Test func aHundredKillsOfWhoeverCopiesWhatTheAppHasOpen() async throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 1)
        let arguments = [
            "snapshot", "create", "--store", test.path.string, "--key-file", test.keyFile.string, info.name,
        ]
        let app = try ChildProcess("TestHelper", ["write-and-close", test.path.string, test.keyFile.string, info.name])
        #expect(app.line().hasPrefix("row"))
        let start = ContinuousClock.now
        let first = try ChildProcess.run("strongroom", arguments)
        #expect(first.status == 0, "\(first.errorText)")
        // However busy the machine is: the app writes all the while, and what is copied grows.
        let period = min(max(1_000, UInt64((ContinuousClock.now - start) / .microseconds(1))), 500_000)
        var generator = SplitMix64(state: 300)
        var killed = 0
        let store = try test.open()
        let directory = try store.snapshotDirectory(of: .profile(info.id))
        for round in 1...100 {
            if round.isMultiple(of: 10) { _ = try directory.prune(Retention(last: 3), isDryRun: false) }
            let copier = try ChildProcess("strongroom", arguments)
            usleep(UInt32(generator.next() % (2 * period)))
            copier.kill()
            if copier.finish().wasSignalled { killed += 1 }
            // What the app prints must be read, or it stops when the pipe is full.
            for _ in 0..<20 { _ = app.line() }
        }
        app.send("")
        let outcome = app.finish()
        #expect(outcome.outputText.hasSuffix("closed\n"))
        let committed = outcome.lines("row").compactMap { Int($0[1]) }.max() ?? 0
        #expect(try store.verify(info).isHealthy)
        let profile = try store.openProfile(info)
        let (count, largest, integrity) = try await profile.database.read { db in
            (
                try Int.fetchOne(db, sql: "SELECT count(*) FROM n"), try Int.fetchOne(db, sql: "SELECT max(i) FROM n"),
                try String.fetchOne(db, sql: "PRAGMA integrity_check")
            )
        }
        #expect(count == largest && largest ?? 0 >= committed && committed > 100 && integrity == "ok")
        try profile.close()
        _ = try await store.createSnapshot(of: .profile(info.id))
        let list = try directory.list()
        #expect(list.unusable.isEmpty)
        for snapshot in list.snapshots {
            #expect(try directory.verify(snapshot).isHealthy)
            _ = try directory.rows(of: snapshot)
        }
        print(
            "kill -9 of the copying process: \(killed) times, \(list.snapshots.count) snapshots, all good; the app has \(committed) rows"
        )
        #expect(killed > 10 && list.snapshots.count > 2)
        try store.lock()
    }

    @Test func aHundredKillsWhileSnapshotsAreRestored() async throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 40)
        let other = try test.makeProfile(named: "other", rows: 1)
        do {
            let store = try test.open()
            _ = try await store.createSnapshot(of: .profile(info.id))
            try store.lock()
        }
        let period = try ChildProcess.period(
            of: ChildProcess(
                "TestHelper", ["restores", test.path.string, test.keyFile.string, info.name, other.name]), "restored")
        var generator = SplitMix64(state: 200)
        var before = try test.rows(info, in: test.open())
        var restored = 0
        var acknowledged = 0
        var unfinished = 0
        for round in 1...100 {
            let child = try ChildProcess(
                "TestHelper", ["restores", test.path.string, test.keyFile.string, info.name, other.name])
            #expect(child.line().hasPrefix("row"))
            usleep(UInt32(generator.next() % (2 * period)))
            child.kill()
            let outcome = child.finish()
            #expect(outcome.wasSignalled, "\(outcome.errorText)")
            acknowledged = max(acknowledged, outcome.lines("row").compactMap { Int($0[1]) }.max() ?? 0)
            let names = try FileManager.default.contentsOfDirectory(atPath: test.directoryOf(info).string)
            if names.contains(where: { $0.contains("restor") }) { unfinished += 1 }

            let store = try test.open()
            let count = try test.rows(info, in: store)
            // What was said last, or what was being done after that: adding three rows, or going back to the forty.
            let expected: Set<Int> =
                switch outcome.lines("added").count - outcome.lines("restored").count {
                case 1: [outcome.lines("restored").isEmpty ? before + 3 : 43, 40]
                default: outcome.lines("restored").isEmpty ? [before, before + 3] : [40, 43]
                }
            #expect(expected.contains(count), "round \(round): \(before) became \(count)")
            if count <= 43 { restored += 1 }
            before = count
            #expect(try store.verify(info).isHealthy)
            let profile = try store.openProfile(other)
            let live = try await profile.database.read { try Int.fetchOne($0, sql: "SELECT max(i) FROM n") ?? 0 }
            #expect(live >= acknowledged, "round \(round)")
            try profile.close()
            try? FileManager.default.removeItem(atPath: test.directoryOf(info).appending("corrupted").string)
            try store.lock()
        }
        print(
            "kill -9 while snapshots are restored: 100 times, \(unfinished) in the middle, \(restored) after a restore")
        #expect(unfinished > 10 && restored > 10)
    }

    /// Writes at full speed while snapshots are taken: each verifies, and holds every row that had been committed before it
    /// began. Five seconds; a minute and at least twenty snapshots with STRONGROOM_SOAK=1.
    @Test func writesAtFullSpeedWhileSnapshotsAreTaken() async throws {
        let isLong = ProcessInfo.processInfo.environment["STRONGROOM_SOAK"] == "1"
        let test = try TestStore()
        let info = try test.makeProfile(rows: 1)
        let child = try ChildProcess(
            "TestHelper", ["snapshots", test.path.string, test.keyFile.string, info.name, "quiet"])
        #expect(child.line().hasPrefix("snapshot"))
        // Not a task's sleep, which ends when a thread is free: the child would fill the disk until then.
        sleep(isLong ? 60 : 5)
        child.kill()
        let outcome = child.finish()
        let said = outcome.lines("snapshot")
        let store = try test.open()
        let directory = try store.snapshotDirectory(of: .profile(info.id))
        let list = try directory.list()
        #expect(list.unusable.isEmpty && list.snapshots.count >= said.count && said.count >= 20)
        // All of a short run; of a long one twenty, over its whole length.
        let checked = stride(from: 0, to: said.count, by: max(1, said.count / 20)).map { said[$0] }
        var last = 0
        for line in checked {
            let snapshot = try #require(list.snapshots.first { $0.name == line[1] })
            #expect(try directory.verify(snapshot).isHealthy)
            let rows = try directory.rows(of: snapshot)
            #expect(rows >= Int(line[2]) ?? .max && rows >= last)
            last = rows
        }
        print(
            "writes at full speed: \(said.count) snapshots taken, \(checked.count) verified and read, up to \(last) rows"
        )
        try store.lock()
    }
}
