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
        init(_ forEach: ((UInt32, UInt32) -> Void) -> Void, number shard: Int, mask: Int) throws {
            var numbers = [UInt32](repeating: 0, count: Self.slots)
            windows = try SecretBytes(count: Self.slots * 4) { buffer in
                let slots = buffer.bindMemory(to: UInt32.self)
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

    private let shards: [Shard]

    /// Spreads a window over 63 bits (Fibonacci hashing; the multiplier is 2^64 divided by the golden ratio).
    @inline(__always) static func hash(_ window: UInt32) -> UInt64 {
        let mixed = UInt64(window) &* 0x9e37_79b9_7f4a_7c15
        return (mixed ^ (mixed >> 32)) & 0x7fff_ffff_ffff_ffff
    }

    /// - Parameters:
    ///   - count: how many windows there are.
    ///   - forEach: calls its argument with each window and its number, the same each time.
    init(count: Int, _ forEach: ((UInt32, UInt32) -> Void) -> Void) throws {
        var shardCount = 1
        while shardCount * Shard.slots < count * 2 { shardCount *= 2 }
        let mask = shardCount - 1
        shards = try (0...mask).map { shard in try Shard(forEach, number: shard, mask: mask) }
    }

    fileprivate static func shard(_ hash: UInt64, _ mask: Int) -> Int { Int(hash >> 16) & mask }

    /// Every number that was added under a window.
    func forEach(_ window: UInt32, _ body: (UInt32) -> Void) {
        guard window != 0 else { return }
        let hash = Self.hash(window)
        let shard = shards[Self.shard(hash, shards.count - 1)]
        var slot = Int(hash) & (Shard.slots - 1)
        while true {
            let stored = shard.windows.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: slot * 4, as: UInt32.self) }
            if stored == 0 { return }
            if stored == window { body(shard.numbers[slot]) }
            slot = (slot + 1) & (Shard.slots - 1)
        }
    }
}
