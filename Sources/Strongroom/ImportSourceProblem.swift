/// What is wrong with a file that was to be imported.
public enum ImportSourceProblem: Sendable, Equatable, CaseIterable {
    case missing
    /// Neither a SQLite file, nor one that SQLCipher opens with a passphrase.
    case notADatabase
    /// It needs a passphrase, and the one that was given does not open it.
    case wrongPassphrase
    case damaged
    /// Another process has it open.
    case inUse
    /// It changed while it was being read.
    case changed
    /// Something in its schema cannot be made here; the error's `object` says what and why.
    case unsupported
    /// Something in its schema has, or mentions, a name that Strongroom keeps for itself.
    case reservedName
    /// Nothing in it has a name that was to be left out.
    case unknownSkip
    /// It is of SQLCipher and begins with a header in plaintext, so that it names no salt.
    case plaintextHeader

    var name: String {
        switch self {
        case .missing: "missing"
        case .notADatabase: "not_a_database"
        case .wrongPassphrase: "wrong_passphrase"
        case .damaged: "damaged"
        case .inUse: "in_use"
        case .changed: "changed"
        case .unsupported: "unsupported"
        case .reservedName: "reserved_name"
        case .unknownSkip: "skip_unknown"
        case .plaintextHeader: "plaintext_header"
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
        case .unsupported: "the file to import has something in its schema that cannot be made here"
        case .reservedName:
            "a table, index, view or trigger of the file to import has or mentions a name of Strongroom's own (_strongroom)"
        case .unknownSkip: "nothing in the file to import has a name that is to be left out"
        case .plaintextHeader: "the file to import is encrypted behind a header in plaintext"
        }
    }

    var hint: String {
        switch self {
        case .missing: "check the path"
        case .notADatabase: "check the path; for a file of SQLCipher give its passphrase with --source-passphrase-fd"
        case .wrongPassphrase:
            "check the passphrase; for other settings than the defaults give --cipher-version, --kdf-iter, --page-size or --hmac"
        case .damaged: "recover it first, for instance with 'sqlite3 FILE .recover', and import the result"
        case .inUse, .changed: "close the application that has it open, and import again"
        case .reservedName: "leave it out with --skip NAME, or rename or drop it in a copy of the file and import that"
        case .unsupported: "leave it out with --skip NAME, or drop it in a copy of the file and import that"
        case .unknownSkip: "check the names; 'sqlite3 FILE .schema' shows them"
        case .plaintextHeader: "give its passphrase, and --plaintext-header-size 32 and --salt as its app keeps them"
        }
    }
}
