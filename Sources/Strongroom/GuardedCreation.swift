// Makes one object of a schema that a file brought, and lets nothing else happen: one statement, of which SQLite itself says at each
// step what it is going to do.

import GRDBSQLite

/// What SQLite may do while it makes one object.
final class CreationGuard {
    private let row: SchemaRow
    private(set) var hasMade = false
    /// What was refused, so that it can be named.
    private(set) var refusedFunction = false
    private var refusedObject = false

    init(_ row: SchemaRow) { self.row = row }

    /// Functions that a check, a generated column or an index may name: they are SQLite's own, read nothing but their arguments, and
    /// change nothing.
    static let functions: Set<String> = [
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "ceiling", "char", "coalesce",
        "concat",
        "concat_ws", "cos", "cosh", "current_date", "current_time", "current_timestamp", "date", "datetime", "degrees",
        "exp",
        "floor", "format", "glob", "hex", "ifnull", "iif", "instr", "json", "json_array", "json_array_length",
        "json_error_position", "json_extract", "json_insert", "json_object", "json_patch", "json_pretty", "json_quote",
        "json_remove", "json_replace", "json_set", "json_type", "json_valid", "jsonb", "jsonb_array", "jsonb_extract",
        "jsonb_insert", "jsonb_object", "jsonb_patch", "jsonb_remove", "jsonb_replace", "jsonb_set", "julianday",
        "length",
        "like", "likelihood", "likely", "ln", "log", "log10", "log2", "lower", "ltrim", "max", "min", "mod", "nullif",
        "octet_length", "pi", "pow", "power", "printf", "quote", "radians", "replace", "round", "rtrim", "sign", "sin",
        "sinh",
        "soundex", "sqrt", "strftime", "substr", "substring", "subtype", "tan", "tanh", "time", "timediff", "trim",
        "trunc",
        "typeof", "unhex", "unicode", "unixepoch", "unlikely", "upper", "zeroblob", "->", "->>",
    ]

    /// Prepares the row's statement, which must be all of it.
    ///
    /// - Throws: `StrongroomError` with the row and why it cannot be made.
    func prepare(on connection: OpaquePointer) throws(StrongroomError) -> RawStatement {
        guard let sql = row.sql else { throw row.obstructed(.notReadable) }
        // SQLite's own test of a row that it is to read.
        guard sql.count > 2, sql[0] | 0x20 == UInt8(ascii: "c"), sql[1] | 0x20 == UInt8(ascii: "r") else {
            throw row.obstructed(.notReadable)
        }
        return try guarded(connection) { () throws(StrongroomError) in
            let (first, tail) = RawStatement.first(of: sql, on: connection)
            guard let made = first else { throw row.obstructed(obstacle(on: connection)) }
            guard hasMade, sqlite3_stmt_isexplain(made.handle) == 0 else { throw row.obstructed(.otherObject) }
            // SQLite itself says what is nothing: white space and comments, and empty statements.
            var rest = tail
            while !rest.isEmpty {
                let (second, left) = RawStatement.first(of: Array(rest), on: connection)
                guard second == nil, sqlite3_errcode(connection) == SQLITE_OK, left.count < rest.count else {
                    throw row.obstructed(.notOneStatement)
                }
                rest = left
            }
            return made
        }
    }

    /// Makes the object.
    ///
    /// - Throws: as ``prepare(on:)``; `.sqlite` where the disk or the memory refused.
    func make(on connection: OpaquePointer) throws(StrongroomError) {
        let statement = try prepare(on: connection)
        try guarded(connection) { () throws(StrongroomError) in
            do throws(StrongroomError) {
                _ = try statement.step()
            } catch {
                guard error.isAboutSQL else { throw error }
                throw row.obstructed(obstacle(on: connection))
            }
        }
    }

    private func guarded<Result>(
        _ connection: OpaquePointer, _ body: () throws(StrongroomError) -> Result
    ) throws(StrongroomError) -> Result {
        try SourceHardening.set(.defensive, true, on: connection)
        // Databases from before 2019 hold strings in double quotes, and SQLite itself reads them in every schema.
        try SourceHardening.set(.doubleQuotedStringsInSchemas, true, on: connection)
        sqlite3_set_authorizer(
            connection,
            { context, action, first, second, database, _ in
                guard let context else { return SQLITE_DENY }
                let text = { (pointer: UnsafePointer<CChar>?) in pointer.map { String(cString: $0) } ?? "" }
                return Unmanaged<CreationGuard>.fromOpaque(context).takeUnretainedValue()
                    .allows(action, text(first), text(second), in: text(database)) ? SQLITE_OK : SQLITE_DENY
            }, Unmanaged.passUnretained(self).toOpaque())
        let outcome: Swift.Result<Result, StrongroomError>
        do throws(StrongroomError) {
            outcome = .success(try body())
        } catch { outcome = .failure(error) }
        sqlite3_set_authorizer(connection, nil, nil)
        try SourceHardening.set(.doubleQuotedStringsInSchemas, false, on: connection)
        try SourceHardening.set(.defensive, false, on: connection)
        return try outcome.get()
    }

