// A restore proves what it is about to put in force, and only then touches what is there: docs/formats/snapshot.md,
// "Restoring".

import DurableFiles
import Foundation
public import Snapshots

/// How far a restore is.
public struct RestoreProgress: Sendable, Hashable {
    /// What is being done.
    public enum Phase: String, Sendable { case copying, checking, committing }

    /// What is being done.
    public let phase: Phase
    /// Pages done in this phase; 0 where they are not counted.
    public let pages: Int
    /// Pages in all.
    public let totalPages: Int
}

/// What a restore did, or in a drill would do.
public struct RestoreReport: Sendable, Codable {
    /// The snapshot that was restored.
    public let snapshot: Snapshot
    /// `global` or the id of the profile that holds it now; in a drill, of the one that would.
    public let scope: String
    /// Whether the pages were re-encrypted to another key.
    public let isReencrypted: Bool
    /// How many violations SQLite's integrity check found: 0, or nil where the check needs a collation or function that
    /// only the app has.
    public let integrityViolations: Int?
    /// Rows whose foreign key leads nowhere. They were there when the snapshot was taken.
    public let foreignKeyViolations: Int
    /// Where in `corrupted/` the database that was in force before went; nil where there was none, and in a drill.
    public let quarantine: String?
    /// Ids of profiles that the restored registry did not know, and which are registered again.
    public let registeredProfiles: [String]
    /// Ids of profiles that the restored registry knows and that are not on disk.
    public let missingProfiles: [String]
    /// The older keyring that was accepted; nil where none was.
    public let acceptedOlderState: OlderState?
    /// How long it took, in milliseconds.
    public let milliseconds: Int
}

extension Store {
    /// Puts a snapshot in the place of its database, which nobody may have open.
    ///
    /// Every page is authenticated, the root over the tags compared, and SQLite's own checks are run, all before anything
    /// that is in force is touched. What was there goes to `corrupted/`, with its WAL, and is kept.
    ///
    /// - Parameters:
    ///   - snapshot: of this store's own database.
    ///   - acceptingViolations: whether to go on where SQLite's integrity check finds something wrong that was wrong
    ///     already when the snapshot was taken: every page is as it was then all the same.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `SnapshotError` with what is wrong with the snapshot; `StrongroomError.profileInUse`; for the global database `KeyringError`
    ///   where the keyring is older than one seen before, and not accepted by ``acceptOlderKeyring(sequence:)``. Nothing is changed then. Where the system fails after the restore was decided, the next one to open the database finishes it.
    public func restoreSnapshot(
        _ snapshot: Snapshot, acceptingViolations: Bool = false,
        progress: (@Sendable (RestoreProgress) -> Void)? = nil
    ) async throws -> RestoreReport {
        try await BlockingWork.run { try self.restore(snapshot, acceptingViolations, progress) }
    }

    /// Makes a new profile from a snapshot of a profile, under a key of its own.
    ///
    /// - Parameter name: the new profile's name.
    /// - Throws: as ``restoreSnapshot(_:acceptingViolations:progress:)``; nothing is left behind then.
    public func restoreSnapshot(
        _ snapshot: Snapshot, asProfileNamed name: String, acceptingViolations: Bool = false,
        progress: (@Sendable (RestoreProgress) -> Void)? = nil
    ) async throws -> (info: ProfileInfo, report: RestoreReport) {
        try await BlockingWork.run { try self.restore(snapshot, asProfileNamed: name, acceptingViolations, progress) }
    }

    /// Does everything that a restore does but the last step: restores to a temporary place, runs every check, says how long
    /// it took, and removes it again. Nothing that is in force is touched, and it may be open meanwhile.
    ///
    /// - Throws: as ``restoreSnapshot(_:acceptingViolations:progress:)``.
    public func drillSnapshot(
        _ snapshot: Snapshot, progress: (@Sendable (RestoreProgress) -> Void)? = nil
    ) async throws -> RestoreReport {
        try await BlockingWork.run { try self.drill(snapshot, progress) }
    }

    private func restore(
        _ snapshot: Snapshot, _ acceptingViolations: Bool, _ progress: (@Sendable (RestoreProgress) -> Void)?
    ) throws -> RestoreReport {
        let start = ContinuousClock.now
        let rotation = try holdRotation()
        defer { rotation.release() }
        let files = try files(of: scope(of: snapshot))
        // The database may be gone with its directory.
        try DurableFiles.createDirectory(files.directory, allowExisting: true)
        let lock = try self.lock(files)
        defer { lock.release() }
        return try restore(
            snapshot, files, into: Quarantine(.restore), because: nil, acceptingViolations, since: start,
            progress)
    }

