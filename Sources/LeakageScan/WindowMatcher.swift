// Known needles in a row of bytes, at several bytes a nanosecond. A needle's rows are cut into windows of a few differences of
// neighbouring bytes; a run that is long enough to be reported holds a window that begins at a multiple of the stride, wherever it
// stands. So only one window a stride is looked up: in a bit table first, which answers nearly always no.

import Secrets

/// A run of a needle's bytes, in the row that was looked through.
struct WindowMatch {
    let needle: Int
    let form: ByteForm
    let range: Range<Int>
    /// Whether it is the whole of the form.
    let isWhole: Bool
    /// What every byte is XORed with; nil where that is not known.
    let mask: UInt8?
}

/// The windows of needles whose bytes are at hand.
final class WindowMatcher: Sendable {
    /// How windows are cut.
    struct Shape: Sendable {
        /// How many differences a window has.
        let width: Int
        /// How far apart windows are looked up.
        let stride: Int
        /// The shortest run that is a match; the whole needle where it is nil.
        let minimumBytes: Int?

        /// A run of 16 bytes holds eight windows of 8 differences.
        static let keys = Shape(width: 8, stride: 8, minimumBytes: Needle.minimumKeyBytes)
        /// A text of 8 bytes holds four windows of 4 differences.
        static let texts = Shape(width: 4, stride: 4, minimumBytes: nil)
    }

    /// Where a window was cut from.
    private struct Origin {
        let needle: UInt32
        let form: UInt16
        let offset: UInt16
    }

    private let shape: Shape
    private let needles: [(number: Int, forms: KeyForms)]
    private let table: WindowTable
    private let origins: [Origin]

    /// More keys than this are looked for without their schedules, which begin with the key in any case.
    private static let scheduleLimit = 64

    /// - Parameter needles: with their numbers.
    init(_ needles: [(number: Int, needle: Needle)], _ shape: Shape) throws {
        self.shape = shape
        let forms = try needles.map { number, needle in
            (number: number, forms: try KeyForms(needle, schedules: needles.count <= Self.scheduleLimit))
        }
        self.needles = forms
        var origins: [Origin] = []
        Self.forEachWindow(of: forms, shape) { _, origin in origins.append(origin) }
        self.origins = origins
        table = try WindowTable(count: origins.count) { add in
            var number: UInt32 = 0
            Self.forEachWindow(of: forms, shape) { window, _ in
                add(window, number)
                number += 1
            }
        }
    }

    private static func forEachWindow(
        of needles: [(number: Int, forms: KeyForms)], _ shape: Shape, _ body: (UInt64, Origin) -> Void
    ) {
        for (index, (_, forms)) in needles.enumerated() {
            forms.bytes.withUnsafeBytes { bytes in
                for (number, form) in forms.forms.enumerated() where form.range.count > shape.width {
                    let row = UnsafeRawBufferPointer(rebasing: bytes[form.range])
                    for offset in 0..<(row.count - shape.width) {
                        let window = differences(row, offset, shape.width)
                        guard isTelling(window, shape.width) else { continue }
                        body(window, Origin(needle: UInt32(index), form: UInt16(number), offset: UInt16(offset)))
                    }
                }
            }
        }
    }

    /// Whether a window says something: a row of equal steps would be found in every ramp and every filling.
    private static func isTelling(_ window: UInt64, _ width: Int) -> Bool {
        var seen: Set<UInt8> = []
        for index in 0..<width { seen.insert(UInt8(truncatingIfNeeded: window >> UInt64(8 * index))) }
        return seen.count >= 3
    }

    /// The window at an offset of a short row, read byte by byte.
    private static func differences(_ row: UnsafeRawBufferPointer, _ offset: Int, _ width: Int) -> UInt64 {
        var window: UInt64 = 0
        for index in 0..<width {
            window |= UInt64(row[offset + index] ^ row[offset + index + 1]) << UInt64(8 * index)
        }
        return window
    }

