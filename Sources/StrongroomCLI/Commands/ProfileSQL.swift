import ArgumentParser
import ErrorReporting
import Foundation
import GRDB
import Glibc
import Strongroom

/// What is wrong with the SQL that an operator typed. Its message is for this terminal only.
enum TypedSQLError: ReportableError {
    case refused(message: String, place: String?)
    case wouldWrite(place: String)
    case transaction(place: String)
    case input(InputProblem)

    enum InputProblem { case empty, unreadable, notUTF8, hasNUL, tooLong }

    var code: String {
        switch self {
        case .refused: "sql_error"
        case .wouldWrite: "sql_would_write"
        case .transaction: "sql_transaction"
        case .input: "sql_input_invalid"
        }
    }

    var category: ErrorCategory { .usage }

    var summary: String {
        switch self {
        case .refused(let message, let place): message + (place.map { " (\($0))" } ?? "")
        case .wouldWrite(let place): "the statement at \(place) would write"
        case .transaction(let place): "the statement at \(place) would begin or end a transaction"
        case .input(.empty): "there is no SQL"
        case .input(.unreadable): "standard input cannot be read"
        case .input(.notUTF8): "the SQL is not UTF-8"
        case .input(.hasNUL): "there is a NUL in the SQL"
        case .input(.tooLong): "the SQL is longer than \(ProfileSQL.maximumInputBytes) bytes"
        }
    }

    var hint: String {
        switch self {
        case .refused: "check the SQL; nothing was changed"
        case .wouldWrite: "--write lets SQL write; nothing was changed"
        case .transaction: "leave it out: all of the SQL is one transaction; nothing was changed"
        case .input: "give it as an argument, or '-' and the SQL on standard input; nothing was changed"
        }
    }
}

struct ProfileSQL: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql",
        abstract: "Run SQL in a profile, in one transaction; it only reads unless --write is given.",
        discussion: """
            Arguments can be seen by others on this machine while the command runs: '-' reads the SQL from standard input. \
            With --json: {"changedRows": 1, "results": [{"columns": ["a"], "rows": [[1]]}]}, one result for each statement \
            that answers rows; a BLOB is text of the form x'00ff'.
            """
    )

    static let maximumInputBytes = 64 << 20

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Let the SQL write.") var write = false
    @Argument var profile: String
    @Argument(help: "SQL, or - to read it from standard input.") var sql: String

    func run() throws {
        let text = try sql == "-" ? Self.standardInput() : sql
        guard text.contains(where: { !$0.isWhitespace && $0 != ";" }) else { throw TypedSQLError.input(.empty) }
        guard !text.utf8.contains(0) else { throw TypedSQLError.input(.hasNUL) }
        let script = SQLScript(text)
        let results = try unlock.withStore(common) { store in
            let profile = try store.openProfile(profile)
            let results: [SQLResult]
            do {
                results =
                    try write
                    ? Self.write(script, profile) : profile.database.read { try script.run($0, isReadOnly: true) }
            } catch {
                throw Self.told(error, text, profile)
            }
            try profile.close()
            return results
        }
        let changed = results.reduce(0) { $0 + $1.changedRows }
        let answers = results.filter { !$0.columns.isEmpty }
        try Terminal.result(Output(changedRows: changed, results: answers.map(Output.Answer.init)), common) {
            for (index, answer) in answers.enumerated() {
                if index > 0 { print() }
                Terminal.table(answer.columns, answer.rows.map { $0.map { SQLValue($0).text } })
            }
        }
        if write, !common.quiet { Terminal.note("\(changed) row\(changed == 1 ? "" : "s") changed.") }
    }

    private static func write(_ script: SQLScript, _ profile: Profile) throws -> [SQLResult] {
        do {
            return try profile.database.write { try script.run($0, isReadOnly: false) }
        } catch {
            guard case .vacuum = error as? SQLScriptError else { throw error }
            return try profile.database.writeWithoutTransaction { try script.run($0, isReadOnly: false) }
        }
    }

    /// What an error means: to SQLite damage and a mistake in the SQL can be the same.
    private static func told(_ error: any Error, _ text: String, _ profile: Profile) -> any Error {
        switch error as? SQLScriptError {
        case .wouldWrite(let offset): return TypedSQLError.wouldWrite(place: place(offset, in: text))
        case .transaction(let offset): return TypedSQLError.transaction(place: place(offset, in: text))
        case .refused(let refused, let offset):
            let told = profile.explained(refused)
            guard let refused = told as? DatabaseError else { return told }
            switch refused.resultCode {
            case .SQLITE_ERROR, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_RANGE, .SQLITE_TOOBIG, .SQLITE_READONLY,
                .SQLITE_AUTH, .SQLITE_CANTOPEN, .SQLITE_NOTFOUND, .SQLITE_MISUSE, .SQLITE_ABORT, .SQLITE_LOCKED:
                return TypedSQLError.refused(
                    message: refused.message ?? "SQLite result \(refused.extendedResultCode.rawValue)",
                    place: offset.map { place($0, in: text) })
            // The profile itself is whole: a file that was attached is no database, or is under another key.
            case .SQLITE_NOTADB:
                return TypedSQLError.refused(message: refused.message ?? "file is not a database", place: nil)
            default: return StrongroomError(ofQuery: refused)
            }
        case .vacuum, nil:
            return (profile.explained(error) as? DatabaseError).map { StrongroomError(ofQuery: $0) } ?? error
        }
    }

    /// Line and column, both from 1, of a byte of the text.
    private static func place(_ offset: Int, in text: String) -> String {
        let blank = text.utf8.dropFirst(offset).prefix { $0 <= 32 || $0 == UInt8(ascii: ";") }.count
        let before = String(decoding: text.utf8.prefix(offset + blank), as: UTF8.self)
        let lines = before.split(separator: "\n", omittingEmptySubsequences: false)
        return "line \(lines.count), column \((lines.last?.count ?? 0) + 1)"
    }

    /// What standard input gives until its end.
    private static func standardInput() throws -> String {
        var input: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw TypedSQLError.input(.unreadable)
            }
            input += buffer.prefix(count)
            guard input.count <= maximumInputBytes else { throw TypedSQLError.input(.tooLong) }
        }
        guard let text = String(validating: input, as: UTF8.self) else { throw TypedSQLError.input(.notUTF8) }
        return text
    }

    private struct Output: Encodable {
        struct Answer: Encodable {
            let columns: [String]
            let rows: [[SQLValue]]

            init(_ result: SQLResult) {
                columns = result.columns
                rows = result.rows.map { $0.map(SQLValue.init) }
            }
        }

        let changedRows: Int
        let results: [Answer]
    }
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
