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

        /// Whether a block, or one beside it, has a mark.
        @inline(__always) func isNear(_ mark: Int32, _ block: Int) -> Bool {
            let mark = UInt8(truncatingIfNeeded: mark)
            return (marks[block] | (block > 0 ? marks[block - 1] : 0) | marks[block + 1]) & mark != 0
        }
    }

    // MARK: Classes by halves

    private static let classes = strongroom_byte_classes(
        base64: byteClass { CharacterClass.table[$0] & CharacterClass.base64 != 0 },
        list: byteClass { CharacterClass.table[$0] & CharacterClass.list != 0 },
        after_backslash: byteClass { "xu01234567".utf8.contains(UInt8($0)) },
        hex_digit: byteClass { CharacterClass.table[$0] & CharacterClass.hexDigit != 0 })

    /// Upper halves that have the same lower halves share a bit; there may be eight different ones.
    private static func byteClass(_ contains: (Int) -> Bool) -> strongroom_byte_class {
        var low = [UInt8](repeating: 0, count: 16)
        var high = [UInt8](repeating: 0, count: 16)
        var rows: [[Int]] = []
        for upper in 0..<16 {
            let row = (0..<16).filter { contains(upper << 4 | $0) }
            guard !row.isEmpty else { continue }
            let bit = rows.firstIndex(of: row) ?? rows.endIndex
            precondition(bit < 8, "a class of bytes has more than eight different rows")
            if bit == rows.endIndex {
                rows.append(row)
                for lower in row { low[lower] |= 1 << bit }
            }
            high[upper] = 1 << bit
        }
        var made = strongroom_byte_class()
        withUnsafeMutableBytes(of: &made) { bytes in bytes.copyBytes(from: low + high) }
        return made
    }
}
