// One row of bytes, looked at in every way: as it is, and with every text in it decoded at every phase, twice over.

import CByteKernels

/// A needle that was found in a row of bytes, with the way in which it was written there.
struct Hit {
    let match: WindowMatch
    let encodings: EncodingPath
    /// Where it stands in the row that was given.
    let source: Range<Int>
}

/// Looks through rows of bytes, one at a time. It has memory of its own for what it decodes, which is wiped when it ends.
final class ByteScanner {
    /// How many encodings within each other are undone.
    static let maximumDepth = 2
    /// How far something that is to be found may reach in its longest encoding, in bytes: 16 bytes of a schedule as UTF-16 of
    /// `\u{00XX}` with room to spare.
    static let maximumReach = 8_192

    private let matchers: Matchers
    /// The shortest row of decoded bytes that can hold something.
    private let minimumBytes: Int
    private var scratch: [Scratch] = []
    /// Where the processor can make surveys, and nothing shorter is looked for than they are sure of.
    private let surveyor: RowSurveyor?
    private let base64Filter: Base64Filter?

    /// Memory for what is decoded at one depth.
    private final class Scratch {
        let symbols: UnsafeMutablePointer<UInt8>
        let bytes: UnsafeMutablePointer<UInt8>
        let capacity: Int

        init(capacity: Int) {
            symbols = .allocate(capacity: capacity)
            bytes = .allocate(capacity: capacity)
            self.capacity = capacity
        }

        deinit {
            for memory in [symbols, bytes] {
                memory.update(repeating: 0, count: capacity)
                memory.deallocate()
            }
        }
    }

    /// - Parameters:
    ///   - minimumBytes: the shortest run that any of the matchers reports.
    ///   - rowBytes: the longest row that will be looked at.
    ///   - usesKernels: whether to look at 64 bytes at a time where the processor can.
    init(_ matchers: Matchers, minimumBytes: Int, rowBytes: Int = 1 << 16, usesKernels: Bool = true) {
        self.matchers = matchers
        self.minimumBytes = minimumBytes
        let isSure = minimumBytes >= RowSurveyor.minimumBytes
        surveyor = usesKernels && isSure && RowSurveyor.isAvailable ? RowSurveyor(bytes: rowBytes) : nil
        base64Filter = matchers.base64
    }

    /// What is to be known of a row before it is looked through; nil where that is not known. It is good until the next one.
    ///
    /// - Parameter misalignment: how far the row's first byte is from a multiple of four.
    func survey(_ bytes: UnsafeRawBufferPointer, misalignment: Int) -> RowSurvey? {
        surveyor.flatMap { $0.survey(bytes, matchers.keys?.filter, misalignment: misalignment) }
    }

    func scan(_ bytes: UnsafeRawBufferPointer, _ report: (Hit) -> Void) {
        scan(bytes, survey(bytes, misalignment: 0), report)
    }

    /// - Parameter survey: of this row.
    func scan(_ bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ report: (Hit) -> Void) {
        guard !matchers.isEmpty else { return }
        examine(bytes, survey, EncodingPath(), { $0 }, report)
    }

    private func examine(
        _ bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ path: EncodingPath,
        _ toSource: (Range<Int>) -> Range<Int>, _ report: (Hit) -> Void
    ) {
        matchers.scan(bytes, survey) { match in
            report(Hit(match: match, encodings: path, source: toSource(match.range)))
        }
        guard path.depth < Self.maximumDepth, bytes.count >= minimumBytes, path.depth == 0 || Self.isTextual(bytes)
        else {
            return
        }
        decode(bytes, survey, path, toSource, report)
    }

