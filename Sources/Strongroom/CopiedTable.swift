// A table of a database that is copied: how each of its rows is read and written, rowid included.

import CryptoPrimitives
import GRDBSQLite

/// A table with rows of its own, and how to read and write every one of them.
struct CopiedTable: Sendable {
    /// What SQLite does to a value that is written to a column.
    enum Affinity: Sendable {
        case none, text, integer, numeric, real

        /// By the rules of SQLite ("Determination Of Column Affinity").
        init(type: String) {
            let type = SQLName.folded(type)
            if type.contains("int") {
                self = .integer
            } else if type.contains("char") || type.contains("clob") || type.contains("text") {
                self = .text
            } else if type.contains("blob") || type.isEmpty {
                self = .none
            } else if type.contains("real") || type.contains("floa") || type.contains("doub") {
                self = .real
            } else {
                self = .numeric
            }
        }
    }

    let name: String
    /// Quoted; the rowid first where the table has one that no column shows.
    let columns: [String]
    let affinities: [Affinity]
    /// Whether each may not be NULL: a rule that was added later can put a default in the place of one.
    let required: [Bool]
    /// What the rowid can be called; nil where there is none.
    let rowid: String?
    /// The columns of the primary key, quoted.
    let key: String
    let isWithoutRowid: Bool
    /// Whether the rowid is one of `columns`.
    let showsHiddenRowid: Bool

    /// SQLite answers no more columns than this, and takes one more.
    private static let mostColumns = 2_000

    private var table: String { "FROM main.\(RawSQL.quoted(name)) NOT INDEXED" }

    /// What answers all columns together: one statement, or two that go in step where the rowid would be one column too many.
    var selects: [String] {
        guard columns.count > Self.mostColumns, showsHiddenRowid else { return [select] }
        return ["SELECT \(columns[0]) \(table)", "SELECT \(columns.dropFirst().joined(separator: ", ")) \(table)"]
    }

    var select: String { "SELECT \(columns.joined(separator: ", ")) \(table)" }

    var insert: String {
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        return "INSERT INTO main.\(RawSQL.quoted(name)) (\(columns.joined(separator: ", "))) VALUES (\(marks))"
    }

    /// Takes the same rows as ``selectWithRowid(_:)``; one that is there already stays.
    var insertIfAbsent: String { insert.replacing("INSERT INTO", with: "INSERT OR IGNORE INTO", maxReplacements: 1) }

    /// The same rows with one more column, which ``insertIfAbsent`` has no place for: their rowid.
    func selectWithRowid(_ rowid: String) -> String {
        "SELECT \(columns.joined(separator: ", ")), \(rowid) \(table)"
    }

    /// - Parameter name: a table that is no virtual one: to describe that one would run its module.
    init(named name: String, on connection: OpaquePointer) throws(StrongroomError) {
        self.name = name
        let info = try RawSQL.texts("PRAGMA main.table_xinfo(\(RawSQL.quoted(name)))", on: connection)
        let stored = info.filter { $0[6] == "0" }
        let hasKey = info.contains { $0[5] != "0" }
        let indexes = try RawSQL.texts("PRAGMA main.index_list(\(RawSQL.quoted(name)))", on: connection)
        let keyIndex = indexes.first { $0[3] == "pk" }.flatMap { $0[1] }
        // The table itself is the index of its key where it has no rowid: no other object has that name then.
        isWithoutRowid =
            try keyIndex.map { index throws(StrongroomError) in try !Self.existsIndex(index, on: connection) } ?? false
        // A primary key without an index of its own is the rowid under another name.
        let isRowidShown = isWithoutRowid || (hasKey && keyIndex == nil)
        let taken = Set(info.map { SQLName.folded($0[1] ?? "") })
        let rowid = isWithoutRowid ? nil : ["rowid", "_rowid_", "oid"].first { !taken.contains($0) }
        self.rowid = rowid
        showsHiddenRowid = !isRowidShown && rowid != nil
        key = info.filter { $0[5] != "0" }.sorted { Int($0[5] ?? "") ?? 0 < Int($1[5] ?? "") ?? 0 }
            .map { RawSQL.quoted($0[1] ?? "") }.joined(separator: ", ")
        let hidden = showsHiddenRowid ? rowid.map { [$0] } ?? [] : []
        columns = hidden + stored.map { RawSQL.quoted($0[1] ?? "") }
        affinities = hidden.map { _ in .none } + stored.map { Affinity(type: $0[2] ?? "") }
        required = hidden.map { _ in false } + stored.map { $0[3] == "1" }
    }

