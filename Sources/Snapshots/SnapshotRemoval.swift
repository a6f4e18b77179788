// Taking snapshots away, and settling what a crash left of one.

package import DurableFiles
package import SystemPackage

extension SnapshotDirectory {
    /// Removes a snapshot. From the first step on it is no snapshot any more; a crash leaves nothing that looks like one.
    package func remove(_ snapshot: Snapshot) throws {
        let files = files(snapshot.name)
        let lock: FileLock
        do {
            lock = try FileLock(files.marker, patienceMilliseconds: 250)
        } catch {
            guard case .isLocked = error.reason else { throw error }
            throw SnapshotError(.inUse, files.pages)
        }
        defer { lock.release() }
        try DurableFiles.syncDirectory(path)
        try remove(files, holding: lock)
    }

    /// The manifest first, because without it there is no snapshot; the mark of the unfinished last. Only for who holds its lock.
    func remove(_ files: Files, holding lock: FileLock) throws {
        try DurableFiles.remove(files.manifest)
        try DurableFiles.syncDirectory(path)
        try DurableFiles.remove(files.verified)
        try DurableFiles.remove(files.pages)
        // What a crash left of a file that was being written beside its place.
        for name in try DurableFiles.names(in: path) where name.hasPrefix(".\(files.name).") {
            try DurableFiles.remove(path.appending(name))
        }
        try DurableFiles.syncDirectory(path)
        try DurableFiles.remove(files.marker)
        try DurableFiles.syncDirectory(path)
    }

    /// Where the pages of an unfinished snapshot are, or would be; nil where it has a manifest, or the name is none.
    package func unfinished(_ name: String) throws -> FilePath? {
        let files = files(name)
        guard SnapshotName(name) != nil, try !StrictFiles.exists(files.manifest) else { return nil }
        return files.pages
    }

    /// The lock of an unfinished snapshot; nil where it is being made or removed.
    package func lockUnfinished(_ name: String) throws -> FileLock? {
        do { return try FileLock(files(name).marker) } catch {
            guard case .isLocked = error.reason else { throw error }
            return nil
        }
    }

    /// Removes an unfinished snapshot.
    package func removeUnfinished(_ name: String, holding lock: FileLock) throws {
        guard try unfinished(name) != nil else { return }
        try remove(files(name), holding: lock)
    }

    /// Settles what was interrupted: with a manifest it is whole, and without one it never was or is no more.
    func settleUnfinished() throws {
        for name in try DurableFiles.names(in: path).compactMap(\.text) where name.hasSuffix(".partial") {
            let files = files(String(name.dropLast(".partial".count)))
            // Whoever makes or removes it holds the lock.
            guard SnapshotName(files.name) != nil, let lock = try? FileLock(files.marker) else { continue }
            defer { lock.release() }
            if try StrictFiles.exists(files.manifest) {
                try DurableFiles.remove(files.marker)
                try DurableFiles.syncDirectory(path)
            } else {
                try remove(files, holding: lock)
            }
        }
        // A note that was being written: it is of no use, and whoever may be writing one now can do without it.
        for name in try DurableFiles.names(in: path).compactMap(\.text)
        where name.hasPrefix(".") && name.hasSuffix(".tmp") && name.contains(".verified.json.") {
            try DurableFiles.remove(path.appending(name))
        }
    }
}
