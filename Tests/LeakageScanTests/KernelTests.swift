import CByteKernels
import CryptoPrimitives
import Foundation
import Secrets
import Testing

@testable import LeakageScan

/// What is looked at many bytes at a time. Where the processor has no kernels, most of these look at the same twice.
@Suite struct KernelTests {
    /// With kernels everything is found that is found without, in the same places. Some of it is read in more ways, and found in part once more; nothing is
    /// found elsewhere. Where the processor has no kernels both sides are the same.
    @Test(arguments: LeakForm.allCases) func kernelsLoseNothing(form: LeakForm) throws {
        let key = try Throwaway()
        let matcher = Matchers(keys: try WindowMatcher([(0, key.needle)], .keys))
        let planted = try form.write(key.bytes)
        let filling: [[UInt8]] = try [
            Random.bytes(count: 9_000), [UInt8](repeating: 0, count: 9_000),
            (0..<9_000).map { UInt8($0 % 97 == 0 ? 10 : 32) },
            (0..<9_000).map { UInt8(truncatingIfNeeded: 97 + $0 % 26) },
        ]
        for bytes in filling {
            for place in [0, 1, 63, 64, 65, 4_000, 4_033, 5_000 + Int(planted[0]) % 64, 9_000 - planted.count] {
                var row = bytes
                row.replaceSubrange(place..<place + planted.count, with: planted)
                func found(_ usesKernels: Bool) -> [String: Range<Int>] {
                    let scanner = ByteScanner(matcher, minimumBytes: 16, usesKernels: usesKernels)
                    var found: [String: Range<Int>] = [:]
                    row.withUnsafeBytes {
                        scanner.scan($0) {
                            found["\($0.source) \($0.match.form) \($0.match.range.count)"] = $0.source
                        }
                    }
                    return found
                }
                let (with, without) = (found(true), found(false))
                #expect(Set(without.keys).isSubset(of: with.keys), "\(form) at \(place)")
                for (find, source) in with {
                    let isKnown = without.values.contains {
                        $0.lowerBound <= source.lowerBound && source.upperBound <= $0.upperBound
                    }
                    #expect(isKnown, "\(find): \(form) at \(place)")
                }
            }
        }
    }

    /// Sixteen bytes as text, at each place of a block and across its borders.
    @Test func theShortestTextIsFoundWhereverItStands() throws {
        var key = try Throwaway()
        func base64() -> String { String(Data(key.bytes[9..<25]).base64EncodedString().prefix(22)) }
        // Of fifty thousand, one has letters of one case, and is no base64 to the scanner.
        while base64().lowercased() == base64() || base64().uppercased() == base64() { key = try Throwaway() }
        let scanner = ByteScanner(Matchers(keys: try WindowMatcher([(0, key.needle)], .keys)), minimumBytes: 16)
        let hex = key.bytes[9..<25].map { String(format: "%02x", $0) }.joined()
        for text in [Array(base64().utf8), Array(hex.utf8), Array(hex.utf8.map { [$0, 0] }.joined())] {
            for place in 4_000..<4_130 {
                // Nothing on either side that would be part of the text.
                var row = try Random.bytes(count: 9_000).map { $0 | 0x80 }
                row.replaceSubrange(place..<place + text.count, with: text)
                var found = 0
                row.withUnsafeBytes { scanner.scan($0) { _ in found += 1 } }
                #expect(found > 0, "\(text.count) bytes at \(place)")
            }
        }
    }

