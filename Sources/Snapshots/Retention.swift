// Which snapshots are kept: a pure function of what there is.

import DurableFiles
import Foundation
public import KeyPolicy

/// How many snapshots of a database are kept. A snapshot that any of the rules keeps is kept.
public struct Retention: Sendable, Hashable {
    /// So many of the newest.
    public var last: Int
    /// The newest of each of so many of the last days that have any.
    public var daily: Int
    /// The same for weeks (ISO 8601).
    public var weekly: Int
    /// The same for months.
    public var monthly: Int

    /// Days, weeks and months are those of UTC.
    public init(last: Int, daily: Int = 0, weekly: Int = 0, monthly: Int = 0) {
        self.last = last
        self.daily = daily
        self.weekly = weekly
        self.monthly = monthly
    }

    /// What a policy says.
    public init(_ policy: KeyPolicy) {
        let kept = policy.snapshotRetention
        self.init(last: kept.last, daily: kept.daily, weekly: kept.weekly, monthly: kept.monthly)
    }

    /// The ids of the snapshots that are kept.
    ///
    /// - Parameter snapshots: in the order in which they were made. A clock that went backwards changes nothing in that.
    func kept(of snapshots: [Snapshot]) -> Set<String> {
        let newestFirst = Array(snapshots.reversed())
        var kept = Set(newestFirst.prefix(max(0, last)).map(\.id))
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = .gmt
        let rules: [(Int, Set<Calendar.Component>)] = [
            (daily, [.year, .month, .day]), (weekly, [.yearForWeekOfYear, .weekOfYear]), (monthly, [.year, .month]),
        ]
        for (count, components) in rules where count > 0 {
            var periods: Set<DateComponents> = []
            for snapshot in newestFirst where periods.count < count {
                if periods.insert(calendar.dateComponents(components, from: snapshot.created)).inserted {
                    kept.insert(snapshot.id)
                }
            }
        }
        return kept
    }
}

/// What a pruning removed, or would remove.
public struct PruneReport: Sendable, Codable {
    /// `global` or a profile's id.
    public let scope: String
    /// Those that are kept, in the order in which they were made.
    public let kept: [Snapshot]
    /// Those that were removed; in a dry run those that would be.
    public let removed: [Snapshot]
    /// One that the rules would have removed, kept because it is the only one that is good.
    public let keptAsOnlyGood: Snapshot?
    /// Those that cannot be read. They are never removed.
    public let unusable: [UnusableSnapshot]
    /// Whether nothing was removed, and it was only asked what would be.
    public let isDryRun: Bool
}

extension SnapshotDirectory {
    /// Removes what the rules do not keep.
    ///
    /// Before anything goes, one of those that stay is shown to be good, every page of it. Where none is, the newest good
    /// one of the others stays as well; and where there is none among those either, nothing is removed.
    ///
    /// - Parameters:
    ///   - applies: which snapshots the rules are about; the others are not counted and not removed.
    ///   - isDryRun: whether to say only what would be removed.
    package func prune(
        _ retention: Retention, isDryRun: Bool, applies: (Snapshot) -> Bool = { _ in true }
    ) throws -> PruneReport {
        if !isDryRun, try StrictFiles.exists(path) { try settleUnfinished() }
        let list = try list()
        let ruled = list.snapshots.filter(applies)
        let kept = retention.kept(of: ruled)
        var removed = ruled.filter { !kept.contains($0.id) }
        var onlyGood: Snapshot?
        if !removed.isEmpty, try !hasGood(list.snapshots.filter { !removed.contains($0) }) {
            onlyGood = try newestGood(removed)
            removed = onlyGood == nil ? [] : removed.filter { $0 != onlyGood }
        }
        if !isDryRun { for snapshot in removed { try remove(snapshot) } }
        return PruneReport(
            scope: scope.description, kept: list.snapshots.filter { !removed.contains($0) }, removed: removed,
            keptAsOnlyGood: onlyGood, unusable: list.unusable, isDryRun: isDryRun)
    }

    private func hasGood(_ snapshots: [Snapshot]) throws -> Bool { try newestGood(snapshots) != nil }

    private func newestGood(_ snapshots: [Snapshot]) throws -> Snapshot? {
        try snapshots.reversed().first { try verify($0).isHealthy }
    }
}
