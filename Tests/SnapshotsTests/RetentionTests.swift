import Foundation
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots

/// Which snapshots the rules keep: a table of dates, no files.
@Suite struct RetentionTests {
    private func snapshot(_ ordinal: Int, _ created: String) throws -> Snapshot {
        let date = try Date(created, strategy: .iso8601)
        let manifest = SnapshotManifest(
            snapshotId: "snap_\(ordinal)", storeId: "", scope: "global", name: created, reason: "manual", set: nil,
            ordinal: ordinal, created: date, epoch: 0, keyGeneration: 1, keyId: "", pageSize: 4096,
            pageAuthentication: .hmacSHA512, pageCount: 1, tagRoot: "", migrations: nil)
        return Snapshot(manifest, verified: nil)
    }

    private func kept(_ retention: Retention, _ dates: [String]) throws -> [Int] {
        let snapshots = try dates.enumerated().map { try snapshot($0 + 1, $1) }
        let kept = retention.kept(of: snapshots)
        return snapshots.filter { kept.contains($0.id) }.map(\.ordinal)
    }

    private let dates = [
        "2026-01-31T10:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-01T12:00:00Z",
        "2026-03-02T01:00:00Z", "2026-03-02T02:00:00Z", "2026-03-09T02:00:00Z",
    ]

    @Test func theNewestAreKept() throws {
        #expect(try kept(Retention(last: 3), dates) == [5, 6, 7])
        #expect(try kept(Retention(last: 100), dates) == [1, 2, 3, 4, 5, 6, 7])
    }

    @Test func oneADayWeekAndMonth() throws {
        #expect(try kept(Retention(last: 0, daily: 3), dates) == [4, 6, 7])
        // Monday 2 March begins a week; Sunday 1 March and Saturday 28 February are of the one before.
        #expect(try kept(Retention(last: 0, weekly: 3), dates) == [4, 6, 7])
        #expect(try kept(Retention(last: 0, monthly: 12), dates) == [1, 2, 7])
        #expect(try kept(Retention(last: 1, daily: 2, weekly: 3, monthly: 12), dates) == [1, 2, 4, 6, 7])
    }

    @Test func aClockThatWentBackwardsChangesNoOrder() throws {
        // The newest says that it is the oldest.
        #expect(try kept(Retention(last: 1), dates + ["2020-01-01T00:00:00Z"]) == [8])
        #expect(try kept(Retention(last: 0, daily: 1), dates + ["2020-01-01T00:00:00Z"]) == [8])
    }

    @Test func nothingIsKeptOfNothing() throws {
        #expect(try kept(Retention(last: 5, daily: 5), []) == [])
    }
}

@Suite struct SnapshotNameTests {
    private let profile = ProfileID("prof_abcdefghijklmnop")

    @Test func namesAreReadAsTheyAreWritten() throws {
        let scope = KeyScope.profile(try #require(profile))
        let date = try Date("2026-11-23T23:59:59Z", strategy: .iso8601)
        let name = SnapshotName(scope, .manual, at: date.addingTimeInterval(0.25)).description
        #expect(name == "profile-prof_abcdefghijklmnop-manual-20261123T235959.250Z")
        #expect(SnapshotName(name) != nil)
        let before = SnapshotName(.global, .preMigration(next: "v2 add/notes ../é"), at: date).description
        #expect(before == "global-global-pre-v2_add_notes_..___-20261123T235959.000Z")
        #expect(SnapshotName(before) != nil)
    }

    @Test(arguments: [
        "", "global", "global-global", "global-global-manual", "global-global-manual-2026",
        "../global-global-manual-20261123T235959.250Z",
        "global-global-a/b-20261123T235959.250Z", "global-global--20261123T235959.250Z",
        "profile-global-manual-20261123T235959.250Z", "profile-prof_../../../../etc-manual-20261123T235959.250Z",
        "global-global-manual-20261123T235959.250Z\u{0}", "global-global-.hidden-20261123T235959.250Z",
        "global-global-manual-２0261123T235959.250Z",
    ])
    func whatIsNoNameIsNone(_ text: String) {
        #expect(SnapshotName(text) == nil)
    }

    @Test func reasons() {
        #expect(SnapshotReason("nightly-2") != nil)
        for word in ["", "pre-v2", "a b", "a/b", "-a", ".a", "é", String(repeating: "a", count: 81)] {
            #expect(SnapshotReason(word) == nil, "\(word)")
        }
        #expect(SnapshotReason.preMigration(next: String(repeating: "x", count: 500)).description.count == 80)
    }
}
