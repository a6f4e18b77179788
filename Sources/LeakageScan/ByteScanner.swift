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
    /// One for each depth at which rows are long, where the processor can make surveys and nothing shorter is looked for than they are sure of.
    private let surveyors: [RowSurveyor]
    private let digitFilters: DigitFilters?

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
        surveyors =
            usesKernels && isSure && RowSurveyor.isAvailable
            ? [RowSurveyor(bytes: rowBytes), RowSurveyor(bytes: max(rowBytes, Self.joinedBytes))] : []
        digitFilters = matchers.digits
    }

    /// What is to be known of a row before it is looked through; nil where that is not known. It is good until the next one.
    ///
    /// - Parameter misalignment: how far the row's first byte is from a multiple of four.
    func survey(_ bytes: UnsafeRawBufferPointer, misalignment: Int) -> RowSurvey? {
        survey(bytes, depth: 0, misalignment: misalignment)
    }

    private func survey(_ bytes: UnsafeRawBufferPointer, depth: Int, misalignment: Int) -> RowSurvey? {
        guard depth < surveyors.count else { return nil }
        return surveyors[depth].survey(bytes, matchers.keys?.filter, misalignment: misalignment)
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
        guard path.depth < Self.maximumDepth, bytes.count >= minimumBytes,
            path.depth == 0 || survey != nil || Self.isTextual(bytes)
        else { return }
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
        func list(_ run: Range<Int>, _ numbers: (hex: Bool, decimal: Bool) = (true, true)) {
            guard TextRuns.mayBeList(UnsafeRawBufferPointer(rebasing: bytes[run]), minimumBytes) else { return }
            if numbers.hex {
                decode(.hex, bits: 4, run, in: bytes, path, toSource, report) { Symbols.hex($0, into: $1, limit: $2) }
            }
            if numbers.decimal {
                decode(.decimal, bits: 8, run, in: bytes, path, toSource, report) {
                    Symbols.decimal($0, into: $1, limit: $2)
                }
            }
        }
        let base64Minimum = (minimumBytes * 8 + 5) / 6
        let listMinimum = 2 * minimumBytes - 1
        if let survey {
            if let digitFilters {
                survey.forEachBase64Run(base32Minimum: base32Minimum, digitFilters) { run in
                    let end = TextRuns.endOfBase64(in: bytes, from: run.upperBound)
                    if end - run.lowerBound >= base64Minimum { base64(run.lowerBound..<end) }
                    return end
                }
                survey.forEachList(digitFilters) { list($0, $1) }
            } else {
                TextRuns.forEach(
                    in: bytes, of: CharacterClass.base64, minimum: base64Minimum, survey, STRONGROOM_MARK_BASE64,
                    group: 8, base64)
                TextRuns.forEach(
                    in: bytes, of: CharacterClass.list, minimum: listMinimum, survey, STRONGROOM_MARK_LIST, group: 16
                ) { list($0) }
            }
        } else {
            TextRuns.forEach(in: bytes, of: CharacterClass.base64, minimum: base64Minimum, base64)
            TextRuns.forEach(in: bytes, of: CharacterClass.list, minimum: listMinimum) { list($0) }
        }
        var (pairs, escapes, wide): ([Range<Int>], [Range<Int>], [Range<Int>]) = ([], [], [])
        TextRuns.forEachWithPairs(in: bytes, minimum: minimumBytes, survey) { pairs.append($0) }
        TextRuns.forEachWithEscapes(in: bytes, survey) { escapes.append($0) }
        TextRuns.forEachUTF16(in: bytes, minimum: minimumBytes, survey) { wide.append($0) }
        // JSON strings whose only escapes are `\"`, `\n` and the like.
        escapes += pairs.filter { TextRuns.contains(UInt8(ascii: "\\"), in: bytes, $0) }
        decode(.utf8, pairs, in: bytes, path, toSource, report) { Characters.utf8($0, into: $1, limit: $2) }
        decode(.escapes, escapes, in: bytes, path, toSource, report) { Characters.escapes($0, into: $1, limit: $2) }
        let mixed = escapes.filter {
            TextRuns.contains(UInt8(ascii: "\\"), in: bytes, $0) && TextRuns.contains(UInt8(ascii: "%"), in: bytes, $0)
        }
        for style in [Characters.EscapeStyle.backslash, .percent] {
            decode(.escapes, mixed, in: bytes, path, toSource, report) {
                Characters.escapes($0, into: $1, limit: $2, style)
            }
        }
        decode(.utf16, wide, in: bytes, path, toSource, report) { Characters.utf16($0, into: $1, limit: $2) }
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
                    let symbols = phase + range.lowerBound * 8 / bits..<phase + (range.upperBound * 8 + bits - 1) / bits
                    let place = Self.place(of: symbols, in: text, encoding, read)
                    return toSource(run.lowerBound + place.lowerBound..<run.lowerBound + place.upperBound)
                }, report)
        }
    }

    /// Where symbols stand in their text. It is read once more, up to where they begin and to where they end: what stands before the first
    /// is not part of it.
    private static func place(
        of symbols: Range<Int>, in text: UnsafeRawBufferPointer, _ encoding: Encoding, _ read: Reading
    ) -> Range<Int> {
        withSymbols(2 * text.count + 8) { scratch in
            let before = read(text, scratch, symbols.lowerBound).consumed
            let begun = read(text, scratch, symbols.lowerBound + 1).consumed
            let start = max(before, begun - encoding.symbolLength)
            return start..<max(start, read(text, scratch, symbols.upperBound).consumed)
        }
    }

    // MARK: Many texts as one row

    /// How long a row is that many texts are decoded to, in bytes.
    private static let joinedBytes = 1 << 17
    /// Stands between them: part of no text.
    private static let separator: UInt8 = 0xff

    /// One of many texts.
    private struct Part {
        let run: Range<Int>
        /// What it was decoded to, in the row.
        let decoded: Range<Int>
    }

    /// Decodes texts with a byte a symbol to one row, which can be surveyed where it is long enough.
    private func decode(
        _ encoding: Encoding, _ runs: [Range<Int>], in bytes: UnsafeRawBufferPointer, _ path: EncodingPath,
        _ toSource: (Range<Int>) -> Range<Int>, _ report: (Hit) -> Void, _ read: Reading
    ) {
        guard !runs.isEmpty else { return }
        let next = path.appending(encoding)
        var parts: [Part] = []
        var count = 0
        /// Where a range of the row stands in the text that it is of. A match may go on over what stands between two, by chance.
        func place(_ range: Range<Int>) -> Range<Int> {
            let middle = (range.lowerBound + range.upperBound) / 2
            var rest = parts[...]
            while rest.count > 1 {
                let half = rest.startIndex + rest.count / 2
                rest = parts[half].decoded.lowerBound <= middle ? rest[half...] : rest[..<half]
            }
            guard let part = rest.first else { return toSource(bytes.count..<bytes.count) }
            let symbols = range.clamped(to: part.decoded)
            let start = part.decoded.lowerBound
            let text = UnsafeRawBufferPointer(rebasing: bytes[part.run])
            let place = Self.place(
                of: symbols.lowerBound - start..<symbols.upperBound - start, in: text, encoding, read)
            return toSource(part.run.lowerBound + place.lowerBound..<part.run.lowerBound + place.upperBound)
        }
        func finish() {
            let row = UnsafeRawBufferPointer(start: scratch(path.depth, capacity: count).symbols, count: count)
            if let survey = survey(row, depth: path.depth + 1, misalignment: 0) {
                examine(row, survey, next, place, report)
            } else {
                for part in parts {
                    let start = part.decoded.lowerBound
                    examine(
                        UnsafeRawBufferPointer(rebasing: row[part.decoded]), nil, next,
                        { place(start + $0.lowerBound..<start + $0.upperBound) }, report)
                }
            }
            parts.removeAll(keepingCapacity: true)
            count = 0
        }
        for run in runs {
            let text = UnsafeRawBufferPointer(rebasing: bytes[run])
            if count > 0, count + text.count + 1 > Self.joinedBytes { finish() }
            let symbols = scratch(path.depth, capacity: max(Self.joinedBytes, text.count + 1)).symbols + count
            let decoded = read(text, symbols, .max).count
            guard decoded >= minimumBytes else { continue }
            parts.append(Part(run: run, decoded: count..<count + decoded))
            symbols[decoded] = Self.separator
            count += decoded + 1
        }
        if count > 0 { finish() }
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