    /// - Parameter marks: where 64 bytes can be looked at at a time; for windows of eight.
    func scan(_ bytes: UnsafeRawBufferPointer, _ marks: BlockMarks?, _ found: (WindowMatch) -> Void) {
        guard let base = bytes.baseAddress, bytes.count > shape.width else { return }
        let mask = shape.width == 8 ? UInt64.max : (1 << UInt64(shape.width * 8)) - 1
        var recent = Recent()
        let stride = shape.stride
        // Eight bytes are read at a window and at the byte behind it.
        let last = bytes.count - 9
        table.withFilter { filter, shift in
            @inline(__always) func isSet(_ bit: UInt64) -> Bool { filter[Int(bit >> 6)] >> (bit & 63) & 1 == 1 }
            /// Whether both bits of the window are set, and then whether it is one.
            @inline(__always) func check(_ position: Int) {
                let here = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                let next = base.loadUnaligned(fromByteOffset: position &+ 1, as: UInt64.self)
                let window = (here ^ next) & mask
                let hash = WindowTable.hash(window)
                if isSet(hash >> shift), isSet(WindowTable.secondBit(hash, shift)) {
                    look(window, hash, at: position, in: bytes, &recent, found)
                }
            }
            var position = 0
            if shape.width == 8, let marked = marks?.windows(of: bytes, in: filter, shift: shift) {
                marked.forEachBlock(0xff) { block in
                    var windows = marked[block]
                    while windows != 0 {
                        check(block &* BlockMarks.blockBytes &+ 8 &* windows.trailingZeroBitCount)
                        windows &= windows &- 1
                    }
                }
                position = marked.count * BlockMarks.blockBytes
            }
            while position <= last {
                check(position)
                position = position &+ stride
            }
            // The last few windows, of which less than eight bytes may follow.
            while position + shape.width < bytes.count {
                let window = Self.differences(bytes, position, shape.width)
                look(window, WindowTable.hash(window), at: position, in: bytes, &recent, found)
                position += stride
            }
        }
    }

    /// The last few runs that were found, so that each is told once.
    private struct Recent {
        var runs: [(origin: Int, end: Int)] = []

        mutating func isKnown(_ form: Int, _ position: Int) -> Bool {
            runs.contains { $0.origin == form && position < $0.end }
        }

        mutating func note(_ form: Int, until end: Int) {
            if runs.count >= 16 { runs.removeFirst() }
            runs.append((form, end))
        }
    }

    private func look(
        _ window: UInt64, _ hash: UInt64, at position: Int, in bytes: UnsafeRawBufferPointer, _ recent: inout Recent,
        _ found: (WindowMatch) -> Void
    ) {
        table.forEach(window, hash) { number in
            let origin = origins[Int(number)]
            let (needleNumber, forms) = needles[Int(origin.needle)]
            let form = forms.forms[Int(origin.form)]
            let offset = Int(origin.offset)
            // The same form at the same distance from the row's bytes is the same run.
            let identity = (Int(origin.needle) << 40) ^ (Int(origin.form) << 34) ^ (position - offset)
            guard !recent.isKnown(identity, position) else { return }
            forms.bytes.withUnsafeBytes { all in
                let row = UnsafeRawBufferPointer(rebasing: all[form.range])
                let mask = bytes[position] ^ row[offset]
                var start = 0
                while position - start > 0, offset - start > 0,
                    bytes[position - start - 1] ^ row[offset - start - 1] == mask
                { start += 1 }
                var length = shape.width + 1
                while position + length < bytes.count, offset + length < row.count,
                    bytes[position + length] ^ row[offset + length] == mask
                { length += 1 }
                let range = position - start..<position + length
                let isWhole = range.count == row.count
                guard isWhole || range.count >= shape.minimumBytes ?? .max else { return }
                // The first 32 bytes of a schedule for encryption are the key, which is a form of its own.
                if form.form == .encryptionSchedule || form.form == .encryptionScheduleWordsReversed,
                    offset - start + range.count <= 32
                {
                    return
                }
                recent.note(identity, until: range.upperBound)
                found(
                    WindowMatch(
                        needle: needleNumber, form: form.form, range: range, isWhole: isWhole, mask: mask))
            }
        }
    }
}
