// Which parts of a row of bytes are worth a look, found many bytes at a time where the processor can do that.

import CByteKernels

/// Has the memory for surveys of rows.
final class RowSurveyor {
    /// Whether there are kernels for this processor. Where there are none, the scanner looks at everything in Swift.
    static let isAvailable = strongroom_has_kernels() != 0
    /// The shortest rows that are surveyed, in bytes.
    static let minimumRowBytes = 512
    /// The shortest run of decoded bytes for which every mark is sure to be there.
    static let minimumBytes = 16

    private let capacity: Int
    private let hints: UnsafeMutablePointer<UInt32>
    private let windows: UnsafeMutablePointer<UInt16>
    private let marks: UnsafeMutablePointer<UInt8>
    private let base64: UnsafeMutablePointer<UInt64>

    /// - Parameter bytes: the longest row.
    init(bytes: Int) {
        capacity = bytes / RowSurvey.blockBytes + 1
        // More, so that several can be read at each.
        hints = .allocate(capacity: capacity + 16)
        windows = .allocate(capacity: capacity + 8)
        marks = .allocate(capacity: capacity + 8)
        base64 = .allocate(capacity: capacity)
    }

    deinit {
        hints.deallocate()
        windows.deallocate()
        marks.deallocate()
        base64.deallocate()
    }

    /// Surveys a row; what is returned is good until the next one.
    ///
    /// - Parameters:
    ///   - filter: of the windows that are looked for; nil where none are.
    ///   - misalignment: how far the row's first byte is from a multiple of four.
    /// - Returns: nil for a row that is short, or longer than was said.
    func survey(_ row: UnsafeRawBufferPointer, _ filter: WindowFilter?, misalignment: Int) -> RowSurvey? {
        let count = (row.count + RowSurvey.blockBytes - 1) / RowSurvey.blockBytes
        guard row.count >= Self.minimumRowBytes, count <= capacity,
            let base = row.bindMemory(to: UInt8.self).baseAddress
        else { return nil }
        let first = RowSurvey.firstGroup
        // A byte behind the last group is read too, and words of a schedule.
        let groups = (row.count - first - RowSurvey.blockBytes) / RowSurvey.groupBytes
        let blocks = first / RowSurvey.blockBytes..<first / RowSurvey.blockBytes + 3 * groups
        let word = (4 - misalignment & 3) & 3
        var results = strongroom_survey_results(
            hints: hints, windows: windows, marks: marks + blocks.lowerBound, base64: base64 + blocks.lowerBound)
        withUnsafePointer(to: ByteTables.shared) { tables in
            WindowFilter.withFilter(filter) { filter in
                strongroom_survey(base + first, groups, tables, filter, UInt32(word), &results)
            }
        }
        // What stands beside the first and the last blocks is not known: they have every mark.
        for edge in [0..<blocks.lowerBound, blocks.upperBound..<count] {
            for block in edge {
                marks[block] = .max
                base64[block] = Self.base64(row, block)
            }
        }
        (windows + groups).update(repeating: 0, count: 8)
        (marks + count).update(repeating: 0, count: 8)
        return RowSurvey(
            row: row, count: count, blocks: blocks, groups: groups, word: word, hints: hints, windows: windows,
            marks: marks, base64: base64)
    }

    /// Which bytes of a block may be part of base64 text.
    private static func base64(_ row: UnsafeRawBufferPointer, _ block: Int) -> UInt64 {
        let start = block * RowSurvey.blockBytes
        var mask: UInt64 = 0
        for place in start..<min(start + RowSurvey.blockBytes, row.count)
        where CharacterClass.table[Int(row[place])] & CharacterClass.base64 != 0 {
            mask |= 1 << UInt64(place - start)
        }
        return mask
    }
}

/// What a survey says of a row.
struct RowSurvey {
    static let blockBytes = STRONGROOM_BLOCK_BYTES
    static let groupBytes = STRONGROOM_GROUP_BYTES
    /// Where the first group begins: what stands right before a group is looked at too.
    static let firstGroup = blockBytes

    fileprivate let row: UnsafeRawBufferPointer
    /// How many blocks there are.
    let count: Int
    /// The blocks whose marks say what is there. All others have every mark.
    let blocks: Range<Int>
    fileprivate let groups: Int
    fileprivate let word: Int
    fileprivate let hints: UnsafePointer<UInt32>
    fileprivate let windows: UnsafePointer<UInt16>
    fileprivate let marks: UnsafePointer<UInt8>
    fileprivate let base64: UnsafePointer<UInt64>

    /// The part of the row whose windows were looked up in the filter.
    var surveyed: Range<Int> { Self.firstGroup..<Self.firstGroup + groups * Self.groupBytes }

    subscript(block: Int) -> UInt8 { marks[block] }

