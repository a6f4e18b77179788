// docs/formats/blind-kit.md: what an auditor searches with who must not hold a key.

import CryptoPrimitives
import DurableFiles
public import Foundation
import Secrets
public import SystemPackage

/// Fingerprints of keys, of which no key can be found again.
public struct BlindKit: Sendable {
    /// What a kit may tell of one key, in bits, besides what a hash of 160 bits of it confirms.
    public static let maximumDisclosedBits = 96
    static let maximumFileBytes = 16 << 20
    static let maximumKeys = 10_000
    private static let format = "strongroom/blind-kit"

    /// A key that is looked for.
    public struct Key: Sendable, Codable, Hashable {
        /// What it is called.
        public let name: String
        /// What its entries tell of it, in bits.
        public let disclosedBits: Int
    }

    /// A secret of which a kit has no fingerprint.
    public struct LeftOut: Sendable, Codable, Hashable {
        /// Why.
        public enum Reason: String, Sendable, Codable {
            /// It is not one that Strongroom made at random. What can be guessed could be confirmed with a fingerprint.
            case notGenerated = "not_generated"
            /// It has fewer than 32 bytes.
            case short
            /// Its bytes differ too little.
            case simple
        }

        /// What it is called.
        public let name: String
        /// Why.
        public let reason: Reason
    }

    struct Entry: Sendable, Codable, Hashable {
        let key: Int
        let form: ByteForm
        let filter: String
        let tag: String
    }

    private struct Document: Codable {
        let format: String
        let version: Int
        let created: Date
        let salt: String
        let keys: [Key]
        let entries: [Entry]
        let checksum: String
    }

    /// When it was made.
    public let created: Date
    /// What is looked for.
    public let keys: [Key]
    let salt: [UInt8]
    let entries: [Entry]

    // MARK: Making

    /// Makes a kit with a salt of its own.
    ///
    /// It takes only what Strongroom made at random, whatever else is given: one hash tells whether a guess at anything else is
    /// right (docs/security/custody.md, rule 9).
    ///
    /// - Returns: the kit, and the needles of which no fingerprint is made, each with the reason.
    /// - Throws: `ScanError.kitWouldBeEmpty` where that is all of them.
    public static func make(
        of needles: [Needle], at date: Date = Date()
    ) throws -> (kit: BlindKit, leftOut: [LeftOut]) {
        guard needles.count <= maximumKeys else { throw ScanError(.tooManyNeedles(limit: maximumKeys)) }
        let salt = try Random.bytes(count: 32)
        let window = try BlindWindow(salt: salt)
        var keys: [Key] = []
        var entries: [Entry] = []
        var leftOut: [LeftOut] = []
        for needle in needles {
            guard needle.kind == .key, needle.origin == .generated else {
                leftOut.append(LeftOut(name: needle.name, reason: .notGenerated))
                continue
            }
            guard needle.secret.count >= 32 else {
                leftOut.append(LeftOut(name: needle.name, reason: .short))
                continue
            }
            let made = try window.entries(of: KeyForms(needle, schedules: false), key: keys.count)
            guard !made.isEmpty else {
                leftOut.append(LeftOut(name: needle.name, reason: .simple))
                continue
            }
            keys.append(Key(name: needle.name, disclosedBits: made.count * BlindWindow.filterBits))
            entries += made
        }
        guard !keys.isEmpty else { throw ScanError(.kitWouldBeEmpty) }
        let seconds = Date(timeIntervalSince1970: date.timeIntervalSince1970.rounded(.down))
        return (
            BlindKit(created: seconds, keys: keys, salt: salt, entries: entries.sorted { $0.tag < $1.tag }), leftOut
        )
    }

    private init(created: Date, keys: [Key], salt: [UInt8], entries: [Entry]) {
        self.created = created
        self.keys = keys
        self.salt = salt
        self.entries = entries
    }

    // MARK: The file

    /// Writes it to a new file (0600).
    ///
    /// - Throws: `DurableFilesError` where something is there already, or it cannot be written.
    public func write(to path: FilePath) throws {
        guard try !StrictFiles.exists(path) else { throw DurableFilesError(.alreadyExists, path) }
        try DurableFiles.replace(path, with: bytes())
    }

