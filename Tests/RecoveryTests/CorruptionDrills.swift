import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// What a drill must end in.
enum DrillOutcome: Equatable, Sendable {
    /// Everything is there, and the damaged pages are byte for byte what they were.
    case repaired
    /// Everything is there: nothing was changed since the snapshot was taken.
    case restoredWithoutLoss
    /// What the snapshot has is there, and the event says how much time lies between.
    case restoredWithLoss
    /// An error with this code; every file is as it was.
    case refused(String)
}

/// One kind of damage to the main file of a closed database, and what must become of it.
struct Drill: Sendable, CustomTestStringConvertible {
    let name: String
    /// What is said of it: the code of the error where nothing may be done.
    let diagnosis: String
    /// With a snapshot since which nothing was changed.
    let withSnapshot: DrillOutcome
    /// With a snapshot from before the last changes, to other pages than those that are damaged.
    let withOlderSnapshot: DrillOutcome
    let withoutSnapshot: DrillOutcome
    let damage: @Sendable (DrillStore, PageMap, inout [UInt8]) throws -> Void

    var testDescription: String { name }

    private static func flip(_ page: Int, _ offset: Int, _ bytes: inout [UInt8]) {
        bytes[(page - 1) * DrillStore.pageSize + offset] ^= 0x10
    }

    private static func page(_ number: Int) -> Range<Int> {
        (number - 1) * DrillStore.pageSize..<number * DrillStore.pageSize
    }

    private init(
        _ name: String, _ diagnosis: String, _ withSnapshot: DrillOutcome, _ withOlder: DrillOutcome,
        _ withoutSnapshot: DrillOutcome,
        _ damage: @escaping @Sendable (DrillStore, PageMap, inout [UInt8]) throws -> Void
    ) {
        self.name = name
        self.diagnosis = diagnosis
        self.withSnapshot = withSnapshot
        withOlderSnapshot = withOlder
        self.withoutSnapshot = withoutSnapshot
        self.damage = damage
    }

    private static let noSnapshot = DrillOutcome.refused("db_recovery_no_snapshot")

    /// A page that a snapshot still has as it was.
    private static func atRest(
        _ name: String, _ damage: @escaping @Sendable (DrillStore, PageMap, inout [UInt8]) throws -> Void
    ) -> Drill {
        Drill(name, "database_pages_damaged", .repaired, .repaired, noSnapshot, damage)
    }

    /// Something of which nothing is left to compare.
    private static func gone(
        _ name: String, _ diagnosis: String,
        _ damage: @escaping @Sendable (DrillStore, PageMap, inout [UInt8]) throws -> Void
    ) -> Drill {
        Drill(name, diagnosis, .restoredWithoutLoss, .restoredWithLoss, noSnapshot, damage)
    }

    /// Something that is no damage, or of which nobody knows whose it is.
    private static func refused(
        _ name: String, _ code: String,
        _ damage: @escaping @Sendable (DrillStore, PageMap, inout [UInt8]) throws -> Void
    ) -> Drill {
        Drill(name, code, .refused(code), .refused(code), .refused(code), damage)
    }

