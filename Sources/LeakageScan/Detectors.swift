// Everything that looks at rows of bytes, made once for a scan and shared by its threads.

import CryptoPrimitives
import Secrets

/// Every matcher of a scan.
struct Matchers: Sendable {
    var keys: WindowMatcher?
    var texts: WindowMatcher?
    var kit: BlindMatcher?

    var isEmpty: Bool { keys == nil && texts == nil && kit == nil }

    /// What base64, base32 and hex text of everything that is looked for looks like; nil where that cannot be told.
    var digits: DigitFilters? { texts == nil && kit == nil ? keys?.digits : nil }

    /// - Parameter survey: of the row, with the windows of keys.
    @inline(__always) func scan(
        _ bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ found: (WindowMatch) -> Void
    ) {
        keys?.scan(bytes, survey, found)
        texts?.scan(bytes, nil, found)
        kit?.scan(bytes, found)
    }
}

/// What is looked for, ready to be used.
final class Detectors: Sendable {
    let matchers: Matchers
    /// The shortest run that any matcher reports.
    let minimumBytes: Int
    /// What needles are called, by number.
    let names: [String]
    private let kinds: [Needle.Kind]
    private let findingKeys: [SecretBox]

    /// How many needles there may be.
    static let maximumNeedles = 20_000

    /// - Parameters:
    ///   - needles: whose bytes are at hand.
    ///   - kit: for keys that are not.
    init(needles: [Needle], kit: BlindKit?) throws {
        guard needles.count <= Self.maximumNeedles else { throw ScanError(.tooManyNeedles(limit: Self.maximumNeedles)) }
        let numbered = needles.enumerated().map { (number: $0.offset, needle: $0.element) }
        let keys = numbered.filter { $0.needle.kind == .key }
        let texts = numbered.filter { $0.needle.kind == .text }
        matchers = Matchers(
            keys: keys.isEmpty ? nil : try WindowMatcher(keys, .keys),
            texts: texts.isEmpty ? nil : try WindowMatcher(texts, .texts),
            kit: try kit.map { try BlindMatcher($0, firstNumber: needles.count) })
        minimumBytes = texts.map { min(Needle.minimumKeyBytes, $0.needle.secret.count) }.min() ?? Needle.minimumKeyBytes
        names = needles.map(\.name) + (kit?.keys.map(\.name) ?? [])
        kinds = needles.map(\.kind) + (kit?.keys.map { _ in .key } ?? [])
        // Without the needle nobody can tell which finding a fingerprint is of.
        let kitKey = try kit.map { kit in
            SecretBox(try SecretBytes(count: kit.salt.count) { $0.copyBytes(from: kit.salt) })
        }
        findingKeys =
            try needles.map { SecretBox(try HKDF.derive(from: $0.secret, label: "strongroom/scan/finding/v1")) }
            + (kit?.keys.compactMap { _ in kitKey } ?? [])
    }

    func rule(of needle: Int) -> ScanRule { kinds[needle] == .key ? .keyMaterial : .passphrase }

    /// - Parameter needle: nil where the rule needs none; then the fingerprint is no secret.
    func fingerprint(_ rule: ScanRule, needle: Int?, _ file: String, _ entries: [String], _ offset: Int) throws
        -> String
    {
        let fields = ([rule.rawValue, needle.map { names[$0] } ?? "", file] + entries + [String(offset)])
        let message = fields.flatMap { field in
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: field.utf8.count).littleEndian) { Array($0) }
                + Array(field.utf8)
        }
        guard let needle else { return Hex.encode(try SHA256.hash(message).prefix(16)) }
        let tag = try findingKeys[needle].withSecret { try HMAC.tag(of: message, key: $0, algorithm: .sha256) }
        return Hex.encode((tag ?? []).prefix(16))
    }
}
