// The scanner's decoders, readers of archives and of its own files.

import CryptoPrimitives
import DurableFiles
import Foundation
import Secrets
import SystemPackage

@testable import LeakageScan

enum ScannerTargets {
    static let names = ["text", "archive", "ciphertext", "kit"]

    private static let key = (0..<32).map { UInt8(truncatingIfNeeded: ($0 * $0 * 37) ^ ($0 &* 0x5b) ^ 0xa3) }

    private static let detectors: Detectors? = {
        guard let needle,
            let text = try? Needle(
                "text", .text, SecretBytes(count: 12) { $0.copyBytes(from: Array("hunter2 xyzz".utf8)) }),
            let kit = try? BlindKit.make(of: [needle]).kit
        else { return nil }
        return try? Detectors(needles: [needle, text], kit: kit)
    }()
    /// Of keys alone, which are told from names without decoding these.
    private static let keyDetectors: Detectors? = needle.flatMap { try? Detectors(needles: [$0], kit: nil) }
    private static let needle = try? Needle(
        "fuzz", .key, SecretBytes(count: 32) { $0.copyBytes(from: key) }, origin: .generated)

    static func run(_ target: String, _ bytes: [UInt8], scratch: FilePath) {
        guard let detectors, let keyDetectors else { return }
        let collector = Collector(detectors, progress: nil)
        switch target {
        case "text":
            for detectors in [detectors, keyDetectors] {
                let scanner = ByteScanner(detectors.matchers, minimumBytes: detectors.minimumBytes)
                bytes.withUnsafeBytes { row in
                    scanner.scan(row) { hit in
                        guard hit.source.lowerBound >= 0, hit.source.upperBound <= row.count else {
                            fatalError("a place outside")
                        }
                    }
                }
            }
            bytes.withUnsafeBytes { row in
                let surveyor = ByteScanner(Matchers(), minimumBytes: Needle.minimumKeyBytes)
                withExtendedLifetime(surveyor) {
                    for survey in [surveyor.survey(row, misalignment: 0), nil] {
                        ScheduleFinder.scan(row, misalignment: 0, survey) { _, _ in }
                        ScheduleFinder.scan(row, misalignment: 0, survey, usesKernels: false) { _, _ in }
                    }
                }
            }
        case "archive":
            var options = ScanOptions(threads: 1)
            options.archiveDepth = 3
            try? StreamScan(
                segments: SegmentScanner(collector, streamBytes: 1 << 14), options: options, allowance: .init(1 << 22)
            ).run(ArraySource(bytes), Artifact(file: "fuzz"), depth: 1)
        case "ciphertext":
            guard (try? Data(bytes).write(to: URL(fileURLWithPath: scratch.string))) != nil,
                let data = try? DataFile(scratch)
            else { return }
            try? CiphertextCheck(OpenedFile(data, Artifact(file: "fuzz")), collector).run()
        default:
            _ = try? BlindKit(bytes: bytes)
            _ = try? Baseline(bytes: bytes)
        }
    }

    static func seeds(of target: String) throws -> [[UInt8]] {
        switch target {
        case "text": return try LeakForm.allCases.map { try $0.write(key) }
        case "archive":
            return try PlantArtifact.allCases.map { try $0.make(with: LeakForm.hexLower.write(key), isAligned: false) }
        case "ciphertext":
            let wal: [UInt8] =
                [0x37, 0x7f, 6, 0x82, 0, 0x2d, 0xe2, 0x18, 0, 0, 4, 0] + [UInt8](repeating: 0, count: 20)
            let journal: [UInt8] =
                [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7] + [UInt8](repeating: 0, count: 12) + [
                    0, 0, 2, 0, 0, 0, 4, 0,
                ]
            let page = try PlantArtifact.databasePage.make(with: key, isAligned: true)
            return [
                wal + page, journal + [UInt8](repeating: 0, count: 484) + page, Array("SQLite format 3\0".utf8) + page,
            ]
        default:
            let needle = try Needle(
                "fuzz", .key, SecretBytes(count: 32) { $0.copyBytes(from: key) }, origin: .generated)
            return [
                try BlindKit.make(of: [needle]).kit.bytes(),
                Array(
                    #"{"format":"strongroom/scan-baseline","version":1,"accepted":[{"fingerprint":"00112233445566778899aabbccddeeff","reason":"x","expires":"2026-12-31"}]}"#
                        .utf8),
            ]
        }
    }
}
