// Where encoded text may stand: runs of characters that are long enough to hold something. Most of any file is passed over in
// steps of the shortest run: its last character is looked at first, and one that does not belong rules all runs out that hold it.

import CByteKernels
import Glibc

enum TextRuns {
    /// Each longest run of bytes of a class, if it has at least so many.
    @inline(__always) static func forEach(
        in bytes: UnsafeRawBufferPointer, of characterClass: UInt8, minimum: Int, _ body: (Range<Int>) -> Void
    ) {
        CharacterClass.table.withUnsafeBufferPointer { table in
            guard let base = bytes.bindMemory(to: UInt8.self).baseAddress, let classes = table.baseAddress else {
                return
            }
            var start = 0
            while start &+ minimum <= bytes.count {
                var last = start &+ minimum &- 1
                while last >= start, classes[Int(base[last])] & characterClass != 0 { last = last &- 1 }
                if last >= start {
                    start = last &+ 1
                    continue
                }
                let end = end(ofRunIn: bytes, from: start + minimum, of: characterClass, classes)
                body(start..<end)
                start = end + 1
            }
        }
    }

    /// The same, where blocks are marked in which such a run may lie.
    @inline(__always) static func forEach(
        in bytes: UnsafeRawBufferPointer, of characterClass: UInt8, minimum: Int, _ survey: RowSurvey,
        _ mark: Int, group: Int, _ body: (Range<Int>) -> Void
    ) {
        CharacterClass.table.withUnsafeBufferPointer { table in
            guard let classes = table.baseAddress else { return }
            var covered = 0
            survey.forEachBlock(mark) { block in
                let blockEnd = min((block + 1) * RowSurvey.blockBytes, bytes.count)
                // A run that is long enough has a whole group in one of its blocks.
                var position = block * RowSurvey.blockBytes
                while position < blockEnd {
                    defer { position += group }
                    guard position >= covered, classes[Int(bytes[position])] & characterClass != 0 else { continue }
                    var start = position
                    while start > covered, classes[Int(bytes[start - 1])] & characterClass != 0 { start -= 1 }
                    let end = end(ofRunIn: bytes, from: position, of: characterClass, classes)
                    covered = end
                    if end - start >= minimum { body(start..<end) }
                }
            }
        }
    }

    /// Where a run of base64 text ends that goes as far as `position` at least.
    static func endOfBase64(in bytes: UnsafeRawBufferPointer, from position: Int) -> Int {
        CharacterClass.table.withUnsafeBufferPointer { table in
            guard let classes = table.baseAddress else { return position }
            return end(ofRunIn: bytes, from: position, of: CharacterClass.base64, classes)
        }
    }

    /// Where a run ends that goes as far as `position` at least.
    @inline(__always) private static func end(
        ofRunIn bytes: UnsafeRawBufferPointer, from position: Int, of characterClass: UInt8,
        _ classes: UnsafePointer<UInt8>
    ) -> Int {
        var end = position
        while end < bytes.count, classes[Int(bytes[end])] & characterClass != 0 { end += 1 }
        guard characterClass == CharacterClass.base64 else { return end }
        // Text that is wrapped and indented goes on behind the indentation.
        while end > 0, end < bytes.count, bytes[end - 1] == 0x0a, bytes[end] == 0x20 || bytes[end] == 0x09 {
            var next = end
            while next < bytes.count, bytes[next] == 0x20 || bytes[next] == 0x09 { next += 1 }
            guard next < bytes.count, classes[Int(bytes[next])] & characterClass != 0 else { break }
            end = next
            while end < bytes.count, classes[Int(bytes[end])] & characterClass != 0 { end += 1 }
        }
        return end
    }

    /// What a run of characters of base64 may be: base64 text of random bytes has letters in both cases (but for one of fifty thousand
    /// that are only 22 characters long), base32 text in one. Most long names in programs have neither.
    static func mayBe(
        _ run: UnsafeRawBufferPointer, base32Minimum: Int
    ) -> (base64: Bool, base32: Bool) {
        var (upper, lower) = (0, 0)
        var (hasUpper, hasLower, isBase32) = (false, false, false)
        for byte in run {
            switch byte {
            case 0x41...0x5a:
                upper += 1
                lower = 0
                hasUpper = true
            case 0x61...0x7a:
                lower += 1
                upper = 0
                hasLower = true
            case 0x32...0x37:
                upper += 1
                lower += 1
            case 0x0a, 0x0d, 0x2d: break
            default: (upper, lower) = (0, 0)
            }
            if upper >= base32Minimum || lower >= base32Minimum { isBase32 = true }
        }
        return (hasUpper && hasLower, isBase32)
    }

