// Known needles in a row of bytes, at several bytes a nanosecond. A needle's rows are cut into windows of a few differences of
// neighbouring bytes; a run that is long enough to be reported holds a window that begins at a multiple of the stride, wherever it
// stands. So only one window a stride is looked up: in a bit table first, which answers nearly always no.

import CByteKernels
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
    /// How many differences a window has.
    private static let width = 4

    /// How windows are cut.
    struct Shape: Sendable {
        /// How far apart windows are looked up.
        let stride: Int
        /// How many of a window's differences are different at least. What is not random has few that are.
        let minimumDifferent: Int
        /// The shortest run that is a match; the whole needle where it is nil.
        let minimumBytes: Int?

        /// A run of 16 bytes holds twelve windows of 4 differences.
        static let keys = Shape(
            stride: STRONGROOM_WINDOW_STRIDE, minimumDifferent: 2, minimumBytes: Needle.minimumKeyBytes)
        /// A text of 8 bytes holds four.
        static let texts = Shape(stride: 4, minimumDifferent: 3, minimumBytes: nil)
    }

    /// Where a window was cut from.
    private struct Origin {
        let needle: UInt32
        let form: UInt16
        let offset: UInt16
    }

    private let shape: Shape
    private let needles: [(number: Int, forms: KeyForms)]
    let filter: WindowFilter
    private let table: WindowTable
    private let origins: [Origin]
    /// What base64, base32 and hex text of the needles looks like; nil where that cannot be told from other text.
    let digits: DigitFilters?

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
        filter = try WindowFilter(count: origins.count) { add in
            Self.forEachWindow(of: forms, shape) { window, _ in add(window) }
        }
        table = try WindowTable(count: origins.count) { add in
            var number: UInt32 = 0
            Self.forEachWindow(of: forms, shape) { window, _ in
                add(window, number)
                number += 1
            }
        }
        // A whole text may be too short for a window of digits.
        digits = shape.minimumBytes == nil ? nil : try DigitFilters(forms.map(\.forms))
    }

    private static func forEachWindow(
        of needles: [(number: Int, forms: KeyForms)], _ shape: Shape, _ body: (UInt32, Origin) -> Void
    ) {
        for (index, (_, forms)) in needles.enumerated() {
            forms.bytes.withUnsafeBytes { bytes in
                for (number, form) in forms.forms.enumerated() where form.range.count > width {
                    let row = UnsafeRawBufferPointer(rebasing: bytes[form.range])
                    for offset in 0..<(row.count - width) {
                        let window = differences(row, offset)
                        guard isTelling(window, shape) else { continue }
                        body(window, Origin(needle: UInt32(index), form: UInt16(number), offset: UInt16(offset)))
                    }
                }
            }
        }
    }

    /// Whether a window says something: a row of equal steps would be found in every ramp and every filling, and so would one of few steps.
    private static func isTelling(_ window: UInt32, _ shape: Shape) -> Bool {
        // A set would do, and take most of the time where there are many needles.
        var (different, zeros) = (0, 0)
        for place in 0..<width {
            let step = UInt8(truncatingIfNeeded: window >> UInt32(8 * place))
            let isNew = !(0..<place).contains { UInt8(truncatingIfNeeded: window >> UInt32(8 * $0)) == step }
            different += isNew ? 1 : 0
            zeros += step == 0 ? 1 : 0
        }
        return different >= shape.minimumDifferent && zeros <= 2
    }

    /// The window at an offset of a row, which has five bytes there.
    @inline(__always) private static func differences(_ row: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        row.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            ^ row.loadUnaligned(fromByteOffset: offset &+ 1, as: UInt32.self)
    }

    /// - Parameter survey: of the row, with this matcher's filter.
    func scan(_ bytes: UnsafeRawBufferPointer, _ survey: RowSurvey?, _ found: (WindowMatch) -> Void) {
        guard bytes.count > Self.width else { return }
        var recent = Recent()
        let last = bytes.count - Self.width - 1
        @inline(__always) func look(_ position: Int, _ window: UInt32) {
            self.look(window, at: position, in: bytes, &recent, found)
        }
        filter.withTest { mayBe in
            @inline(__always) func lookThrough(_ places: ClosedRange<Int>) {
                var position = places.lowerBound
                while position <= places.upperBound {
                    let window = Self.differences(bytes, position)
                    if mayBe(window) { look(position, window) }
                    position = position &+ shape.stride
                }
            }
            guard let survey else { return lookThrough(0...last) }
            let surveyed = survey.surveyed
            lookThrough(0...surveyed.lowerBound - 1)
            survey.forEachWindow { look($0, Self.differences(bytes, $0)) }
            lookThrough(surveyed.upperBound...last)
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
        _ window: UInt32, at position: Int, in bytes: UnsafeRawBufferPointer, _ recent: inout Recent,
        _ found: (WindowMatch) -> Void
    ) {
        table.forEach(window) { number in
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
                var length = Self.width + 1
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
