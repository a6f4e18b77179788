// What tells ciphertext from anything else without a key: how evenly bytes are distributed, how long runs of printable characters
// are, whether blocks repeat. Each test is held to how many blocks it was made on, or large files would always have findings.

import Foundation

struct BlockStatistics {
    struct Finding {
        let rule: ScanRule
        let offset: Int
        let length: Int
    }

    /// How many cells the map of a file has at most.
    private static let cells = 1_024
    /// No more uneven blocks than this are kept.
    private static let candidateLimit = 10_000

    private let bytesPerCell: Int
    private var deviations: [Double]
    private var blocks = 0
    private var tested = 0
    /// Blocks that are not random however many there are.
    private var surelyUneven = MergedRanges()
    private static let surelyImprobable = 1e-18
    /// Blocks that are improbable by themselves; whether they are for so many is known at the end.
    private var uneven: [(offset: Int, length: Int, probability: Double)] = []
    private var longestRun = (offset: 0, length: 0)
    private var run = (offset: 0, length: 0)
    private var seen: Set<UInt64> = []
    private var repeated = MergedRanges()
    private var window = 0

    init(length: Int) {
        bytesPerCell = max(CiphertextCheck.blockBytes, (length + Self.cells - 1) / Self.cells)
        deviations = [Double](repeating: 0, count: max(1, (length + bytesPerCell - 1) / bytesPerCell))
    }

    mutating func add(_ block: ArraySlice<UInt8>, at offset: Int) {
        blocks += 1
        tested += block.count
        testDistribution(block, offset)
        testRuns(block, offset)
        testRepeats(block, offset)
    }

    // MARK: Distribution

    private mutating func testDistribution(_ block: ArraySlice<UInt8>, _ offset: Int) {
        // With fewer than four of each the distribution says little.
        guard block.count >= 1_000 else { return }
        let deviation = ChiSquare.deviation(of: block)
        let cell = min(deviations.count - 1, offset / bytesPerCell)
        deviations[cell] = max(deviations[cell], abs(deviation))
        let probability = erfc(abs(deviation) / 2.0.squareRoot())
        if probability < Self.surelyImprobable {
            surelyUneven.add(offset..<offset + block.count)
        } else if probability < CiphertextCheck.improbability, uneven.count < Self.candidateLimit {
            uneven.append((offset, block.count, probability))
        }
    }

    // MARK: Printable characters

    private mutating func testRuns(_ block: ArraySlice<UInt8>, _ offset: Int) {
        if run.offset + run.length != offset { run = (offset, 0) }
        for (index, byte) in block.enumerated() {
            if (0x20...0x7e).contains(byte) {
                if run.length == 0 { run.offset = offset + index }
                run.length += 1
                if run.length > longestRun.length { longestRun = run }
            } else {
                run = (offset + index + 1, 0)
            }
        }
    }

    /// The longest run that random bytes of this number are likely to have.
    private var longestLikelyRun: Int {
        let share = 95.0 / 256
        return Int((log(Double(max(1, tested)) / CiphertextCheck.improbability) / -log(share)).rounded(.up))
    }

    // MARK: Repeats

    /// Blocks are compared within a megabyte or so, so that memory stays the same for any file.
    private mutating func testRepeats(_ block: ArraySlice<UInt8>, _ offset: Int) {
        if offset / (1 << 20) != window {
            window = offset / (1 << 20)
            seen.removeAll(keepingCapacity: true)
        }
        block.withUnsafeBytes { bytes in
            for start in stride(from: 0, through: bytes.count - 16, by: 16) {
                let first = bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
                let second = bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)
                let isNew = seen.insert(first ^ (second &* 0x9e37_79b9_7f4a_7c15)).inserted
                if !isNew { repeated.add(offset + start..<offset + start + 16) }
            }
        }
    }

    // MARK: What it comes to

    func findings() -> [Finding] {
        let improbable = uneven.filter { $0.probability * Double(max(1, blocks)) < CiphertextCheck.improbability }
            .map { $0.offset..<$0.offset + $0.length }
        var findings = (surelyUneven.ranges + improbable).map {
            Finding(rule: .unevenBytes, offset: $0.lowerBound, length: $0.count)
        }
        if longestRun.length > longestLikelyRun {
            findings.append(Finding(rule: .printableRun, offset: longestRun.offset, length: longestRun.length))
        }
        findings += repeated.ranges.map { Finding(rule: .repeatedBlocks, offset: $0.lowerBound, length: $0.count) }
        return findings
    }

    func map(of file: String) -> EntropyMap {
        EntropyMap(file: file, bytesPerCell: bytesPerCell, deviations: deviations.map { ($0 * 100).rounded() / 100 })
    }
}

/// Pearson's chi-square test on the 256 values of a byte.
enum ChiSquare {
    /// How many standard deviations the statistic is from what random bytes have (Wilson and Hilferty's approximation).
    static func deviation(of block: some Collection<UInt8>) -> Double {
        var counts = [Int](repeating: 0, count: 256)
        for byte in block { counts[Int(byte)] += 1 }
        let expected = Double(block.count) / 256
        let statistic = counts.reduce(0.0) { sum, count in
            let difference = Double(count) - expected
            return sum + difference * difference / expected
        }
        let degrees = 255.0
        let spread = 2 / (9 * degrees)
        return (cbrt(statistic / degrees) - (1 - spread)) / spread.squareRoot()
    }
}
