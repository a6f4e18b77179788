// docs/formats/snapshot.md, "Files". Names are made from parts that are known to be harmless, and a name from outside
// becomes a path only after it has been read as one.

package import Foundation
import Keyring

/// Why a snapshot was taken: a word for people and for retention.
public struct SnapshotReason: Sendable, Hashable, CustomStringConvertible {
    /// Somebody asked for it.
    public static let manual = SnapshotReason(unchecked: "manual")
    /// What every reason before a migration begins with.
    static let preMigrationPrefix = "pre-"

    /// The word.
    public let description: String

    private init(unchecked text: String) { description = text }

    /// A word of one's own: 1 to 80 letters, digits, `_`, `.` and `-`, beginning with a letter or digit, and not with
    /// `pre-`, which is kept for migrations; nil where it is anything else.
    public init?(_ text: String) {
        guard let reason = SnapshotReason(parsing: text), !reason.isPreMigration else { return nil }
        self = reason
    }

    /// Before the migration of this name.
    public static func preMigration(next migration: String) -> SnapshotReason {
        let word = migration.utf8.prefix(80 - preMigrationPrefix.count).map { isWordByte($0) ? $0 : UInt8(ascii: "_") }
        return SnapshotReason(unchecked: preMigrationPrefix + String(decoding: word, as: UTF8.self))
    }

    init?(parsing text: some StringProtocol) {
        guard (1...80).contains(text.utf8.count), text.utf8.allSatisfy(Self.isWordByte),
            let first = text.utf8.first, !"_.-".utf8.contains(first)
        else { return nil }
        description = String(text)
    }

    /// Whether it was taken before a migration.
    public var isPreMigration: Bool { description.hasPrefix(Self.preMigrationPrefix) }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// `<db>-<scope>-<reason>-<timestamp>`.
struct SnapshotName: Sendable, Hashable, CustomStringConvertible {
    let description: String

    init(_ scope: KeyScope, _ reason: SnapshotReason, at date: Date) {
        description = "\(Self.databaseName(of: scope))-\(scope)-\(reason)-\(Timestamp.text(date))"
    }

    /// Reads a name, or answers nil where it is none: no name leads out of its directory.
    init?(_ text: String) {
        for kind in ["global-global-", "profile-prof_"] where text.hasPrefix(kind) {
            guard let end = text.lastIndex(of: "-"), Timestamp.isValid(text[text.index(after: end)...]) else {
                return nil
            }
            let rest = text.dropFirst(kind.hasPrefix("global") ? "global-".count : "profile-".count)
            guard let scopeEnd = rest.firstIndex(of: "-"), scopeEnd < end, KeyScope(String(rest[..<scopeEnd])) != nil,
                SnapshotReason(parsing: rest[rest.index(after: scopeEnd)..<end]) != nil
            else { return nil }
            description = text
            return
        }
        return nil
    }

    private static func databaseName(of scope: KeyScope) -> String { scope == .global ? "global" : "profile" }
}

/// Points in time as names have them: UTC, `20261123T235959.123Z`.
package enum Timestamp {
    package static func text(_ date: Date) -> String {
        let milliseconds = Int((date.timeIntervalSince1970 * 1000).rounded(.down))
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        let whole = Date(timeIntervalSince1970: Double(seconds))
        let text = whole.formatted(
            .iso8601.year().month().day().dateSeparator(.omitted).timeSeparator(.omitted)
                .time(includingFractionalSeconds: false).timeZone(separator: .omitted))
        let fraction = String(rest)
        return text.prefix(15) + "." + String(repeating: "0", count: 3 - fraction.count) + fraction + "Z"
    }

    /// The date that a text says.
    package static func date(_ text: some StringProtocol) -> Date? {
        guard isValid(text) else { return nil }
        let numbers = [0..<4, 4..<6, 6..<8, 9..<11, 11..<13, 13..<15, 16..<19].map { range in
            Int(text.utf8.dropFirst(range.lowerBound).prefix(range.count).reduce(0) { $0 * 10 + Int($1 - 48) })
        }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = DateComponents(
            year: numbers[0], month: numbers[1], day: numbers[2], hour: numbers[3], minute: numbers[4],
            second: numbers[5])
        return calendar.date(from: parts)?.addingTimeInterval(Double(numbers[6]) / 1000)
    }

    /// Whether it is one.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        let pattern = "00000000T000000.000Z".utf8
        return text.utf8.count == pattern.count
            && zip(text.utf8, pattern).allSatisfy { byte, expected in
                expected == UInt8(ascii: "0")
                    ? (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) : byte == expected
            }
    }

    /// Now, as a file can hold it.
    static func wholeSecond(_ date: Date) -> Date {
        Date(timeIntervalSince1970: date.timeIntervalSince1970.rounded(.down))
    }
}
