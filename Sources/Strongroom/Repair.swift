// Recovery by an operator's hand: the same as when an app opens the database, with a look at the plan first.

import DurableFiles
import GRDB
public import Keyring
import Snapshots

extension Store {
    /// What an operator decides about a WAL that belongs to no crash, or is gone.
    public enum WALDecision: String, Sendable, CaseIterable {
        /// The main file is what counts; a WAL that is there goes to `corrupted/`.
        case without
        /// The WAL is laid over the database, where SQLite finds nothing wrong with the two together. Both are kept in `corrupted/`
        /// as they were.
        case with
    }

    /// What a repair of a database would do. Nothing is changed.
    ///
    /// - Throws: `StrongroomError.profileInUse`; `KeyringError` where its envelope cannot be used.
    public func recoveryPlan(of scope: KeyScope) async throws -> RecoveryPlan {
        try await BlockingWork.run {
            try self.withDamaged(scope) { files, envelope, condition in
                try Recovery(store: self, files: files, envelope: envelope).plan(for: condition).0
            }
        }
    }

    /// Repairs a database that nobody has open, or puts its latest good snapshot in its place. What was there is kept in
    /// `corrupted/`.
    ///
    /// - Parameter acceptingLoss: whether to go on where something that was acknowledged would be lost.
    /// - Returns: nil where nothing is wrong.
    /// - Throws: `StrongroomError.recoveryNoSnapshot`, `.lossNotAccepted`; `.database` where it is no damage. Nothing is changed then,
    ///   but that a rollback journal that is not ours has been moved away.
    public func repair(_ scope: KeyScope, acceptingLoss: Bool = false) async throws -> RecoveryEvent? {
        try await BlockingWork.run {
            try self.withDamaged(scope, settlingJournal: true) { files, envelope, found in
                var condition = found
                var moved: RecoveryEvent?
                if condition == .journalForeign {
                    moved = try self.moveForeignJournal(files)
                    condition = try Diagnosis(files: files, envelope: envelope, keyring: self.keyring).ofAllPages()
                }
                if condition == .healthy { return moved }
                if condition == .metadataDamaged {
                    try self.rebuildMetadata(files, envelope)
                    return moved
                }
                do {
                    return try self.recover(
                        files, condition, accepting: acceptingLoss ? .loss : .nothingLost, journal: moved?.journal)
                } catch let error as StrongroomError {
                    guard !acceptingLoss, condition.isProvenDamage, case .database = error.reason else { throw error }
                    throw StrongroomError(.lossNotAccepted, files.main)
                }
            }
        }
    }

    /// Settles what `database_wal_missing` and `database_wal_unexpected` ask.
    ///
    /// - Throws: `StrongroomError.walNotInQuestion`, `.database` where that is not what is wrong; `.walDoesNotFit` where the two are not of one time.
    ///   Nothing is changed then.
    public func settleWAL(of scope: KeyScope, _ decision: WALDecision) async throws {
        try await BlockingWork.run {
            try self.withDamaged(scope) { files, envelope, condition in
                switch (condition, decision) {
                case (.walMissing, .without):
                    // The last close may have got as far as the main file.
                    let found = try Diagnosis(files: files, envelope: envelope, keyring: self.keyring).epochOfDatabase()
                    let epoch = found == envelope.epoch + 1 ? envelope.epoch + 1 : envelope.epoch
                    _ = try self.keyring.note(epoch: epoch, session: .closed, isWithoutWAL: true, in: envelope)
                case (.walUnexpected, .without):
                    let quarantine = try files.make(Quarantine(.wal))
                    for path in [files.wal, files.shm] {
                        guard let name = path.lastComponent, try StrictFiles.exists(path) else { continue }
                        try DurableFiles.rename(path, to: quarantine.appending(name))
                    }
                    try DurableFiles.syncDirectory(quarantine)
                    try DurableFiles.syncDirectory(files.directory)
                case (.walUnexpected, .with):
                    let recovery = Recovery(store: self, files: files, envelope: envelope)
                    // Where the database was changed since, the WAL is not of its time.
                    let mayFit = envelope.session == nil || envelope.isWithoutWAL
                    guard mayFit, let (source, key) = try recovery.pagesWithWAL(),
                        try self.exchange(
                            files, envelope, for: source, under: key, isClosed: false, checking: true,
                            because: condition,
                            Quarantine(.wal))
                    else { throw StrongroomError(.walDoesNotFit, files.wal) }
                case (_, _) where condition == .healthy || condition.isProvenDamage:
                    throw StrongroomError(.walNotInQuestion, files.wal)
                default:
                    throw StrongroomError(.database(condition), files.main)
                }
            }
        }
    }

    /// Looks at every page of a database that is not in use, and keeps its lock meanwhile.
    ///
    /// - Parameter settlingJournal: whether a journal of a restore that is not to be acted on is moved away.
    private func withDamaged<Result>(
        _ scope: KeyScope, settlingJournal: Bool = false,
        _ body: (DatabaseFiles, Envelope, DatabaseCondition) throws -> Result
    ) throws -> Result {
        let rotation = try holdRotation()
        defer { rotation.release() }
        let files = try files(of: scope)
        let lock = try lock(files)
        defer { lock.release() }
        var envelope = try keyring.envelope(for: scope)
        do {
            envelope = try files.finishRestore(envelope, keyring)
        } catch let error as KeyringError {
            guard settlingJournal, error.place == files.restoreJournal else { throw error }
            try files.setAsideJournal()
        }
        let condition = try Diagnosis(files: files, envelope: envelope, keyring: keyring).ofAllPages()
        return try body(files, envelope, condition)
    }

    /// Makes Strongroom's own table in a database anew. How far the database was is taken from its envelope.
    private func rebuildMetadata(_ files: DatabaseFiles, _ envelope: Envelope) throws {
        guard let info = try files.keyInForce(envelope) else { return }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let inUse = try files.beginSession(envelope, keyring)
        try StrongroomError.wrapping(.open, files.main) {
            let queue = try DatabaseQueue(
                path: files.main.string, configuration: Engine.configuration(key: key, policy: policy))
            try queue.writeWithoutTransaction { db in
                try Engine.settle(db)
                try Bookkeeping.setEpochSurely(envelope.epoch, db)
                if files.scope == .global {
                    try db.inTransaction {
                        try self.raiseKeyringSequence(db); return .commit
                    }
                }
                _ = try db.checkpoint(.truncate)
            }
            try queue.close()
        }
        _ = try files.endSession(epoch: envelope.epoch, inUse, keyring)
        logger.warning("metadata_rebuilt", metadata: ["scope": "\(files.scope)"])
    }
}
