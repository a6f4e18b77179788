// Findings that somebody has looked at and accepts, for a while and with a reason.

import DurableFiles
public import Foundation
public import SystemPackage

/// Accepted findings, by their fingerprints. A finding that is accepted is still shown; it does not count.
public struct Baseline: Sendable {
    /// The longest file that is read, in bytes.
    static let maximumFileBytes = 4 << 20
    private static let format = "strongroom/scan-baseline"

    /// One accepted finding.
    public struct Entry: Sendable, Codable, Hashable {
        /// 32 hex digits, as a report has them.
        public let fingerprint: String
        /// Why it is accepted: 1 to 500 characters.
        public let reason: String
        /// The last day on which it is, such as `2026-12-31`.
        public let expires: String
    }

    private struct Document: Codable {
        let format: String
        let version: Int
        let accepted: [Entry]
    }

    /// What is accepted.
    public let entries: [Entry]

    /// Reads a baseline.
    ///
    /// - Throws: `ScanError.baselineMalformed`; `DurableFilesError` where there is no such file.
    public init(_ path: FilePath) throws {
        let bytes = try DataFile(path).bytes(at: 0, count: Self.maximumFileBytes + 1)
        self = try ScanError.at(path) { try Self(bytes: bytes) }
    }

    package init(bytes: [UInt8]) throws {
        guard bytes.count <= Self.maximumFileBytes,
            let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)),
            document.format == Self.format, document.version == 1,
            document.accepted.allSatisfy({ entry in
                entry.fingerprint.utf8.count == 32 && entry.fingerprint.allSatisfy { $0.isHexDigit && !$0.isUppercase }
                    && (1...500).contains(entry.reason.count) && Self.day(entry.expires) != nil
            })
        else { throw ScanError(.baselineMalformed) }
        entries = document.accepted
    }

    /// The end of a day, UTC.
    private static func day(_ text: String) -> Date? {
        guard text.utf8.count == 10 else { return nil }
        return (try? Date(text, strategy: .iso8601.year().month().day()))?.addingTimeInterval(86_400)
    }

    /// Moves what is accepted on this day out of the way.
    ///
    /// - Returns: the entries that accept nothing: expired, or of something that is not there any more.
    public func apply(to result: inout ScanResult, at date: Date = Date()) -> [Entry] {
        let valid = Set(entries.filter { (Self.day($0.expires) ?? .distantPast) > date }.map(\.fingerprint))
        result.accepted = result.findings.filter { valid.contains($0.fingerprint) }
        result.findings.removeAll { valid.contains($0.fingerprint) }
        let used = Set(result.accepted.map(\.fingerprint))
        return entries.filter { !used.contains($0.fingerprint) }
    }
}
