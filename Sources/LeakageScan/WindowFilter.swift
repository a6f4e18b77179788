// Which windows may be a needle's: a table of bits that answers nearly always no, in secret memory, because differences of a key's bytes
// are as good as the key.

import CByteKernels
import Secrets

/// A Bloom filter whose bits for one window are all in one byte.
final class WindowFilter: Sendable {
    private let bytes: SecretBytes
    private let bits: UInt32

    /// - Parameters:
    ///   - count: how many windows there are.
    ///   - forEach: calls its argument with each window.
    init(count: Int, _ forEach: ((UInt32) -> Void) -> Void) throws {
        // Eight bytes a window, and 64 KiB at least: then one window in some hundreds is looked up in vain.
        let bits = Self.bits(atLeast: count * 8, 16...20)
        bytes = try SecretBytes(count: 1 << Int(bits)) { bytes in
            ByteTables.filterPatterns.withUnsafeBufferPointer { patterns in
                forEach { window in
                    let (place, pattern) = Self.place(of: window, bits, patterns)
                    bytes[place] |= pattern
                }
            }
        }
        self.bits = bits
    }

    /// How many bits say the number of a byte in a table of so many bytes, or as near to that as the limits are.
    static func bits(atLeast count: Int, _ limits: ClosedRange<UInt32>) -> UInt32 {
        var bits = limits.lowerBound
        while bits < limits.upperBound, 1 << Int(bits) < count { bits += 1 }
        return bits
    }

    /// Which byte a window sets bits of, and which.
    @inline(__always) private static func place(
        of window: UInt32, _ bits: UInt32, _ patterns: UnsafeBufferPointer<UInt8>
    ) -> (Int, UInt8) {
        let hash = window &* UInt32(STRONGROOM_HASH_32)
        return (Int(hash >> (32 &- bits)), patterns[Int(hash >> (26 &- bits) & 63)])
    }

    /// Lends a filter to a kernel; where there is none, one that no window passes.
    static func withFilter(_ filter: WindowFilter?, _ body: (UnsafePointer<strongroom_filter>) -> Void) {
        guard let filter else {
            return emptyFilter.withUnsafeBufferPointer {
                withUnsafePointer(to: strongroom_filter(bytes: $0.baseAddress, bits: emptyBits), body)
            }
        }
        filter.bytes.withUnsafeBytes { bytes in
            withUnsafePointer(
                to: strongroom_filter(bytes: bytes.bindMemory(to: UInt8.self).baseAddress, bits: filter.bits), body)
        }
    }

    private static let emptyBits: UInt32 = 6
    private static let emptyFilter = [UInt8](repeating: 0, count: 1 << Int(emptyBits))

    /// Lends a test: whether a window may be a needle's.
    @inline(__always) func withTest(_ body: ((UInt32) -> Bool) -> Void) {
        let bits = bits
        bytes.withUnsafeBytes { bytes in
            ByteTables.filterPatterns.withUnsafeBufferPointer { patterns in
                body { window in
                    let (place, pattern) = Self.place(of: window, bits, patterns)
                    return bytes[place] & pattern == pattern
                }
            }
        }
    }
}
