// Each scan proves first that it sees: throwaway keys, in every form and in every kind of artifact, are looked for with the code that is
// about to be used.

import CryptoPrimitives
import DurableFiles
import Foundation
import Secrets
import SystemPackage

/// What a self-test planted, and what share of it was found.
public struct RecallCertificate: Sendable, Codable, Hashable {
    /// One form.
    public struct Row: Sendable, Codable, Hashable {
        /// How keys were written.
        public let form: LeakForm
        /// How many were planted, and how many found.
        public let planted, found: Int
    }

    /// By form.
    public let rows: [Row]
    /// The kinds of artifact that were planted into.
    public let artifacts: [String]

    /// How many were planted.
    public var planted: Int { rows.reduce(0) { $0 + $1.planted } }
    /// How many were found.
    public var found: Int { rows.reduce(0) { $0 + $1.found } }
    /// Whether all were.
    public var isWhole: Bool { planted > 0 && found == planted }

    private enum CodingKeys: String, CodingKey { case rows, artifacts, planted, found, isWhole }

    /// Reads it back; the sums are made anew.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        rows = try container.decode([Row].self, forKey: .rows)
        artifacts = try container.decode([String].self, forKey: .artifacts)
    }

    init(rows: [Row], artifacts: [String]) {
        self.rows = rows
        self.artifacts = artifacts
    }

    /// Writes the sums as well.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rows, forKey: .rows)
        try container.encode(artifacts, forKey: .artifacts)
        try container.encode(planted, forKey: .planted)
        try container.encode(found, forKey: .found)
        try container.encode(isWhole, forKey: .isWhole)
    }
}

/// Plants and looks.
public enum SelfTest {
    /// Runs it.
    ///
    /// - Parameters:
    ///   - keys: how many throwaway keys; each is planted in every form and kind of artifact.
    ///   - kinds: what is planted into.
    /// - Throws: `CryptoError`, `SecretsError` where there is no throwaway key to be had.
    public static func run(keys: Int = 1, into kinds: [PlantArtifact] = PlantArtifact.allCases) throws
        -> RecallCertificate
    {
        var rows: [LeakForm: (planted: Int, found: Int)] = [:]
        for _ in 0..<keys {
            for kind in kinds {
                for form in LeakForm.allCases {
                    let isFound = try plant(form, kind)
                    rows[form, default: (0, 0)].planted += 1
                    rows[form, default: (0, 0)].found += isFound ? 1 : 0
                }
            }
        }
        return RecallCertificate(
            rows: LeakForm.allCases.map {
                .init(form: $0, planted: rows[$0]?.planted ?? 0, found: rows[$0]?.found ?? 0)
            },
            artifacts: kinds.map(\.rawValue))
    }

    /// Whether a key in this form is found in this kind of artifact.
    private static func plant(_ form: LeakForm, _ kind: PlantArtifact) throws -> Bool {
        // A throwaway key: it opens nothing, and is nobody's.
        let bytes = try Random.bytes(count: 32)
        let needle = try Needle("throwaway", .key, SecretBytes(count: 32) { $0.copyBytes(from: bytes) })
        let artifact = try kind.make(with: form.write(bytes), isAligned: form.isSchedule)
        let collector = Collector(try Detectors(needles: [needle], kit: nil), progress: nil)
        let segments = SegmentScanner(collector, streamBytes: PlantArtifact.borderStreamBytes)
        try StreamScan(segments: segments, options: ScanOptions(threads: 1), allowance: .init(1 << 24))
            .run(ArraySource(artifact), Artifact(file: "plant"), depth: 1)
        let result = collector.result()
        return result.gapCount == 0 && result.findings.contains { $0.needle == needle.name }
    }
}

/// Bytes that are at hand.
final class ArraySource: ByteSource {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = min(buffer.count, bytes.count - position)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}
