// DESIGN "Opening a profile", every step, for the global database and for profiles alike.

import DurableFiles
import Foundation
import GRDB
import KeyPolicy
import Keyring
import PageCipher
import Synchronization

/// An open database: its lock, its key, its connections. ``close()`` ends all three.
final class OpenDatabase<Writer: DatabaseWriter>: Sendable {
    let files: DatabaseFiles
    let writer: Writer
    let keyring: UnlockedKeyring
    private let lock: FileLock
    private let keys: ConnectionKey
    private let policy: KeyPolicy
    private let protection: ConnectionProtection
    private let envelope: Mutex<Envelope>
    /// What SQLite counts commits by, when it was opened: GRDB commits something empty when it opens a pool, which is no change of
    /// anybody's. Nil where the last close was not clean, so that there may be changes from before.
    private let versionWhenOpened: UInt32?
    /// Whether the envelope may say that the database is in use.
    private let hasSession = Mutex(false)
    private let isClosed = Mutex(false)
    /// Set once the database has been exchanged for one under another key while it was open.
    private let exchange = Mutex(ExchangeOutcome.none)
    /// What must be over before it is closed: a snapshot, a verification.
    private let holds = DispatchGroup()

    /// What the key of the open file is, in numbers.
    var dataKeyInfo: DataKeyInfo {
        let info = keys.current.info
        return envelope.withLock { $0.dataKey(info.keyID) } ?? info
    }

