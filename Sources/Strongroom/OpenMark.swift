// profile.open stands beside a profile's database from before the first write until after the last: docs/decisions/0015.

import DurableFiles

extension DatabaseFiles {
    /// There while the database is open, and after that until somebody has opened and closed it properly again. The global
    /// database, which is open for a moment at a time, has none.
    var openMark: FilePath? { scope == .global ? nil : directory.appending("profile.open") }

    /// Whether the database is open now, or the last close was not clean.
    func isMarkedOpen() throws -> Bool {
        guard let openMark else { return try hasPendingWAL() }
        return try StrictFiles.exists(openMark)
    }

    /// Marks the database as open, durably, with a WAL beside it: from now on a WAL that is not there has been taken away.
    func markOpen() throws {
        guard let openMark else { return }
        if try !StrictFiles.exists(wal) {
            try DurableFiles.createEmpty(wal)
            try DurableFiles.syncDirectory(directory)
        }
        if try !StrictFiles.exists(openMark) {
            try DurableFiles.createEmpty(openMark)
            try DurableFiles.syncDirectory(directory)
        }
    }

    /// Marks the database as closed. Nothing waits in the WAL: from now on one in which something does was put there.
    func markClosed() throws {
        guard let openMark, try StrictFiles.exists(openMark) else { return }
        try DurableFiles.remove(openMark)
        try DurableFiles.syncDirectory(directory)
    }

    /// After a failure, with every connection closed: SQLite has written back what was in the WAL, or it is still there.
    func settleMark(wasMarked: Bool) {
        do {
            // Whoever comes next is to look at every page, as this one was.
            if wasMarked { return try markOpen() }
            if try !hasPendingWAL() { try markClosed() }
        } catch {
            // It stays as it is, and the next one to open the database is told.
        }
    }
}
