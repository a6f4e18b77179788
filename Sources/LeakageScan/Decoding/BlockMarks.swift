// Which parts of a row of bytes are worth a look, found 64 bytes at a time where the processor can do that.

import CByteKernels

/// One mark for each block of 64 bytes of a row, and which windows of each block may be a needle's.
final class BlockMarks {
    static let blockBytes = 64
    /// Whether there are kernels for this processor. Where there are none, the scanner looks at everything in Swift.
    static let isAvailable = strongroom_has_kernels() != 0
    /// The shortest rows that marks are made for, in bytes.
    static let minimumRowBytes = 4_096
    /// The shortest run of decoded bytes for which every mark is sure to be there.
    static let minimumBytes = 16

    private let marks: UnsafeMutableBufferPointer<UInt8>
    private let capacity: Int

    /// - Parameter bytes: the longest row.
    init(bytes: Int) {
        capacity = bytes / Self.blockBytes + 1
        // Eight more, so that eight marks can be read at each.
        marks = .allocate(capacity: capacity + 8)
        marks.initialize(repeating: 0)
    }

    deinit { marks.deallocate() }

    /// The marks of a row, until the next one's are asked for; nil for a row that is short or longer than was said. The first block
    /// and the last ones have every mark, because what stands beside them is not known.
    func of(_ row: UnsafeRawBufferPointer) -> Marked? {
        let count = (row.count + Self.blockBytes - 1) / Self.blockBytes
        guard row.count >= Self.minimumRowBytes, count <= capacity,
            let base = row.bindMemory(to: UInt8.self).baseAddress, let first = marks.baseAddress
        else { return nil }
        withUnsafePointer(to: Self.classes) { classes in
            strongroom_mark_blocks(base + Self.blockBytes, count - 3, classes, first + 1)
        }
        first[0] = .max
        first[count - 1] = .max
        // Right behind this one the row may end.
        first[count - 2] = .max
        for index in 0..<8 { first[count + index] = 0 }
        return Marked(marks: UnsafePointer(first), count: count)
    }

    /// Which windows of a row have their bit set in a filter.
    ///
    /// - Returns: a byte a block, one bit a window of eight bytes; nil as above. The last block is not among them, where it is not whole
    ///   or is the end of the row.
    func windows(of row: UnsafeRawBufferPointer, in filter: UnsafePointer<UInt64>, shift: UInt64) -> Marked? {
        let count = (row.count - 1) / Self.blockBytes
        guard row.count >= Self.minimumRowBytes, count <= capacity,
            let base = row.bindMemory(to: UInt8.self).baseAddress, let first = marks.baseAddress
        else { return nil }
        strongroom_probe_windows(base, count, filter, UInt32(shift), first)
        for index in 0..<8 { first[count + index] = 0 }
        return Marked(marks: UnsafePointer(first), count: count)
    }

    /// The marks of a row.
    struct Marked {
        fileprivate let marks: UnsafePointer<UInt8>
        /// How many blocks there are.
        let count: Int

        subscript(block: Int) -> UInt8 { marks[block] }

        /// Where each block begins that has a mark.
        @inline(__always) func forEachBlock(_ mark: Int32, _ body: (Int) -> Void) {
            let wanted = UInt64(truncatingIfNeeded: mark) &* 0x0101_0101_0101_0101
            var block = 0
            while block < count {
                let eight = UnsafeRawPointer(marks + block).loadUnaligned(as: UInt64.self) & wanted
                if eight == 0 {
                    block &+= 8
                    continue
                }
                block &+= eight.trailingZeroBitCount >> 3
                body(block)
                block &+= 1
            }
        }
    }

    private static let classes: strongroom_byte_classes = {
        func bit(_ isMember: Bool, _ bit: Int) -> UInt8 { isMember ? UInt8(bit) : 0 }
        let all = (UInt8.min ... .max).map { byte in
            let known = CharacterClass.table[Int(byte)]
            return bit(known & CharacterClass.base64 != 0, STRONGROOM_CLASS_BASE64)
                | bit(known & CharacterClass.list != 0, STRONGROOM_CLASS_LIST)
                | bit("\\%".utf8.contains(byte), STRONGROOM_CLASS_ESCAPE)
                | bit(known & CharacterClass.hexDigit != 0 || "xu".utf8.contains(byte), STRONGROOM_CLASS_ESCAPED)
        }
        var made = strongroom_byte_classes()
        withUnsafeMutableBytes(of: &made) { $0.copyBytes(from: all) }
        return made
    }()
}
