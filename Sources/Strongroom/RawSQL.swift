// The few calls of SQLite's C interface that moving rows between two databases needs: a value goes from one to the
// other as it is, without becoming a Swift value in between.

import GRDBSQLite
import SystemPackage

/// A connection to a file that is not a profile of ours: the source of an import, the target of an export.
final class RawConnection {
    let handle: OpaquePointer

    /// - Parameter uri: a `file:` URI.
    init(uri: String, flags: CInt, place: FilePath) throws(StrongroomError) {
        var handle: OpaquePointer?
        let result = sqlite3_open_v2(uri, &handle, flags | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, nil)
        guard result == SQLITE_OK, let handle else {
            sqlite3_close_v2(handle)
            throw StrongroomError(.sqlite(code: result, .copy), place)
        }
        self.handle = handle
        try SourceHardening.harden(handle)
    }

    deinit { sqlite3_close_v2(handle) }

    /// A `file:` URI for a path, whatever characters are in it.
    static func uri(_ path: FilePath, parameters: String) -> String {
        let isPlain: (UInt8) -> Bool = { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                true
            default: false
            }
        }
        let escaped = path.withPlatformString { pointer in
            String(cString: pointer).utf8.map { byte in
                isPlain(byte) ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
        }
        return "file:\(escaped)?\(parameters)"
    }
}

/// SQL on any connection; errors carry SQLite's result code and no text.
enum RawSQL {
    static func execute(_ sql: String, on connection: OpaquePointer) throws(StrongroomError) {
        let result = sqlite3_exec(connection, sql, nil, nil, nil)
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .copy)) }
    }

    /// The first column of the first row, as a number.
    static func integer(_ sql: String, on connection: OpaquePointer) throws(StrongroomError) -> Int64? {
        let statement = try RawStatement(sql, on: connection)
        return try statement.step() ? sqlite3_column_int64(statement.handle, 0) : nil
    }

    /// Every row, each column as text; nil for NULL.
    static func texts(_ sql: String, on connection: OpaquePointer) throws(StrongroomError) -> [[String?]] {
        let statement = try RawStatement(sql, on: connection)
        var rows: [[String?]] = []
        while try statement.step() {
            rows.append((0..<statement.columnCount).map { statement.text($0) })
        }
        return rows
    }

    static func quoted(_ identifier: String) -> String {
        "\"" + identifier.replacing("\"", with: "\"\"") + "\""
    }
}

/// A prepared statement.
final class RawStatement {
    let handle: OpaquePointer

    init(_ sql: String, on connection: OpaquePointer) throws(StrongroomError) {
        var handle: OpaquePointer?
        let result = sqlite3_prepare_v2(connection, sql, -1, &handle, nil)
        guard result == SQLITE_OK, let handle else { throw StrongroomError(.sqlite(code: result, .copy)) }
        self.handle = handle
    }

    private init(_ handle: OpaquePointer) { self.handle = handle }

    /// The first statement of a text, and what is behind it; no statement where there is none, or where it is none.
    static func first(of sql: [UInt8], on connection: OpaquePointer) -> (
        statement: RawStatement?, rest: ArraySlice<UInt8>
    ) {
        var handle: OpaquePointer?
        let used = sql.withUnsafeBytes { bytes -> Int in
            guard let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            var tail: UnsafePointer<CChar>?
            guard let count = CInt(exactly: bytes.count),
                sqlite3_prepare_v2(connection, start, count, &handle, &tail) == SQLITE_OK
            else { return 0 }
            return tail.map { $0 - start } ?? bytes.count
        }
        return (handle.map { RawStatement($0) }, sql[min(used, sql.count)...])
    }

    deinit { sqlite3_finalize(handle) }

    var columnCount: CInt { sqlite3_column_count(handle) }

    /// Whether there is a row.
    func step() throws(StrongroomError) -> Bool {
        let result = sqlite3_step(handle)
        if result == SQLITE_ROW { return true }
        guard result == SQLITE_DONE else { throw StrongroomError(.sqlite(code: result, .copy)) }
        return false
    }

    func text(_ column: CInt) -> String? {
        sqlite3_column_text(handle, column).map { String(cString: $0) }
    }

    /// The bytes of a text in UTF-8; nil for NULL.
    func bytes(_ column: CInt) -> [UInt8]? {
        guard let bytes = sqlite3_column_text(handle, column) else { return nil }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(handle, column))))
    }

    /// The bytes of any value, text in the encoding of the database; none for NULL.
    func blob(_ column: CInt) -> [UInt8] {
        guard let bytes = sqlite3_column_blob(handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(handle, column))))
    }

    func reset() { sqlite3_reset(handle) }

    /// Binds a text that may be any bytes; SQLite copies it.
    func bind(text: [UInt8], at index: CInt) throws(StrongroomError) {
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let result = text.withUnsafeBytes {
            sqlite3_bind_text64(
                handle, index, $0.baseAddress?.assumingMemoryBound(to: CChar.self), UInt64($0.count), transient,
                UInt8(SQLITE_UTF8))
        }
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .copy)) }
    }

    func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(handle, column) }

    /// Binds a text; SQLite copies it.
    func bind(_ text: String?, at index: CInt) throws(StrongroomError) {
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let result =
            text.map { sqlite3_bind_text(handle, index, $0, -1, transient) } ?? sqlite3_bind_null(handle, index)
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .copy)) }
    }

    /// Runs a statement that answers no rows, with the current row of `source` as its parameters, as many as it has.
    func insertRow(of source: RawStatement) throws(StrongroomError) { try insertRow(of: [source]) }

    /// The same with the rows of statements that go in step.
    func insertRow(of sources: [RawStatement]) throws(StrongroomError) {
        let parameters = sqlite3_bind_parameter_count(handle)
        var position: CInt = 0
        for source in sources {
            for column in 0..<source.columnCount where position < parameters {
                position += 1
                let result = sqlite3_bind_value(handle, position, sqlite3_column_value(source.handle, column))
                guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .copy)) }
            }
        }
        do {
            _ = try step()
        } catch {
            sqlite3_reset(handle)
            throw error
        }
        sqlite3_reset(handle)
    }
}

extension StrongroomError {
    /// Whether a row breaks a rule of its table.
    var isConstraint: Bool {
        guard case .sqlite(let code, _) = reason else { return false }
        return code & 0xff == SQLITE_CONSTRAINT || code & 0xff == SQLITE_MISMATCH
    }

    /// Whether SQLite refused what it was asked, and not because of the disk, the memory or a lock.
    var isAboutSQL: Bool {
        guard case .sqlite(let code, _) = reason else { return false }
        return [SQLITE_ERROR, SQLITE_AUTH, SQLITE_CONSTRAINT, SQLITE_TOOBIG, SQLITE_MISMATCH].contains(code & 0xff)
    }

    /// Whether SQL could not be prepared because a collation, function or module is not known here.
    var isMissingDefinition: Bool {
        guard case .sqlite(let code, _) = reason else { return false }
        return code & 0xff == SQLITE_ERROR
    }
}
