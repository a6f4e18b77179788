// Whether a database is in use is said by its envelope, which is authentic, and not by files that anybody can remove:
// docs/security/custody.md, rule 6, and docs/decisions/0022.

import DurableFiles
import Keyring
import PageCipher
import SystemPackage

extension DatabaseFiles {
    /// What said it in stores of former versions: a file beside a profile that was in use.
    private var formerMark: FilePath { directory.appending("profile.open") }

    /// What the envelope says of the last session.
    func session(_ envelope: Envelope) throws -> Session {
        if let session = envelope.session { return session }
        guard scope != .global else { return try hasPendingWAL() ? .open : .closed }
        return try StrictFiles.exists(formerMark) ? .open : .closed
    }

    /// Makes sure, durably, that a WAL stands beside the database: from now on one that is not there has been taken away.
    ///
    /// GRDB commits something empty into a WAL without bytes when it opens a pool, at the price of two syncs; and SQLite looks
    /// at no WAL that is only as long as its header. So a new one gets that many zeros.
    ///
    /// - Parameter isEmpty: whether it gets none, because an open connection is to go into WAL mode: SQLite takes a WAL that has bytes
    ///   as a sign that the database is in it.
    func makeWAL(isEmpty: Bool = false) throws {
        if try !StrictFiles.exists(wal) {
            try DurableFiles.createEmpty(wal, length: isEmpty ? 0 : WALScan.headerLength)
        }
        try DurableFiles.syncDirectory(directory)
    }

    /// Says in the envelope that the database is in use.
    ///
    /// - Parameter isResumed: whether a connection is open already, and not in WAL mode.
    func beginSession(
        _ envelope: Envelope, _ keyring: UnlockedKeyring, isResumed: Bool = false
    ) throws -> Envelope {
        if envelope.session == .open { return envelope }
        try makeWAL(isEmpty: isResumed)
        return try keyring.note(session: .open, in: envelope)
    }

    /// Says in the envelope that nothing waits in the WAL.
    func endSession(epoch: Int, _ envelope: Envelope, _ keyring: UnlockedKeyring) throws -> Envelope {
        let ended = try keyring.note(epoch: epoch, session: .closed, in: envelope)
        if scope != .global { try? DurableFiles.remove(formerMark) }
        return ended
    }

    /// After a failure, with every connection closed: SQLite has written back what was in the WAL, or it is still there.
    ///
    /// - Parameter wasOpen: whether the session before was not ended either, so that the next one to open the database looks at
    ///   every page, as this one was to.
    func settleSession(_ envelope: Envelope, wasOpen: Bool, _ keyring: UnlockedKeyring) {
        do {
            if try wasOpen || hasPendingWAL() { return try makeWAL() }
            _ = try endSession(epoch: envelope.epoch, envelope, keyring)
        } catch {
            // The envelope stays as it is, and the next one to open the database is told.
        }
    }
}
