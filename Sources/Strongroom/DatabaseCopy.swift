// One database copied into another, row by row, with a digest of what was read; and the digest of the copy, to
// compare. Rowids are kept, which SQLite's own VACUUM and SQLCipher's export do not promise (docs/decisions/0003).
// Nothing that the source brings is run: docs/decisions/0024-a-schema-from-outside-is-data.md.

import CryptoPrimitives
import GRDBSQLite

/// A table with the digest of what was read of it.
typealias TableCopy = (table: CopiedTable, digest: TableDigest)

/// Copies everything that a database holds into an empty one.
struct DatabaseCopy {
    let source: OpaquePointer
    /// What of the source is copied; it was checked.
    let schema: SourceSchema
    /// A connection of ours alone: its authorizer and its switches are changed.
    let target: OpaquePointer
    let collations: StandInCollations
    /// Called now and then with the rows copied so far and the rows in all; throws to stop.
    let progress: (_ done: Int, _ total: Int) throws -> Void

    private static let rowsBetweenReports = 4_096

    /// Copies in one transaction of the target.
    ///
    /// - Returns: the tables with the digests of what was read.
    func run() throws -> [TableCopy] {
        try RawSQL.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON", on: target)
        try RawSQL.execute("BEGIN IMMEDIATE", on: target)
        do {
            let copied = try copy()
            try RawSQL.execute("COMMIT", on: target)
            return copied
        } catch {
            try? RawSQL.execute("ROLLBACK", on: target)
            throw error
        }
    }

    private func copy() throws -> [TableCopy] {
        for row in schema.tables { try make(row) }
        try makeInternalTables()
        let total = try (schema.tables.map(\.name) + schema.internalTables).reduce(0) { sum, name in
            sum
                + Int(
                    try RawSQL.integer("SELECT count(*) FROM main.\(RawSQL.quoted(name)) NOT INDEXED", on: source) ?? 0)
        }
        var done = 0
        var copied: [TableCopy] = []
        for row in schema.tables {
            copied.append(try copyRows(of: row, &done, total))
        }
        for row in schema.indexes { try make(row) }
        // Last, because rows of a table that counts its rowids change sqlite_sequence.
        for name in schema.internalTables where try CopiedTable.exists(name, in: target) {
            try RawSQL.execute("DELETE FROM main.\(RawSQL.quoted(name))", on: target)
            copied.append(try transfer(CopiedTable(named: name, on: source), &done, total))
        }
        try SchemaText(source: schema, target: target).settle()
        for setting in ["user_version", "application_id"] {
            let value = try RawSQL.integer("PRAGMA main.\(setting)", on: source) ?? 0
            try RawSQL.execute("PRAGMA main.\(setting) = \(value)", on: target)
        }
        try progress(total, total)
        return copied
    }

    private func make(_ row: SchemaRow) throws(StrongroomError) {
        try CreationGuard(row).make(on: target)
        // A generated column, or an index over one, may have asked.
        if collations.wasAsked { throw row.obstructed(.unknownCollation) }
    }

    private func makeInternalTables() throws(StrongroomError) {
        if schema.internalTables.contains(where: { $0.hasPrefix("sqlite_stat") }) {
            try RawSQL.execute("ANALYZE sqlite_master", on: target)
        }
        // It stays when the last table that needs it goes.
        if schema.internalTables.contains("sqlite_sequence"), try !CopiedTable.exists("sqlite_sequence", in: target) {
            let name = RawSQL.quoted("_strongroom_sequence")
            try RawSQL.execute(
                "CREATE TABLE main.\(name) (a INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE main.\(name)", on: target)
        }
    }

