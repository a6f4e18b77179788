import Foundation
import GRDB
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import PageCipher
@testable import Strongroom

/// A value that several tasks share.
final class Shared<Value: Sendable>: Sendable {
    private let held: Mutex<Value>

    init(_ value: Value) { held = Mutex(value) }

    var value: Value { held.withLock { $0 } }

    @discardableResult
    func change<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        held.withLock { value in
            var copy = value
            defer { value = copy }
            return body(&copy)
        }
    }
}

/// A profile that is read and written while it moves to another key.
@Suite struct OpenProfileRotationTests {
    @Test(arguments: [
        [], [("authentication: hmac-sha512", "authentication: hmac-sha256"), ("size: 4096", "size: 16384")],
    ])
    func thePoolStaysTheSame(policy: [(String, String)]) async throws {
        let sample = try RotationStore(policy: policy)
        let profile = try sample.store.openProfile(sample.info)
        let database = profile.database
        let statement = "SELECT count(*) FROM t"
        #expect(try await database.read { try Int.fetchOne($0, sql: statement) } == 300)
        for generation in 2...4 {
            try await database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('before')") }
            let report = try await profile.rotateDataKey()
            #expect(report.generation == generation && report.millisecondsHeld != nil)
            #expect(profile.database === database)
            let keyID = try sample.keyID()
            #expect(profile.dataKey.generation == generation && profile.dataKey.keyID == keyID)
            try await database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('after')") }
            #expect(try await database.read { try Int.fetchOne($0, sql: statement) } == 300 + 2 * (generation - 1))
            #expect(try await database.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
            #expect(try await database.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
            #expect(
                try await database.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA busy_timeout") }
                    == 10_000)
        }
        #expect(try await database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        let epoch = try sample.envelope().epoch
        try profile.close()
        #expect(try sample.envelope().epoch == epoch + 1)
        try sample.store.lock()
        let again = try sample.test.open()
        #expect(try sample.test.rows(sample.info, in: again) == 306)
        #expect(try again.verify(sample.info).isHealthy)
    }

    /// Every row that was acknowledged is there, whenever it was written; nobody who reads or writes gets an error.
    @Test func readsAndWritesGoOn() async throws {
        let sample = try RotationStore(rows: 40_000)
        let profile = try sample.store.openProfile(sample.info)
        let database = profile.database
        try await database.write { try $0.execute(sql: "CREATE TABLE log (n INTEGER PRIMARY KEY, filling BLOB)") }
        let isDone = Shared(false)
        let observed = Shared(0)
        let observation = ValueObservation.tracking { try Int.fetchOne($0, sql: "SELECT max(n) FROM log") ?? 0 }
            .start(in: database, scheduling: .async(onQueue: .global())) { _ in
                Issue.record("the observation ended")
            } onChange: { value in
                observed.change { $0 = max($0, value) }
            }
        var reports: [DataKeyRotationReport] = []
        let acknowledged = try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                var n = 0
                while !isDone.value {
                    n += 1
                    let next = n
                    try await database.write { db in
                        try db.execute(sql: "INSERT INTO log VALUES (?, randomblob(3000))", arguments: [next])
                        try db.execute(
                            sql: "UPDATE t SET filling = filling WHERE i = ?", arguments: [next % 40_000 + 1])
                    }
                }
                return n
            }
            group.addTask {
                while !isDone.value {
                    let count = try await database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
                    #expect(count == 40_000)
                }
                return 0
            }
            for _ in 0..<8 { reports.append(try await profile.rotateDataKey()) }
            isDone.change { $0 = true }
            return try await group.reduce(0, +)
        }
        #expect(reports.map(\.generation) == Array(2...9))
        #expect(reports.contains { $0.pagesCaughtUp > 0 })
        print(
            "rotations under load: \(acknowledged) rows written, pages caught up \(reports.map(\.pagesCaughtUp)), held \(reports.compactMap(\.millisecondsHeld)) ms"
        )
        #expect(try await database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM log") } == acknowledged)
        // The observation sees what is written after the last exchange, too.
        try await database.write { try $0.execute(sql: "INSERT INTO log VALUES (1000000, NULL)") }
        for _ in 0..<100 where observed.value != 1_000_000 { try await Task.sleep(for: .milliseconds(50)) }
        #expect(observed.value == 1_000_000)
        observation.cancel()
        #expect(try await database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        try profile.close()
        #expect(try sample.store.verify(sample.info).isHealthy)
        let reopened = try sample.store.openProfile(sample.info)
        #expect(
            try await reopened.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM log") } == acknowledged
                + 1)
        try reopened.close()
    }

    /// A WAL that began anew is as long as it was, and frames of its last round stand behind those of this one: what is written meanwhile makes it
    /// no longer.
    @Test func whatIsWrittenIntoAWALThatBeganAnewIsKept() async throws {
        let sample = try RotationStore()
        let profile = try sample.store.openProfile(sample.info)
        try profile.database.beginWALAnew()
        let written = Shared(0)
        try await profile.rotateDataKey { progress in
            guard progress.phase != .exchanging else { return }
            try? profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('meanwhile')") }
            written.change { $0 += 1 }
        }
        #expect(written.value > 0)
        let statement = "SELECT count(*) FROM t WHERE filling = 'meanwhile'"
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: statement) } == written.value)
        #expect(try await profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        try profile.close()
        #expect(try sample.store.verify(sample.info).isHealthy)
        let again = try sample.store.openProfile(sample.info)
        #expect(try await again.database.read { try Int.fetchOne($0, sql: statement) } == written.value)
        try again.close()
    }

    /// All of the WAL is in the main file when the rotation begins to copy, so the next write begins it anew.
    @Test func whatIsWrittenIntoAWALThatBeginsAnewMeanwhileIsKept() async throws {
        let sample = try RotationStore()
        let profile = try sample.store.openProfile(sample.info)
        try profile.database.beginWALAnew()
        let before = try WALMark.header(of: DataFile(sample.files.wal))
        _ = try await profile.database.writeWithoutTransaction { try $0.checkpoint(.passive) }
        let written = Shared(0)
        try await profile.rotateDataKey { progress in
            guard progress.phase != .exchanging else { return }
            for _ in 1...20 {
                try? profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('meanwhile')") }
                written.change { $0 += 1 }
            }
            #expect((try? WALMark.header(of: DataFile(sample.files.wal))) != before)
        }
        #expect(written.value >= 40)
        let statement = "SELECT count(*) FROM t WHERE filling = 'meanwhile'"
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: statement) } == written.value)
        #expect(try await profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        try profile.close()
        #expect(try sample.store.verify(sample.info).isHealthy)
    }

    /// Pages that go: the file becomes shorter while it is copied.
    @Test func theDatabaseMayShrinkAndGrowMeanwhile() async throws {
        let sample = try RotationStore(rows: 3_000)
        let profile = try sample.store.openProfile(sample.info)
        let step = Shared(0)
        try await profile.rotateDataKey { progress in
            guard progress.phase == .encrypting,
                step.change({
                    $0 += 1; return $0
                }) == 1
            else { return }
            try? profile.database.write { try $0.execute(sql: "DELETE FROM t WHERE i > 100") }
            try? profile.database.writeWithoutTransaction { try $0.execute(sql: "VACUUM") }
            try? profile.database.write {
                try $0.execute(sql: "INSERT INTO t (filling) VALUES (zeroblob(100000)), (zeroblob(5))")
            }
        }
        #expect(step.value > 0)
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 102)
        #expect(try await profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        try profile.close()
        #expect(try sample.store.verify(sample.info).isHealthy)
    }

    /// A connection of the app's own would stay with the old file.
    @Test func somebodyElsesConnectionEndsItAndNothingIsChanged() async throws {
        let sample = try RotationStore()
        let profile = try sample.store.openProfile(sample.info)
        let snapshot = try profile.database.makeSnapshot()
        _ = try await snapshot.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
        let keyID = try sample.keyID()
        #expect(await code { try await profile.rotateDataKey() } == "connections_open")
        #expect(try sample.keyID() == keyID)
        #expect(try !StrictFiles.exists(sample.files.rotating))
        #expect(try await snapshot.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 300)
        try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('still')") }
        #expect(try await profile.database.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
        try snapshot.close()
        try await profile.rotateDataKey()
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 301)
        try profile.close()
    }

    @Test func itCanBeCancelledUntilItIsDecided() async throws {
        let sample = try RotationStore(rows: 2_000)
        let profile = try sample.store.openProfile(sample.info)
        let task = Task {
            try await profile.rotateDataKey { progress in
                if progress.phase == .encrypting { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        #expect(await code { _ = try await task.value } == "cancelled")
        #expect(try !StrictFiles.exists(sample.files.rotating))
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 2_000)
        try profile.close()
        #expect(try sample.test.rows(sample.info, in: sample.store) == 2_000)
    }

    /// An operator rotates the root key while an app has a profile open: whatever the app does next goes on.
    @Test func theRootKeyMayRotateMeanwhile() async throws {
        let sample = try RotationStore()
        // What an interrupted rotation leaves.
        _ = try sample.store.keyring.addPendingDataKey(to: sample.envelope())
        let profile = try sample.store.openProfile(sample.info)
        for _ in 0..<2 {
            let operatorsStore = try sample.test.open()
            try await operatorsStore.rotateRootKey()
            try operatorsStore.lock()
            // The app meets the new root key in the next file it reads, and lets the old one go.
            _ = try sample.store.profiles()
            #expect(try profile.verify().isHealthy)
            _ = try await profile.snapshot()
            try await profile.rotateDataKey()
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('x')") }
        }
        #expect(sample.store.keyring.rootKeyInfos.map(\.state) == [.destroyed, .destroyed, .active])
        try profile.close()
        #expect(try sample.test.rows(sample.info, in: sample.store) == 302)
    }

    @Test func afterClosingThereIsNothingToRotate() async throws {
        let sample = try RotationStore()
        let profile = try sample.store.openProfile(sample.info)
        try profile.close()
        // It is rotated as a closed one.
        #expect(try await profile.rotateDataKey().millisecondsHeld == nil)
        try sample.store.lock()
        #expect(await code { try await profile.rotateDataKey() } == "store_locked")
    }
}