    func bytes() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return Array(
            try encoder.encode(
                Document(
                    format: Self.format, version: 1, created: created, salt: Hex.encode(salt), keys: keys,
                    entries: entries, checksum: Self.checksum(salt, entries))))
    }

    /// Reads a kit.
    ///
    /// - Throws: `ScanError.kitMalformed`, `.kitVersionUnsupported`; `DurableFilesError` where there is no such file.
    public init(_ path: FilePath) throws {
        let bytes = try DataFile(path).bytes(at: 0, count: Self.maximumFileBytes + 1)
        self = try ScanError.at(path) { try Self(bytes: bytes) }
    }

    /// Reads the bytes of a kit.
    package init(bytes: [UInt8]) throws {
        struct Header: Decodable {
            let format: String
            let version: Int
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        let malformed = ScanError(.kitMalformed)
        guard bytes.count <= Self.maximumFileBytes, let header = try? decoder.decode(Header.self, from: Data(bytes)),
            header.format == Self.format
        else { throw malformed }
        guard header.version == 1 else { throw ScanError(.kitVersionUnsupported) }
        guard let document = try? decoder.decode(Document.self, from: Data(bytes)),
            let salt = Hex.decode(document.salt), salt.count == 32,
            (1...Self.maximumKeys).contains(document.keys.count), document.keys.allSatisfy({ Needle.isName($0.name) }),
            document.entries.allSatisfy({ entry in
                document.keys.indices.contains(entry.key) && [.raw, .wordsReversed].contains(entry.form)
                    && Hex.decode(entry.filter)?.count == 2 && Hex.decode(entry.tag)?.count == BlindWindow.tagBytes
            }),
            zip(document.entries, document.entries.dropFirst()).allSatisfy({ $0.tag <= $1.tag }),
            document.checksum == (try? Self.checksum(salt, document.entries))
        else { throw malformed }
        var bits = [Int](repeating: 0, count: document.keys.count)
        for entry in document.entries { bits[entry.key] += BlindWindow.filterBits }
        guard
            zip(bits, document.keys).allSatisfy({
                $0 == $1.disclosedBits && (1...Self.maximumDisclosedBits).contains($0)
            })
        else { throw malformed }
        self.init(created: document.created, keys: document.keys, salt: salt, entries: document.entries)
    }

    private static func checksum(_ salt: [UInt8], _ entries: [Entry]) throws -> String {
        Hex.encode(
            try SHA256.hash(salt + entries.flatMap { (Hex.decode($0.filter) ?? []) + (Hex.decode($0.tag) ?? []) }))
    }
}

/// How windows become fingerprints, under one salt.
struct BlindWindow: Sendable {
    static let differences = 20
    static let filterBits = 16
    static let tagBytes = 16
    /// Where windows of a key of 32 bytes begin.
    static let offsets = [0, 5, 11]
    /// The first of the eight differences that the filter looks at.
    static let middle = 6

    private let a: UInt64
    private let b: UInt64
    private let c: UInt64
    /// What is hashed before each window.
    private let prefix: [UInt8]

