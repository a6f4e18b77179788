// restore.json: docs/formats/snapshot.md, "Restoring". From the moment it is durable the restored database is in force, and
// whoever comes next finishes what it says.

import CryptoPrimitives
import DurableFiles
import Foundation
import KeyPolicy
import Keyring
import PageCipher
import Snapshots

/// Says that a restored database stands ready.
struct RestoreJournal: AuthenticatedDocument {
    static let format = "strongroom/restore"
    static let file = KeyringError.File.restore
    static let maximumBytes = 16 << 10

    var format = Self.format
    var version = 1
    var critical: [String] = []
    let scope: String
    /// Nil where the database was repaired page by page.
    let snapshotId: String?
    /// What was wrong, where it was a recovery: the name of the condition.
    var condition: String?
    /// A directory in `corrupted/`.
    let quarantine: String
    let started: Date
    let epoch: Int
    /// 64 hex digits: the SHA-256 of the restored database's first page.
    let firstPage: String
    /// 64 hex digits: the root over the tags of the restored database. Nil in a journal of a former version.
    var tagRoot: String?
    /// The sequence of the envelope on which the journal acts, once. Nil in a journal of a former version.
    var envelopeSequence: Int?

    fileprivate var followsItsFormat: Bool { Quarantine(quarantine) != nil && Bookkeeping.numbers.contains(epoch) }

    /// Says that `files.restoring` is ready.
    ///
    /// - Parameters:
    ///   - snapshotId: what was restored; nil where pages were put together.
    ///   - condition: what was wrong, where it is a recovery.
    ///   - epoch: that of the restored database.
    ///   - format: its page format.
    init(
        _ files: DatabaseFiles, on envelope: Envelope, snapshotId: String?, condition: DatabaseCondition?,
        into quarantine: Quarantine, epoch: Int, format: PageFormat
    ) throws {
        scope = files.scope.description
        self.snapshotId = snapshotId
        self.condition = condition?.name
        self.quarantine = quarantine.name
        started = quarantine.date
        self.epoch = epoch
        firstPage = try Self.firstPageDigest(of: files.restoring, pageSize: format.size)
        tagRoot = try TagRoot(ofStoredTagsIn: DataFile(files.restoring), layout: format.layout).description
        envelopeSequence = envelope.sequence
    }

    /// The hash of a file's first page.
    fileprivate static func firstPageDigest(of path: FilePath, pageSize: Int) throws -> String {
        Hex.encode(try SHA256.hash(try DataFile(path).bytes(at: 0, count: pageSize)))
    }

    /// Where the journal stands to an envelope: docs/security/custody.md, rule 5.
    fileprivate enum Standing { case due, done, past }

    fileprivate func standing(to envelope: Envelope, isReady: Bool) -> Standing {
        guard let envelopeSequence else { return envelope.session == nil ? .due : .past }
        if envelope.sequence == envelopeSequence || CustodyCheck.journalBinding.isSkipped { return .due }
        // The envelope is written last but for the journal's own way out.
        let isDone = envelope.sequence == envelopeSequence + 1 && envelope.epoch == epoch && !isReady
        return isDone ? .done : .past
    }
}

extension DatabaseFiles {
    /// Goes on with a restore that was interrupted after it was decided, and clears away one that was interrupted before.
    /// The caller holds the lock of the database.
    ///
    /// - Parameter isFresh: whether what stands ready was made and looked at just now, under this lock.
    /// - Returns: the envelope as it is then.
    /// - Throws: `KeyringError` with `.forged(.restore)` where the journal was not written with the root key, `.rolledBack(.restore)`
    ///   where it has acted already or was decided on another envelope; nothing is changed then.
    func finishRestore(
        _ envelope: Envelope, _ keyring: UnlockedKeyring, isFresh: Bool = false
    ) throws -> Envelope {
        guard try StrictFiles.exists(restoreJournal) else {
            // It was never decided on, and what was making it no longer holds the lock.
            if try StrictFiles.exists(restoring) { try discardUnfinishedRestore() }
            return envelope
        }
        let journal = try keyring.read(RestoreJournal.self, from: restoreJournal)
        let malformed = KeyringError(.malformed(.restore), restoreJournal)
        guard journal.followsItsFormat, journal.scope == scope.description, let kept = Quarantine(journal.quarantine)
        else { throw malformed }
        let isReady = try StrictFiles.exists(restoring)
        switch journal.standing(to: envelope, isReady: isReady) {
        case .past: throw KeyringError(.rolledBack(.restore), restoreJournal)
        case .done:
            try retire(journal: make(kept))
            return envelope
        case .due: break
        }
        let ready = isReady ? restoring : main
        guard let info = try key(of: ready, envelope) else { throw malformed }
        guard try RestoreJournal.firstPageDigest(of: ready, pageSize: info.pageFormat.size) == journal.firstPage,
            try isFresh || isWhole(ready, journal, info, envelope, keyring)
        else { throw malformed }

        let quarantine = try make(kept)
        if isReady { try exchange(into: quarantine) }
        // This is what ends the journal: it names the envelope before.
        let epoch = max(envelope.epoch, journal.epoch)
        let ended = try endSession(epoch: epoch, envelope, keyring)
        try retire(journal: quarantine)
        return ended
    }