    /// The rows of one table; where its own schema would change or refuse them, past that schema.
    private func copyRows(of row: SchemaRow, _ done: inout Int, _ total: Int) throws -> TableCopy {
        let table = try CopiedTable(named: row.name, on: source)
        let before = done
        try RawSQL.execute("SAVEPOINT one_table", on: target)
        var isKept = false
        do {
            let copied = try transfer(table, &done, total)
            isKept = try !copied.digest.isDoubtful || copied.digest.isSame(as: digest(of: table, in: target))
            if isKept {
                try RawSQL.execute("RELEASE one_table", on: target)
                if collations.wasAsked { throw row.obstructed(.unknownCollation) }
                return copied
            }
        } catch let error as StrongroomError {
            guard error.isConstraint else { throw error }
        }
        try RawSQL.execute("ROLLBACK TO one_table; RELEASE one_table", on: target)
        done = before
        let bare = try BareTable(of: row, source: source)
        try bare.make(on: target)
        do {
            let raw = try transfer(bare.table, from: bare.source, &done, total)
            try SchemaText(source: schema, target: target).replace(bare.standIn, by: row)
            // Compared as the schema shows it, which is how it is read back at the end.
            let read = try digest(of: table, in: source)
            guard try read.isSame(as: digest(of: table, in: target)), raw.digest.rows == read.rows else {
                throw row.obstructed(.rowsBreakRules)
            }
            return (table, read)
        } catch let error as StrongroomError {
            throw error.isConstraint ? row.obstructed(.rowsBreakRules) : error
        }
    }

    private func digest(of table: CopiedTable, in connection: OpaquePointer) throws -> TableDigest {
        try TableDigest.read(table, of: connection) { _ in }
    }

    private func transfer(
        _ table: CopiedTable, from origin: CopiedTable? = nil, _ done: inout Int, _ total: Int
    ) throws -> TableCopy {
        let insert = try RawStatement(table.insert, on: target)
        let digest = try TableDigest.read(origin ?? table, of: source) { row in
            try insert.insertRow(of: row)
            done += 1
            if done.isMultiple(of: Self.rowsBetweenReports) { try progress(done, total) }
        }
        return (table, digest)
    }
}

/// What makes two databases the same: schema, rows, encoding, and the two numbers that apps keep in the header.
struct DatabaseContents {
    private let schema: [SchemaLine]
    private let settings: [Int64?]
    private let encoding: TextEncoding
    private let digests: [String: TableDigest]

    private struct SchemaLine: Equatable {
        let kind: ImportObject.Kind
        let name, table: String
        let sql: [UInt8]?
    }

    /// Reads all of `connection`, or takes the digests of a copy that read it already.
    ///
    /// - Parameter skipped: names of what is not to be compared.
    init(of connection: OpaquePointer, known: [TableCopy]? = nil, skipped: Set<String> = []) throws {
        let rows = try SchemaRow.all(of: connection).filter { row in
            row.name != Bookkeeping.table && row.table != Bookkeeping.table
                && !skipped.contains(SQLName.folded(row.name))
        }
        schema = rows.filter { !$0.isSQLitesOwn }
            .map { SchemaLine(kind: $0.kind, name: $0.name, table: $0.table, sql: $0.sql) }
            .sorted { ($0.kind.rawValue, $0.name) < ($1.kind.rawValue, $1.name) }
        settings = try ["user_version", "application_id"].map {
            try RawSQL.integer("PRAGMA main.\($0)", on: connection)
        }
        encoding = try TextEncoding(of: connection)
        let internalTables = ["sqlite_sequence", "sqlite_stat1", "sqlite_stat4"]
        let tables =
            try known
            ?? rows.filter { $0.kind == .table && (!$0.isSQLitesOwn || internalTables.contains($0.name)) }.map { row in
                let table = try CopiedTable(named: row.name, on: connection)
                return (table, try TableDigest.read(table, of: connection) { _ in })
            }
        digests = Dictionary(tables.filter { $0.digest.rows > 0 }.map { ($0.table.name, $0.digest) }) { first, _ in
            first
        }
    }

    func isSame(as other: DatabaseContents) -> Bool {
        schema == other.schema && settings == other.settings && encoding == other.encoding
            && digests.count == other.digests.count
            && digests.allSatisfy { name, digest in other.digests[name].map { $0.isSame(as: digest) } ?? false }
    }
}
