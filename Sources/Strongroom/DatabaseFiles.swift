import DurableFiles
import Keyring
import PageCipher
import SystemPackage

/// Where the files of one database stand: DESIGN "On disk".
struct DatabaseFiles: Sendable {
    let scope: KeyScope
    let directory: FilePath
    let main: FilePath
    /// What the database file is called.
    var mainName: String { scope == .global ? "global.db" : "profile.db" }
    let lock: FilePath

    init(_ scope: KeyScope, in store: FilePath) {
        self.scope = scope
        switch scope {
        case .global:
            directory = store
            main = store.appending("global.db")
            lock = store.appending("global.lock")
        case .profile(let id):
            directory = Self.profilesDirectory(in: store).appending(id.description)
            main = directory.appending("profile.db")
            lock = directory.appending("profile.lock")
        }
    }

    static func profilesDirectory(in store: FilePath) -> FilePath { store.appending("profiles") }

    /// That its directories, as far as they are there, are no links, are ours and are closed to others.
    func requireOwnDirectories() throws {
        try StrictFiles.requireOwnDirectories([directory, backups, corrupted])
    }

    /// Its snapshots.
    var backups: FilePath { directory.appending("backups") }
    /// What was moved out of the way, and is never deleted.
    var corrupted: FilePath { directory.appending("corrupted") }
    /// A restored database that is not in force yet.
    var restoring: FilePath { Self.sibling(of: main, suffix: ".restoring") }
    /// Says that what stands ready is to be put in force.
    var restoreJournal: FilePath { directory.appending("restore.json") }

    /// The database under a new key, until it takes the other one's place.
    var rotating: FilePath { Self.sibling(of: main, suffix: ".rotating") }

    /// Held by other processes for as long as they copy the database while it is open; it is not closed before they are done.
    var copyLock: FilePath { directory.appending("profile.copy.lock") }

    var wal: FilePath { Self.sibling(of: main, suffix: "-wal") }
    var shm: FilePath { Self.sibling(of: main, suffix: "-shm") }
    /// What SQLite rolls back when it opens the database, and asks no key for. Our databases are in WAL mode, and have none.
    var journal: FilePath { Self.sibling(of: main, suffix: "-journal") }

    static func sibling(of path: FilePath, suffix: String) -> FilePath { path.withSuffix(suffix) }

    /// What SQLite reads beside a file, and takes for a part of it.
    private static let companions = ["-journal", "-wal", "-shm"]

    /// Removes what stands beside a file of ours that SQLite is to be given and has not been given before.
    static func removeCompanions(of path: FilePath) throws {
        for suffix in companions { try DurableFiles.remove(sibling(of: path, suffix: suffix)) }
    }

    /// The same, for a place that is not ours alone.
    ///
    /// - Throws: `DurableFilesError` with `.alreadyExists` where there is one.
    static func requireNoCompanions(of path: FilePath) throws {
        for companion in companions.map({ sibling(of: path, suffix: $0) }) where try StrictFiles.exists(companion) {
            throw DurableFilesError.alreadyExists(companion)
        }
    }

    /// Whether SQLite would find something to roll back: a journal that is not empty, or something that is no file.
    func hasForeignJournal() throws -> Bool {
        guard try StrictFiles.exists(journal), !CustodyCheck.foreignJournal.isSkipped else { return false }
        // What cannot be opened is, to SQLite as well, taken for one.
        guard let file = try? DataFile(journal) else { return try StrictFiles.exists(journal) }
        return try file.length() > 0
    }

    /// Stops before SQLite sees a journal that is not ours.
    func requireNoForeignJournal() throws {
        if try hasForeignJournal() { throw StrongroomError(.database(.journalForeign), main) }
    }

    /// Moves it away. The caller holds the lock of the database.
    func moveForeignJournal() throws -> Quarantine {
        let quarantine = Quarantine(.journal)
        let kept = try make(quarantine)
        if let name = journal.name { try DurableFiles.rename(journal, to: kept.appending(name)) }
        try DurableFiles.syncDirectory(kept)
        try DurableFiles.syncDirectory(directory)
        return quarantine
    }

    /// Whether there are changes that have not been written back into the main file: the last close was not clean, or
    /// there was none.
    func hasPendingWAL() throws -> Bool {
        guard try StrictFiles.exists(wal) else { return false }
        return try DataFile(wal).length() > WALScan.headerLength
    }

    /// What the WAL of a database is like that nobody has open.
    func unusedWALMark() throws -> WALMark {
        try StrictFiles.exists(wal) ? WALMark(ofUnused: DataFile(wal)) : .none
    }
}

extension Store {
    /// The files of a database, in directories of ours. One that is a link or open to others keeps no other database closed.
    func files(of scope: KeyScope) throws -> DatabaseFiles {
        let files = DatabaseFiles(scope, in: directory)
        try files.requireOwnDirectories()
        return files
    }
}