    /// The key of this database that a file is under.
    private func key(of path: FilePath, _ envelope: Envelope) throws -> DataKeyInfo? {
        guard try StrictFiles.exists(path) else { return nil }
        return try KeyID(DataFile(path).bytes(at: 0, count: KeyID.length)).flatMap { envelope.dataKey($0) }
    }

    /// Whether a file is what the journal says, page by page: it was made by a program that has ended since.
    private func isWhole(
        _ path: FilePath, _ journal: RestoreJournal, _ info: DataKeyInfo, _ envelope: Envelope,
        _ keyring: UnlockedKeyring
    ) throws -> Bool {
        guard let root = journal.tagRoot else { return true }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let scan = try PageScan(of: DataFile(path), layout: info.pageFormat.layout) { try key.makePageAuthenticator() }
        return scan.badPageCount == 0 && scan.tagRoot.description == root
    }

    /// Moves away a journal that is not to be acted on, with what it says is ready.
    func setAsideJournal() throws {
        let quarantine = try make(Quarantine(.journal))
        for path in [restoreJournal, restoring] where try StrictFiles.exists(path) {
            if let kept = try free(path, in: quarantine) { try DurableFiles.rename(path, to: kept) }
        }
        try DurableFiles.syncDirectory(quarantine)
        try DurableFiles.syncDirectory(directory)
    }

    /// The journal stays as the note that goes with what it put out of force.
    private func retire(journal quarantine: FilePath) throws {
        try DurableFiles.rename(restoreJournal, to: quarantine.appending("restore.json"))
        try DurableFiles.syncDirectory(quarantine)
        try DurableFiles.syncDirectory(directory)
    }

    /// The WAL goes first: laid over another main file it would destroy it.
    private func exchange(into quarantine: FilePath) throws {
        for path in [journal, wal, shm] where try StrictFiles.exists(path) {
            guard let kept = try free(path, in: quarantine) else { continue }
            try DurableFiles.rename(path, to: kept)
        }
        try DurableFiles.syncDirectory(quarantine)
        try DurableFiles.syncDirectory(directory)
        if try StrictFiles.exists(main), let kept = try free(main, in: quarantine) {
            try DurableFiles.linkOrRename(main, to: kept)
            try DurableFiles.syncDirectory(quarantine)
        }
        try DurableFiles.rename(restoring, to: main)
        try DurableFiles.syncDirectory(directory)
    }

    /// A name for a file in the quarantine that no other file has; nil where the file is there already.
    private func free(_ path: FilePath, in quarantine: FilePath) throws -> FilePath? {
        guard let name = path.name?.text else { return nil }
        for number in 1...Int.max {
            let kept = quarantine.appending(number == 1 ? name : "\(name).\(number)")
            if try !StrictFiles.exists(kept) { return kept }
            if try FileFingerprint(of: kept)?.isSameFile(as: FileFingerprint(of: path)) ?? false { return nil }
        }
        return nil
    }

    /// Decides that what stands ready is in force, and finishes it.
    func putInForce(_ journal: RestoreJournal, _ envelope: Envelope, _ keyring: UnlockedKeyring) throws {
        do {
            try keyring.write(journal, to: restoreJournal)
        } catch {
            // In its place and not surely durable: it is decided all the same, and what follows makes it so.
            guard try StrictFiles.exists(restoreJournal) else {
                try? discardUnfinishedRestore()
                throw error
            }
        }
        _ = try finishRestore(envelope, keyring, isFresh: true)
    }

    /// Removes a restored database that was never decided on, with what SQLite put beside it.
    func discardUnfinishedRestore() throws {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            try DurableFiles.remove(Self.sibling(of: restoring, suffix: suffix))
        }
    }
}
