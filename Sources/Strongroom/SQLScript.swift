// SQL that a person types: several statements, each with its result, with the place of a mistake, and without what would end the
// transaction that it runs in.

import ErrorReporting
package import GRDB
import GRDBSQLite
import Glibc

/// What a statement answered.
package struct SQLResult: Sendable {
    /// As they are, duplicates included; none where the statement answers no rows.
    package let columns: [String]
    package let rows: [[DatabaseValue]]
    /// How many rows it inserted, updated or deleted.
    package let changedRows: Int
}

/// Why SQL was not run, or stopped.
package enum SQLScriptError: Error {
    /// SQLite refused; the place is a byte of the text, where SQLite knows it.
    case refused(DatabaseError, at: Int?)
    /// A statement would write, and only reading was asked for.
    case wouldWrite(at: Int)
    /// A statement would begin or end a transaction.
    case transaction(at: Int)
    /// The one statement is a VACUUM, which SQLite does outside of a transaction only; it has done nothing.
    case vacuum
}

package struct SQLScript {
    private let bytes: [CChar]

    /// - Parameter text: without a NUL, at which SQLite would end it.
    package init(_ text: String) { bytes = Array(text.utf8CString) }

    /// Runs the statements one after another.
    ///
    /// - Parameter isReadOnly: whether none of them may write.
    /// - Throws: `SQLScriptError`; what was done before is for the caller's transaction to take back.
    package func run(_ db: Database, isReadOnly: Bool) throws -> [SQLResult] {
        let connection = try ConnectionExchange.handle(db)
        return try bytes.withUnsafeBufferPointer { text in
            guard let start = text.baseAddress else { return [] }
            var results: [SQLResult] = []
            var next = start
            while next.pointee != 0 {
                let offset = next - start
                var handle: OpaquePointer?
                var tail: UnsafePointer<CChar>?
                var prepared = SQLITE_OK
                let effects = try ConnectionGuard.effects(db) {
                    prepared = sqlite3_prepare_v2(connection, next, -1, &handle, &tail)
                }
                defer { sqlite3_finalize(handle) }
                guard prepared == SQLITE_OK else {
                    let place = sqlite3_error_offset(connection)
                    throw SQLScriptError.refused(
                        Self.error(prepared, connection), at: place >= 0 ? offset + Int(place) : nil)
                }
                next = tail ?? next
                // A comment, or nothing at all.
                guard let statement = handle else { continue }
                if sqlite3_stmt_isexplain(statement) == 0 {
                    if effects.isTransaction { throw SQLScriptError.transaction(at: offset) }
                    if isReadOnly, sqlite3_stmt_readonly(statement) == 0 { throw SQLScriptError.wouldWrite(at: offset) }
                }
                let isAlone = results.isEmpty && Self.isBlank(next)
                results.append(
                    try Self.run(statement, on: connection, isAlone: isAlone, countsRows: !effects.isVirtualTable))
                try Self.requireKeys(connection)
            }
            return results
        }
    }

    private static func run(
        _ statement: OpaquePointer, on connection: OpaquePointer, isAlone: Bool, countsRows: Bool
    ) throws -> SQLResult {
        let before = sqlite3_total_changes64(connection)
        let count = sqlite3_column_count(statement)
        var rows: [[DatabaseValue]] = []
        while true {
            let result = sqlite3_step(statement)
            if result == SQLITE_DONE { break }
            guard result == SQLITE_ROW else {
                let error = error(result, connection)
                if isAlone, error.message == "cannot VACUUM from within a transaction" { throw SQLScriptError.vacuum }
                throw SQLScriptError.refused(error, at: nil)
            }
            rows.append((0..<count).map { DatabaseValue(sqliteStatement: statement, index: $0) })
        }
        let columns = (0..<count).map { index in sqlite3_column_name(statement, index).map { String(cString: $0) } ?? ""
        }
        // Triggers and foreign keys are not counted; a statement that changes no row leaves the number as it was.
        let isChanged = countsRows && sqlite3_total_changes64(connection) != before
        let changed = isChanged ? sqlite3_changes64(connection) : 0
        return SQLResult(columns: columns, rows: rows, changedRows: Int(clamping: changed))
    }

    /// Whether nothing but blanks is left.
    private static func isBlank(_ text: UnsafePointer<CChar>) -> Bool {
        strspn(text, " \t\r\n\u{c};") == strlen(text)
    }

    /// Statement by statement it can be seen at once that a file without a key was attached.
    private static func requireKeys(_ connection: OpaquePointer) throws {
        var index: CInt = 2
        while let name = sqlite3_db_name(connection, index) {
            if !ConnectionGuard.isInMemoryOrEncrypted(name, on: connection) {
                throw StrongroomError(.settingProtected(.plaintextAttach))
            }
            index += 1
        }
    }

    private static func error(_ code: CInt, _ connection: OpaquePointer) -> DatabaseError {
        DatabaseError(
            resultCode: ResultCode(rawValue: sqlite3_extended_errcode(connection)),
            message: String(cString: sqlite3_errmsg(connection)))
    }
}
