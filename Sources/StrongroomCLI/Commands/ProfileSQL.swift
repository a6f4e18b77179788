import ArgumentParser
import ErrorReporting
import Foundation
import GRDB
import Strongroom

/// An error of the SQL that the operator typed. Its message is for this terminal only.
struct TypedSQLError: ReportableError {
    let message: String

    var code: String { "sql_error" }
    var category: ErrorCategory { .usage }
    var summary: String { message }
    var hint: String { "check the SQL; nothing was changed" }
}

struct ProfileSQL: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql", abstract: "Run SQL in a profile, in one transaction.",
        discussion:
            "Arguments can be seen by others on this machine while the command runs: '-' reads the SQL from standard input."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument var profile: String
    @Argument(help: "SQL, or - to read it from standard input.") var sql: String

    func run() throws {
        let text = sql == "-" ? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self) : sql
        let rows = try unlock.withStore(common) { store in
            let profile = try store.openProfile(profile)
            do {
                let rows = try profile.database.write { db in try Self.run(text, db) }
                try profile.close()
                return rows
            } catch let error as DatabaseError {
                throw TypedSQLError(message: error.message ?? "SQLite result \(error.extendedResultCode.rawValue)")
            }
        }
        try Terminal.result(
            Output(rows: rows.rows.map { Dictionary(zip(rows.columns, $0)) { first, _ in first } }), common
        ) {
            Terminal.table(rows.columns, rows.rows.map { $0.map(\.text) })
        }
    }

    /// The rows of the last statement that has any.
    private static func run(_ sql: String, _ db: Database) throws -> (columns: [String], rows: [[SQLValue]]) {
        var columns: [String] = []
        var rows: [[SQLValue]] = []
        let statements = try db.allStatements(sql: sql)
        while let statement = try statements.next() {
            let cursor = try Row.fetchCursor(statement)
            guard statement.columnCount > 0 else {
                while try cursor.next() != nil {}
                continue
            }
            columns = statement.columnNames
            rows = []
            while let row = try cursor.next() { rows.append(row.databaseValues.map(SQLValue.init)) }
        }
        return (columns, rows)
    }

    private struct Output: Encodable { let rows: [[String: SQLValue]] }
}

/// A value as it is shown: blobs as hex.
struct SQLValue: Encodable {
    private let storage: DatabaseValue.Storage

    init(_ value: DatabaseValue) { storage = value.storage }

    var text: String {
        switch storage {
        case .null: "NULL"
        case .int64(let number): String(number)
        case .double(let number): String(number)
        case .string(let text): text
        case .blob(let data): "x'" + data.map { String(format: "%02x", $0) }.joined() + "'"
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch storage {
        case .null: try container.encodeNil()
        case .int64(let number): try container.encode(number)
        case .double(let number) where number.isFinite: try container.encode(number)
        default: try container.encode(text)
        }
    }
}
