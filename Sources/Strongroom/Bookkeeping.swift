// What Strongroom keeps inside each database: one small table. An app can write to it, and so can a trigger: what it holds is
// checked before it is used (docs/security/custody.md, rule 7).

import DurableFiles
import GRDB
import GRDBSQLite
import Keyring

enum Bookkeeping {
    static let table = "_strongroom"
    /// With the database's name: a temporary table, or one of an attached database, of the same name is not ours.
    private static let ours = "main.\(table)"
    /// What a number in the table may be, so that adding one is never too much.
    static let numbers = 0...1 << 53
    private static let epochName = "epoch"
    private static let definition =
        "CREATE TABLE \(table) (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    /// Everything that has the table's name, stands on it, or acts when it is written to.
    private static let objects =
        "FROM sqlite_schema WHERE name = '\(table)' COLLATE NOCASE OR tbl_name = '\(table)' COLLATE NOCASE"

    static func create(_ db: Database) throws {
        try db.execute(sql: definition)
        try set(epochName, to: 0, db)
    }

    /// - Throws: `StrongroomError` with `.metadataDamaged` where the table is not as it was made, or holds no epoch.
    static func epoch(_ db: Database) throws -> Int {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        guard let epoch = try epoch(connection) else { throw StrongroomError(.database(.metadataDamaged)) }
        return epoch
    }

    static func setEpoch(_ epoch: Int, _ db: Database) throws { try set(epochName, to: epoch, db) }

    /// The epoch, read past GRDB; nil where the table is not as it was made, or holds none.
    static func epoch(_ connection: OpaquePointer) throws -> Int? {
        try isSound(connection) ? value(epochName, connection) : nil
    }

    /// A value, read past GRDB; nil where there is none, or it is none that was written here.
    static func value(_ name: String, _ connection: OpaquePointer) throws -> Int? {
        try RawSQL.texts("SELECT value FROM \(ours) WHERE name = '\(name)'", on: connection).first?.first?
            .flatMap { Int($0) }.flatMap { numbers.contains($0) ? $0 : nil }
    }

    private static func isSound(_ connection: OpaquePointer) throws -> Bool {
        try RawSQL.texts("SELECT type, name, sql \(objects)", on: connection) == [["table", table, definition]]
    }

    /// Whether a row of a schema is the table, just as we make it: it is in every file of ours.
    static func isOurTable(_ row: SchemaRow) -> Bool {
        row.kind == .table && row.name == table && row.table == table && row.sql == Array(definition.utf8)
    }

    /// Whether something in a schema from outside has our name, stands on it, or mentions it. A name cannot be written in another way
    /// than by its letters.
    static func mentionsUs(_ row: SchemaRow) -> Bool {
        let sql = String(decoding: row.sql ?? [], as: UTF8.self)
        return SQLName.folded("\(row.name) \(row.table) \(sql)").contains(table)
    }

    /// Sets the epoch in a transaction of its own, and makes the table anew where that is what it takes: an app may have dropped it.
    static func setEpochSurely(_ epoch: Int, _ db: Database) throws {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        if try self.epoch(connection) == epoch { return }
        try db.inTransaction {
            if try !isSound(connection) { try makeAnew(db) }
            try setEpoch(epoch, db)
            return .commit
        }
    }

    /// Makes the table as it should be, with what can be kept of its values.
    private static func makeAnew(_ db: Database) throws {
        let kept = (try? Row.fetchAll(db, sql: "SELECT name, value FROM \(ours)")) ?? []
        for row in try Row.fetchAll(db, sql: "SELECT type, name \(objects)") {
            guard let type = String.fromDatabaseValue(row[0]), let name = String.fromDatabaseValue(row[1]),
                ["table", "view", "trigger", "index"].contains(type), !name.hasPrefix("sqlite_")
            else { continue }
            try db.execute(sql: "DROP \(type) IF EXISTS main.\(RawSQL.quoted(name))")
        }
        try db.execute(sql: definition)
        for row in kept {
            guard let name = String.fromDatabaseValue(row[0]), let value = Int.fromDatabaseValue(row[1]) else {
                continue
            }
            if numbers.contains(value) { try set(name, to: value, db) }
        }
    }

    /// - Throws: `StrongroomError` with `.metadataDamaged` where the value is none that was written here.
    static func value(_ name: String, _ db: Database) throws -> Int? {
        guard let value = try Row.fetchOne(db, sql: "SELECT value FROM \(ours) WHERE name = ?", arguments: [name])
        else { return nil }
        guard let number = Int.fromDatabaseValue(value[0]), numbers.contains(number) else {
            throw StrongroomError(.database(.metadataDamaged))
        }
        return number
    }

    static func set(_ name: String, to value: Int, _ db: Database) throws {
        try db.execute(
            sql: "INSERT INTO \(ours) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            arguments: [name, value])
    }
}

extension DatabaseFiles {
    /// How far a database is, beside its envelope.
    enum EpochJudgement { case equal, ahead }

    /// - Throws: `StrongroomError` with `.rolledBack` where the database is the older one, `KeyringError` where the envelope is.
    func judge(epoch: Int, of envelope: Envelope, wasOpen: Bool) throws -> EpochJudgement {
        if CustodyCheck.sequence.isSkipped { return epoch == envelope.epoch ? .equal : .ahead }
        if epoch == envelope.epoch { return .equal }
        if epoch < envelope.epoch { throw StrongroomError(.database(.rolledBack), main) }
        // The last close ended between the database and its envelope: the envelope is brought up to date.
        guard epoch == envelope.epoch + 1, wasOpen else { throw KeyringError(.rolledBack(.envelope)) }
        return .ahead
    }
}
