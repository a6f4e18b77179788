// Whether the SQL engine in this process is SQLCipher. If a downstream link goes wrong, plain SQLite answers to the
// same names, takes a key without a word, and writes plaintext. This file uses GRDB and nothing else of ours, so that
// a test can compile it against plain SQLite and see it refuse.

import GRDB

enum EngineCheck {
    /// The oldest SQLCipher that is accepted.
    static let minimumVersion = (4, 5, 6)

    /// The version of SQLCipher that answers on this connection, or nil where it is none, or too old.
    static func acceptedVersion(_ db: Database) throws -> String? {
        guard let answer = try String.fetchOne(db, sql: "PRAGMA cipher_version"),
            let version = answer.split(separator: " ").first
        else { return nil }
        let parts = version.split(separator: ".").compactMap { Int($0) }
        guard parts.count == 3, (parts[0], parts[1], parts[2]) >= minimumVersion else { return nil }
        return String(version)
    }

    /// Whether this connection encrypts: SQLCipher lists its settings only where a codec is attached.
    static func isKeyed(_ db: Database) throws -> Bool {
        try String.fetchOne(db, sql: "PRAGMA cipher_settings") != nil
    }
}