    private func allows(_ action: CInt, _ first: String, _ second: String, in database: String) -> Bool {
        switch action {
        case SQLITE_CREATE_TABLE:
            if row.kind == .table, first == "sqlite_sequence" { return database == "main" }
            return makes(.table, first, nil, database)
        case SQLITE_CREATE_INDEX:
            if row.kind == .table, SQLName.hasPrefix(first, "sqlite_autoindex_") {
                return database == "main" && SQLName.isSame(second, row.name)
            }
            return makes(.index, first, second, database)
        case SQLITE_CREATE_VIEW: return makes(.view, first, nil, database)
        case SQLITE_CREATE_TRIGGER: return makes(.trigger, first, second, database)
        case SQLITE_CREATE_VTABLE: return makes(.virtualTable, first, nil, database)
        case SQLITE_INSERT, SQLITE_UPDATE: return first == "sqlite_master" && database == "main"
        case SQLITE_READ:
            return database == "main" && (first == "sqlite_master" || SQLName.isSame(first, row.table))
        case SQLITE_REINDEX: return row.kind == .index && SQLName.isSame(first, row.name) && database == "main"
        case SQLITE_FUNCTION:
            guard row.kind == .table || row.kind == .index, Self.functions.contains(SQLName.folded(second)) else {
                refusedFunction = true
                return false
            }
            return true
        default: return false
        }
    }

    private func makes(_ kind: ImportObject.Kind, _ name: String, _ table: String?, _ database: String) -> Bool {
        refusedObject = true
        guard kind == row.kind, SQLName.isSame(name, row.name), database == "main" else { return false }
        if let table, !SQLName.isSame(table, row.table) { return false }
        refusedObject = false
        hasMade = true
        return true
    }

    /// Why SQLite refused. Its message is looked at and goes nowhere.
    private func obstacle(on connection: OpaquePointer) -> ImportObject.Obstacle {
        if refusedFunction { return .unknownFunction }
        if refusedObject { return .otherObject }
        let message = sqlite3_errmsg(connection).map { String(cString: $0) } ?? ""
        if message.hasPrefix("no such function") || message.hasPrefix("unknown function") { return .unknownFunction }
        if message.hasPrefix("no such collation") { return .unknownCollation }
        return sqlite3_errcode(connection) == SQLITE_AUTH ? .forbidden : .notReadable
    }
}

/// Collations that only the app of a file has. A name that no index uses says nothing about what is stored, and a table that has one
/// can be made; where one is used it is known, and the table or index cannot come in.
final class StandInCollations {
    private(set) var names: Set<String> = []
    /// Whether one had to say what comes first.
    private(set) var wasAsked = false

    /// The collations end with the connection, and this must be there as long.
    func register(on connection: OpaquePointer) {
        sqlite3_collation_needed(
            connection, Unmanaged.passUnretained(self).toOpaque(),
            { context, connection, _, name in
                guard let context, let connection, let name else { return }
                // SQLite asks for its own ones too where text is UTF-16, and then has them.
                if ["binary", "nocase", "rtrim"].contains(SQLName.folded(String(cString: name))) { return }
                let all = Unmanaged<StandInCollations>.fromOpaque(context).takeUnretainedValue()
                all.names.insert(SQLName.folded(String(cString: name)))
                sqlite3_create_collation_v2(
                    connection, name, SQLITE_UTF8, context,
                    { context, count, bytes, otherCount, otherBytes in
                        context.map {
                            Unmanaged<StandInCollations>.fromOpaque($0).takeUnretainedValue().wasAsked = true
                        }
                        let one = UnsafeRawBufferPointer(start: bytes, count: Int(count))
                        let other = UnsafeRawBufferPointer(start: otherBytes, count: Int(otherCount))
                        return one.elementsEqual(other) ? 0 : one.lexicographicallyPrecedes(other) ? -1 : 1
                    }, nil)
            })
    }

    /// Whether an index, made by a statement or by a constraint of the table, is sorted by one.
    func sorts(_ row: SchemaRow, on connection: OpaquePointer) throws(StrongroomError) -> Bool {
        if names.isEmpty { return false }
        let indexes =
            row.kind == .index
            ? [row.name]
            : try RawSQL.texts("PRAGMA main.index_list(\(RawSQL.quoted(row.name)))", on: connection).compactMap {
                $0[1]
            }
        for index in indexes {
            let columns = try RawSQL.texts("PRAGMA main.index_xinfo(\(RawSQL.quoted(index)))", on: connection)
            if columns.contains(where: { $0[5] == "1" && names.contains(SQLName.folded($0[4] ?? "")) }) { return true }
        }
        return false
    }
}
