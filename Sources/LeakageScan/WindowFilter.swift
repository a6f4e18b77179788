// Which windows may be a needle's: a table of bits that answers nearly always no, in secret memory, because differences of a key's bytes
// are as good as the key.

import CByteKernels
import Secrets

/// A Bloom filter whose bits for one window are all in one word, so that it is looked up once.
final class WindowFilter: Sendable {
    private let bytes: SecretBytes
    private let bits: UInt32

    /// - Parameters:
    ///   - count: how many windows there are.
    ///   - forEach: calls its argument with each window.
    init(count: Int, _ forEach: ((UInt32) -> Void) -> Void) throws {
        // A word for each window, and 64 KiB at least: then one in some hundreds is looked up in vain, and the filter stays in a near cache.
        let bits = Self.bits(atLeast: count, 14...18)
        bytes = try SecretBytes(count: 4 << Int(bits)) { bytes in
            let words = bytes.bindMemory(to: UInt32.self)
            forEach { window in
                let (place, pattern) = Self.place(of: window, bits)
                words[place] |= pattern
            }
        }
        self.bits = bits
    }

    /// How many bits say the number of a word in a table of so many words, or as near to that as the limits are.
    static func bits(atLeast count: Int, _ limits: ClosedRange<UInt32>) -> UInt32 {
        var bits = limits.lowerBound
        while bits < limits.upperBound, 1 << Int(bits) < count { bits += 1 }
        return bits
    }

    /// Which word a window sets bits of, and which: one in each byte.
    @inline(__always) private static func place(of window: UInt32, _ bits: UInt32) -> (Int, UInt32) {
        let hash = window &* UInt32(STRONGROOM_HASH_32)
        var pattern: UInt32 = 0
        pattern |= 1 << (hash & 7)
        pattern |= 0x100 << (hash >> 8 & 7)
        pattern |= 0x1_0000 << (hash >> 16 & 7)
        pattern |= 0x100_0000 << (hash >> 24 & 7)
        return (Int(hash >> (32 &- bits)), pattern)
    }

    /// Lends a filter to a kernel; where there is none, one that no window passes.
    static func withFilter(_ filter: WindowFilter?, _ body: (UnsafePointer<strongroom_filter>) -> Void) {
        guard let filter else {
            return emptyFilter.withUnsafeBufferPointer {
                withUnsafePointer(to: strongroom_filter(words: $0.baseAddress, bits: emptyBits), body)
            }
        }
        filter.bytes.withUnsafeBytes { bytes in
            withUnsafePointer(
                to: strongroom_filter(words: bytes.bindMemory(to: UInt32.self).baseAddress, bits: filter.bits), body)
        }
    }

    private static let emptyBits: UInt32 = 4
    private static let emptyFilter = [UInt32](repeating: 0, count: 1 << Int(emptyBits))

    /// Whether a window may be a needle's. A value and not a closure: it is asked once in four or twelve bytes.
    struct Test {
        fileprivate let words: UnsafeBufferPointer<UInt32>
        fileprivate let bits: UInt32

        @inline(__always) func callAsFunction(_ window: UInt32) -> Bool {
            let (place, pattern) = WindowFilter.place(of: window, bits)
            return words[place] & pattern == pattern
        }
    }

    /// Lends the test.
    @inline(__always) func withTest(_ body: (Test) -> Void) {
        bytes.withUnsafeBytes { body(Test(words: $0.bindMemory(to: UInt32.self), bits: bits)) }
    }
}
