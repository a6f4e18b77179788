// What every connection gets that reads or makes a schema which a file brought: docs/security/engine.md.

import CSQLCipher
import GRDBSQLite

/// Takes from a connection what SQL from outside could misuse.
enum SourceHardening {
    /// Switches of `sqlite3_db_config`, which are macros that Swift does not see as such.
    enum Switch: CInt {
        case loadExtension = 1005
        case defensive = 1010
        case doubleQuotedStringsInQueries = 1013
        case doubleQuotedStringsInSchemas = 1014
        case trustedSchema = 1017
    }

    /// What a schema from outside may be at most. A database of more is refused, and one of less is read whole.
    enum SchemaLimit {
        static let rows = 20_000
        static let bytesOfRow = 1 << 20
        static let bytes = 64 << 20
    }

    /// SQLite's own limits. What honest databases need stands in docs/security/engine.md: 2,000 columns are as many as SQLite was built
    /// for, and a value may have a gigabyte.
    static let limits: [(id: CInt, value: CInt)] = [
        (SQLITE_LIMIT_LENGTH, 1_000_000_000), (SQLITE_LIMIT_SQL_LENGTH, 4 << 20), (SQLITE_LIMIT_COLUMN, 2_000),
        (SQLITE_LIMIT_EXPR_DEPTH, 1_000), (SQLITE_LIMIT_COMPOUND_SELECT, 500), (SQLITE_LIMIT_VDBE_OP, 10_000_000),
        (SQLITE_LIMIT_FUNCTION_ARG, 127), (SQLITE_LIMIT_ATTACHED, 0), (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 5_000),
        (SQLITE_LIMIT_VARIABLE_NUMBER, 4_096), (SQLITE_LIMIT_TRIGGER_DEPTH, 1), (SQLITE_LIMIT_WORKER_THREADS, 0),
    ]

    /// - Throws: `StrongroomError` where the engine did not take a setting.
    static func harden(_ connection: OpaquePointer) throws(StrongroomError) {
        for (id, value) in limits { sqlite3_limit(connection, id, value) }
        try set(.loadExtension, false, on: connection)
        try set(.trustedSchema, false, on: connection)
        try set(.doubleQuotedStringsInQueries, false, on: connection)
        try set(.doubleQuotedStringsInSchemas, false, on: connection)
        // No module can be reached, so that none reads what a file says of a virtual table. Those that answer pragmas come back by
        // themselves.
        try check(sqlite3_drop_modules(connection, nil))
        try SafeFunctions.register(on: connection)
    }

    static func set(_ option: Switch, _ isOn: Bool, on connection: OpaquePointer) throws(StrongroomError) {
        try check(strongroom_db_switch(connection, option.rawValue, isOn ? 1 : 0))
    }

    private static func check(_ result: CInt) throws(StrongroomError) {
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }
}

/// Functions of SQLite that have a known flaw in the engine that we link, written anew.
enum SafeFunctions {
    /// What `sqlite3_create_function_v2` is told: UTF-8, the same for the same arguments, and harmless in a schema.
    private static let flags = SQLITE_UTF8 | 0x800 | 0x20_0000

    /// `concat_ws` of SQLite 3.44 to 3.49.0 counts the separators in 32 bits (CVE-2025-29087). What it answers stays the same, because
    /// an index may hold it.
    static func register(on connection: OpaquePointer) throws(StrongroomError) {
        guard sqlite3_libversion_number() < 3_049_001 else { return }
        let result = sqlite3_create_function_v2(
            connection, "concat_ws", -1, flags, nil,
            { context, count, values in SafeFunctions.concatenate(context, count, values) }, nil, nil, nil)
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }

    private static func concatenate(
        _ context: OpaquePointer?, _ count: CInt, _ values: UnsafeMutablePointer<OpaquePointer?>?
    ) {
        guard let values, count >= 2 else {
            return sqlite3_result_error(context, "wrong number of arguments to function concat_ws()", -1)
        }
        guard let separator = text(of: values[0]) else { return sqlite3_result_null(context) }
        let parts = (1..<Int(count)).compactMap { text(of: values[$0]) }.filter { !$0.isEmpty }
        // At most 127 parts, each shorter than a gigabyte.
        let length = parts.reduce(0) { $0 + $1.count } + separator.count * max(0, parts.count - 1)
        let limit = sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1)
        guard length <= Int(limit) else { return sqlite3_result_error_toobig(context) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length + 1)
        for (index, part) in parts.enumerated() {
            if index > 0 { bytes += separator }
            bytes += part
        }
        bytes.append(0)
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        bytes.withUnsafeBytes {
            sqlite3_result_text64(
                context, $0.baseAddress?.assumingMemoryBound(to: CChar.self), UInt64(length), transient,
                UInt8(SQLITE_UTF8))
        }
    }

    /// Nil for NULL.
    private static func text(of value: OpaquePointer?) -> UnsafeRawBufferPointer? {
        guard let bytes = sqlite3_value_text(value) else { return nil }
        return UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_value_bytes(value)))
    }
}