    init(salt: [UInt8]) throws {
        let seed = try SHA256.hash(Array("strongroom/blind-kit/filter/v1".utf8) + salt)
        let words = seed.withUnsafeBytes { seed in
            (0..<3).map { UInt64(littleEndian: seed.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
        }
        (a, b, c) = (words[0] | 1, words[1] | 1, words[2])
        prefix = Array("strongroom/blind-kit/window/v1".utf8) + salt
    }

    /// The canonical middle: the smaller of the two directions.
    @inline(__always) static func canonical(_ middle: UInt64) -> UInt64 { min(middle, middle.byteSwapped) }

    @inline(__always) func filter(_ middle: UInt64) -> UInt16 {
        var x = middle ^ c
        x = x &* a
        x ^= x >> 29
        x = x &* (x | 1)
        x = x &* b
        return UInt16(truncatingIfNeeded: x >> 48)
    }

    /// Writes the differences of the window that begins at a byte, in their canonical direction.
    private static func write(
        _ bytes: UnsafeRawBufferPointer, at position: Int, into window: UnsafeMutableRawBufferPointer
    ) {
        for index in 0..<differences { window[index] = bytes[position + index] ^ bytes[position + index + 1] }
        let middle = UInt64(littleEndian: window.loadUnaligned(fromByteOffset: Self.middle, as: UInt64.self))
        guard middle > middle.byteSwapped else { return }
        for index in 0..<differences / 2 { window.swapAt(index, differences - 1 - index) }
    }

    /// The fingerprint of a canonical window.
    private func tag(of window: UnsafeRawBufferPointer) throws -> [UInt8] {
        let digest = try SHA256()
        try prefix.withUnsafeBytes { try digest.update($0) }
        try digest.update(window)
        return Array(try digest.finish().prefix(Self.tagBytes))
    }

    /// The fingerprint of the window that begins at a byte of a key: its differences are as good as the key.
    private func tag(ofKey bytes: UnsafeRawBufferPointer, at position: Int) throws -> [UInt8] {
        let window = try SecretBytes(count: Self.differences) { Self.write(bytes, at: position, into: $0) }
        return try window.withUnsafeBytes { try tag(of: $0) }
    }

    /// The fingerprint of the window that begins at a byte of a file.
    func tag(ofFile bytes: UnsafeRawBufferPointer, at position: Int) throws -> [UInt8] {
        try withUnsafeTemporaryAllocation(byteCount: Self.differences, alignment: 8) { window in
            defer { window.initializeMemory(as: UInt8.self, repeating: 0) }
            Self.write(bytes, at: position, into: window)
            return try tag(of: UnsafeRawBufferPointer(window))
        }
    }

    /// The entries of a key.
    func entries(of forms: KeyForms, key: Int) throws -> [BlindKit.Entry] {
        var entries: [BlindKit.Entry] = []
        for form in forms.forms where form.form == .raw || form.form == .wordsReversed {
            try forms.bytes.withUnsafeBytes { all in
                let row = UnsafeRawBufferPointer(rebasing: all[form.range])
                for offset in Self.offsets where offset + Self.differences < row.count {
                    let differences = Set((offset..<offset + Self.differences).map { row[$0] ^ row[$0 + 1] })
                    guard differences.count >= 8 else { continue }
                    let middle = (0..<8).reduce(UInt64(0)) { middle, index in
                        let place = offset + Self.middle + index
                        return middle | UInt64(row[place] ^ row[place + 1]) << UInt64(8 * index)
                    }
                    let filter = filter(Self.canonical(middle))
                    entries.append(
                        BlindKit.Entry(
                            key: key, form: form.form, filter: Hex.encode([UInt8(filter >> 8), UInt8(filter & 0xff)]),
                            tag: Hex.encode(try tag(ofKey: row, at: offset))))
                }
            }
        }
        return entries
    }
}

/// Finds the keys of a kit.
final class BlindMatcher: Sendable {
    private let window: BlindWindow
    /// One bit a value of the filter.
    private let filters: [UInt64]
    private let entries: [[UInt8]: BlindKit.Entry]

    private let firstNumber: Int

    /// - Parameter firstNumber: what the kit's first key is numbered.
    init(_ kit: BlindKit, firstNumber: Int = 0) throws {
        self.firstNumber = firstNumber
        window = try BlindWindow(salt: kit.salt)
        var filters = [UInt64](repeating: 0, count: 1 << (BlindWindow.filterBits - 6))
        var entries: [[UInt8]: BlindKit.Entry] = [:]
        for entry in kit.entries {
            guard let filter = Hex.decode(entry.filter), let tag = Hex.decode(entry.tag) else { continue }
            let value = Int(filter[0]) << 8 | Int(filter[1])
            filters[value >> 6] |= 1 << UInt64(value & 63)
            entries[tag] = entry
        }
        self.filters = filters
        self.entries = entries
    }

    func scan(_ bytes: UnsafeRawBufferPointer, _ found: (WindowMatch) -> Void) {
        guard let base = bytes.baseAddress, bytes.count > BlindWindow.differences else { return }
        // The windows of one key that overlap are one find.
        var last: (key: Int, end: Int)?
        filters.withUnsafeBufferPointer { filters in
            for position in 0..<(bytes.count - BlindWindow.differences) {
                let at = position + BlindWindow.middle
                let here = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                let next = base.loadUnaligned(fromByteOffset: at + 1, as: UInt64.self)
                let filter = window.filter(BlindWindow.canonical(UInt64(littleEndian: here ^ next)))
                guard filters[Int(filter >> 6)] >> UInt64(filter & 63) & 1 == 1,
                    let tag = try? window.tag(ofFile: bytes, at: position), let entry = entries[tag]
                else { continue }
                let end = position + BlindWindow.differences + 1
                if let last, last.key == entry.key, position < last.end + 8 { continue }
                last = (entry.key, end)
                found(
                    WindowMatch(
                        needle: firstNumber + entry.key, form: entry.form, range: position..<end, isWhole: false,
                        mask: nil))
            }
        }
    }
}