    private static func existsIndex(_ name: String, on connection: OpaquePointer) throws(StrongroomError) -> Bool {
        let statement = try RawStatement(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'index' AND name = ?", on: connection)
        try statement.bind(name, at: 1)
        return try statement.step()
    }

    static func exists(_ name: String, in connection: OpaquePointer) throws(StrongroomError) -> Bool {
        let statement = try RawStatement(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", on: connection)
        try statement.bind(name, at: 1)
        return try statement.step()
    }

    init(
        name: String, columns: [String], affinities: [Affinity], rowid: String?, key: String, isWithoutRowid: Bool,
        showsHiddenRowid: Bool
    ) {
        self.name = name
        self.columns = columns
        self.affinities = affinities
        required = columns.map { _ in false }
        self.rowid = rowid
        self.key = key
        self.isWithoutRowid = isWithoutRowid
        self.showsHiddenRowid = showsHiddenRowid
    }
}

/// What was copied of one table: equal for two tables exactly if they hold the same rows in the same order.
struct TableDigest: Sendable {
    let rows: Int
    let sha256: [UInt8]
    /// Whether a value is there that SQLite would change if it was written to its column: only a schema that was changed later, or a
    /// text that is no number, has one.
    let isDoubtful: Bool

    func isSame(as other: TableDigest) -> Bool { rows == other.rows && sha256 == other.sha256 }

    /// Reads a table, and calls `each` for every row with what answers its columns.
    static func read(
        _ table: CopiedTable, of connection: OpaquePointer, each: ([RawStatement]) throws -> Void
    ) throws -> TableDigest {
        let isWide = try TextEncoding(of: connection) != .utf8
        let statements = try table.selects.map { try RawStatement($0, on: connection) }
        let digest = try SHA256()
        var rows = 0
        var isDoubtful = false
        while try step(statements) {
            rows += 1
            var position = 0
            for statement in statements {
                for column in 0..<statement.columnCount {
                    let type = sqlite3_column_type(statement.handle, column)
                    try digest.update(statement, column, type, isWide: isWide)
                    if position < table.affinities.count {
                        isDoubtful =
                            isDoubtful || table.affinities[position].mayChange(type)
                            || (type == SQLITE_NULL && table.required[position])
                    }
                    position += 1
                }
            }
            try each(statements)
        }
        return TableDigest(rows: rows, sha256: try digest.finish(), isDoubtful: isDoubtful)
    }

    private static func step(_ statements: [RawStatement]) throws(StrongroomError) -> Bool {
        var isRow = false
        for statement in statements { isRow = try statement.step() }
        return isRow
    }
}

extension CopiedTable.Affinity {
    fileprivate func mayChange(_ type: CInt) -> Bool {
        switch self {
        case .none: false
        case .text: type == SQLITE_INTEGER || type == SQLITE_FLOAT
        case .real: type == SQLITE_TEXT
        case .integer, .numeric: type == SQLITE_TEXT || type == SQLITE_FLOAT
        }
    }
}

extension SHA256 {
    /// Adds a value: its type, its length, its bytes.
    fileprivate func update(_ statement: RawStatement, _ column: CInt, _ type: CInt, isWide: Bool) throws {
        try updateNumber(Int64(type))
        switch type {
        case SQLITE_INTEGER: try updateNumber(sqlite3_column_int64(statement.handle, column))
        case SQLITE_FLOAT:
            try updateNumber(Int64(bitPattern: sqlite3_column_double(statement.handle, column).bitPattern))
        case SQLITE_NULL: break
        default:
            // Text in the encoding of the database, and not converted: what is no text in it stays what it is.
            let bytes = sqlite3_column_blob(statement.handle, column)
            let count =
                isWide && type == SQLITE_TEXT
                ? Int(sqlite3_column_bytes16(statement.handle, column))
                : Int(sqlite3_column_bytes(statement.handle, column))
            try updateNumber(Int64(count))
            try update(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
        }
    }

    private func updateNumber(_ number: Int64) throws {
        try withUnsafeBytes(of: number.littleEndian) { try update($0) }
    }
}
