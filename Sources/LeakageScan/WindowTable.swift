// A hash table of windows in secret memory: differences of a key's bytes are as good as the key.

import Secrets

/// Which numbers were added under a window. Zero is no window.
final class WindowTable: Sendable {
    /// Windows by slot, as many as one piece of secret memory holds, and the number of each.
    private final class Shard: Sendable {
        static let slots = 1 << 16
        let windows: SecretBytes
        let numbers: [UInt32]

        /// - Parameter number: of this shard, of so many as the mask says, less one.
        init(_ forEach: ((UInt64, UInt32) -> Void) -> Void, number shard: Int, mask: Int) throws {
            var numbers = [UInt32](repeating: 0, count: Self.slots)
            windows = try SecretBytes(count: Self.slots * 8) { buffer in
                let slots = buffer.bindMemory(to: UInt64.self)
                forEach { window, number in
                    let hash = WindowTable.hash(window)
                    guard WindowTable.shard(hash, mask) == shard else { return }
                    var slot = Int(hash) & (Self.slots - 1)
                    while slots[slot] != 0 { slot = (slot + 1) & (Self.slots - 1) }
                    slots[slot] = window
                    numbers[slot] = number
                }
            }
            self.numbers = numbers
        }
    }

    private let filter: SecretBytes
    private let filterShift: UInt64
    private let shards: [Shard]

    /// Spreads a window over 63 bits (Fibonacci hashing; the multiplier is 2^64 divided by the golden ratio).
    @inline(__always) static func hash(_ window: UInt64) -> UInt64 {
        let mixed = window &* 0x9e37_79b9_7f4a_7c15
        return (mixed ^ (mixed >> 32)) & 0x7fff_ffff_ffff_ffff
    }

    /// - Parameters:
    ///   - count: how many windows there are.
    ///   - forEach: calls its argument with each window and its number, the same each time.
    init(count: Int, _ forEach: ((UInt64, UInt32) -> Void) -> Void) throws {
        // So many bits a window that one in three thousand is looked up in vain, and half of the slots empty.
        var bits: UInt64 = 15
        while bits < 23, 1 << bits < UInt64(count) * 64 { bits += 1 }
        let shift = 63 - bits
        filterShift = shift
        filter = try SecretBytes(count: 1 << Int(bits - 3)) { buffer in
            let words = buffer.bindMemory(to: UInt64.self)
            forEach { window, _ in
                for bit in Self.bits(Self.hash(window), shift) { words[Int(bit >> 6)] |= 1 << (bit & 63) }
            }
        }
        var shardCount = 1
        while shardCount * Shard.slots < count * 2 { shardCount *= 2 }
        let mask = shardCount - 1
        shards = try (0...mask).map { shard in try Shard(forEach, number: shard, mask: mask) }
    }

    /// The two bits that a window sets: the upper ones of its hash, and others.
    private static func bits(_ hash: UInt64, _ shift: UInt64) -> [UInt64] {
        [hash >> shift, secondBit(hash, shift)]
    }

    /// The second bit, which is looked at where the first is set.
    @inline(__always) static func secondBit(_ hash: UInt64, _ shift: UInt64) -> UInt64 {
        ((hash &* 0xd6e8_feb8_6659_fd93) & 0x7fff_ffff_ffff_ffff) >> shift
    }

    fileprivate static func shard(_ hash: UInt64, _ mask: Int) -> Int { Int(hash >> 16) & mask }

    /// Lends the bit table: a window that was added has its bit set, at its hash shifted right.
    @inline(__always) func withFilter(_ body: (UnsafePointer<UInt64>, _ shift: UInt64) -> Void) {
        filter.withUnsafeBytes { bytes in
            guard let base = bytes.bindMemory(to: UInt64.self).baseAddress else { return }
            body(base, filterShift)
        }
    }

    /// Every number that was added under a window.
    func forEach(_ window: UInt64, _ hash: UInt64, _ body: (UInt32) -> Void) {
        guard window != 0 else { return }
        let shard = shards[Self.shard(hash, shards.count - 1)]
        var slot = Int(hash) & (Shard.slots - 1)
        while true {
            let stored = shard.windows.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: slot * 8, as: UInt64.self) }
            if stored == 0 { return }
            if stored == window { body(shard.numbers[slot]) }
            slot = (slot + 1) & (Shard.slots - 1)
        }
    }
}