    /// Opens the database whose lock is held already.
    ///
    /// - Parameters:
    ///   - isNew: whether the file is to be made; otherwise a missing file is damage, not a new database.
    ///   - isWritten: whether it is going to be written to. Where it may turn out later, ``beginSession()`` comes before the first write.
    ///   - encoding: how a new database stores text.
    ///   - allowsPlaintextAttach: whether the app may attach a database file without a key.
    ///   - isOnlyConnection: whether there will be no other one, and no snapshot while it is open.
    ///   - makeWriter: opens GRDB's queue or pool.
    init(
        _ files: DatabaseFiles, lock: FileLock, keyring: UnlockedKeyring, policy: KeyPolicy, isNew: Bool = false,
        isWritten: Bool = true, encoding: TextEncoding = .utf8, allowsPlaintextAttach: Bool = false,
        isOnlyConnection: Bool = false,
        makeWriter: (String, Configuration) throws -> Writer
    ) throws {
        self.files = files
        self.lock = lock
        self.keyring = keyring
        self.policy = policy
        // What is new belongs to us until it is closed.
        protection = ConnectionProtection(
            allowsPlaintextAttach: allowsPlaintextAttach, isOwn: isNew, refusals: RefusalLog())
        var envelope = try files.finishRestore(keyring.envelope(for: files.scope), keyring)
        let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: keyring)
        if !isNew {
            let condition = try diagnosis.ofFirstPage()
            guard condition == .healthy else { throw StrongroomError(.database(condition), files.main) }
        }
        guard let inForce = try files.settleRotation(envelope) else {
            throw StrongroomError(.database(envelope.withoutKey), files.main)
        }
        // Before SQLite writes to it.
        if !isNew {
            let condition = try diagnosis.ofMetadata(under: inForce)
            guard condition == .healthy else { throw StrongroomError(.database(condition), files.main) }
        }
        let wasOpen = try files.session(envelope) != .closed
        let hasPendingWAL = try files.hasPendingWAL()
        let endedInMidWrite = wasOpen || hasPendingWAL
        let key = try keyring.dataKey(generation: inForce.generation, of: envelope)
        keys = ConnectionKey(key)
        do {
            if isNew {
                // Made here, because SQLite would make it readable for others; it gives its other files the same mode.
                try DatabaseFiles.removeCompanions(of: files.main)
                try DurableFiles.createEmpty(files.main)
            } else if isWritten || endedInMidWrite {
                try diagnosis.removeUnfinishedJournal()
                envelope = try files.beginSession(envelope, keyring)
            }
            writer = try makeWriter(
                files.main.string,
                Engine.configuration(
                    keys: keys, policy: policy, encoding: encoding, isOnlyConnection: isOnlyConnection, protection
                ))
        } catch {
            key.secret.wipe()
            if envelope.session == .open { files.settleSession(envelope, wasOpen: wasOpen, keyring) }
            throw try Self.explain(error, .open, diagnosis, files)
        }
        do {
            envelope = try Self.prepare(
                writer, files, key, isNew: isNew, wasOpen: wasOpen, envelope: envelope, keyring: keyring)
            self.envelope = Mutex(envelope)
            if envelope.session == .open {
                hasSession.withLock { $0 = true }
                try writer.writeWithoutTransaction { try Engine.keepWAL(true, $0) }
            }
            try Self.checkPages(writer, files, policy: policy, endedInMidWrite: endedInMidWrite, diagnosis: diagnosis)
            versionWhenOpened =
                endedInMidWrite ? nil : try writer.writeWithoutTransaction { try Engine.dataVersion($0) }
        } catch {
            try? writer.close()
            key.secret.wipe()
            if envelope.session == .open { files.settleSession(envelope, wasOpen: wasOpen, keyring) }
            throw try Self.explain(error, .open, diagnosis, files)
        }
    }

    /// Says in the envelope that the database is in use, where that was not said when it was opened. Called before the first write.
    func beginSession() throws {
        // While the envelope says so there is a WAL: SQLite leaves it there when the last connection is closed.
        try writer.writeWithoutTransaction { try Engine.keepWAL(true, $0) }
        hasSession.withLock { $0 = true }
        try envelope.withLock { $0 = try files.beginSession($0, keyring) }
    }

    /// Notes the epoch of the next close in the transaction that changes something, which saves the close one of its own.
    func noteChange(_ db: Database) throws { try Bookkeeping.setEpoch(envelope.withLock { $0.epoch } + 1, db) }

    /// Says it again, after a rotation has said something else.
    func resumeSession() throws {
        try envelope.withLock { $0 = try files.beginSession($0, keyring, isResumed: true) }
    }

    /// Writes back what is in the WAL, notes the new epoch if anything changed, closes every connection, says in the envelope that
    /// it is closed, wipes the key and lets the lock go. Does nothing the second time.
    ///
    /// - Throws: `StrongroomError` or `KeyringError` where something could not be written; the database is closed all
    ///   the same, and what was acknowledged is on disk.
    ///
    /// - Parameter keepingLock: whether the lock stays with the caller.
    func close(keepingLock: Bool = false) throws {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        holds.wait()
        let copying = waitForCopies()
        let envelope = envelope.withLock { $0 }
        defer {
            copying?.release()
            try? writer.close()
            keys.current.secret.wipe()
            if !keepingLock { lock.release() }
        }
        try StrongroomError.wrapping(.close, files.main) {
            let exchange = exchange.withLock { $0 }
            // Everything acknowledged is in the file already, which the next one to open brings up to date.
            guard exchange != .incomplete else { return }
            let epoch = try writer.writeWithoutTransaction { db in
                try Engine.letWrite(db)
                let isChanged = try exchange == .done || Engine.dataVersion(db) != versionWhenOpened
                let epoch = isChanged ? envelope.epoch + 1 : envelope.epoch
                if isChanged { try Bookkeeping.setEpochSurely(epoch, db) }
                _ = try db.checkpoint(.truncate)
                // Whoever still writes, in another thread, is told that it is over, and not that it was done.
                try db.execute(sql: "PRAGMA query_only = 1")
                return epoch
            }
            // Only then may the WAL go.
            if epoch != envelope.epoch || hasSession.withLock({ $0 }) {
                _ = try files.endSession(epoch: epoch, envelope, keyring)
                try writer.writeWithoutTransaction { try Engine.keepWAL(false, $0) }
            }
            // GRDB closes its writer first, and a connection that only reads cannot remove the WAL when it is the last.
            (writer as? DatabasePool)?.invalidateReadOnlyConnections()
            try writer.close()
        }
    }

    /// SQLite writes everything back and removes the WAL when the last connection is closed; another process that copies the
    /// database needs both as they are. It is waited for, but not for ever: it may hang.
    private func waitForCopies() -> FileLock? {
        guard files.scope != .global else { return nil }
        return try? FileLock(files.copyLock, patienceMilliseconds: Self.copyPatienceMilliseconds)
    }

    private static var copyPatienceMilliseconds: Int { 60_000 }

    /// Lets ``close(keepingLock:)`` wait until the hold is released.
    func holdOpen() throws -> OpenHold {
        try isClosed.withLock { isClosed in
            guard !isClosed else { throw StrongroomError(.storeLocked) }
            return OpenHold(holds, of: self)
        }
    }

    /// An app may just let it go.
    deinit { try? close() }

    /// Looks at the open file from outside.
    func diagnosis() throws -> Diagnosis {
        guard !isClosed.withLock({ $0 }) else { throw StrongroomError(.storeLocked) }
        return Diagnosis(files: files, envelope: envelope.withLock { $0 }, keyring: keyring)
    }

    /// A second connection, which only reads.
    func makeReader() throws -> DatabaseQueue {
        try DatabaseQueue(
            path: files.main.string,
            configuration: Engine.configuration(keys: keys, policy: policy, readonly: true, protection))
    }

    /// A connection past GRDB, for a schema that a file brought.
    func connect(readonly: Bool) throws -> RawConnection {
        try Engine.connect(files.main, key: keys.current, readonly: readonly)
    }

    // MARK: Another key

    enum ExchangeOutcome { case none, done, incomplete }
    /// What a rotation of the open database needs to know.
    var rotationState: (envelope: Envelope, key: DataKey) {
        (envelope.withLock { $0 }, keys.current)
    }

    /// Says in the envelope what a rotation is about to do.
    func note(session: Session) throws {
        try envelope.withLock { $0 = try keyring.note(session: session, in: $0) }
    }

    /// Notes the envelope as a rotation has left it.
    func note(_ current: Envelope) { envelope.withLock { $0 = current } }

    /// Keys new connections with another key, after the file has been exchanged.
    func exchanged(to key: DataKey) {
        keys.replace(with: key)
        exchange.withLock { $0 = .done }
    }

    /// The file may have been exchanged, and the connections have not followed: nothing more is written through them, and no
    /// new one is keyed.
    func exchangeFailed() {
        exchange.withLock { $0 = .incomplete }
        keys.current.secret.wipe()
    }

    /// Settings, and what Strongroom keeps inside the database.
    ///
    /// - Returns: the envelope as it is then.
    private static func prepare(
        _ writer: Writer, _ files: DatabaseFiles, _ key: DataKey, isNew: Bool, wasOpen: Bool, envelope: Envelope,
        keyring: UnlockedKeyring
    ) throws -> Envelope {
        try writer.writeWithoutTransaction { try Engine.settle($0) }
        if isNew {
            try writer.write { try Bookkeeping.create($0) }
            // The new file names its key from the first checkpoint on.
            _ = try writer.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try DurableFiles.syncDirectory(files.directory)
            let found = try DataFile(files.main).bytes(at: 0, count: KeyID.length)
            guard found == key.info.keyID.bytes else { throw StrongroomError(.engineIsNotSQLCipher, files.main) }
            return envelope
        }
        var envelope = envelope
        // Not by a reader: where this is as far as it gets, the connection that closes last must be one that may write back
        // and remove the WAL.
        let epoch = try writer.writeWithoutTransaction { try Bookkeeping.epoch($0) }
        if try files.judge(epoch: epoch, of: envelope, wasOpen: wasOpen) == .ahead {
            envelope = try keyring.note(epoch: epoch, in: envelope)
        }
        // A rotation ended between the exchange of the file and its last step. The exchange must be durable before that.
        if key.info.state == .pending {
            try DurableFiles.syncDirectory(files.directory)
            envelope = try keyring.activateDataKey(generation: key.info.generation, of: envelope)
        }
        return envelope
    }

    /// Step 7. What was in the WAL is written back first, because a page that the crash tore is whole again then.
    private static func checkPages(
        _ writer: Writer, _ files: DatabaseFiles, policy: KeyPolicy, endedInMidWrite: Bool, diagnosis: Diagnosis
    ) throws {
        let isDue =
            switch policy.integrityCheck {
            case .never: false
            case .afterCrash: endedInMidWrite
            case .always: true
            }
        guard isDue else { return }
        _ = try writer.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        let condition = try diagnosis.ofAllPages()
        guard condition == .healthy else { throw StrongroomError(.database(condition), files.main) }
    }

    /// To SQLite, a damaged page and a wrong key are the same. We know that the key is right, so it is damage.
    private static func explain(
        _ error: any Error, _ stage: StrongroomError.SQLStage, _ diagnosis: Diagnosis, _ files: DatabaseFiles
    ) throws -> any Error {
        var code = (error as? DatabaseError)?.resultCode
        // What was asked past GRDB.
        if case .sqlite(let raw, _) = (error as? StrongroomError)?.reason { code = ResultCode(rawValue: raw & 0xff) }
        if code == .SQLITE_NOTADB || code == .SQLITE_CORRUPT {
            let condition = try diagnosis.ofAllPages()
            if condition != .healthy { return StrongroomError(.database(condition), files.main) }
        }
        return (error as? DatabaseError).map { StrongroomError($0, stage, files.main) } ?? error
    }

    /// What an error that came up while the database was open is.
    func explained(_ error: any Error, _ stage: StrongroomError.SQLStage) -> any Error {
        if let known = known(error) { return known }
        do {
            return try Self.explain(error, stage, diagnosis(), files)
        } catch { return error }
    }

    /// What an error of SQL means that is not about the SQL: damage, or something that is protected. Nil for all others.
    func known(_ error: any Error) -> StrongroomError? {
        if let error = error as? DatabaseError, Self.isRefusal(error) {
            let setting = error.message.flatMap { ProtectedSetting(message: $0) } ?? protection.refusals?.last
            return setting.map { StrongroomError(.settingProtected($0)) }
        }
        guard Self.mayBeDamage(error), let condition = try? diagnosis().ofAllPages(), condition != .healthy else {
            return nil
        }
        return StrongroomError(.database(condition), files.main)
    }

    /// Of a function that is refused, and of what a function was refused in turn (`sqlcipher_export`), SQLite says that there is a mistake.
    private static func isRefusal(_ error: DatabaseError) -> Bool {
        let ofFunction = "not authorized to use function: \(ProtectedSetting.loadExtension.name)"
        return error.resultCode == .SQLITE_AUTH
            || error.resultCode == .SQLITE_ERROR && ["not authorized", ofFunction].contains(error.message)
    }

    /// Of a page that does not authenticate SQLCipher only says that there was an error, in SQLite's text for just that, and then that
    /// the connection has no memory for pages; of a file that ends too early, that it cannot be read.
    private static func mayBeDamage(_ error: any Error) -> Bool {
        var code = (error as? DatabaseError)?.resultCode
        var message = (error as? DatabaseError)?.message
        // What was asked past GRDB, which has no text.
        if case .sqlite(let raw, _) = (error as? StrongroomError)?.reason {
            code = ResultCode(rawValue: raw & 0xff)
            message = nil
        }
        return switch code {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_NOMEM, .SQLITE_IOERR: true
        case .SQLITE_ERROR: message ?? "SQL logic error" == "SQL logic error"
        default: false
        }
    }
}

extension StrongroomError {
    /// Keeps GRDB's result code and nothing else: its message may quote SQL, and with it content.
    init(_ error: DatabaseError, _ stage: SQLStage, _ place: FilePath?) {
        self.init(.sqlite(code: error.extendedResultCode.rawValue, stage), place)
    }

    /// Runs `body`; errors of the SQL engine become ours, others stay what they are.
    static func wrapping<Result>(_ stage: SQLStage, _ place: FilePath?, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw StrongroomError(error, stage, place)
        }
    }
}
