// One database copied into another, row by row, with a digest of what was read; and the digest of the copy, to
// compare. Rowids are kept, which SQLite's own VACUUM and SQLCipher's export do not promise (docs/decisions/0003).

import CryptoPrimitives
import GRDBSQLite

/// A table with rows of its own, and how to read and write every one of them.
struct CopiedTable: Sendable {
    let name: String
    /// Quoted; the rowid first where the table has one that no column shows.
    let columns: [String]

    /// What the rowid can be called; nil where there is none.
    let rowid: String?
    /// The columns of the primary key, quoted.
    let key: String

    var select: String { "SELECT \(columns.joined(separator: ", ")) FROM \(RawSQL.quoted(name)) NOT INDEXED" }

    var insert: String {
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        return "INSERT INTO \(RawSQL.quoted(name)) (\(columns.joined(separator: ", "))) VALUES (\(marks))"
    }

    /// Takes the same rows as ``selectWithRowid(_:)``; one that is there already stays.
    var insertIfAbsent: String { insert.replacing("INSERT INTO", with: "INSERT OR IGNORE INTO", maxReplacements: 1) }

    /// The same rows with one more column, which ``insertIfAbsent`` has no place for: their rowid.
    func selectWithRowid(_ rowid: String) -> String {
        "SELECT \(columns.joined(separator: ", ")), \(rowid) FROM \(RawSQL.quoted(name)) NOT INDEXED"
    }

