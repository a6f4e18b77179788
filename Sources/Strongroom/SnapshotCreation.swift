// Snapshots of databases that are closed, and of profiles that are open and go on being read and written.

import DurableFiles
import Foundation
public import Snapshots

/// Snapshots of several databases, frozen at one moment.
public struct SnapshotSet: Sendable, Codable {
    /// `set-<timestamp>`.
    public let name: String
    /// One of each database, the global one first.
    public let snapshots: [Snapshot]
    /// Databases that are not in the set, and why.
    public let failed: [FailedDatabase]
}

extension Profile {
    /// Takes a snapshot while reads and writes go on; nobody waits. It holds everything that was committed before this was
    /// called.
    ///
    /// - Parameters:
    ///   - reason: a word for people and for retention.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `PageCipherError.pageNotAuthentic` with the page that is not what was written; `SnapshotError`,
    ///   `StrongroomError`. Nothing is left behind then.
    public func snapshot(
        reason: SnapshotReason = .manual, progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) async throws -> Snapshot {
        try await store.createSnapshot(of: .profile(info.id), reason: reason, progress: progress)
    }
}

extension Store {
    /// Takes a snapshot of the global database or of a profile. One that is open, in this process or in another, goes on being
    /// read and written. One that is not cannot be opened until the snapshot is taken.
    ///
    /// - Parameters:
    ///   - scope: the database.
    ///   - reason: a word for people and for retention.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `StrongroomError.database` where it cannot be opened; `PageCipherError.pageNotAuthentic`; `SnapshotError`.
    ///   Nothing is left behind then.
    public func createSnapshot(
        of scope: KeyScope, reason: SnapshotReason = .manual, progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) async throws -> Snapshot {
        try await BlockingWork.run {
            let rotation = try self.holdRotation()
            defer { rotation.release() }
            let occasion = SnapshotOccasion(reason: reason)
            if case .profile(let id) = scope, let profile = self.openProfile(id) {
                let frozen = try profile.freeze { $0 }
                return try frozen.take(occasion, self, progress)
            }
            let files = try self.files(of: scope)
            let frozen: FrozenDatabase
            do {
                frozen = try self.freezeClosed(files).frozen
            } catch let error as StrongroomError {
                guard case .profileInUse = error.reason else { throw error }
                frozen = try self.freezeOpenElsewhere(files)
            }
            return try frozen.take(occasion, self, progress)
        }
    }

    /// Takes a snapshot before the migration of this name, and keeps as many of these as the policy says; other snapshots
    /// are not counted and not removed.
    public func createSnapshot(of scope: KeyScope, beforeMigration next: String) async throws -> Snapshot {
        let snapshot = try await createSnapshot(of: scope, reason: .preMigration(next: next))
        try await BlockingWork.run { try self.prunePreMigrationSnapshots(of: scope) }
        return snapshot
    }

    func prunePreMigrationSnapshots(of scope: KeyScope) throws {
        _ = try snapshotDirectory(of: scope).prune(Retention(policy), isDryRun: false) { $0.isPreMigration }
    }

    /// Takes a snapshot of the global database and of every profile, frozen at one moment: no write to any of them lies
    /// between two of them. Profiles that are open in this process go on being read and written; the others cannot be
    /// opened until their turn is over. What another process has open cannot be frozen together with the rest, and fails
    /// with `profile_in_use`.
    ///
    /// - Parameter progress: called now and then, by one thread at a time, with the database that it is about.
    /// - Throws: `StrongroomError` where the global database cannot be read. A profile of which none can be taken is in
    ///   the result, and does not stop the others.
    public func createSnapshotSet(
        reason: SnapshotReason = .manual, progress: (@Sendable (KeyScope, SnapshotProgress) -> Void)? = nil
    ) async throws -> SnapshotSet {
        try await BlockingWork.run {
            let rotation = try self.holdRotation()
            defer { rotation.release() }
            OpenFileLimit.raise()
            let date = Date()
            let name = "set-\(Timestamp.text(date))"
            var failed: [FailedDatabase] = []
            var snapshots: [Snapshot] = []
            let all = try self.freezeAll(&failed)
            defer { for frozen in all { frozen.release() } }
            for frozen in all {
                let occasion = SnapshotOccasion(reason: reason, set: name, date: date)
                do {
                    snapshots.append(try frozen.take(occasion, self) { progress?(frozen.files.scope, $0) })
                } catch {
                    guard let error = error as? any ReportableError, !Task.isCancelled else {
                        for snapshot in snapshots { try? self.remove(snapshot) }
                        throw error
                    }
                    failed.append(.init(scope: frozen.files.scope.description, code: error.code))
                }
            }
            return SnapshotSet(name: name, snapshots: snapshots, failed: failed)
        }
    }

    /// Keeps rotations away.
    func holdRotation() throws -> FileLock {
        try requireUnlocked()
        return try keyring.holdRotation()
    }

    private func remove(_ snapshot: Snapshot) throws {
        guard let scope = KeyScope(snapshot.scope) else { return }
        try snapshotDirectory(of: scope).remove(snapshot)
    }

    /// The snapshots of a database.
    func snapshotDirectory(of scope: KeyScope) throws -> SnapshotDirectory {
        try requireUnlocked()
        return SnapshotDirectory(
            try files(of: scope).backups, of: try keyring.envelope(for: scope), storeID: id,
            keyring: keyring)
    }
}
