// What can be wrong with a database, told apart before SQLite is asked: to SQLite a wrong key and a damaged file look
// the same, and only one of them may ever be recovered from.

/// The condition of a database file.
public enum DatabaseCondition: Sendable, Hashable, Encodable {
    /// Everything that was checked is as it should be.
    case healthy
    /// The file is under another generation of this database's own key.
    case wrongKey(generation: Int)
    /// The file is under a key of another database of this keyring.
    case keyOfAnotherDatabase
    /// The file is under no key of this keyring.
    case unknownKey
    /// The file is not encrypted.
    case plaintext
    /// Only the first 16 bytes, which name the key, are damaged; page 1 is authentic.
    case headerDamaged
    /// So many pages do not authenticate.
    case pagesDamaged(count: Int)
    /// The file is shorter than its own header says, or ends within a page.
    case truncated
    /// The WAL holds acknowledged changes that SQLite would drop without a word, or pages of another database.
    case walDamaged
    /// The database was not closed properly, and its WAL is not there any more: what it held is in the main file or lost.
    case walMissing
    /// The database was closed properly, and yet there is a WAL with changes beside it: of another time, or put there.
    case walUnexpected
    /// The table in which Strongroom keeps its own numbers is gone, changed, or holds what it cannot.
    case metadataDamaged
    /// A rollback journal stands beside the database. SQLite would roll it back without asking for a key, and none of ours has one.
    case journalForeign
    /// There is no file, although there is a key for one.
    case missing
    /// Every key of the database has been destroyed.
    case shredded
    /// The file is older than the one that was last closed.
    case rolledBack

    /// Writes the name.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(name)
    }

    /// The stable name, as in error codes.
    public var name: String {
        switch self {
        case .healthy: "healthy"
        case .wrongKey: "wrong_key"
        case .keyOfAnotherDatabase: "key_of_another_database"
        case .unknownKey: "unknown_key"
        case .plaintext: "plaintext"
        case .headerDamaged: "header_damaged"
        case .pagesDamaged: "pages_damaged"
        case .truncated: "truncated"
        case .walDamaged: "wal_damaged"
        case .walMissing: "wal_missing"
        case .walUnexpected: "wal_unexpected"
        case .metadataDamaged: "metadata_damaged"
        case .journalForeign: "journal_foreign"
        case .missing: "missing"
        case .shredded: "shredded"
        case .rolledBack: "rolled_back"
        }
    }

    var summary: String {
        switch self {
        case .healthy: "the database is as it should be"
        case .wrongKey(let generation): "the database is under generation \(generation) of its key, not the active one"
        case .keyOfAnotherDatabase: "the database is under the key of another database of this keyring"
        case .unknownKey: "the database is under no key of this keyring"
        case .plaintext: "the database is not encrypted"
        case .headerDamaged: "the first 16 bytes of the database are damaged; the rest of its first page is authentic"
        case .pagesDamaged(let count): "\(count) page(s) of the database do not authenticate"
        case .truncated: "the database is shorter than it should be"
        case .walDamaged: "the changes that wait in the WAL beside the database are damaged, or not of this database"
        case .walMissing:
            "the database was not closed properly, and the file with its last changes (-wal) is not there any more"
        case .walUnexpected:
            "the database was closed properly, and yet a file with changes (-wal) stands beside it: of another time, or put there"
        case .metadataDamaged:
            "the table in which Strongroom keeps the database's epoch is gone or was changed; every page is authentic"
        case .journalForeign:
            "a rollback journal (-journal) that is not ours stands beside the database; opened, it would overwrite pages"
        case .missing: "the database file is missing, although there is a key for it"
        case .shredded: "every key of this database has been destroyed"
        case .rolledBack: "the database is older than the one that was last closed"
        }
    }

    var hint: String {
        switch self {
        case .healthy: "nothing needs to be done"
        case .wrongKey: "put the current database file back, or restore a snapshot of it"
        case .keyOfAnotherDatabase: "a file was put in the wrong place: find where it belongs; do not delete it"
        case .unknownKey: "check that this keyring belongs to this store; do not delete the file"
        case .plaintext:
            "somebody put an unencrypted file here: move it away and import it with 'strongroom profile import'"
        case .headerDamaged, .pagesDamaged, .truncated, .walDamaged:
            "leave the file as it is and check the disk; 'strongroom repair --dry-run' shows what can be brought back, 'strongroom repair' does it"
        case .walMissing:
            "put the -wal file back if somebody moved it; otherwise 'strongroom repair --without-wal' goes on with what is there"
        case .walUnexpected:
            "find out where it comes from; then 'strongroom repair' with --without-wal, or with --with-wal, which lays it over the database"
        case .metadataDamaged: "'strongroom repair' makes the table anew; no other row is touched"
        case .journalForeign:
            "'strongroom repair' moves it to corrupted/ and loses nothing; find out who can write there"
        case .missing:
            "check that the disk is mounted; otherwise restore a snapshot: 'strongroom snapshot list' shows them"
        case .rolledBack: "put the newest copy of the file back"
        case .shredded: "nothing can be done here; a keyring backup from before the shredding may still have a key"
        }
    }
}