    /// Every text in a row.
    private func decode(
        _ bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ path: EncodingPath,
        _ toSource: (Range<Int>) -> Range<Int>, _ report: (Hit) -> Void
    ) {
        let base32Minimum = (minimumBytes * 8 + 4) / 5
        func base64(_ run: Range<Int>) {
            let kinds = TextRuns.mayBe(
                UnsafeRawBufferPointer(rebasing: bytes[run]), base32Minimum: base32Minimum)
            if kinds.base64 {
                decode(.base64, bits: 6, run, in: bytes, path, toSource, report) {
                    Symbols.base64($0, into: $1, limit: $2)
                }
            }
            if kinds.base32 {
                decode(.base32, bits: 5, run, in: bytes, path, toSource, report) {
                    Symbols.base32($0, into: $1, limit: $2)
                }
            }
        }
        func list(_ run: Range<Int>) {
            decode(.hex, bits: 4, run, in: bytes, path, toSource, report) { Symbols.hex($0, into: $1, limit: $2) }
            decode(.decimal, bits: 8, run, in: bytes, path, toSource, report) {
                Symbols.decimal($0, into: $1, limit: $2)
            }
        }
        let base64Minimum = (minimumBytes * 8 + 5) / 6
        let listMinimum = 2 * minimumBytes - 1
        if let survey {
            if let base64Filter {
                survey.forEachBase64Run(base32Minimum: base32Minimum, base64Filter) { run in
                    let end = TextRuns.endOfBase64(in: bytes, from: run.upperBound)
                    if end - run.lowerBound >= base64Minimum { base64(run.lowerBound..<end) }
                    return end
                }
            } else {
                TextRuns.forEach(
                    in: bytes, of: CharacterClass.base64, minimum: base64Minimum, survey, STRONGROOM_MARK_BASE64,
                    group: 8, base64)
            }
            TextRuns.forEach(
                in: bytes, of: CharacterClass.list, minimum: listMinimum, survey, STRONGROOM_MARK_LIST, group: 16, list)
        } else {
            TextRuns.forEach(in: bytes, of: CharacterClass.base64, minimum: base64Minimum, base64)
            TextRuns.forEach(in: bytes, of: CharacterClass.list, minimum: listMinimum, list)
        }
        TextRuns.forEachWithEscapes(in: bytes, survey) { run in
            decode(.escapes, bits: 8, run, in: bytes, path, toSource, report) {
                Characters.escapes($0, into: $1, limit: $2)
            }
        }
        TextRuns.forEachWithPairs(in: bytes, minimum: minimumBytes, survey) { run in
            decode(.utf8, bits: 8, run, in: bytes, path, toSource, report) {
                Characters.utf8($0, into: $1, limit: $2)
            }
            // A JSON string whose only escapes are `\"`, `\n` and the like.
            if bytes[run].contains(UInt8(ascii: "\\")) {
                decode(.escapes, bits: 8, run, in: bytes, path, toSource, report) {
                    Characters.escapes($0, into: $1, limit: $2)
                }
            }
        }
        TextRuns.forEachUTF16(in: bytes, minimum: minimumBytes, survey) { run in
            decode(.utf16, bits: 8, run, in: bytes, path, toSource, report) {
                Characters.utf16($0, into: $1, limit: $2)
            }
        }
    }

    /// Whether a row that was decoded looks like text, so that it is worth looking for text in it. A stray byte at its beginning
    /// may be what stood before the text.
    private static func isTextual(_ bytes: UnsafeRawBufferPointer) -> Bool {
        CharacterClass.table.withUnsafeBufferPointer { table in
            let count = min(64, bytes.count)
            var others = 0
            for index in 0..<count where table[Int(bytes[index])] & CharacterClass.text == 0 {
                others += 1
                if others * 8 > count { return false }
            }
            return true
        }
    }

    private typealias Reading = (UnsafeRawBufferPointer, UnsafeMutablePointer<UInt8>, Int) -> Symbols.Progress

    private func decode(
        _ encoding: Encoding, bits: Int, _ run: Range<Int>, in bytes: UnsafeRawBufferPointer, _ path: EncodingPath,
        _ toSource: (Range<Int>) -> Range<Int>, _ report: (Hit) -> Void, _ read: Reading
    ) {
        let text = UnsafeRawBufferPointer(rebasing: bytes[run])
        // A digit that stands alone becomes two symbols.
        let scratch = scratch(path.depth, capacity: 2 * text.count + 8)
        let count = read(text, scratch.symbols, .max).count
        guard count * bits >= minimumBytes * 8 else { return }
        let next = path.appending(encoding)
        for phase in 0..<Symbols.phases(bits) where count > phase {
            let decoded: UnsafeRawBufferPointer
            if bits == 8 {
                decoded = UnsafeRawBufferPointer(start: scratch.symbols, count: count)
            } else {
                let length = Symbols.combine(
                    scratch.symbols + phase, count: count - phase, bits: bits, into: scratch.bytes)
                decoded = UnsafeRawBufferPointer(start: scratch.bytes, count: length)
            }
            examine(
                decoded, nil, next,
                { range in
                    // Read once more, up to where it begins and to where it ends: what stands before its first symbol is not part of it.
                    let first = phase + range.lowerBound * 8 / bits
                    let last = phase + (range.upperBound * 8 + bits - 1) / bits
                    let (before, begun, end) = Self.withSymbols(count + 8) { symbols in
                        (
                            read(text, symbols, first).consumed, read(text, symbols, first + 1).consumed,
                            read(text, symbols, last).consumed
                        )
                    }
                    let start = max(before, begun - encoding.symbolLength)
                    return toSource(run.lowerBound + start..<run.lowerBound + max(start, end))
                }, report)
        }
    }

    private static func withSymbols<Result>(_ count: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Result) -> Result {
        let symbols = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        defer {
            symbols.update(repeating: 0, count: count)
            symbols.deallocate()
        }
        return body(symbols)
    }

    private func scratch(_ depth: Int, capacity: Int) -> Scratch {
        if depth >= scratch.count { scratch.append(Scratch(capacity: max(capacity, 1 << 16))) }
        if scratch[depth].capacity < capacity {
            scratch[depth] = Scratch(capacity: max(capacity, 2 * scratch[depth].capacity))
        }
        return scratch[depth]
    }
}
