// What a diagnosis may hold besides numbers, dates and enums. None of these can be made from text that somebody else chose.

import ErrorReporting
import KeyPolicy

/// A version of a library, such as `4.6.1`.
public struct LibraryVersion: Sendable, Hashable, Comparable, Encodable, CustomStringConvertible {
    /// The three numbers.
    public let major, minor, patch: Int

    init(_ major: Int, _ minor: Int, _ patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Three numbers with dots; zeros where it is something else.
    init(reading text: String) {
        let parts = text.split(separator: ".").compactMap { Int($0) }
        self = parts.count == 3 ? Self(parts[0], parts[1], parts[2]) : Self(0, 0, 0)
    }

    /// `4.6.1`.
    public var description: String { "\(major).\(minor).\(patch)" }

    /// By major, minor, patch.
    public static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }

    /// Writes `4.6.1`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A day, such as `2026-09-10`.
public struct CalendarDay: Sendable, Hashable, Encodable, CustomStringConvertible {
    /// The three numbers.
    public let year, month, day: Int

    /// The day of the list of published flaws in docs/security/engine.md.
    static let engineFlaws = CalendarDay(year: 2026, month: 9, day: 10)

    /// `2026-09-10`.
    public var description: String { "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)" }

    /// Writes `2026-09-10`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The stable code of an error.
public struct ErrorCode: Sendable, Hashable, Encodable, CustomStringConvertible {
    /// Lower-case letters, digits and `_`.
    public let description: String

    /// The code, and nothing else of the error.
    init(_ error: any Error) { description = (error as? any ReportableError)?.code ?? "unexpected_error" }

    /// Writes the code.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A policy, by the name that its file gives it (letters, digits and `-`, 64 at most) and the hash of that file.
public struct PolicyIdentity: Sendable, Hashable, Encodable {
    /// The name.
    public let name: String
    /// 64 hex digits.
    public let digest: String

    init(_ policy: KeyPolicy) {
        name = policy.name
        digest = policy.digest
    }
}
