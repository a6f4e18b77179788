import CByteKernels
import CryptoPrimitives
import Foundation
import Secrets
import Testing

@testable import LeakageScan

/// A throwaway key and the needle for it.
struct Throwaway {
    let bytes: [UInt8]
    let needle: Needle

    init(_ name: String = "throwaway") throws {
        let bytes = try Random.bytes(count: 32)
        self.bytes = bytes
        needle = try Needle(name, .key, SecretBytes(count: 32) { $0.copyBytes(from: bytes) })
    }
}

extension Needle {
    /// A text that a test knows.
    convenience init(text: String) throws {
        let bytes = Array(text.utf8)
        try self.init("passphrase", .text, SecretBytes(count: bytes.count) { $0.copyBytes(from: bytes) })
    }
}

@Suite struct FormTests {
    private func hits(_ matchers: Matchers, _ bytes: [UInt8]) -> [Hit] {
        let scanner = ByteScanner(matchers, minimumBytes: 16)
        var hits: [Hit] = []
        bytes.withUnsafeBytes { scanner.scan($0) { hits.append($0) } }
        return hits
    }

    /// Each form, at many alignments, between text and between noise, and told to be where it is.
    @Test(arguments: LeakForm.allCases) func everyFormIsFoundWhereverItStands(form: LeakForm) throws {
        for round in 0..<20 {
            let key = try Throwaway()
            let matcher = Matchers(keys: try WindowMatcher([(0, key.needle)], .keys))
            let planted = try form.write(key.bytes)
            let noise = try Random.bytes(count: 300)
            for (before, after) in [
                (Array("level=info key=".utf8), Array("; done\n".utf8)),
                (Array(noise[..<(100 + round)]), Array(noise[200...])),
            ] {
                let found = hits(matcher, before + planted + after)
                #expect(!found.isEmpty, "\(form)")
                let place = before.count - 3...before.count + planted.count + 3
                for hit in found {
                    let isThere = place.contains(hit.source.lowerBound) && place.contains(hit.source.upperBound)
                    #expect(isThere, "\(form) \(hit.source) \(place) \(hit.encodings.encodings)")
                }
            }
        }
    }

    @Test func whatIsNotThereIsNotFound() throws {
        let key = try Throwaway()
        let other = try Throwaway()
        let matcher = Matchers(keys: try WindowMatcher([(0, key.needle)], .keys))
        for form in LeakForm.allCases { #expect(hits(matcher, try form.write(other.bytes)).isEmpty, "\(form)") }
        #expect(hits(matcher, [UInt8](repeating: 0, count: 10_000)).isEmpty)
        #expect(hits(matcher, try Random.bytes(count: 1_000_000)).isEmpty)
        #expect(hits(matcher, Array(key.bytes[3..<18])).isEmpty, "fifteen bytes are none")
    }

    @Test func textIsFoundWhole() throws {
        let text = "hunter2 xyzzy"
        let matcher = Matchers(texts: try WindowMatcher([(0, Needle(text: text))], .texts))
        for shift in 0..<9 {
            let row = Array((String(repeating: "a", count: shift) + "pass: \(text)!").utf8)
            let scanner = ByteScanner(matcher, minimumBytes: 8)
            var found: [Hit] = []
            row.withUnsafeBytes { scanner.scan($0) { found.append($0) } }
            #expect(found.map(\.source) == [shift + 6..<shift + 19])
        }
        #expect(hits(matcher, Array("hunter2 xyzz".utf8)).isEmpty)
    }

    @Test func aScheduleIsFoundWithoutItsKey() throws {
        for form in LeakForm.allCases where form.isSchedule {
            let schedule = try form.write(try Random.bytes(count: 32))
            for shift in [0, 4, 8, 1_000] {
                let row = try Random.bytes(count: shift) + schedule + Random.bytes(count: 50)
                var found: [Int] = []
                row.withUnsafeBytes {
                    ScheduleFinder.scan($0, misalignment: 0, nil) { place, _ in found.append(place) }
                }
                #expect(found == [shift], "\(form)")
            }
        }
        var found = 0
        for filling: [UInt8] in [[0], [0xff], [1, 2, 3, 4], [0, 0, 0, 1], Array(0...255)] {
            let row = (0..<10_000).map { filling[$0 % filling.count] }
            row.withUnsafeBytes { ScheduleFinder.scan($0, misalignment: 0, nil) { _, _ in found += 1 } }
        }
        try Random.bytes(count: 4_000_000).withUnsafeBytes {
            ScheduleFinder.scan($0, misalignment: 0, nil) { _, _ in found += 1 }
        }
        #expect(found == 0)
    }

    /// With kernels or without: the same finds, in the same places; with them some are read in more ways. Where the processor has no kernels both
    /// sides are the same.
    @Test(arguments: LeakForm.allCases) func kernelsMakeNoDifference(form: LeakForm) throws {
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
                func found(_ usesKernels: Bool) -> [String] {
                    let scanner = ByteScanner(matcher, minimumBytes: 16, usesKernels: usesKernels)
                    var found: [String] = []
                    row.withUnsafeBytes {
                        scanner.scan($0) {
                            found.append("\($0.source) \($0.match.form) \($0.match.range.count)")
                        }
                    }
                    return found.sorted()
                }
                let (with, without) = (found(true), found(false))
                #expect(Set(with) == Set(without), "\(form) at \(place)")
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
        let hasEscape = places.contains { place in
            bytes[place] == UInt8(ascii: "\\")
                ? "xu01234567".utf8.contains(bytes[place + 1])
                : bytes[place] == UInt8(ascii: "%") && isHex(bytes[place + 1]) && isHex(bytes[place + 2])
        }
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

    // MARK: The blind kit

    private static let blindForms: [LeakForm] = LeakForm.allCases.filter { form in
        !form.rawValue.hasPrefix("fragment") && form != .hexDump && !form.rawValue.hasPrefix("schedule_decryption")
    }

    @Test(arguments: blindForms) func aKitFindsWholeKeys(form: LeakForm) throws {
        for round in 0..<5 {
            let key = try Throwaway("data key")
            let kit = try BlindKit(bytes: BlindKit.make(of: [key.needle]).kit.bytes())
            let row = try Random.bytes(count: 50 + round) + form.write(key.bytes) + Random.bytes(count: 40)
            #expect(!hits(Matchers(kit: try BlindMatcher(kit)), row).isEmpty, "\(form)")
        }
    }

    @Test func aKitSaysWhatItDisclosesAndHoldsNothingElse() throws {
        let key = try Throwaway("data key")
        let text = try Needle(text: "abcdefghi")
        let (kit, leftOut) = try BlindKit.make(of: [key.needle, text])
        #expect(leftOut == ["passphrase"])
        #expect(kit.keys == [.init(name: "data key", disclosedBits: 96)])
        let matcher = Matchers(keys: try WindowMatcher([(0, key.needle)], .keys))
        #expect(hits(matcher, try kit.bytes()).isEmpty)
        let again = try BlindKit.make(of: [key.needle]).kit
        #expect(
            Set(again.entries.map(\.tag)).isDisjoint(with: kit.entries.map(\.tag)), "each kit has a salt of its own")
        #expect(throws: ScanError(.kitWouldBeEmpty)) { try BlindKit.make(of: [text]) }
    }
}
