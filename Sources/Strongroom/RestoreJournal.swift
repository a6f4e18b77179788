// restore.json: docs/formats/snapshot.md, "Restoring". From the moment it is durable the restored database is in force, and
// whoever comes next finishes what it says.

import CryptoPrimitives
import DurableFiles
import Foundation
import Keyring
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

    fileprivate var followsItsFormat: Bool { Quarantine(quarantine) != nil && epoch >= 0 }

    /// The hash of a file's first page.
    static func firstPageDigest(of path: FilePath, pageSize: Int) throws -> String {
        Hex.encode(try SHA256.hash(try DataFile(path).bytes(at: 0, count: pageSize)))
    }
}

extension DatabaseFiles {
    /// Goes on with a restore that was interrupted after it was decided, and clears away one that was interrupted before.
    /// The caller holds the lock of the database.
    ///
    /// - Returns: the envelope as it is then.
    /// - Throws: `KeyringError` with `.forged(.restore)` where somebody else wrote it; nothing is changed then.
    func finishRestore(_ envelope: Envelope, _ keyring: UnlockedKeyring) throws -> Envelope {
        guard try StrictFiles.exists(restoreJournal) else {
            // Nobody ever decided on it, and whoever was making it no longer holds the lock.
            if try StrictFiles.exists(restoring) { try discardUnfinishedRestore() }
            return envelope
        }
        let journal = try keyring.read(RestoreJournal.self, from: restoreJournal)
        let malformed = KeyringError(.malformed(.restore), restoreJournal)
        guard journal.followsItsFormat, journal.scope == scope.description, let active = envelope.activeDataKey else {
            throw malformed
        }
        let ready = try StrictFiles.exists(restoring) ? restoring : main
        let found = try RestoreJournal.firstPageDigest(of: ready, pageSize: active.pageFormat.size)
        guard found == journal.firstPage else { throw malformed }

        guard let quarantine = try Quarantine(journal.quarantine).map({ try make($0) }) else { throw malformed }
        if ready == restoring { try exchange(into: quarantine) }
        try DurableFiles.rename(restoreJournal, to: quarantine.appending("restore.json"))
        try DurableFiles.syncDirectory(quarantine)
        try DurableFiles.syncDirectory(directory)
        return envelope.epoch < journal.epoch ? try keyring.setEpoch(journal.epoch, of: envelope) : envelope
    }

    /// The WAL goes first: laid over another main file it would destroy it.
    private func exchange(into quarantine: FilePath) throws {
        for path in [journal, wal, shm, openMark].compactMap(\.self) {
            guard let name = path.lastComponent, try StrictFiles.exists(path) else { continue }
            try DurableFiles.rename(path, to: quarantine.appending(name))
        }
        try DurableFiles.syncDirectory(quarantine)
        try DurableFiles.syncDirectory(directory)
        if let name = main.lastComponent, try StrictFiles.exists(main) {
            let kept = quarantine.appending(name)
            if try !StrictFiles.exists(kept) { try DurableFiles.linkOrRename(main, to: kept) }
            try DurableFiles.syncDirectory(quarantine)
        }
        try DurableFiles.rename(restoring, to: main)
        try DurableFiles.syncDirectory(directory)
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
        _ = try finishRestore(envelope, keyring)
    }

    /// Removes a restored database that was never decided on, with what SQLite put beside it.
    func discardUnfinishedRestore() throws {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            try DurableFiles.remove(Self.sibling(of: restoring, suffix: suffix))
        }
    }
}
