// Looking at what is in corrupted/, and removing what is old and not needed.

import DurableFiles
import ErrorReporting
public import Foundation
public import Keyring
import Snapshots
import SystemPackage

/// One directory in `corrupted/`, with what is in it.
public struct QuarantineEntry: Sendable, Hashable, Codable {
    /// One file.
    public struct File: Sendable, Hashable, Codable {
        /// What it is called; what is not UTF-8 as `\xHH`.
        public let name: String
        /// What it takes, in bytes.
        public let bytes: Int
    }

    /// `global` or a profile's id.
    public let scope: String
    /// The name of the directory, by which ``Store/pruneQuarantines(of:olderThanDays:isDryRun:now:)`` speaks of it.
    public let name: String
    /// What put it there.
    public let kind: Quarantine.Kind
    /// When, by the clock of then.
    public let date: Date
    /// What is in it.
    public let files: [File]

    /// What it takes, in bytes.
    public var bytes: Int { files.reduce(0) { $0 + $1.bytes } }
}

/// What a pruning of `corrupted/` removed, or would remove.
public struct QuarantinePruneReport: Sendable, Codable {
    /// Why something stays.
    public enum Reason: String, Sendable, Hashable, Codable {
        /// It is not old enough.
        case young
        /// No snapshot that was made after it is good. It may hold rows that are nowhere else.
        case noLaterSnapshot = "no_later_snapshot"
        /// The database is not healthy: what is in quarantine may be needed to bring it back.
        case notHealthy = "not_healthy"
    }

    /// One that stays.
    public struct Kept: Sendable, Hashable, Codable {
        /// What stays.
        public let entry: QuarantineEntry
        /// Why.
        public let reason: Reason
    }

    /// `global` or a profile's id.
    public let scope: String
    /// Whether nothing was removed, only looked for.
    public let isDryRun: Bool
    /// Those that were removed, or would be.
    public let removed: [QuarantineEntry]
    /// Those that stay.
    public let kept: [Kept]
}

extension Store {
    /// What was moved out of the way of a database, oldest first.
    ///
    /// - Throws: `DurableFilesError` where it cannot be looked at.
    public func quarantines(of scope: KeyScope) async throws -> [QuarantineEntry] {
        try await BlockingWork.run {
            try self.requireUnlocked()
            return try self.entries(self.files(of: scope))
        }
    }

    /// Removes what was moved out of the way of a database long ago. What goes is surely not needed for bringing the database back: it is
    /// healthy, every page of it, and a snapshot that was made afterwards is good, every page of it. Rows that only stood in what was moved
    /// away are gone then.
    ///
    /// - Parameters:
    ///   - olderThanDays: how long ago at least; the policy's `retirement.graceDays` unless said otherwise.
    ///   - isDryRun: whether to say only what would be removed.
    /// - Throws: `StrongroomError.profileInUse` and the like.
    public func pruneQuarantines(
        of scope: KeyScope, olderThanDays: Int? = nil, isDryRun: Bool = false, now: Date = Date()
    ) async throws -> QuarantinePruneReport {
        try await BlockingWork.run {
            let rotation = try self.holdRotation()
            defer { rotation.release() }
            let files = try self.files(of: scope)
            let lock = try self.lock(files)
            defer { lock.release() }
            let days = olderThanDays ?? self.policy.retirementGraceDays
            var kept: [QuarantinePruneReport.Kept] = []
            var old: [QuarantineEntry] = []
            for entry in try self.entries(files) {
                if Self.days(from: entry.date, to: now) >= days, entry.date <= now {
                    old.append(entry)
                } else {
                    kept.append(.init(entry: entry, reason: .young))
                }
            }
            var removed: [QuarantineEntry] = []
            if !old.isEmpty {
                let envelope = try self.keyring.envelope(for: scope)
                let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: self.keyring)
                let isHealthy = try diagnosis.ofAllPages() == .healthy
                let newest = isHealthy ? try self.newestGoodSnapshot(of: scope) : nil
                for entry in old {
                    guard isHealthy else {
                        kept.append(.init(entry: entry, reason: .notHealthy))
                        continue
                    }
                    guard let newest, newest > entry.date else {
                        kept.append(.init(entry: entry, reason: .noLaterSnapshot))
                        continue
                    }
                    if !isDryRun { try DurableFiles.removeTree(files.corrupted.appending(entry.name)) }
                    removed.append(entry)
                }
            }
            return QuarantinePruneReport(
                scope: scope.description, isDryRun: isDryRun, removed: removed,
                kept: kept.sorted { $0.entry.date < $1.entry.date })
        }
    }

    private func entries(_ files: DatabaseFiles) throws -> [QuarantineEntry] {
        try files.quarantines().map { quarantine in
            let path = files.corrupted.appending(quarantine.name)
            return QuarantineEntry(
                scope: files.scope.description, name: quarantine.name, kind: quarantine.kind, date: quarantine.date,
                files: try DurableFiles.names(in: path).map {
                    .init(name: $0.shown, bytes: try DiskUse(of: path.appending($0)).bytes)
                })
        }
    }

    /// When the newest snapshot was made of which every page is authentic; nil where there is none.
    private func newestGoodSnapshot(of scope: KeyScope) throws -> Date? {
        let directory = try snapshotDirectory(of: scope)
        for snapshot in try directory.list().snapshots.reversed()
        where try directory.verify(snapshot).isHealthy { return snapshot.created }
        return nil
    }
}
