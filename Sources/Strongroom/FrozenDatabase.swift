// Holding databases still, so that a snapshot is one moment: one that is open here, one that nobody has open, one that another
// process has open, or all of them together.

import DurableFiles
import GRDB
import PageCipher
import Snapshots

/// A database that holds still until ``take(_:_:_:)`` is over.
struct FrozenDatabase: Sendable {
    let files: DatabaseFiles
    let migrations: MigrationState?
    /// The WAL as it was when the database was frozen.
    let moment: WALMark
    /// The main file, where it must not be opened a second time.
    var main: DataFile?
    let release: @Sendable () -> Void

    /// Takes the snapshot, and lets the database go.
    func take(
        _ occasion: SnapshotOccasion, _ store: Store, _ progress: (@Sendable (SnapshotProgress) -> Void)?
    ) throws -> Snapshot {
        defer { release() }
        let occasion = SnapshotOccasion(
            reason: occasion.reason, set: occasion.set, date: occasion.date,
            migrations: migrations.map { ($0.applied, $0.latest) })
        return try store.snapshotDirectory(of: files.scope).create(occasion, progress: progress) { key in
            let wal = try StrictFiles.exists(files.wal) ? DataFile(files.wal) : nil
            return try PageSource(main ?? DataFile(files.main), wal: wal, at: moment, key: key)
        }
    }
}

extension Profile {
    /// Pins the open database. No write takes place before `body` returns; from then on writers go on.
    func freeze<Result>(_ body: (FrozenDatabase) throws -> Result) throws -> Result {
        let files = open.files
        let hold = try open.holdOpen()
        return try StrongroomError.wrapping(.query, files.main) {
            try database.writeWithoutTransaction { db in
                let pin = try DatabasePin(database) { try MigrationState($0) }
                let release: @Sendable () -> Void = {
                    pin.release()
                    hold.release()
                }
                do {
                    let moment = try files.walMark(db)
                    return try body(
                        FrozenDatabase(files: files, migrations: pin.value, moment: moment, release: release))
                } catch {
                    release()
                    throw error
                }
            }
        }
    }
}

/// Which of GRDB's migrations a database has.
struct MigrationState: Sendable {
    let applied: Int
    let latest: String?

    /// - Returns: nil where the database has no migrations.
    init?(_ db: Database) throws {
        guard try db.tableExists("grdb_migrations") else { return nil }
        applied = try Int.fetchOne(db, sql: "SELECT count(*) FROM grdb_migrations") ?? 0
        latest = try String.fetchOne(db, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid DESC LIMIT 1")
    }
}

extension Store {
    /// Every database at one moment. The locks of the closed ones are taken first; then no open one is written until all
    /// of them are pinned.
    func freezeAll(_ failed: inout [FailedDatabase]) throws -> [FrozenDatabase] {
        let (global, profiles) = try freezeClosed(files(of: .global)) { db in
            try ProfileRegistry.all(db)
        }
        var frozen = [global]
        var open: [Profile] = []
        for info in profiles {
            if let profile = openProfile(info.id) {
                open.append(profile)
                continue
            }
            do {
                frozen.append(try freezeClosed(files(of: .profile(info.id))).frozen)
            } catch let error as any ReportableError {
                failed.append(.init(scope: info.id.description, code: error.code))
            }
        }
        do {
            try Self.freeze(open[...]) { frozen.append($0) }
        } catch {
            for database in frozen { database.release() }
            throw error
        }
        return frozen
    }

    /// Goes one level deeper for each, so that all writers are held until the last one is pinned.
    private static func freeze(_ profiles: ArraySlice<Profile>, _ add: (FrozenDatabase) -> Void) throws {
        guard let first = profiles.first else { return }
        try first.freeze { frozen in
            add(frozen)
            try freeze(profiles.dropFirst(), add)
        }
    }

    /// Pins a profile that another process has open, with a connection that only reads, and never checkpoints:
    /// docs/decisions/0011-copying-what-another-process-has-open.md.
    func freezeOpenElsewhere(_ files: DatabaseFiles) throws -> FrozenDatabase {
        let copying = try FileLock(
            files.copyLock, shared: true, patienceMilliseconds: Self.globalPatienceMilliseconds)
        let envelope = try keyring.envelope(for: files.scope)
        guard let active = envelope.activeDataKey else {
            throw StrongroomError(.database(envelope.withoutKey), files.main)
        }
        let key = try keyring.dataKey(generation: active.generation, of: envelope)
        // Opened before SQLite opens it and closed after: closing any descriptor of a file ends every POSIX lock that this
        // process holds on it, SQLite's own among them.
        let main = try DataFile(files.main)
        guard try main.bytes(at: 0, count: KeyID.length) == active.keyID.bytes, try !files.hasForeignJournal() else {
            throw StrongroomError(
                .database(try Diagnosis(files: files, envelope: envelope, keyring: keyring).ofFirstPage()), files.main)
        }
        return try StrongroomError.wrapping(.open, files.main) {
            let queue = try DatabaseQueue(
                path: files.main.string, configuration: Engine.configuration(key: key, policy: policy, readonly: true))
            let pin = try DatabasePin(queue) { (migrations: try MigrationState($0), moment: try files.walMark($0)) }
            return FrozenDatabase(files: files, migrations: pin.value.migrations, moment: pin.value.moment, main: main)
            {
                pin.release()
                try? queue.close()
                key.secret.wipe()
                copying.release()
            }
        }
    }

    func freezeClosed(_ files: DatabaseFiles) throws -> (frozen: FrozenDatabase, value: Void) {
        try freezeClosed(files) { _ in }
    }

    /// Settles a database that nobody has open, and keeps its lock.
    private func freezeClosed<Value>(
        _ files: DatabaseFiles, read: (Database) throws -> Value
    ) throws -> (frozen: FrozenDatabase, value: Value) {
        let lock = try self.lock(files)
        do {
            let open = try OpenDatabase(files, lock: lock, keyring: keyring, policy: policy) {
                try DatabaseQueue(path: $0, configuration: $1)
            }
            let (migrations, value) = try StrongroomError.wrapping(.query, files.main) {
                do {
                    return try open.writer.read { (try MigrationState($0), try read($0)) }
                } catch {
                    // A damaged page may be come upon only now.
                    let told = open.explained(error, .query)
                    try? open.close(keepingLock: true)
                    throw told
                }
            }
            try open.close(keepingLock: true)
            let moment = try files.unusedWALMark()
            return (FrozenDatabase(files: files, migrations: migrations, moment: moment) { lock.release() }, value)
        } catch {
            lock.release()
            throw error
        }
    }
}
