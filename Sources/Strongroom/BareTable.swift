// Rows that a schema which was changed after they were written would change or refuse: they are written to a table that takes any
// value, and the schema row is put in its place afterwards.

import GRDBSQLite

/// A table with the columns of another one and none of its rules, so that each record is the same.
struct BareTable {
    /// The definition that is made.
    let standIn: String
    /// How the stand-in is written to.
    let table: CopiedTable
    /// How the source is read: what is stored of a generated column too.
    let source: CopiedTable
    private let row: SchemaRow

    init(of row: SchemaRow, source connection: OpaquePointer) throws(StrongroomError) {
        self.row = row
        let original = try CopiedTable(named: row.name, on: connection)
        let info = try RawSQL.texts("PRAGMA main.table_xinfo(\(RawSQL.quoted(row.name)))", on: connection)
        // Hidden: 2 is computed when it is read, 3 is stored.
        let stored = info.filter { $0[6] == "0" || $0[6] == "3" }
        let isRowidShown = !original.isWithoutRowid && !original.showsHiddenRowid && original.rowid != nil
        var names: [String: String] = [:]
        var definitions: [String] = []
        for (position, column) in stored.enumerated() {
            names[SQLName.folded(column[1] ?? "")] = "c\(position)"
            definitions.append("c\(position)" + (isRowidShown && column[5] != "0" ? " INTEGER PRIMARY KEY" : ""))
        }
        for index in try Self.constraintIndexes(of: row, on: connection) {
            let columns = try RawSQL.texts("PRAGMA main.index_xinfo(\(RawSQL.quoted(index.name)))", on: connection)
            let key = try columns.filter { $0[5] == "1" }.map { column throws(StrongroomError) in
                guard let name = names[SQLName.folded(column[2] ?? "")] else { throw row.obstructed(.rowsBreakRules) }
                let collation = RawSQL.quoted(column[4] ?? "BINARY")
                return "\(name) COLLATE \(collation)" + (column[3] == "1" ? " DESC" : "")
            }
            definitions.append("\(index.isKey ? "PRIMARY KEY" : "UNIQUE") (\(key.joined(separator: ", ")))")
        }
        let suffix = original.isWithoutRowid ? " WITHOUT ROWID" : ""
        standIn = "CREATE TABLE main.\(RawSQL.quoted(row.name)) (\(definitions.joined(separator: ", ")))\(suffix)"
        let hidden = original.showsHiddenRowid ? original.rowid.map { [$0] } ?? [] : []
        let none = (hidden + definitions).map { _ in CopiedTable.Affinity.none }
        func made(_ columns: [String]) -> CopiedTable {
            CopiedTable(
                name: row.name, columns: hidden + columns, affinities: none, rowid: original.rowid, key: "",
                isWithoutRowid: original.isWithoutRowid, showsHiddenRowid: original.showsHiddenRowid)
        }
        table = made(stored.indices.map { "c\($0)" })
        source = made(stored.map { RawSQL.quoted($0[1] ?? "") })
    }

    /// Puts it in the place of the table that was made of the schema's own text.
    func make(on target: OpaquePointer) throws(StrongroomError) {
        try RawSQL.execute("DROP TABLE main.\(RawSQL.quoted(row.name))", on: target)
        try RawSQL.execute(standIn, on: target)
    }

    /// The indexes that constraints make, in the order in which SQLite numbers them.
    private static func constraintIndexes(
        of row: SchemaRow, on connection: OpaquePointer
    ) throws(StrongroomError) -> [(name: String, isKey: Bool)] {
        let all = try RawSQL.texts("PRAGMA main.index_list(\(RawSQL.quoted(row.name)))", on: connection)
        let found = all.compactMap { index -> (number: Int, name: String, isKey: Bool)? in
            guard let name = index[1], index[3] == "pk" || index[3] == "u" else { return nil }
            return (name.split(separator: "_").last.flatMap { Int($0) } ?? 0, name, index[3] == "pk")
        }
        return found.sorted { $0.number < $1.number }.map { ($0.name, $0.isKey) }
    }
}

/// Schema rows that are written as they are.
struct SchemaText {
    let source: SourceSchema
    let target: OpaquePointer

    /// Gives a table the text of the source in place of its stand-in's.
    func replace(_ standIn: String, by row: SchemaRow) throws(StrongroomError) {
        try writing { () throws(StrongroomError) in try set(row) }
    }

    /// Adds views, triggers and virtual tables, so that neither a module nor a function that only the source's own app has is needed
    /// here; and gives what was made the very text of the source, which SQLite writes a little differently where it was edited.
    func settle() throws(StrongroomError) {
        try writing { () throws(StrongroomError) in
            for row in source.tables + source.indexes where try text(of: row) != row.sql { try set(row) }
            let insert = try RawStatement(
                "INSERT INTO main.sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, 0, ?)",
                on: target)
            for row in source.passive {
                try insert.bind(row.kind == .virtualTable ? "table" : row.kind.rawValue, at: 1)
                try insert.bind(row.name, at: 2)
                try insert.bind(row.table, at: 3)
                try insert.bind(text: row.sql ?? [], at: 4)
                _ = try insert.step()
                insert.reset()
            }
        }
        // Connections that know the schema must read it again.
        let version = try RawSQL.integer("PRAGMA main.schema_version", on: target) ?? 0
        let next = version >= Int64(Int32.max) ? 1 : version + 1
        try RawSQL.execute("PRAGMA main.schema_version = \(next)", on: target)
    }

    private func text(of row: SchemaRow) throws(StrongroomError) -> [UInt8]? {
        let statement = try RawStatement(
            "SELECT sql FROM main.sqlite_master WHERE type = ? AND name = ?", on: target)
        try statement.bind(row.kind.rawValue, at: 1)
        try statement.bind(row.name, at: 2)
        return try statement.step() ? statement.bytes(0) : nil
    }

    private func set(_ row: SchemaRow) throws(StrongroomError) {
        let statement = try RawStatement(
            "UPDATE main.sqlite_master SET sql = ? WHERE type = ? AND name = ?", on: target)
        try statement.bind(text: row.sql ?? [], at: 1)
        try statement.bind(row.kind.rawValue, at: 2)
        try statement.bind(row.name, at: 3)
        _ = try statement.step()
    }

    /// SQLite reads the schema again afterwards, and runs nothing of it.
    private func writing(_ body: () throws(StrongroomError) -> Void) throws(StrongroomError) {
        try RawSQL.execute("PRAGMA writable_schema = ON", on: target)
        do {
            try body()
        } catch {
            try? RawSQL.execute("PRAGMA writable_schema = OFF", on: target)
            throw error
        }
        try RawSQL.execute("PRAGMA writable_schema = RESET", on: target)
    }
}