    /// Each mark of each block is exactly what it is said to be, in rows that are made of what marks are about.
    @Test(.enabled(if: RowSurveyor.isAvailable, "this processor has no kernels, and nothing is marked"))
    func marksAreWhatTheySay() throws {
        let alphabets: [[UInt8]] = [
            Array(0...255), [0, 0, 0, 65, 0xc2, 0x80], Array("\\%xu07afAF".utf8) + [0xc3, 0x20],
            [0xc2, 0xc3, 0x80, 0xbf, 0xc0, 65],
            Array("abcXYZ019+/".utf8) + [0xff], Array("0123456789, x".utf8), [65, 0],
            Array("%0aF\\u".utf8) + [0xff, 0], Array("abcdefgXYZ\n \t".utf8),
        ]
        let surveyor = RowSurveyor(bytes: 1 << 14)
        var seen = Set<Int>()
        for round in 0..<400 {
            let alphabet = alphabets[round % alphabets.count]
            // Long rows of one thing, and now and then something else.
            var bytes = (0..<4_200 + round).map { _ in alphabet.randomElement() ?? 0 }
            if round % 3 == 0 { for _ in 0..<40 { bytes[Int.random(in: 0..<bytes.count)] = .random(in: 0...255) } }
            try bytes.withUnsafeBytes { row in
                let survey = try #require(surveyor.survey(row, nil, misalignment: 0))
                for block in survey.blocks {
                    for (mark, isSet) in Self.expectedMarks(bytes, block) {
                        #expect(
                            (survey[block] & UInt8(mark) != 0) == isSet,
                            "mark \(mark) of block \(block) in round \(round)")
                        if isSet { seen.insert(mark) }
                    }
                }
            }
        }
        #expect(seen.count == 6, "each mark was there to be seen")
    }

    private static func expectedMarks(_ bytes: [UInt8], _ block: Int) -> [(Int, Bool)] {
        func groups(_ block: Int, _ size: Int) -> [Range<Int>] {
            stride(from: block * 64, to: block * 64 + 64, by: size).map { $0..<$0 + size }
        }
        func all(_ characterClass: UInt8, _ size: Int) -> Bool {
            groups(block, size).contains {
                $0.allSatisfy { CharacterClass.table[Int(bytes[$0])] & characterClass != 0 }
            }
        }
        func isHex(_ byte: UInt8) -> Bool { CharacterClass.table[Int(byte)] & CharacterClass.hexDigit != 0 }
        func isPair(_ place: Int) -> Bool { bytes[place] & 0xfe == 0xc2 && bytes[place + 1] & 0xc0 == 0x80 }
        let places = block * 64..<block * 64 + 64
        func isEscape(_ place: Int) -> Bool {
            if bytes[place] == UInt8(ascii: "\\") { return "xu01234567".utf8.contains(bytes[place + 1]) }
            return bytes[place] == UInt8(ascii: "%") && isHex(bytes[place + 1]) && isHex(bytes[place + 2])
        }
        let hasEscape = places.contains(where: isEscape)
        // Among 17 bytes that fit, or in a row of them that reaches a border of the block.
        func fits(_ place: Int) -> Bool { bytes[place] < 0x80 || isPair(place) || isPair(place - 1) }
        let hasPair = places.contains { place in
            guard isPair(place) else { return false }
            let start = (places.lowerBound...place).last { !fits($0) } ?? -1
            let end = (place..<places.upperBound).first { !fits($0) } ?? bytes.count
            return start < 0 || end == bytes.count || end - start > 17
        }
        let hasUTF16 = groups(block, 8).contains { group in
            let zeros = [0, 1].map { half in group.count { $0 % 2 == half && bytes[$0] == 0 } }
            return (zeros[0] == 4 && zeros[1] <= 1) || (zeros[1] == 4 && zeros[0] <= 1)
        }
        return [
            (STRONGROOM_MARK_BASE64, all(CharacterClass.base64, 8)),
            (STRONGROOM_MARK_LIST, all(CharacterClass.list, 16)),
            (STRONGROOM_MARK_ESCAPE, hasEscape), (STRONGROOM_MARK_PAIR, hasPair),
            (STRONGROOM_MARK_UTF16, hasUTF16),
            (
                STRONGROOM_MARK_INDENTED,
                all(CharacterClass.base64, 8)
                    && places.contains { bytes[$0] == 0x0a && [0x20, 0x09].contains(bytes[$0 + 1]) }
            ),
        ]
    }

    /// A fragment of sixteen bytes in each kind of digits, XORed with any byte, at any phase: what tells names from digits without decoding them
    /// lets every one of them through. And nothing else is found.
    @Test(arguments: [("base64", 3), ("base32", 5), ("hex", 1)])
    func digitsOfAFragmentAreFoundAtEachPhase(code: String, groupBytes: Int) throws {
        let key = try Throwaway()
        let other = try Throwaway()
        let scanner = ByteScanner(Matchers(keys: try WindowMatcher([(0, key.needle)], .keys)), minimumBytes: 16)
        func found(_ bytes: [UInt8], _ start: Int, _ mask: UInt8, before: Int) throws -> Bool? {
            let fragment =
                try Random.bytes(count: before) + bytes[start..<start + 16].map { $0 ^ mask } + Random.bytes(count: 5)
            let text = Self.digits(fragment, code)
            // Of fifty thousand runs of base64, one has letters of one case, and is none to the scanner.
            if code == "base64", text.lowercased() == text || text.uppercased() == text { return nil }
            var row = try Random.bytes(count: 1_000).map { $0 | 0x80 }
            let place = Int.random(in: 300..<500)
            row.replaceSubrange(place..<place + text.utf8.count, with: text.utf8)
            var found = false
            row.withUnsafeBytes { scanner.scan($0) { _ in found = true } }
            return found
        }
        for round in 0..<600 {
            let start = Int.random(in: 0...16)
            let mask: UInt8 = round % 3 == 0 ? 0 : .random(in: 0...255)
            #expect(try found(key.bytes, start, mask, before: round % groupBytes) != false, "\(start) ^ \(mask)")
            #expect(try found(other.bytes, start, mask, before: round % groupBytes) != true)
        }
    }

    /// Sixteen bytes within a list of thousands, which is looked through in parts, and as the whole of a short one between letters.
    @Test(arguments: ["%02x", "0x%x, ", "\\x%02X", "%d, ", "%02x:", "%x "]) func aFragmentOfAListIsFound(format: String)
        throws
    {
        let key = try Throwaway()
        let scanner = ByteScanner(Matchers(keys: try WindowMatcher([(0, key.needle)], .keys)), minimumBytes: 16)
        func isFound(_ fragment: ArraySlice<UInt8>, before: Int, after: Int) throws -> Bool {
            let numbers = try Random.bytes(count: before) + fragment + Random.bytes(count: after)
            // Letters that begin and end the list, and are digits of hex.
            let list = "--a" + numbers.map { String(format: format, $0) }.joined() + "b--"
            let row = Array(repeating: 0xff, count: 500) + Array(list.utf8) + Array(repeating: 0xff, count: 500)
            var found = false
            row.withUnsafeBytes { scanner.scan($0) { _ in found = true } }
            return found
        }
        for round in 0..<120 {
            // Around where one part ends and the next begins, for digits and for characters.
            let before = round % 2 == 0 ? 2_048 - 20 + round / 2 : .random(in: 1...5_000)
            let start = Int.random(in: 0...16)
            let fragment = key.bytes[start..<start + 16]
            #expect(try isFound(fragment, before: before, after: round % 3 * 1_000), "\(before) numbers before")
            // A letter right before a digit is one of its number.
            if format != "%02x", format != "%x " { #expect(try isFound(fragment, before: 0, after: 0)) }
        }
        #expect(try !isFound(Random.bytes(count: 16)[...], before: 2_040, after: 100))
    }

    private static func digits(_ bytes: [UInt8], _ code: String) -> String {
        switch code {
        case "base64": return Data(bytes).base64EncodedString().replacingOccurrences(of: "=", with: "")
        case "hex": return bytes.map { String(format: "%02x", $0) }.joined()
        default:
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
            let bits = bytes.flatMap { byte in (0..<8).map { Int(byte) >> (7 - $0) & 1 } }
            return String(
                stride(from: 0, to: bits.count, by: 5).map { start in
                    alphabet[(0..<5).reduce(0) { $0 << 1 | (start + $1 < bits.count ? bits[start + $1] : 0) }]
                })
        }
    }

    /// A schedule at each place of a group of a row, for each place that words may be aligned at.
    @Test(arguments: LeakForm.allCases.filter(\.isSchedule)) func schedulesAreFoundWhereverTheyStand(form: LeakForm)
        throws
    {
        let schedule = try form.write(try Random.bytes(count: 32))
        let scanner = ByteScanner(Matchers(), minimumBytes: 16, rowBytes: 1 << 14)
        for place in 0..<RowSurvey.groupBytes + 8 {
            for start in [place, 4_000 + place, 5_000 - schedule.count - place] {
                var row = try Random.bytes(count: 5_000)
                row.replaceSubrange(start..<start + schedule.count, with: schedule)
                let misalignment = (4 - start & 3) & 3
                row.withUnsafeBytes { row in
                    let survey = scanner.survey(row, misalignment: misalignment)
                    for (survey, usesKernels) in [(survey, true), (nil, true), (nil, false)] {
                        var found: [Int] = []
                        ScheduleFinder.scan(row, misalignment: misalignment, survey, usesKernels: usesKernels) {
                            place, _ in found.append(place)
                        }
                        #expect(found == [start], "\(form), survey: \(survey != nil), kernels: \(usesKernels)")
                    }
                }
            }
        }
    }

    /// Many texts of one encoding are decoded to one row; what is found there is told to be where it is.
    @Test(arguments: [
        LeakForm.utf16LittleHex, .utf16BigBase64, .utf16Characters, .jsonEscapes, .jsonMixed, .latin1AsUTF8,
    ])
    func oneOfManyTextsIsFoundWhereItIs(form: LeakForm) throws {
        let key = try Throwaway()
        let scanner = ByteScanner(
            Matchers(keys: try WindowMatcher([(0, key.needle)], .keys)), minimumBytes: 16, rowBytes: 1 << 19)
        let planted = try form.write(key.bytes)
        for (texts, at) in [(1, 0), (40, 0), (40, 20), (40, 39), (3_000, 1), (3_000, 2_990)] {
            var row: [UInt8] = []
            var place = 0
            for number in 0..<texts {
                // Even, and part of no text.
                row += [0xff, 0xfe, 0xff, 0xfe]
                if number == at { place = row.count }
                row += number == at ? planted : try form.write(try Random.bytes(count: 32))
            }
            row += [0xff, 0xfe]
            var found: [Range<Int>] = []
            row.withUnsafeBytes { scanner.scan($0) { found.append($0.source) } }
            let expected = place..<place + planted.count
            #expect(!found.isEmpty, "\(form) in text \(at) of \(texts)")
            #expect(
                found.allSatisfy {
                    $0.overlaps(expected) && $0.lowerBound >= place - 2 && $0.upperBound <= expected.upperBound + 2
                })
        }
    }

    /// Rows between pages that cannot be read, of what kernels look at most: to read a byte too many ends the process.
    @Test func rowsAreNotReadBeyondTheirEnds() throws {
        let key = try Throwaway()
        let scanner = ByteScanner(Matchers(keys: try WindowMatcher([(0, key.needle)], .keys)), minimumBytes: 16)
        let page = 4_096
        let mapped = mmap(nil, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let base = try #require(mapped != MAP_FAILED ? mapped : nil)
        defer { munmap(base, 3 * page) }
        #expect(mprotect(base, page, PROT_NONE) == 0 && mprotect(base + 2 * page, page, PROT_NONE) == 0)
        let alphabets: [[UInt8]] = [
            Array(0...255), [65, 0], [0, 65], Array("abcXYZ019+/\n \\".utf8), Array("0123456789abcdef, x".utf8),
            Array("\\%xu07afAF ".utf8), [0xc2, 0xc3, 0x80, 0xbf, 65], Array("ABCDEFGHIJ234567-".utf8),
        ]
        for round in 0..<4_000 {
            let count = Int.random(in: 0...page)
            let alphabet = alphabets[round % alphabets.count]
            let row = UnsafeMutableRawBufferPointer(
                start: base + (round % 2 == 0 ? page : 2 * page - count), count: count)
            for place in row.indices {
                row[place] =
                    alphabet.count == 2 ? (place % 2 == 0 ? alphabet[0] : alphabet[1]) : alphabet.randomElement() ?? 0
            }
            for _ in 0..<Int.random(in: 0...20) where count > 0 {
                row[Int.random(in: 0..<count)] = .random(in: 0...255)
            }
            let bytes = UnsafeRawBufferPointer(row)
            scanner.scan(bytes) { _ in }
            for misalignment in 0..<4 {
                let survey = scanner.survey(bytes, misalignment: misalignment)
                ScheduleFinder.scan(bytes, misalignment: misalignment, survey) { _, _ in }
            }
        }
    }
}
