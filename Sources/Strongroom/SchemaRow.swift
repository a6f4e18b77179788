// The rows of a schema as they stand in the file, before anything is made of them.

import GRDBSQLite

/// How a database stores text.
enum TextEncoding: String, Sendable {
    case utf8 = "UTF-8"
    case utf16LittleEndian = "UTF-16le"
    case utf16BigEndian = "UTF-16be"

    init(of connection: OpaquePointer) throws(StrongroomError) {
        guard let name = try RawSQL.texts("PRAGMA encoding", on: connection).first?.first, let name,
            let encoding = TextEncoding(rawValue: name)
        else { throw StrongroomError(.sqlite(code: SQLITE_ERROR, .copy)) }
        self = encoding
    }

    /// Only what is said before the first table is made counts.
    var pragma: String { "PRAGMA encoding = '\(rawValue)'" }
}

/// A row of `sqlite_schema`.
struct SchemaRow: Sendable {
    let kind: ImportObject.Kind
    let name: String
    /// The table that an index or trigger belongs to.
    let table: String
    let rootPage: Int64
    /// The statement, as its bytes; nil for an index that a constraint makes.
    let sql: [UInt8]?

    /// What SQLite keeps for itself.
    var isSQLitesOwn: Bool { SQLName.hasPrefix(name, "sqlite_") }

    func obstructed(_ obstacle: ImportObject.Obstacle) -> StrongroomError {
        StrongroomError(
            .importSource(obstacle == .reservedName ? .reservedName : .unsupported),
            object: ImportObject(kind: kind, name: name, obstacle: obstacle))
    }

    /// The rows in the order of the schema. SQLite's own name of the table: another one could be taken by a table of the file.
    static func all(of connection: OpaquePointer) throws(StrongroomError) -> [SchemaRow] {
        let statement = try RawStatement(
            "SELECT type, name, tbl_name, rootpage, sql FROM main.sqlite_master ORDER BY rowid", on: connection)
        var rows: [SchemaRow] = []
        var bytes = 0
        while try statement.step() {
            let row = try SchemaRow(statement)
            rows.append(row)
            bytes += row.sql?.count ?? 0
            guard rows.count <= SourceHardening.SchemaLimit.rows, bytes <= SourceHardening.SchemaLimit.bytes else {
                throw row.obstructed(.tooLong)
            }
        }
        return rows
    }

    private init(_ statement: RawStatement) throws(StrongroomError) {
        let type = statement.bytes(0).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let name = statement.bytes(1) ?? []
        // Repaired where it is no text, to be shown.
        self.name = String(decoding: name, as: UTF8.self)
        table = String(decoding: statement.bytes(2) ?? [], as: UTF8.self)
        rootPage = statement.integer(3)
        let text = statement.bytes(4)
        sql = text.flatMap { $0.isEmpty ? nil : $0 }
        switch type {
        case "table": kind = SQLName.isVirtual(text ?? []) ? .virtualTable : .table
        case "index": kind = .index
        case "view": kind = .view
        case "trigger": kind = .trigger
        default:
            kind = .table
            throw obstructed(.otherObject)
        }
        let length = name.count + table.utf8.count + (sql?.count ?? 0)
        guard length <= SourceHardening.SchemaLimit.bytesOfRow else { throw obstructed(.tooLong) }
        let isText = Array(self.name.utf8) == name && Array(table.utf8) == statement.bytes(2)
        guard isText, !name.contains(0), sql?.contains(0) != true else { throw obstructed(.notText) }
    }
}

/// Names as SQLite compares them.
enum SQLName {
    static func isSame(_ one: String, _ other: String) -> Bool { folded(one) == folded(other) }

    static func hasPrefix(_ name: String, _ prefix: String) -> Bool { folded(name).hasPrefix(prefix) }

    /// Only the letters of ASCII are the same in both cases.
    static func folded(_ name: String) -> String {
        String(decoding: name.utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// What a table's statement looks like; whether it is so is for the guard to say.
    static func isVirtual(_ sql: [UInt8]) -> Bool {
        let start = String(decoding: sql.prefix(64), as: UTF8.self)
        return folded(start).split(whereSeparator: \.isWhitespace).prefix(2).elementsEqual(["create", "virtual"])
    }
}
