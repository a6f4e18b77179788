// Which profiles there are: a table in the encrypted global database. A profile exists from the moment its row is
// committed, and not before.

public import Foundation
import GRDB
public import Keyring

/// A profile as the registry knows it.
public struct ProfileInfo: Sendable, Hashable {
    /// Random; the name of its directory.
    public let id: ProfileID
    /// What people call it.
    public let name: String
    /// When it was made.
    public let created: Date
}

enum ProfileRegistry {
    private static let table = "_strongroom_profiles"
    private static let sequenceName = "keyring_sequence"
    private static let backupDateName = "keyring_backup_date"
    private static let backupSequenceName = "keyring_backup_sequence"

    static func create(in queue: DatabaseQueue, keyringSequence: Int) throws {
        try queue.write { db in
            try db.execute(
                sql: """
                    CREATE TABLE \(table) (
                        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE, created INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID
                    """)
            try setKeyringSequence(keyringSequence, db)
        }
    }

    /// - Throws: `StrongroomError` with `.metadataDamaged` where it is not there: it was written when the store was made.
    static func keyringSequence(_ db: Database) throws -> Int {
        guard let sequence = try Bookkeeping.value(sequenceName, db) else {
            throw StrongroomError(.database(.metadataDamaged))
        }
        return sequence
    }
    static func setKeyringSequence(_ sequence: Int, _ db: Database) throws {
        try Bookkeeping.set(sequenceName, to: sequence, db)
    }

    /// When the keyring was last backed up, and its sequence then.
    static func lastBackup(_ db: Database) throws -> (date: Date, sequence: Int)? {
        guard let date = try Bookkeeping.value(backupDateName, db),
            let sequence = try Bookkeeping.value(backupSequenceName, db)
        else { return nil }
        return (Date(timeIntervalSince1970: Double(date)), sequence)
    }

    static func setLastBackup(_ date: Date, sequence: Int, _ db: Database) throws {
        try Bookkeeping.set(backupDateName, to: Int(date.timeIntervalSince1970), db)
        try Bookkeeping.set(backupSequenceName, to: sequence, db)
    }

    static func all(_ db: Database) throws -> [ProfileInfo] {
        try Row.fetchAll(db, sql: "SELECT id, name, created FROM \(table) ORDER BY name_key").compactMap(info)
    }

    /// The profiles of a database that is read past GRDB.
    static func all(_ connection: OpaquePointer) throws -> [ProfileInfo] {
        try RawSQL.texts("SELECT id, name, created FROM \(table)", on: connection).compactMap { row in
            guard let id = row[0].flatMap({ ProfileID($0) }), let name = row[1],
                let created = row[2].flatMap({ Int($0) })
            else { return nil }
            return ProfileInfo(id: id, name: name, created: Date(timeIntervalSince1970: Double(created)))
        }
    }

    /// The highest sequence of the keyring that a database which is read past GRDB has seen; nil where it does not say.
    static func keyringSequence(_ connection: OpaquePointer) throws -> Int? {
        try Bookkeeping.value(sequenceName, connection)
    }

    static func find(_ id: ProfileID, _ db: Database) throws -> ProfileInfo? {
        try Row.fetchOne(db, sql: "SELECT id, name, created FROM \(table) WHERE id = ?", arguments: [id.description])
            .flatMap(info)
    }

    static func find(_ name: ProfileName, _ db: Database) throws -> ProfileInfo? {
        try Row.fetchOne(db, sql: "SELECT id, name, created FROM \(table) WHERE name_key = ?", arguments: [name.key])
            .flatMap(info)
    }

    /// - Throws: `StrongroomError.profileExists` where the name is taken.
    static func add(_ info: ProfileInfo, name: ProfileName, _ db: Database) throws {
        guard try find(name, db) == nil else { throw StrongroomError(.profileExists) }
        try db.execute(
            sql: "INSERT INTO \(table) (id, name, name_key, created) VALUES (?, ?, ?, ?)",
            arguments: [
                info.id.description, name.description, name.key, Int(info.created.timeIntervalSince1970),
            ])
    }

    /// - Throws: `StrongroomError.profileExists` where another profile has the name, `.profileNotFound`.
    static func rename(_ id: ProfileID, to name: ProfileName, _ db: Database) throws -> ProfileInfo {
        let holder = try find(name, db)
        guard holder == nil || holder?.id == id else { throw StrongroomError(.profileExists) }
        try db.execute(
            sql: "UPDATE \(table) SET name = ?, name_key = ? WHERE id = ?",
            arguments: [name.description, name.key, id.description])
        guard let info = try find(id, db) else { throw StrongroomError(.profileNotFound) }
        return info
    }

    static func remove(_ id: ProfileID, _ db: Database) throws {
        try db.execute(sql: "DELETE FROM \(table) WHERE id = ?", arguments: [id.description])
    }

    private static func info(_ row: Row) -> ProfileInfo? {
        // An app may write to this table as to any other.
        guard let id = String.fromDatabaseValue(row["id"]).flatMap({ ProfileID($0) }),
            let name = String.fromDatabaseValue(row["name"]), let created = Int.fromDatabaseValue(row["created"])
        else { return nil }
        return ProfileInfo(id: id, name: name, created: Date(timeIntervalSince1970: Double(created)))
    }
}
