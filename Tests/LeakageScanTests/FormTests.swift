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
        // Kits take nothing else.
        needle = try Needle(name, .key, SecretBytes(count: 32) { $0.copyBytes(from: bytes) }, origin: .generated)
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

    /// The zero of `0x` is none of a number; one at the end of a number, before an `x`, is. Both ways of looking see it so.
    @Test func aZeroBeforeAnXEndsANumber() throws {
        var bytes = try Random.bytes(count: 32)
        bytes[24] &= 0xf0
        let needle = try Needle("throwaway", .key, SecretBytes(count: 32) { $0.copyBytes(from: bytes) })
        let matcher = Matchers(keys: try WindowMatcher([(0, needle)], .keys))
        let hex = bytes[9..<25].map { String(format: "%02x", $0) }.joined()
        for text in [
            "=\(hex)xyz;", "=0x\(hex)xyz;",
            "={0x" + hex.enumerated().map { ($0 % 2 == 0 && $0 > 0 ? ",0x" : "") + String($1) }.joined() + "}",
        ] {
            #expect(!hits(matcher, Array(text.utf8)).isEmpty)
            let row =
                try Random.bytes(count: 700).map { $0 | 0x80 } + Array(text.utf8) + [UInt8](repeating: 0xff, count: 700)
            #expect(!hits(matcher, row).isEmpty)
        }
    }

    /// Keys some of whose bytes look like an escape of another style: `%07` in a string of a program, `\x07` in a URL.
    @Test func escapesOfOneStyleAreNoneOfAnother() throws {
        var inProgram = try Random.bytes(count: 32)
        inProgram.replaceSubrange(14..<17, with: "%07".utf8)
        var inURL = try Random.bytes(count: 32)
        inURL.replaceSubrange(14..<18, with: "\\x07".utf8)
        let url = inURL.enumerated().map { place, byte in
            (14..<18).contains(place) ? String(Unicode.Scalar(byte)) : String(format: "%%%02X", byte)
        }
        for (bytes, text) in [
            (inProgram, try LeakForm.pythonBytes.write(inProgram)), (inURL, Array("?k=\(url.joined())\n".utf8)),
        ] {
            let needle = try Needle("throwaway", .key, SecretBytes(count: 32) { $0.copyBytes(from: bytes) })
            #expect(!hits(Matchers(keys: try WindowMatcher([(0, needle)], .keys)), text).isEmpty)
        }
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
        #expect(leftOut == [.init(name: "passphrase", reason: .notGenerated)])
        #expect(kit.keys == [.init(name: "data key", disclosedBits: 96)])
        let matcher = Matchers(keys: try WindowMatcher([(0, key.needle)], .keys))
        #expect(hits(matcher, try kit.bytes()).isEmpty)
        let again = try BlindKit.make(of: [key.needle]).kit
        #expect(
            Set(again.entries.map(\.tag)).isDisjoint(with: kit.entries.map(\.tag)), "each kit has a salt of its own")
        #expect(throws: ScanError(.kitWouldBeEmpty)) { try BlindKit.make(of: [text]) }
    }
}
