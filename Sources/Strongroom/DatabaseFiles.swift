import DurableFiles
import Keyring
import PageCipher
import SystemPackage

/// Where the files of one database stand: DESIGN "On disk".
struct DatabaseFiles: Sendable {
    let scope: KeyScope
    let directory: FilePath
    let main: FilePath
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

    static func sibling(of path: FilePath, suffix: String) -> FilePath { FilePath(path.string + suffix) }

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