    static let all: [Drill] = [
        Drill("a bit of the salt", "database_header_damaged", .repaired, .repaired, .repaired) { flip(1, 3, &$2) },
        Drill("the whole salt", "database_header_damaged", .repaired, .repaired, .repaired) {
            $2.replaceSubrange(0..<16, with: [UInt8](repeating: 0, count: 16))
        },
        // Changes since the older snapshot have written page 1 anew.
        Drill("a bit of page 1", "database_pages_damaged", .repaired, .restoredWithLoss, noSnapshot) {
            flip(1, 500, &$2)
        },
        atRest("a bit of an interior page") { flip($1.interior[0], 300, &$2) },
        atRest("a bit of a leaf") { flip($1.leaves[1], 300, &$2) },
        atRest("a bit of an overflow page") { flip($1.overflow[0], 300, &$2) },
        atRest("a bit of a tag") { flip($1.leaves[1], DrillStore.pageSize - 1, &$2) },
        atRest("a bit of an IV") { flip($1.leaves[1], DrillStore.pageSize - 80, &$2) },
        atRest("bits of ten pages") { for page in $1.leaves.dropFirst().prefix(10) { flip(page, 77, &$2) } },
        atRest("half a page of zeros") {
            let start = page($1.leaves[1]).lowerBound
            $2.replaceSubrange(start..<start + 512, with: [UInt8](repeating: 0, count: 512))
        },
        Drill("a bit of a free page", "database_pages_damaged", .repaired, .repaired, .repaired) {
            flip($1.freeLeaves[3], 300, &$2)
        },
        Drill("free pages of zeros", "database_pages_damaged", .repaired, .repaired, .repaired) {
            for free in $1.freeLeaves.prefix(3) {
                $2.replaceSubrange(page(free), with: [UInt8](repeating: 0, count: DrillStore.pageSize))
            }
        },
        Drill("two pages exchanged", "database_pages_damaged", .repaired, .repaired, .repaired) {
            let (first, second) = (page($1.leaves[1]), page($1.leaves[2]))
            let kept = Array($2[first])
            $2.replaceSubrange(first, with: Array($2[second]))
            $2.replaceSubrange(second, with: kept)
        },
        gone("a page of zeros", "database_pages_damaged") {
            $2.replaceSubrange(page($1.leaves[1]), with: [UInt8](repeating: 0, count: DrillStore.pageSize))
        },
        gone("a page of noise", "database_pages_damaged") { _, map, bytes in
            var generator = SplitMix64(state: 5)
            for index in page(map.leaves[1]) { bytes[index] = UInt8(truncatingIfNeeded: generator.next()) }
        },
        Drill("cut by a byte", "database_truncated", .repaired, .repaired, noSnapshot) { $2.removeLast() },
        gone("cut by a page", "database_truncated") { $2.removeLast(DrillStore.pageSize) },
        gone("cut to 15 bytes", "database_truncated") { $2 = Array($2.prefix(15)) },
        gone("cut to nothing", "database_truncated") { $2 = [] },
        Drill("some garbage at the end", "database_truncated", .repaired, .repaired, .repaired) {
            $2 += [UInt8](repeating: 7, count: 100)
        },
        Drill("pages of garbage at the end", "database_pages_damaged", .repaired, .repaired, .repaired) {
            $2 += [UInt8](repeating: 7, count: 2 * DrillStore.pageSize)
        },
        refused("plaintext in its place", "database_plaintext") { drill, _, bytes in
            let path = drill.directory.appending("plain.db")
            try DatabaseQueue(path: path.string).write { try $0.execute(sql: "CREATE TABLE t (a)") }
            bytes = try TestFiles.read(path)
        },
        refused("random bytes in its place", "database_unknown_key") { _, _, bytes in
            var generator = SplitMix64(state: 9)
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: generator.next()) }
        },
        refused("another profile's file in its place", "database_key_of_another_database") { drill, _, bytes in
            let other = try drill.test.makeProfile(named: "other", rows: 5)
            bytes = try TestFiles.read(drill.test.databaseFile(other))
        },
    ]
}

/// Each kind of damage, with its diagnosis and its outcome, and each recovery interrupted at every point.
@Suite struct CorruptionDrills {
    private struct Unexpected: Error {}
    private enum Snapshots: CaseIterable { case fresh, older, none }

    private struct Prepared {
        let drill: DrillStore
        let map: PageMap
        let contents: [String]
        let atSnapshot: [String]
    }

    private static let preparations: [Snapshots: Task<Prepared, any Error>] = Dictionary(
        uniqueKeysWithValues: Snapshots.allCases.map { snapshots in (snapshots, Task { try await prepare(snapshots) }) }
    )

    /// Made once for each kind, and copied: a test damages its own.
    private static func prepare(_ snapshots: Snapshots) async throws -> Prepared {
        let drill = try DrillStore()
        try drill.write()
        if snapshots != .none { try await drill.takeSnapshot() }
        let atSnapshot = try drill.contents()
        if snapshots == .older { try drill.write() }
        return Prepared(drill: drill, map: try PageMap(drill), contents: try drill.contents(), atSnapshot: atSnapshot)
    }