    /// Where each block begins that has a mark.
    @inline(__always) func forEachBlock(_ mark: Int, _ body: (Int) -> Void) {
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

    /// Where each window begins that may be a needle's.
    @inline(__always) func forEachWindow(_ body: (Int) -> Void) {
        // Four groups at a time, of which most have none.
        for first in stride(from: 0, to: groups, by: 4) {
            var here = UnsafeRawPointer(windows + first).loadUnaligned(as: UInt64.self)
            while here != 0 {
                let window = here.trailingZeroBitCount
                body(
                    Self.firstGroup &+ (first &+ window / STRONGROOM_GROUP_WINDOWS) &* Self.groupBytes
                        &+ window % STRONGROOM_GROUP_WINDOWS &* STRONGROOM_WINDOW_STRIDE)
                here &= here &- 1
            }
        }
    }

    /// Each place, of two a group, that may lie within a schedule of an AES-256 key.
    @inline(__always) func forEachSchedulePlace(_ body: (Int) -> Void) {
        var group = strongroom_next_hinted(hints, groups, 0, CInt(STRONGROOM_HINT_SCHEDULE_BIT))
        while group < groups {
            defer { group = strongroom_next_hinted(hints, groups, group + 1, CInt(STRONGROOM_HINT_SCHEDULE_BIT)) }
            guard let base = row.bindMemory(to: UInt8.self).baseAddress else { return }
            let first = Self.firstGroup + group * Self.groupBytes + word
            for place in [first, first + STRONGROOM_SCHEDULE_STRIDE]
            where strongroom_next_schedule(base + place, 1, 0) == 0 {
                body(place)
            }
        }
    }

    /// Each run of base64 text that is worth a look: see the kernel.
    ///
    /// - Parameters:
    ///   - base32Minimum: how many digits of base32 make a run worth a look.
    ///   - body: is given a run, and says up to where everything has been looked at.
    func forEachBase64Run(base32Minimum: Int, _ filters: DigitFilters, _ body: (Range<Int>) -> Int) {
        withTables(filters) { tables, filters in
            forEachText({ strongroom_next_base64($0, $1, tables, filters, UInt32(base32Minimum), $2) }, body)
        }
    }

    /// Each run of a list of numbers that is worth a look, and whether as hex and as decimal numbers: see the kernel.
    func forEachList(_ filters: DigitFilters, _ body: (Range<Int>, (hex: Bool, decimal: Bool)) -> Void) {
        withTables(filters) { tables, filters in
            var held: CInt = 0
            forEachText({ strongroom_next_list($0, $1, tables, filters, $2, &held) }) { run in
                body(run, (held & CInt(STRONGROOM_LIST_HEX) != 0, held & CInt(STRONGROOM_LIST_DECIMAL) != 0))
                return run.upperBound
            }
        }
    }

    /// Each text in UTF-16 with characters below U+0100, of so many bytes, from the byte that is not zero on.
    func forEachUTF16(minimum: Int, _ body: (Range<Int>) -> Void) {
        forEachText({ strongroom_next_utf16($0, $1, minimum, $2) }) { run in
            body(run)
            return run.upperBound
        }
    }

    /// Each place where an escape may begin that says a number.
    ///
    /// - Parameter body: is given a place, and says up to where everything has been looked at.
    func forEachEscape(_ body: (Int) -> Int) {
        withUnsafePointer(to: ByteTables.shared) { tables in
            forEachPlace({ strongroom_next_escape($0, $1, tables) }, body)
        }
    }

    /// Each place where a character from U+0080 to U+00FF begins in UTF-8, among others below U+0100.
    ///
    /// - Parameter body: is given a place, and says up to where everything has been looked at.
    func forEachPair(_ body: (Int) -> Int) { forEachPlace(strongroom_next_pair, body) }

    private func forEachPlace(_ next: (UnsafePointer<strongroom_row>, Int) -> Int, _ body: (Int) -> Int) {
        forEachText(
            { row, from, end in
                let place = next(row, from)
                end.pointee = place &+ 1
                return place
            }, { body($0.lowerBound) })
    }

    private func withTables(
        _ filters: DigitFilters,
        _ body: (UnsafePointer<strongroom_tables>, UnsafePointer<strongroom_digit_filters>) -> Void
    ) {
        withUnsafePointer(to: ByteTables.shared) { tables in filters.withFilters { body(tables, $0) } }
    }

    /// - Parameters:
    ///   - next: is given the row and where to begin, writes where the next text ends, and says where it begins.
    ///   - body: is given a text, and says up to where everything has been looked at.
    private func forEachText(
        _ next: (UnsafePointer<strongroom_row>, Int, UnsafeMutablePointer<Int>) -> Int, _ body: (Range<Int>) -> Int
    ) {
        guard let base = row.bindMemory(to: UInt8.self).baseAddress else { return }
        var known = strongroom_row(bytes: base, length: row.count, marks: marks, base64: base64)
        var covered = 0
        while covered < row.count {
            var end = 0
            let start = next(&known, covered, &end)
            guard start < row.count else { return }
            covered = max(end, body(start..<end))
        }
    }
}