    /// The rest of a restore. The caller holds the lock of the database, and keeps rotations away.
    func restore(
        _ snapshot: Snapshot, _ files: DatabaseFiles, into quarantine: Quarantine,
        because condition: DatabaseCondition?,
        _ acceptingViolations: Bool, since start: ContinuousClock.Instant,
        _ progress: (@Sendable (RestoreProgress) -> Void)?
    ) throws -> RestoreReport {
        let known = files.scope == .global ? liveRegistry() : LiveRegistry()
        let older =
            files.scope == .global
            ? try requireNewestKeyring(stored: known.keyringSequence) : nil
        let envelope = try files.finishRestore(keyring.envelope(for: files.scope), keyring)
        guard let active = envelope.activeDataKey else {
            throw StrongroomError(.database(envelope.withoutKey), files.main)
        }
        try Diagnosis(files: files, envelope: envelope, keyring: keyring).requireEpochOfDatabase()
        let key = try keyring.dataKey(generation: active.generation, of: envelope)
        defer { key.secret.wipe() }

        let hadDatabase = try StrictFiles.exists(files.main) || StrictFiles.exists(files.wal)
        let staging = StagedDatabase(
            path: files.restoring, key: key, policy: policy, acceptsViolations: acceptingViolations)
        var registry = RegistryReconciliation()
        let findings: IntegrityFindings
        do {
            findings = try staging.make(from: snapshot, in: snapshotDirectory(of: files.scope), progress)
            progress?(RestoreProgress(phase: .committing, pages: 0, totalPages: 0))
            try staging.write { db in
                try Bookkeeping.setEpoch(envelope.epoch + 1, db)
                if files.scope == .global {
                    registry = try self.reconcile(with: known, accepting: older, db)
                }
            }
            // The last moment at which nothing has been decided.
            if Task.isCancelled { throw StrongroomError(.cancelled) }
        } catch {
            try? files.discardUnfinishedRestore()
            throw error
        }
        try files.putInForce(
            RestoreJournal(
                files, on: envelope, snapshotId: snapshot.id, condition: condition, into: quarantine,
                epoch: envelope.epoch + 1, format: active.pageFormat),
            envelope, keyring)
        // Only now: until it is written down, the keyring must be seen to be the older one.
        if let older {
            try keyring.raiseSequence(above: older.newestSequenceSeen)
            acceptedOlderState.withLock { $0 = nil }
        }
        logger.notice("snapshot_restored", metadata: ["scope": "\(files.scope)", "snapshot": "\(snapshot.id)"])
        return RestoreReport(
            snapshot, in: files.scope, under: active, findings, quarantine: hadDatabase ? quarantine.name : nil,
            registry, older, since: start)
    }

    private func restore(
        _ snapshot: Snapshot, asProfileNamed name: String, _ acceptingViolations: Bool,
        _ progress: (@Sendable (RestoreProgress) -> Void)?
    ) throws -> (info: ProfileInfo, report: RestoreReport) {
        let start = ContinuousClock.now
        let rotation = try holdRotation()
        defer { rotation.release() }
        let scope = try scope(of: snapshot)
        guard case .profile = scope else { throw SnapshotError(.ofAnotherDatabase) }
        let source = try snapshotDirectory(of: scope)
        guard let format = try source.pageFormat(of: snapshot) else { throw SnapshotError(.manifestMalformed) }
        let made = try addProfile(named: name, pageFormat: format) { files, _ in
            let envelope = try keyring.envelope(for: files.scope)
            let key = try keyring.dataKey(generation: 1, of: envelope)
            defer { key.secret.wipe() }
            let staging = StagedDatabase(
                path: files.restoring, key: key, policy: policy, acceptsViolations: acceptingViolations)
            let findings = try staging.make(from: snapshot, in: source, progress)
            progress?(RestoreProgress(phase: .committing, pages: 0, totalPages: 0))
            try staging.write { try Bookkeeping.setEpoch(0, $0) }
            if Task.isCancelled { throw StrongroomError(.cancelled) }
            try DurableFiles.rename(files.restoring, to: files.main)
            try DurableFiles.syncDirectory(files.directory)
            return RestoreReport(
                snapshot, in: files.scope, under: key.info, findings, quarantine: nil, RegistryReconciliation(),
                since: start)
        }
        return (made.info, made.filling)
    }

    private func drill(
        _ snapshot: Snapshot, _ progress: (@Sendable (RestoreProgress) -> Void)?
    ) throws -> RestoreReport {
        let start = ContinuousClock.now
        let rotation = try holdRotation()
        defer { rotation.release() }
        let scope = try scope(of: snapshot)
        let directory = try snapshotDirectory(of: scope)
        let envelope = try keyring.envelope(for: scope)
        guard let active = envelope.activeDataKey else { throw StrongroomError(.database(envelope.withoutKey)) }
        let key = try keyring.dataKey(generation: active.generation, of: envelope)
        defer { key.secret.wipe() }
        // Beside the snapshots, so that it is as fast or slow as a restore on this disk would be.
        let place = try DrillPlace(in: directory.path)
        defer { place.remove() }
        let staging = StagedDatabase(path: place.path, key: key, policy: policy, acceptsViolations: true)
        let findings = try staging.make(from: snapshot, in: directory, progress)
        try staging.write { try Bookkeeping.setEpoch(envelope.epoch + 1, $0) }
        return RestoreReport(
            snapshot, in: scope, under: active, findings, quarantine: nil, RegistryReconciliation(), since: start)
    }

    private func scope(of snapshot: Snapshot) throws -> KeyScope {
        try requireUnlocked()
        guard let scope = KeyScope(snapshot.scope) else { throw SnapshotError(.ofAnotherDatabase) }
        return scope
    }
}

extension RestoreReport {
    fileprivate init(
        _ snapshot: Snapshot, in scope: KeyScope, under key: DataKeyInfo, _ findings: IntegrityFindings,
        quarantine: String?, _ registry: RegistryReconciliation, _ older: OlderState? = nil,
        since start: ContinuousClock.Instant
    ) {
        self.snapshot = snapshot
        self.scope = scope.description
        isReencrypted = snapshot.scope != scope.description || snapshot.keyGeneration != key.generation
        integrityViolations = findings.integrityViolations
        foreignKeyViolations = findings.foreignKeyViolations
        self.quarantine = quarantine
        registeredProfiles = registry.registered.map(\.description)
        missingProfiles = registry.missing.map(\.description)
        acceptedOlderState = older
        milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
    }
}