    private func run(_ drill: Drill, _ snapshots: Snapshots, _ expected: DrillOutcome) async throws {
        let prepared = try #require(try await Self.preparations[snapshots]?.value)
        let store = try prepared.drill.copy()
        let whole = try TestFiles.read(store.files.main)
        var damaged = whole
        try drill.damage(store, prepared.map, &damaged)
        #expect(damaged != whole)
        try TestFiles.write(damaged, to: store.files.main)
        let before = try store.bytes()
        // What is said of it, and nothing done: the database may open where only later pages are damaged.
        let diagnosed = try store.test.open()
        let condition = try await diagnosed.diagnostics(profile: store.info.id).profile?.condition
        guard case .condition(let found) = condition else { throw Unexpected() }
        #expect("database_\(found.name)" == drill.diagnosis)
        try diagnosed.lock()
        #expect(try store.bytes() == before, "looking changes nothing")

        let outcome = try await StoreCrashes.enumerate(
            "\(drill.name), \(snapshots)", in: store.directory, limit: CrashEnumerator.sampleSize == .max ? .max : 6
        ) {
            let open = try store.test.open()
            try await repair(open, store.scope, expected)
            try open.lock()
        } check: { again, _ in
            // Whoever comes next does it, or finds it done.
            try await repair(again, store.scope, expected)
            return "done"
        }
        #expect(Set(outcome.keys) == ["done"])

        switch expected {
        case .refused:
            #expect(try store.bytes() == before)
        case .repaired:
            let after = try TestFiles.read(store.files.main)
            let exact = drill.name.contains("free") ? prepared.map.freeLeaves : []
            for (index, page) in pages(of: whole).enumerated() where !exact.contains(index + 1) {
                let isSame = page == pages(of: after)[index]
                #expect(isSame, "page \(index + 1) is byte for byte what it was")
            }
            #expect(after.count == whole.count)
            #expect(try store.contents() == prepared.contents)
        case .restoredWithoutLoss:
            #expect(try store.contents() == prepared.contents)
        case .restoredWithLoss:
            #expect(try store.contents() == prepared.atSnapshot)
        }
        guard case .refused = expected else {
            // Nothing is deleted: what was there is in corrupted/, with a note.
            let kept = try #require(try store.files.quarantines().last)
            let place = store.files.corrupted.appending(kept.name)
            #expect(try TestFiles.read(place.appending("profile.db")) == damaged)
            #expect(try StrictFiles.exists(place.appending("restore.json")))
            return
        }
    }

    private func pages(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        stride(from: 0, to: bytes.count, by: DrillStore.pageSize).map {
            bytes[$0..<min($0 + DrillStore.pageSize, bytes.count)]
        }
    }

    /// What an app gets that opens the profile, or an operator who repairs it.
    private func repair(_ store: Store, _ scope: KeyScope, _ expected: DrillOutcome) async throws {
        do {
            let event = try await store.repair(scope, acceptingLoss: true)
            // In a state in which it was done already there is nothing to do.
            guard let plan = event?.plan else { return }
            switch expected {
            case .repaired: #expect(plan.action == .repair && plan.isLossless)
            case .restoredWithoutLoss: #expect(plan.action == .restore && plan.isLossless && plan.secondsLost == 0)
            case .restoredWithLoss: #expect(plan.action == .restore && !plan.isLossless && plan.secondsLost != nil)
            case .refused: Issue.record("it was not refused")
            }
        } catch let error as StrongroomError {
            #expect(expected == .refused(error.code), "\(error)")
        }
    }

    @Test(arguments: Drill.all) func withASnapshotSinceWhichNothingWasChanged(drill: Drill) async throws {
        try await run(drill, .fresh, drill.withSnapshot)
    }

    @Test(arguments: Drill.all) func withAnOlderSnapshot(drill: Drill) async throws {
        try await run(drill, .older, drill.withOlderSnapshot)
    }

    @Test(arguments: Drill.all) func withoutASnapshot(drill: Drill) async throws {
        try await run(drill, .none, drill.withoutSnapshot)
    }
}