    /// Whether a run may be a list of so many numbers: it has as many digits, and three that are different, as eight different bytes have. Rules
    /// and white space have neither.
    static func mayBeList(_ run: UnsafeRawBufferPointer, _ minimum: Int) -> Bool {
        var count = 0
        var seen: UInt16 = 0
        for byte in run {
            guard let value = Symbols.hexValue(byte) else { continue }
            count += 1
            seen |= 1 << UInt16(value)
            if count >= minimum, seen.nonzeroBitCount >= 3 { return true }
        }
        return false
    }

    /// How far back from a character that shows an encoding the text before it is taken with it, and how far behind the last one, in bytes.
    private static let reach = 512

    /// Whether a byte stands in a part of a row.
    static func contains(_ byte: UInt8, in bytes: UnsafeRawBufferPointer, _ part: Range<Int>) -> Bool {
        bytes.baseAddress.flatMap { memchr($0 + part.lowerBound, CInt(byte), part.count) } != nil
    }

    /// Text with escapes that say numbers.
    static func forEachWithEscapes(
        in bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ body: (Range<Int>) -> Void
    ) {
        func visit(_ position: Int, _ covered: inout Int) {
            guard position >= covered, Characters.isNumericEscape(bytes, position) else { return }
            let start = startOfText(bytes, before: position, first: max(covered, position - reach))
            let end = endOfText(bytes, from: position)
            body(start..<end)
            covered = end
        }
        var covered = 0
        if let survey {
            return survey.forEachEscape { place in
                visit(place, &covered)
                return covered
            }
        }
        for mark in [UInt8(ascii: "\\"), UInt8(ascii: "%")] {
            covered = 0
            forEachByte(mark, in: bytes) { visit($0, &covered) }
        }
    }

    /// Text with characters from U+0080 to U+00FF in UTF-8.
    static func forEachWithPairs(
        in bytes: UnsafeRawBufferPointer, minimum: Int, _ survey: RowSurvey?, _ body: (Range<Int>) -> Void
    ) {
        var covered = 0
        /// The text around a character.
        func visit(_ position: Int) {
            guard position >= covered, Characters.isPair(bytes, position) else { return }
            var start = position
            let first = max(covered, position - reach)
            while start > first {
                if start - 8 >= first, let eight = EightBytes(bytes, at: start - 8), eight.areASCII {
                    start -= 8
                } else if bytes[start - 1] < 0x80 {
                    start -= 1
                } else if start - 2 >= covered, Characters.isPair(bytes, start - 2) {
                    start -= 2
                } else {
                    break
                }
            }
            var end = position
            var last = position
            while end < bytes.count, end - last < reach {
                if let eight = EightBytes(bytes, at: end), eight.areASCII, end + 8 - last <= reach {
                    end += 8
                } else if bytes[end] < 0x80 {
                    end += 1
                } else if Characters.isPair(bytes, end) {
                    last = end
                    end += 2
                } else {
                    break
                }
            }
            if end - start > minimum { body(start..<end) }
            covered = end
        }
        if let survey {
            return survey.forEachPair { place in
                visit(place)
                return covered
            }
        }
        guard let base = bytes.baseAddress else { return }
        // Where each of the two first bytes of a pair comes next.
        var next = (-1, -1)
        func following(_ byte: Int32, _ known: Int) -> Int {
            if known >= covered { return known }
            guard covered < bytes.count, let hit = memchr(base + covered, byte, bytes.count - covered) else {
                return .max
            }
            return UnsafeRawPointer(hit) - base
        }
        while true {
            next = (following(0xc2, next.0), following(0xc3, next.1))
            let position = min(next.0, next.1)
            guard position < bytes.count else { return }
            visit(position)
            covered = max(covered, position + 1)
        }
    }

