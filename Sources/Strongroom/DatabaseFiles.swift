import DurableFiles
import Keyring
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

    var wal: FilePath { Self.sibling(of: main, suffix: "-wal") }
    var shm: FilePath { Self.sibling(of: main, suffix: "-shm") }

    static func sibling(of path: FilePath, suffix: String) -> FilePath { FilePath(path.string + suffix) }

    /// Whether there are changes that have not been written back into the main file: the last close was not clean, or
    /// there was none.
    func hasPendingWAL() throws -> Bool {
        guard try StrictFiles.exists(wal) else { return false }
        return try DataFile(wal).length() > 0
    }

    /// What the WAL is like now. It only ever grows, or begins anew with another header: equal marks mean that nothing
    /// was written in between.
    func walMark() throws -> WALMark {
        guard try StrictFiles.exists(wal) else { return WALMark(length: 0, header: []) }
        let file = try DataFile(wal)
        return WALMark(length: try file.length(), header: try file.bytes(at: 0, count: 32))
    }
}

/// The length and header of a WAL.
struct WALMark: Equatable, Sendable {
    let length: Int
    let header: [UInt8]
}
