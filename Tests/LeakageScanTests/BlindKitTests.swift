import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import LeakageScan

/// docs/security/custody.md, rule 9: a kit confirms no guess at what could be guessed.
@Suite struct BlindKitTests {
    private let directory: TemporaryDirectory
    private static let passphrase = "correct horse battery staple, and a bird"

    init() throws { directory = try TemporaryDirectory() }

    /// What who holds a kit does with a guess, from docs/formats/blind-kit.md alone: how many windows of it have a tag in the kit.
    private static func confirmed(_ guess: [UInt8], by kit: BlindKit) throws -> Int {
        struct File: Decodable {
            struct Entry: Decodable { let tag: String }
            let salt: String
            let entries: [Entry]
        }
        let file = try JSONDecoder().decode(File.self, from: Data(kit.bytes()))
        let tags = Set(file.entries.map(\.tag))
        let salt = try #require(Hex.decode(file.salt))
        var count = 0
        for start in 0..<max(0, guess.count - 20) {
            let window = (start..<start + 20).map { guess[$0] ^ guess[$0 + 1] }
            // Both directions, instead of asking which is the canonical one.
            for row in [window, window.reversed()] {
                let digest = try SHA256.hash(Array("strongroom/blind-kit/window/v1".utf8) + salt + row)
                count += tags.contains(Hex.encode(Array(digest.prefix(16)))) ? 1 : 0
            }
        }
        return count
    }

    @Test func aPassphraseInARawNeedleFileIsNotConfirmedByAKit() throws {
        let guess = Array(Self.passphrase.utf8)
        #expect(guess.count == 40)
        let file = directory.appending("needle")
        try TestFiles.write(guess, to: file)
        let needles = try NeedleFile.read(file)
        #expect(needles.map(\.kind) == [.key] && needles.map(\.origin) == [.chosen])
        #expect(throws: ScanError(.kitWouldBeEmpty)) { try BlindKit.make(of: needles) }

        let key = try Throwaway("data key")
        let (kit, leftOut) = try BlindKit.make(of: needles + [key.needle])
        #expect(kit.keys.map(\.name) == ["data key"])
        #expect(leftOut == [.init(name: "needle 1", reason: .notGenerated)])
        #expect(try Self.confirmed(guess, by: kit) == 0)
        // The negative control: the same check confirms a key that is in the kit, and would confirm the passphrase if it were.
        #expect(try Self.confirmed(key.bytes, by: kit) == 3)
        let marked = try Needle("needle", .key, SecretBytes(testing: guess), origin: .generated)
        #expect(try Self.confirmed(guess, by: BlindKit.make(of: [marked]).kit) == 3)
    }

    /// Whatever a needle file says its secrets are.
    @Test func noLineOfANeedleFileGetsAFingerprint() throws {
        let digits = Self.passphrase.utf8.map { String(format: "%02x", $0) }.joined()
        let file = directory.appending("needles")
        try TestFiles.write(Array("# needles\nhex:\(digits)\ntext:\(Self.passphrase)\n".utf8), to: file)
        let key = try Throwaway("data key")
        let (kit, leftOut) = try BlindKit.make(of: NeedleFile.read(file) + [key.needle])
        #expect(leftOut.map(\.reason) == [.notGenerated, .notGenerated])
        #expect(try Self.confirmed(Array(Self.passphrase.utf8), by: kit) == 0)
    }

    @Test func aKitSaysWhyItLeavesOut() throws {
        let short = try Needle("short", .key, SecretBytes(testing: Random.bytes(count: 31)), origin: .generated)
        let simple = try Needle(
            "simple", .key, SecretBytes(testing: (0..<8).map { UInt8($0) } + .init(repeating: 0, count: 24)),
            origin: .generated)
        let text = try Needle("text", .text, SecretBytes(testing: Random.bytes(count: 32)), origin: .generated)
        let leftOut = try BlindKit.make(of: [short, simple, text, Throwaway().needle]).leftOut
        #expect(
            leftOut == [
                .init(name: "short", reason: .short), .init(name: "simple", reason: .simple),
                .init(name: "text", reason: .notGenerated),
            ])
    }

    /// A needle is chosen unless the place where it is made says that it was made at random.
    @Test func aNeedleIsChosenUnlessItIsSaid() throws {
        #expect(try Needle("a", .key, SecretBytes(testing: Random.bytes(count: 32))).origin == .chosen)
    }
}
