import Foundation
import GRDB
import TestSupport
import Testing

@testable import Snapshots
@testable import Strongroom

/// Profiles that are written, vacuumed and checkpointed in no particular order while they move to other keys and are copied: whatever is read, in
/// the profile or in a copy, is one version of it, whole, and none that was acknowledged is missing.
@Suite struct RandomLifeTests {
    /// Some seconds; five minutes, and writes as fast as they can be, with STRONGROOM_SOAK=1.
    @Test func everyVersionIsWhole() async throws {
        let isLong = ProcessInfo.processInfo.environment["STRONGROOM_SOAK"] == "1"
        let deadline = ContinuousClock.now + .seconds(isLong ? 300 : 4)
        let test = try TestStore()
        let store = try test.open()
        let lives = try ["first", "second"].map { try Life(store.createProfile(named: $0), in: store) }
        let (first, second) = (lives[0], lives[1])
        let isDone = Shared(false)
        var counts = (rotations: 0, pagesCaughtUp: 0, snapshots: 0, sets: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for life in lives {
                group.addTask {
                    while !isDone.value {
                        try await life.change()
                        if !isLong { try await Task.sleep(for: .milliseconds(3)) }
                    }
                }
                group.addTask { while !isDone.value { try await life.upkeep() } }
                group.addTask {
                    while !isDone.value {
                        let isWhole = try await life.profile.database.read { try Life.isWhole($0) }
                        #expect(isWhole)
                    }
                }
            }
            // One after the other, so that at each moment the first is as far as the second or one step further.
            group.addTask {
                while !isDone.value { for life in lives { try await life.step() } }
            }
            // A machine that is busy with other tests takes longer for something to happen.
            func isEnough() -> Bool { lives.allSatisfy { $0.acknowledged.value >= 500 } }
            while ContinuousClock.now < deadline || (!isEnough() && ContinuousClock.now < deadline + .seconds(60)) {
                for life in lives {
                    counts.pagesCaughtUp += try await life.profile.rotateDataKey().pagesCaughtUp
                    counts.rotations += 1
                    let least = life.acknowledged.value
                    let copy = try life.state(of: await life.profile.snapshot(), in: store)
                    #expect(copy.isWhole && copy.version >= least)
                    counts.snapshots += 1
                }
                let set = try await store.createSnapshotSet()
                #expect(set.failed.isEmpty)
                let copies = try lives.compactMap { life in
                    try set.snapshots.first { $0.scope == life.scope.description }
                        .map { try life.state(of: $0, in: store) }
                }
                try #require(copies.count == 2)
                let areWhole = copies.allSatisfy { $0.isWhole }
                #expect(areWhole)
                #expect((0...1).contains(copies[0].steps - copies[1].steps))
                counts.sets += 1
            }
            isDone.change { $0 = true }
            try await group.waitForAll()
        }
        print(
            "a random life: versions \(first.acknowledged.value) and \(second.acknowledged.value), \(counts.rotations) rotations with \(counts.pagesCaughtUp) pages caught up, \(counts.snapshots) snapshots, \(counts.sets) sets"
        )
        for life in lives {
            let info = life.profile.info
            try life.profile.close()
            #expect(try store.verify(info).isHealthy)
            let again = try store.openProfile(info)
            let (isWhole, version, check) = try await again.database.read {
                (
                    try Life.isWhole($0), try Int.fetchOne($0, sql: "SELECT version FROM state"),
                    try String.fetchOne($0, sql: "PRAGMA integrity_check")
                )
            }
            #expect(isWhole && version == life.acknowledged.value && check == "ok")
            try again.close()
        }
    }
}

/// A profile whose every version says what all of its rows add up to.
private final class Life: Sendable {
    let profile: Profile
    var scope: KeyScope { .profile(profile.info.id) }
    /// The newest version that a write has returned for.
    let acknowledged = Shared(0)

