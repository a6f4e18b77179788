// What people see. Results are the only thing on standard output.

import CLinux
import ErrorReporting
import Foundation
import Glibc
import Strongroom
import Synchronization
import TextTable

/// Standard output did not take everything.
struct OutputError: ReportableError {
    var code: String { "output_not_written" }
    var category: ErrorCategory { .system }
    var summary: String { "the results could not be written to standard output" }
    var hint: String { "free some space, or write them elsewhere; what the command did is done" }
}

enum Terminal {
    static func note(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    /// The error, and where it happened: the path is for this terminal only.
    static func error(_ error: any ReportableError) {
        let place = error.place.map { " (\($0))" } ?? ""
        let detail = error.detail.map { ": " + plain($0) } ?? ""
        note("error[\(error.code)]: \(error.summary)\(place)\(detail). hint: \(error.hint).")
    }

    /// Prints one JSON object, or what `text` prints.
    static func result(_ value: some Encodable, _ common: CommonOptions, text: () -> Void) throws {
        guard common.json else { return text() }
        print(try json(value))
    }

    /// Where standard input, output or error is closed, the next file that is opened would take its number: a database, which results would
    /// then be written to. So each of the three is something, of which nothing can be read and to which nothing can be written.
    static func holdDescriptors() {
        for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", flags)
        }
    }

    /// What was printed has arrived, or that is an error: results that were lost are no success.
    static func finish() throws {
        guard strongroom_output_arrived() != 0 else { throw OutputError() }
    }

    /// How JSON is written everywhere.
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// A text from a file that may be forged: what could steer a terminal is shown as its number.
    static func plain(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                "\\u{" + String(scalar.value, radix: 16) + "}"
            default: String(scalar)
            }
        }.joined()
    }

    /// Rows under headings.
    static func table(_ headings: [String], _ rows: [[String]]) {
        guard !rows.isEmpty else { return }
        let table = TextTable<[String]> { row in
            zip(headings, row).map { Column(title: $0, value: $1) }
        }
        table.print(rows, style: Style.simple)
    }

    static func date(_ date: Date) -> String { date.formatted(.iso8601.year().month().day()) }

    /// Date and time, UTC.
    static func time(_ date: Date) -> String {
        String(date.formatted(.iso8601).dropLast().replacing("T", with: " "))
    }

    /// A length that started as bytes, for people.
    static func size(_ bytes: Int) -> String {
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] where bytes >= unit {
            return String(format: "%.1f ", Double(bytes) / Double(unit)) + name
        }
        return "\(bytes) bytes"
    }
}

/// A bar on a terminal; nothing anywhere else.
final class ProgressBar: Sendable {
    private let isShown: Bool
    private let lastShown = Mutex(ContinuousClock.now - .seconds(1))
    private static let width = 30

    init(_ common: CommonOptions) {
        isShown = !common.quiet && !common.json && isatty(STDERR_FILENO) == 1
    }

    deinit { finish() }

    /// Takes the bar away, before results are printed.
    func finish() { if isShown { write("\r\u{1b}[K") } }

    /// - Parameter label: made only where it is shown, which most are not.
    func show(_ label: @autoclosure () -> String, done: Int, total: Int, unit: String = "rows") {
        guard isShown else { return }
        let isDue = lastShown.withLock { last in
            guard ContinuousClock.now - last > .milliseconds(50) || (total > 0 && done == total) else { return false }
            last = .now
            return true
        }
        guard isDue else { return }
        let share = total > 0 ? min(1, Double(done) / Double(total)) : 0
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: Self.width - filled)
        let numbers = total > 0 ? "\(Int(share * 100)) % of \(total) \(unit)" : ""
        write("\r\u{1b}[K[\(bar)] \(label()) \(numbers)")
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
