// Carrying out what a recovery has found. Everything is proven on a staged copy, and what was there goes to corrupted/, in the
// order of docs/formats/snapshot.md, "Restoring".

import DurableFiles
import Foundation
import GRDB
import Keyring
import PageCipher
import Snapshots

extension Store {
    /// Opens a database; where it is damaged, recovers it first, as far as the app lets us. The caller holds its lock.
    func openRecovering<Writer: DatabaseWriter>(
        _ files: DatabaseFiles, lock: FileLock, makeWriter: (String, Configuration) throws -> Writer
    ) throws -> (open: OpenDatabase<Writer>, event: RecoveryEvent?) {
        func open() throws -> OpenDatabase<Writer> {
            try OpenDatabase(
                files, lock: lock, keyring: keyring, policy: policy, allowsPlaintextAttach: allowsPlaintextAttach,
                makeWriter: makeWriter)
        }
        do {
            return (try open(), nil)
        } catch {
            guard let event = try recovered(files, from: error) else { throw error }
            guard event.plan.action == .moveJournal else { return (try open(), event) }
            // Only now is it seen what was behind it.
            do {
                return (try open(), event)
            } catch {
                guard let next = try recovered(files, from: error, journal: event.journal) else { throw error }
                return (try open(), next)
            }
        }
    }

    /// Recovers a database, where the error is about damage or a journal that is not ours, and the app lets us. The caller holds its
    /// lock, and nobody has it open.
    ///
    /// - Parameter journal: where one went that was moved away before.
    /// - Returns: nil where there is nothing to recover from, or the app does not want it.
    func recovered(
        _ files: DatabaseFiles, from error: any Error, journal: String? = nil
    ) throws -> RecoveryEvent? {
        guard let error = error as? StrongroomError, case .database(let condition) = error.reason, recovery != .never
        else { return nil }
        if condition == .journalForeign { return try moveForeignJournal(files) }
        guard condition.isProvenDamage else { return nil }
        let rotation = try holdRotation()
        defer { rotation.release() }
        return try recover(
            files, condition, accepting: recovery == .automatic ? .loss : .nothingLost, journal: journal)
    }

    /// Moves a rollback journal away that is not ours. The caller holds the lock of the database.
    func moveForeignJournal(_ files: DatabaseFiles) throws -> RecoveryEvent {
        let quarantine = try files.moveForeignJournal()
        return note(
            RecoveryEvent(
                plan: .movingJournal(files.scope), date: quarantine.date, quarantine: quarantine.name, salvage: nil,
                journal: quarantine.name))
    }

    /// What an app or an operator is ready to lose.
    enum AcceptedLoss { case nothingLost, loss }

    /// Does what can be done. The caller holds the lock of the database, and keeps rotations away.
    ///
    /// - Parameter journal: where one went that was moved away before.
    /// - Throws: `StrongroomError.recoveryNoSnapshot`; `.database` with the condition where nothing may be done, or more would be
    ///   lost than is accepted. Nothing is changed then.
    func recover(
        _ files: DatabaseFiles, _ condition: DatabaseCondition, accepting loss: AcceptedLoss, journal: String? = nil
    ) throws -> RecoveryEvent {
        let start = ContinuousClock.now
        let envelope = try keyring.envelope(for: files.scope)
        let work = Recovery(store: self, files: files, envelope: envelope)
        var (plan, means) = try work.plan(for: condition)
        if case .pages(let source, let key, let isClosed) = means, plan.isLossless || loss == .loss {
            let quarantine = Quarantine(.repair)
            // With only the header damaged, every page is as it was, and so is whatever SQLite may think of it.
            let isChanged = plan.foundPages.count > plan.foundPages.inHeader || plan.lostTransactions > 0
            if try exchange(
                files, envelope, for: source, under: key, isClosed: isClosed, checking: isChanged, because: condition,
                quarantine)
            {
                return note(
                    RecoveryEvent(
                        plan: plan, date: quarantine.date, quarantine: quarantine.name, salvage: nil, journal: journal))
            }
            // Put together it is not sound: then it is not what was there.
            (plan, means) = try work.plan(for: condition, ignoringRepair: true)
        }
        if plan.action == .noSnapshot { throw StrongroomError(.recoveryNoSnapshot, files.main) }
        guard case .snapshot(let snapshot) = means, plan.isLossless || loss == .loss else {
            throw StrongroomError(.database(condition), files.main)
        }
        let quarantine = Quarantine(.restore)
        let salvage = plan.isLossless ? nil : try? self.salvage(files, envelope, into: quarantine)
        _ = try restore(snapshot, files, into: quarantine, because: condition, true, since: start, nil)
        return note(
            RecoveryEvent(
                plan: plan, date: quarantine.date, quarantine: quarantine.name, salvage: salvage, journal: journal))
    }