    init(_ info: ProfileInfo, in store: Store) throws {
        profile = try store.openProfile(info)
        try profile.database.write {
            try $0.execute(
                sql: """
                    CREATE TABLE item (i INTEGER PRIMARY KEY, mark INTEGER, length INTEGER, body TEXT);
                    CREATE TABLE state (version INTEGER, steps INTEGER, count INTEGER, sum INTEGER);
                    INSERT INTO state VALUES (0, 0, 0, 0);
                    CREATE TRIGGER comes AFTER INSERT ON item
                        BEGIN UPDATE state SET count = count + 1, sum = sum + new.mark; END;
                    CREATE TRIGGER goes AFTER DELETE ON item
                        BEGIN UPDATE state SET count = count - 1, sum = sum - old.mark; END;
                    CREATE TRIGGER changes AFTER UPDATE ON item
                        BEGIN UPDATE state SET sum = sum + new.mark - old.mark; END;
                    """)
            try $0.execute(sql: Self.rows(Self.places / 2, from: 0, every: 2, mark: 0, length: 20))
        }
    }

    /// How many rows there may be: so many that most of what is written is not written again soon.
    private static let places = 20_000

    /// The rows of a version, and each of its bodies, are those that its state says.
    private static let wholeness = """
        SELECT (SELECT count(*) FROM item) = count AND (SELECT coalesce(sum(mark), 0) FROM item) = sum
            AND NOT EXISTS (SELECT 1 FROM item WHERE body <> \(body("mark", "length"))) FROM state
        """

    private static func body(_ mark: String, _ length: String) -> String {
        "replace(hex(zeroblob(\(length))), '00', printf('%08x', \(mark)))"
    }

    static func isWhole(_ db: Database) throws -> Bool { try Bool.fetchOne(db, sql: wholeness) ?? false }

    /// Rows that are new, or take the place of others.
    private static func rows(_ count: Int, from first: Int, every step: Int, mark: Int, length: Int) -> String {
        """
        WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < \(count - 1))
        INSERT INTO item SELECT (\(first) + \(step) * k) % \(places), \(mark) + k, \(length), \(body("\(mark) + k", "\(length)"))
            FROM n WHERE true
            ON CONFLICT (i) DO UPDATE SET mark = excluded.mark, length = excluded.length, body = excluded.body
        """
    }

    private func write(_ statement: String) async throws {
        let version = try await profile.database.write { db in
            try db.execute(sql: statement + "; UPDATE state SET version = version + 1")
            return try Int.fetchOne(db, sql: "SELECT version FROM state") ?? 0
        }
        acknowledged.change { $0 = max($0, version) }
    }

    /// Some rows more, less, or other ones.
    func change() async throws {
        let (mark, length) = (Int.random(in: 0..<1 << 31), [1, 20, 40, 1_000].randomElement() ?? 1)
        let place = Int.random(in: 0..<Self.places)
        switch Int.random(in: 0..<8) {
        case 0..<4:
            try await write(
                Self.rows(.random(in: 1...20), from: place, every: 37, mark: mark, length: length))
        case 4..<7:
            try await write(
                """
                UPDATE item SET mark = \(mark), length = \(length), body = \(Self.body("\(mark)", "\(length)"))
                    WHERE i BETWEEN \(place) AND \(place + 10)
                """)
        default: try await write("DELETE FROM item WHERE i BETWEEN \(place) AND \(place + 100)")
        }
    }

    func step() async throws { try await write("UPDATE state SET steps = steps + 1") }

    /// What an app may do to its WAL and its file; it does not wait for readers that are in the way.
    func upkeep() async throws {
        let kind = Int.random(in: 0..<20)
        try await profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA busy_timeout = 0")
            defer { try? db.execute(sql: "PRAGMA busy_timeout = 10000") }
            switch kind {
            case 0..<6: _ = try db.checkpoint(.passive)
            case 6..<10: _ = try? db.checkpoint(.restart)
            case 10..<14: _ = try? db.checkpoint(.truncate)
            case 14: try? db.execute(sql: "VACUUM")
            default: try db.execute(sql: "PRAGMA wal_autocheckpoint = \([1, 50, 1_000].randomElement() ?? 1_000)")
            }
        }
        try await Task.sleep(for: .milliseconds(Int.random(in: 0..<200)))
    }

    /// What a copy holds.
    func state(of snapshot: Snapshot, in store: Store) throws -> (isWhole: Bool, version: Int, steps: Int) {
        try store.snapshotDirectory(of: scope).withPages(of: snapshot) { file, key in
            let connection = try SealedDatabase(file, key: key).connection
            let values = try [Self.wholeness, "SELECT version FROM state", "SELECT steps FROM state"].map {
                Int(try RawSQL.integer($0, on: connection.handle) ?? -1)
            }
            return (values[0] == 1, values[1], values[2])
        }
    }
}