    /// The SQL that made the table.
    func definition(in connection: OpaquePointer) throws -> String {
        let statement = try RawStatement(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", on: connection)
        try statement.bind(name, at: 1)
        return try statement.step() ? statement.text(0) ?? "" : ""
    }

    /// The tables of a database in the order of its schema: shadow tables too, virtual tables not, and SQLite's own
    /// only where they hold what cannot be made again.
    static func all(of connection: OpaquePointer) throws -> [CopiedTable] {
        let rows = try RawSQL.texts(
            """
            SELECT s.name, l.wr FROM sqlite_schema AS s JOIN pragma_table_list AS l ON l.name = s.name AND l.schema = 'main'
            WHERE s.type = 'table' AND s.rootpage > 0 AND s.name <> '\(Bookkeeping.table)'
              AND (s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' OR s.name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4'))
            ORDER BY s.rowid
            """, on: connection)
        return try rows.map { row in
            try CopiedTable(name: row[0] ?? "", isWithoutRowid: row[1] == "1", on: connection)
        }
    }

    static func exists(_ name: String, in connection: OpaquePointer) throws -> Bool {
        let statement = try RawStatement(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", on: connection)
        try statement.bind(name, at: 1)
        return try statement.step()
    }

    private init(name: String, isWithoutRowid: Bool, on connection: OpaquePointer) throws {
        self.name = name
        let literal = "'" + name.replacing("'", with: "''") + "'"
        let info = try RawSQL.texts("SELECT name, pk, hidden FROM pragma_table_xinfo(\(literal))", on: connection)
        let stored = info.filter { $0[2] == "0" }.map { RawSQL.quoted($0[0] ?? "") }
        let hasKey = info.contains { $0[1] != "0" }
        let hasKeyIndex =
            try RawSQL.integer("SELECT count(*) FROM pragma_index_list(\(literal)) WHERE origin = 'pk'", on: connection)
            != 0
        // A primary key without an index of its own is the rowid under another name.
        let isRowidShown = isWithoutRowid || (hasKey && !hasKeyIndex)
        let taken = Set(info.map { ($0[0] ?? "").lowercased() })
        let rowid = ["rowid", "_rowid_", "oid"].first { !taken.contains($0) }
        self.rowid = isWithoutRowid ? nil : rowid
        key = info.filter { $0[1] != "0" }.sorted { Int($0[1] ?? "") ?? 0 < Int($1[1] ?? "") ?? 0 }
            .map { RawSQL.quoted($0[0] ?? "") }.joined(separator: ", ")
        columns = isRowidShown ? stored : (rowid.map { [$0] } ?? []) + stored
    }
}

/// What was copied of one table: equal for two tables exactly if they hold the same rows in the same order.
struct TableDigest: Sendable, Equatable {
    let rows: Int
    let sha256: [UInt8]

    /// Reads a table, and calls `each` for every row.
    static func read(
        _ table: CopiedTable, of connection: OpaquePointer, each: (RawStatement) throws -> Void
    ) throws -> TableDigest {
        let statement = try RawStatement(table.select, on: connection)
        let digest = try SHA256()
        var rows = 0
        while try statement.step() {
            rows += 1
            for column in 0..<statement.columnCount { try digest.update(statement, column) }
            try each(statement)
        }
        return TableDigest(rows: rows, sha256: try digest.finish())
    }
}

extension SHA256 {
    /// Adds a value: its type, its length, its bytes.
    fileprivate func update(_ statement: RawStatement, _ column: CInt) throws {
        let type = sqlite3_column_type(statement.handle, column)
        try updateNumber(Int64(type))
        switch type {
        case SQLITE_INTEGER: try updateNumber(sqlite3_column_int64(statement.handle, column))
        case SQLITE_FLOAT:
            try updateNumber(Int64(bitPattern: sqlite3_column_double(statement.handle, column).bitPattern))
        case SQLITE_NULL: break
        default:
            // Text as UTF-8, whatever the encoding of the database is.
            let bytes =
                type == SQLITE_TEXT
                ? UnsafeRawPointer(sqlite3_column_text(statement.handle, column))
                : sqlite3_column_blob(statement.handle, column)
            let count = Int(sqlite3_column_bytes(statement.handle, column))
            try updateNumber(Int64(count))
            try update(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
        }
    }

    private func updateNumber(_ number: Int64) throws {
        try withUnsafeBytes(of: number.littleEndian) { try update($0) }
    }
}

/// Copies everything that a database holds into an empty one.
struct DatabaseCopy {
    let source: OpaquePointer
    let target: OpaquePointer
    /// Called now and then with the rows copied so far and the rows in all; throws to stop.
    let progress: (_ done: Int, _ total: Int) throws -> Void

    private static let rowsBetweenReports = 4_096

    /// Copies in one transaction of the target.
    ///
    /// - Returns: the tables with the digests of what was read.
    func run() throws -> [(table: CopiedTable, digest: TableDigest)] {
        try RawSQL.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON", on: target)
        defer { try? RawSQL.execute("PRAGMA foreign_keys = ON; PRAGMA ignore_check_constraints = OFF", on: target) }
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

    private func copy() throws -> [(table: CopiedTable, digest: TableDigest)] {
        let tables = try CopiedTable.all(of: source)
        try create("type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        if tables.contains(where: { $0.name.hasPrefix("sqlite_stat") }) {
            try RawSQL.execute("ANALYZE sqlite_schema", on: target)
        }
        let total = try tables.reduce(0) { sum, table in
            sum + Int(try RawSQL.integer("SELECT count(*) FROM \(RawSQL.quoted(table.name))", on: source) ?? 0)
        }
        var done = 0
        var copied: [(CopiedTable, TableDigest)] = []
        for table in tables {
            if table.name.hasPrefix("sqlite_") {
                // One of SQLite's own that nothing in the schema calls for any more has nothing to say.
                guard try CopiedTable.exists(table.name, in: target) else { continue }
                try RawSQL.execute("DELETE FROM \(table.name)", on: target)
            }
            let insert = try RawStatement(table.insert, on: target)
            let digest = try TableDigest.read(table, of: source) { row in
                try insert.insertRow(of: row)
                done += 1
                if done.isMultiple(of: Self.rowsBetweenReports) { try progress(done, total) }
            }
            copied.append((table, digest))
        }
        try create("type = 'index' AND sql IS NOT NULL")
        try copySchemaRows()
        for setting in ["user_version", "application_id"] {
            let value = try RawSQL.integer("PRAGMA \(setting)", on: source) ?? 0
            try RawSQL.execute("PRAGMA \(setting) = \(value)", on: target)
        }
        try progress(total, total)
        return copied
    }

    /// Runs the schema's own SQL.
    private func create(_ condition: String) throws {
        let rows = try RawSQL.texts(
            "SELECT sql FROM sqlite_schema WHERE \(condition) AND name <> '\(Bookkeeping.table)' ORDER BY rowid",
            on: source)
        for row in rows {
            do {
                try RawSQL.execute(row[0] ?? "", on: target)
            } catch {
                // A collation or function that only the source's own app has.
                throw error.isMissingDefinition ? StrongroomError(.importSource(.unsupported)) : error
            }
        }
    }

    /// Views, triggers and virtual tables have no rows of their own: their schema rows are copied as they are, so that
    /// neither a module nor a function that only the source's own app has is needed here.
    private func copySchemaRows() throws {
        try RawSQL.execute("PRAGMA writable_schema = ON", on: target)
        defer { try? RawSQL.execute("PRAGMA writable_schema = OFF", on: target) }
        let rows = try RawStatement(
            """
            SELECT type, name, tbl_name, 0, sql FROM sqlite_schema
            WHERE type IN ('view', 'trigger') OR (type = 'table' AND rootpage = 0) ORDER BY rowid
            """, on: source)
        let insert = try RawStatement(
            "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, ?, ?)", on: target)
        while try rows.step() { try insert.insertRow(of: rows) }
        // Connections that know the schema must read it again.
        let version = try RawSQL.integer("PRAGMA schema_version", on: target) ?? 0
        try RawSQL.execute("PRAGMA schema_version = \(version + 1)", on: target)
    }
}

/// What makes two databases the same: schema, rows, and the two numbers that apps keep in the header.
struct DatabaseContents: Equatable {
    private let schema: [[String?]]
    private let settings: [Int64?]
    private let digests: [String: TableDigest]

    /// Reads all of `connection`, or takes the digests of a copy that read it already.
    init(of connection: OpaquePointer, known: [(table: CopiedTable, digest: TableDigest)]? = nil) throws {
        schema = try RawSQL.texts(
            """
            SELECT type, name, tbl_name, sql FROM sqlite_schema
            WHERE tbl_name <> '\(Bookkeeping.table)' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            ORDER BY type, name
            """, on: connection)
        settings = try ["user_version", "application_id"].map { try RawSQL.integer("PRAGMA \($0)", on: connection) }
        let tables =
            try known
            ?? CopiedTable.all(of: connection).map { table in
                (table, try TableDigest.read(table, of: connection) { _ in })
            }
        digests = Dictionary(tables.filter { $0.digest.rows > 0 }.map { ($0.table.name, $0.digest) }) { first, _ in
            first
        }
    }
}