    /// Puts pages in force that were put together.
    ///
    /// - Parameters:
    ///   - isClosed: whether nothing was changed since the last close.
    ///   - checking: whether SQLite is to look at them first.
    /// - Returns: false where SQLite finds something wrong with them; nothing is changed then.
    func exchange(
        _ files: DatabaseFiles, _ envelope: Envelope, for source: PageSource, under info: DataKeyInfo, isClosed: Bool,
        checking: Bool, because condition: DatabaseCondition, _ quarantine: Quarantine
    ) throws -> Bool {
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let layout = info.pageFormat.layout
        var epoch = envelope.epoch
        do {
            try files.discardUnfinishedRestore()
            let target = try NewDataFile(files.restoring)
            _ = try PageCopy.copy(source, into: target, layout: layout) { try key.makePageAuthenticator() }
            try target.sync()
            let written = try PageScan(of: DataFile(files.restoring, pastCache: true), layout: layout) {
                try key.makePageAuthenticator()
            }
            guard written.badPageCount == 0, written.pageCount == source.pageCount else {
                throw StrongroomError(.copyDiffers, files.restoring)
            }
            if checking {
                let findings = try SealedDatabase(DataFile(files.restoring), key: key.makePageKey()).check()
                guard findings.integrityViolations ?? 0 == 0 else {
                    try files.discardUnfinishedRestore()
                    return false
                }
            }
            if !isClosed {
                // There may be changes since the last close: the snapshots of that epoch are older.
                epoch += 1
                let staged = StagedDatabase(path: files.restoring, key: key, policy: policy, acceptsViolations: true)
                try staged.write { db in
                    guard try Bookkeeping.epoch(db) >= envelope.epoch else {
                        throw StrongroomError(.database(.rolledBack), files.main)
                    }
                    try Bookkeeping.setEpoch(epoch, db)
                }
            }
        } catch {
            try? files.discardUnfinishedRestore()
            throw error
        }
        try DurableFiles.syncDirectory(files.directory)
        try files.putInForce(
            RestoreJournal(
                files, on: envelope, snapshotId: nil, condition: condition, into: quarantine, epoch: epoch,
                format: info.pageFormat),
            envelope, keyring)
        return true
    }

    /// Tells the log and the app.
    private func note(_ event: RecoveryEvent) -> RecoveryEvent {
        let plan = event.plan
        logger.warning(
            "database_recovered",
            metadata: [
                "scope": "\(plan.scope)", "condition": "\(plan.condition.name)", "action": "\(plan.action.rawValue)",
                "lossless": "\(plan.isLossless)", "bad_pages": "\(plan.badPages)", "lost_pages": "\(plan.lostPages)",
                "lost_transactions": "\(plan.lostTransactions)", "seconds_lost": "\(plan.secondsLost ?? 0)",
                "salvaged_rows": "\(event.salvage?.rows ?? 0)",
            ])
        onRecovery?(event)
        return event
    }
}
