/// What is wrong with a file that was to be imported.
public enum ImportSourceProblem: Sendable, Equatable, CaseIterable {
    case missing
    /// Neither a SQLite file, nor one that SQLCipher 3 or 4 opens with a passphrase.
    case notADatabase
    /// It needs a passphrase, and the one that was given does not open it.
    case wrongPassphrase
    case damaged
    /// Another process has it open.
    case inUse
    /// It changed while it was being read.
    case changed
    /// It has a WAL or a hot journal, so that a copy must be made, and there is no memory to make it in.
    case noMemoryStaging
    /// Something in its schema cannot be made here, such as an index with a collation that only its own app has.
    case unsupported
    /// Something in its schema has, or mentions, a name that Strongroom keeps for itself.
    case reservedName

    var name: String {
        switch self {
        case .missing: "missing"
        case .notADatabase: "not_a_database"
        case .wrongPassphrase: "wrong_passphrase"
        case .damaged: "damaged"
        case .inUse: "in_use"
        case .changed: "changed"
        case .noMemoryStaging: "no_memory_staging"
        case .unsupported: "unsupported"
        case .reservedName: "reserved_name"
        }
    }

    var summary: String {
        switch self {
        case .missing: "there is no file to import"
        case .notADatabase: "the file to import is not a SQLite database"
        case .wrongPassphrase: "the passphrase does not open the file to import"
        case .damaged: "the file to import is damaged"
        case .inUse: "another process has the file to import open"
        case .changed: "the file to import changed while it was read; the copy was discarded"
        case .noMemoryStaging:
            "the file to import has unfinished changes beside it, and there is no room in memory for a copy of it"
        case .unsupported: "the file to import has something in its schema that cannot be made here"
        case .reservedName:
            "a table, index, view or trigger of the file to import has or mentions a name of Strongroom's own (_strongroom)"
        }
    }

    var hint: String {
        switch self {
        case .missing: "check the path"
        case .notADatabase: "check the path; for a file of SQLCipher give its passphrase with --source-passphrase-fd"
        case .wrongPassphrase: "check the passphrase; if it is right, the file is damaged in its first page"
        case .damaged: "recover it first, for instance with 'sqlite3 FILE .recover', and import the result"
        case .inUse, .changed: "close the application that has it open, and import again"
        case .noMemoryStaging:
            "finish the changes with 'sqlite3 FILE \"PRAGMA wal_checkpoint(TRUNCATE)\"', or give room in /dev/shm"
        case .reservedName: "rename or drop it in a copy of the file, and import that"
        case .unsupported: "drop the index that uses a collation or function of its own app, and import again"
        }
    }
}
