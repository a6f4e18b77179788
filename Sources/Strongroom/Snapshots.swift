// What can be done with snapshots besides taking and restoring them.

import DurableFiles
public import Snapshots
public import SystemPackage

extension Store {
    /// The databases that have, or may have, snapshots: the global one, and every profile that has a directory, registered
    /// or not.
    public func snapshotScopes() throws -> [KeyScope] {
        try requireUnlocked()
        let names = try DurableFiles.names(in: DatabaseFiles.profilesDirectory(in: directory))
        return [.global] + names.compactMap { ProfileID($0) }.map { .profile($0) }
    }

    /// The snapshots of a database, with those that cannot be used and why.
    ///
    /// - Throws: `KeyringError` where the database's envelope cannot be used.
    public func snapshots(of scope: KeyScope) async throws -> SnapshotList {
        try await BlockingWork.run { try self.snapshotDirectory(of: scope).list() }
    }

    /// One snapshot of a database.
    ///
    /// - Parameter text: its id or name, the name of its set, or `latest`.
    /// - Throws: `SnapshotError.notFound`; `.none` where there is no latest one; what is wrong with the one that was named.
    public func snapshot(_ text: String, of scope: KeyScope) async throws -> Snapshot {
        try await BlockingWork.run { try self.snapshotDirectory(of: scope).find(text) }
    }

    /// Authenticates every page of a snapshot and compares the root over the tags, without opening a database.
    ///
    /// - Parameter progress: called now and then, by one thread at a time.
    /// - Throws: `SnapshotError` where its manifest cannot be trusted; what is wrong with its pages is in the report.
    public func verifySnapshot(
        _ snapshot: Snapshot, progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) async throws -> SnapshotReport {
        try await withDirectory(of: snapshot) { try $0.verify(snapshot, progress: progress) }
    }

    /// Removes the snapshots of a database that the rules do not keep; never the only good one, and none that cannot be
    /// read.
    ///
    /// - Parameters:
    ///   - retention: the rules; the policy's unless said otherwise.
    ///   - isDryRun: whether to say only what would be removed.
    public func pruneSnapshots(
        of scope: KeyScope, keeping retention: Retention? = nil, isDryRun: Bool = false
    ) async throws -> PruneReport {
        let retention = retention ?? Retention(policy)
        return try await BlockingWork.run {
            try self.snapshotDirectory(of: scope).prune(retention, isDryRun: isDryRun)
        }
    }

    /// Hands one snapshot on without the database's key: the same pages under a fresh one.
    ///
    /// - Parameters:
    ///   - target: a new file whose name ends in `.db`; a manifest is made beside it.
    ///   - keyFile: a new file (0600) for the fresh key, 32 bytes.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `SnapshotError`, `DurableFilesError` where one of the files exists; nothing is left behind then.
    public func exportSnapshot(
        _ snapshot: Snapshot, to target: FilePath, newKeyFile keyFile: FilePath,
        progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) async throws -> SnapshotExport {
        try await withDirectory(of: snapshot) {
            try $0.export(snapshot, to: target, newKeyFile: keyFile, progress: progress)
        }
    }

    /// Writes a key that verifies the snapshots of a database and reads nothing, to a new file (0600): for ``VerifyKey``.
    ///
    /// Who holds it and can write to the live database can change pages there, and they verify as healthy. Keep it away from the
    /// machine that has the database. Nothing that it made ever comes back from a snapshot.
    public func writeVerifyKey(of scope: KeyScope, to path: FilePath) async throws {
        try await BlockingWork.run { try self.snapshotDirectory(of: scope).writeVerifyKey(to: path) }
    }

    private func withDirectory<Result: Sendable>(
        of snapshot: Snapshot, _ body: @Sendable @escaping (SnapshotDirectory) throws -> Result
    ) async throws -> Result {
        guard let scope = KeyScope(snapshot.scope) else { throw SnapshotError(.ofAnotherDatabase) }
        return try await BlockingWork.run { try body(self.snapshotDirectory(of: scope)) }
    }
}
