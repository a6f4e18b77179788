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
    private let envelope: Mutex<Envelope>
    /// What SQLite counts commits by, when it was opened: GRDB commits something empty when it opens a pool, which is no change of
    /// anybody's. Nil where the last close was not clean, so that there may be changes from before.
    private let versionWhenOpened: UInt32?
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
    ///   - makeWriter: opens GRDB's queue or pool.
    init(
        _ files: DatabaseFiles, lock: FileLock, keyring: UnlockedKeyring, policy: KeyPolicy, isNew: Bool = false,
        makeWriter: (String, Configuration) throws -> Writer
    ) throws {
        self.files = files
        self.lock = lock
        self.keyring = keyring
        self.policy = policy
        let envelope = try files.finishRestore(keyring.envelope(for: files.scope), keyring)
        let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: keyring)
        if !isNew {
            let condition = try diagnosis.ofFirstPage()
            guard condition == .healthy else { throw StrongroomError(.database(condition), files.main) }
        }
        guard let inForce = try files.settleRotation(envelope) else {
            throw StrongroomError(.database(envelope.withoutKey), files.main)
        }
        // Before SQLite writes to it.
        if !isNew, try diagnosis.isOlder(under: inForce) { throw StrongroomError(.database(.rolledBack), files.main) }
        let wasMarked = try files.isMarkedOpen()
        let endedInMidWrite = try wasMarked || files.hasPendingWAL()
        let key = try keyring.dataKey(generation: inForce.generation, of: envelope)
        keys = ConnectionKey(key)
        do {
            // Made here, because SQLite would make it readable for others; it gives its other files the same mode.
            if isNew {
                try DatabaseFiles.removeCompanions(of: files.main)
                try DurableFiles.createEmpty(files.main)
            } else {
                try files.markOpen()
            }
            writer = try makeWriter(files.main.string, Engine.configuration(keys: keys, policy: policy))
        } catch {
            key.secret.wipe()
            files.settleMark(wasMarked: wasMarked)
            throw try Self.explain(error, .open, diagnosis, files)
        }
        do {
            let current = try Self.prepare(writer, files, key, isNew: isNew, envelope: envelope, keyring: keyring)
            self.envelope = Mutex(current)
            try Self.checkPages(writer, files, policy: policy, endedInMidWrite: endedInMidWrite, diagnosis: diagnosis)
            versionWhenOpened =
                endedInMidWrite ? nil : try writer.writeWithoutTransaction { try Engine.dataVersion($0) }
        } catch {
            try? writer.close()
            key.secret.wipe()
            files.settleMark(wasMarked: wasMarked)
            throw try Self.explain(error, .open, diagnosis, files)
        }
    }

    /// Writes back what is in the WAL, notes the new epoch if anything changed, closes every connection, wipes the key
    /// and lets the lock go. Does nothing the second time.
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
        defer {
            copying?.release()
            try? writer.close()
            keys.current.secret.wipe()
            files.settleMark(wasMarked: false)
            if !keepingLock { lock.release() }
        }
        try StrongroomError.wrapping(.close, files.main) {
            let exchange = exchange.withLock { $0 }
            // Everything acknowledged is in the file already, which the next one to open brings up to date.
            guard exchange != .incomplete else { return }
            let envelope = envelope.withLock { $0 }
            let isChanged = try writer.writeWithoutTransaction { db in
                let isChanged = try exchange == .done || Engine.dataVersion(db) != versionWhenOpened
                if isChanged {
                    try db.inTransaction {
                        try Bookkeeping.setEpoch(envelope.epoch + 1, db)
                        return .commit
                    }
                }
                _ = try db.checkpoint(.truncate)
                // Whoever still writes, in another thread, is told that it is over, and not that it was done.
                try db.execute(sql: "PRAGMA query_only = 1")
                try files.markClosed()
                return isChanged
            }
            // GRDB closes its writer first, and a connection that only reads cannot remove the WAL when it is the last.
            (writer as? DatabasePool)?.invalidateReadOnlyConnections()
            try writer.close()
            if isChanged { try keyring.setEpoch(envelope.epoch + 1, of: envelope) }
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
            path: files.main.string, configuration: Engine.configuration(keys: keys, policy: policy, readonly: true))
    }

    // MARK: Another key

    enum ExchangeOutcome { case none, done, incomplete }
    /// What a rotation of the open database needs to know.
    var rotationState: (envelope: Envelope, key: DataKey) {
        (envelope.withLock { $0 }, keys.current)
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
        _ writer: Writer, _ files: DatabaseFiles, _ key: DataKey, isNew: Bool, envelope: Envelope,
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
        switch epoch - envelope.epoch {
        case 0: break
        // The last close ended between the database and its envelope: the envelope is brought up to date.
        case 1: envelope = try keyring.setEpoch(epoch, of: envelope)
        case ..<0: throw StrongroomError(.database(.rolledBack), files.main)
        default: throw KeyringError(.rolledBack(.envelope))
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
        guard let error = error as? DatabaseError else { return error }
        if [.SQLITE_NOTADB, .SQLITE_CORRUPT].contains(error.resultCode) {
            let condition = try diagnosis.ofAllPages()
            if condition != .healthy { return StrongroomError(.database(condition), files.main) }
        }
        return StrongroomError(error, stage, files.main)
    }

    /// What an error that came up while the database was open is.
    func explained(_ error: any Error, _ stage: StrongroomError.SQLStage) -> any Error {
        do {
            return try Self.explain(error, stage, diagnosis(), files)
        } catch { return error }
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

/// What Strongroom keeps inside each database: one small table.
enum Bookkeeping {
    static let table = "_strongroom"
    private static let epochName = "epoch"

    static func create(_ db: Database) throws {
        try db.execute(
            sql: "CREATE TABLE \(table) (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID")
        try set(epochName, to: 0, db)
    }

    static func epoch(_ db: Database) throws -> Int { try value(epochName, db) ?? 0 }
    static func setEpoch(_ epoch: Int, _ db: Database) throws { try set(epochName, to: epoch, db) }

    /// The epoch, read past GRDB.
    static func epoch(_ connection: OpaquePointer) throws -> Int? {
        try RawSQL.integer("SELECT value FROM \(table) WHERE name = '\(epochName)'", on: connection).map { Int($0) }
    }

    static func value(_ name: String, _ db: Database) throws -> Int? {
        try Int.fetchOne(db, sql: "SELECT value FROM \(table) WHERE name = ?", arguments: [name])
    }

    static func set(_ name: String, to value: Int, _ db: Database) throws {
        try db.execute(
            sql: "INSERT INTO \(table) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            arguments: [name, value])
    }
}