    /// Text in UTF-16 with characters below U+0100, from the byte that is not zero on.
    static func forEachUTF16(
        in bytes: UnsafeRawBufferPointer, minimum: Int, _ survey: RowSurvey?, _ body: (Range<Int>) -> Void
    ) {
        if let survey { return survey.forEachUTF16(minimum: 2 * minimum, body) }
        guard let base = bytes.baseAddress else { return }
        let odd: UInt64 = 0xff00_ff00_ff00_ff00
        /// Four characters whose other halves are zero, and of which at most one is zero: what is in a table of numbers of 32 bits is none.
        @inline(__always) func isText(_ position: Int) -> (isOne: Bool, hasOddZeros: Bool) {
            let word = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let hasOddZeros = word & odd == 0
            guard word != 0, hasOddZeros || word & ~odd == 0 else { return (false, hasOddZeros) }
            let characters = hasOddZeros ? word : word >> 8
            // Each character that is not zero, by the uppermost bit of its 16.
            let present = (characters &+ 0x7fff_7fff_7fff_7fff) & 0x8000_8000_8000_8000
            return (present.nonzeroBitCount >= 3, hasOddZeros)
        }
        var covered = 0
        func visit(_ position: Int, _ hasOddZeros: Bool) {
            let (start, end) = extent(of: hasOddZeros ? position : position + 1, in: bytes)
            if end - start >= 2 * minimum { body(start..<end) }
            covered = max(end, position)
        }
        // A run of sixteen characters has three times eight bytes that begin at a multiple of eight.
        var position = 0
        while position &+ 8 <= bytes.count {
            if case (true, let hasOddZeros) = isText(position) {
                visit(position, hasOddZeros)
                position = max(position + 8, covered & ~7)
            } else {
                position = position &+ 8
            }
        }
    }

    /// How far characters with a zero half reach, to both sides. Four zero characters in a row end them.
    private static func extent(of first: Int, in bytes: UnsafeRawBufferPointer) -> (Int, Int) {
        // Whether the zero half is the byte behind (little-endian) or the one before cannot be told from the middle of a text, and
        // makes no difference to what the characters are.
        let isBehind = first + 1 < bytes.count && bytes[first + 1] == 0
        let zero = isBehind ? 1 : -1
        var start = first
        var zeros = 0
        while start - 2 >= 0, start - 2 + zero >= 0, bytes[start - 2 + zero] == 0, zeros < 4 {
            zeros = bytes[start - 2] == 0 ? zeros + 1 : 0
            start -= 2
        }
        var end = first
        zeros = 0
        while end + max(0, zero) < bytes.count, end + zero >= 0, bytes[end + zero] == 0, zeros < 4 {
            zeros = bytes[end] == 0 ? zeros + 1 : 0
            end += 2
        }
        // Zeros around a text are none of it.
        while start < end, bytes[start] == 0 { start += 2 }
        while end - 2 > start, bytes[end - 2] == 0 { end -= 2 }
        // The last character of big-endian text has its zero before it.
        return (start, min(end + 2, bytes.count))
    }

    /// How far back text goes, and no further than `first`.
    private static func startOfText(_ bytes: UnsafeRawBufferPointer, before position: Int, first: Int) -> Int {
        var start = position
        while start > first {
            if start - 8 >= first, let eight = EightBytes(bytes, at: start - 8), eight.havePrintableValues {
                start -= 8
            } else if isText(bytes, start - 1) {
                start -= 1
            } else {
                break
            }
        }
        return start
    }

    /// How far text goes on.
    private static func endOfText(_ bytes: UnsafeRawBufferPointer, from position: Int) -> Int {
        var end = position
        while end < bytes.count {
            if let eight = EightBytes(bytes, at: end), eight.havePrintableValues {
                end += 8
            } else if isText(bytes, end) {
                end += 1
            } else {
                break
            }
        }
        return end
    }

    private static func isText(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> Bool {
        bytes[position] >= 0x20 || bytes[position] == 0x0a || bytes[position] == 0x0d || bytes[position] == 0x09
    }

    /// Every place where a byte stands.
    @inline(__always) private static func forEachByte(
        _ byte: UInt8, in bytes: UnsafeRawBufferPointer, _ body: (Int) -> Void
    ) {
        guard let base = bytes.baseAddress else { return }
        var position = 0
        while position < bytes.count, let hit = memchr(base + position, Int32(byte), bytes.count - position) {
            position = UnsafeRawPointer(hit) - base
            body(position)
            position += 1
        }
    }
}
