// Whether base64, base32 or hex text may say bytes of a key, told without decoding it. Digits of base64 that stand four apart say the same
// bits of bytes that stand three apart; in base32 it is eight and five, in hex two and one. So their differences, like those of the bytes, are
// the same whatever single byte all bytes are XORed with, and those of a key are known for each place in a group of digits at which it may
// begin.

import CByteKernels
import Secrets

/// How digits say bytes.
private struct DigitCode {
    /// How many bits a digit says.
    let bits: Int
    /// How many bytes a group of digits says.
    let groupBytes: Int
    var groupDigits: Int { 8 * groupBytes / bits }

    static let base64 = DigitCode(bits: 6, groupBytes: 3)
    static let base32 = DigitCode(bits: 5, groupBytes: 5)
    static let hex = DigitCode(bits: 4, groupBytes: 1)

    /// The digits that say nothing but bits of a row, where so many bytes of a group stand before it.
    func digits(of count: Int, behind: Int) -> Range<Int> {
        (8 * behind + bits - 1) / bits..<8 * (behind + count) / bits
    }

    /// - Returns: how many digits were written.
    func write(_ row: UnsafeRawBufferPointer, behind: Int, _ digits: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        for digit in self.digits(of: row.count, behind: behind) {
            let bit = bits * digit - 8 * behind
            let next = bit / 8 + 1 < row.count ? row[bit / 8 + 1] : 0
            let two = UInt16(row[bit / 8]) << 8 | UInt16(next)
            digits[count] = UInt8(two >> UInt16(16 - bits - bit % 8) & (1 << UInt16(bits) - 1))
            count += 1
        }
        return count
    }
}

/// The filters of keys in each code.
final class DigitFilters: Sendable {
    private let base64: DigitFilter
    private let base32: DigitFilter
    private let hex: DigitFilter

    /// - Returns: nil where a key repeats itself in a way that leaves a window empty: one of zeros would be found in every filling.
    init?(_ needles: [KeyForms]) throws {
        guard let base64 = try DigitFilter(.base64, needles), let base32 = try DigitFilter(.base32, needles),
            let hex = try DigitFilter(.hex, needles)
        else { return nil }
        (self.base64, self.base32, self.hex) = (base64, base32, hex)
    }

    /// Lends the filters to a kernel.
    func withFilters(_ body: (UnsafePointer<strongroom_digit_filters>) -> Void) {
        base64.withFilter { base64 in
            base32.withFilter { base32 in
                hex.withFilter { hex in
                    withUnsafePointer(to: strongroom_digit_filters(base64: base64, base32: base32, hex: hex), body)
                }
            }
        }
    }
}

/// Windows of eight differences of digits, in secret memory: they are as good as the key. Each sets bits in two places; the second is
/// looked at where the first has them, and stands behind all of those, so that what is looked at often is small.
private final class DigitFilter: Sendable {
    private static let windowDigits = 8

    private let bytes: SecretBytes
    private let bits: UInt32

    init?(_ code: DigitCode, _ needles: [KeyForms]) throws {
        let rows = needles.flatMap { forms in forms.forms.map { (forms, $0.range) } }
        // There are fewer windows than digits.
        let count = rows.reduce(0) { $0 + code.groupBytes * code.digits(of: $1.1.count, behind: 0).count }
        // A word for four, or as near to that as the limits are: then one in some hundreds is looked at in vain. It is looked up at random
        // places, and has to stay in a near cache.
        let bits = WindowFilter.bits(atLeast: count / 4, 12...17)
        var isComplete = true
        var made: SecretBytes?
        // The digits of one row, which are as secret as it is.
        _ = try SecretBytes(count: 2 * (rows.map(\.1.count).max() ?? 0)) { digits in
            made = try SecretBytes(count: 8 << Int(bits)) { filter in
                let words = filter.bindMemory(to: UInt32.self)
                for (forms, range) in rows {
                    forms.bytes.withUnsafeBytes { bytes in
                        for behind in 0..<code.groupBytes where isComplete {
                            let row = UnsafeRawBufferPointer(rebasing: bytes[range])
                            let written = digits[..<code.write(row, behind: behind, digits)]
                            isComplete = Self.add(
                                UnsafeRawBufferPointer(rebasing: written), code.groupDigits, to: words, bits)
                        }
                    }
                }
            }
        }
        guard isComplete, let bytes = made.take() else { return nil }
        self.bytes = bytes
        self.bits = bits
    }

    /// - Parameter distance: how far apart the digits stand whose differences are taken.
    /// - Returns: false where a window is empty.
    private static func add(
        _ digits: UnsafeRawBufferPointer, _ distance: Int, to words: UnsafeMutableBufferPointer<UInt32>, _ bits: UInt32
    ) -> Bool {
        let last = digits.count - distance - windowDigits
        guard last >= 0 else { return true }
        for start in 0...last {
            var window: UInt64 = 0
            for place in 0..<windowDigits {
                window |= UInt64(digits[start + place] ^ digits[start + place + distance]) << UInt64(8 * place)
            }
            guard window != 0 else { return false }
            for (half, multiplier) in [STRONGROOM_HASH_64, STRONGROOM_SECOND_HASH_64].enumerated() {
                let hash = window &* multiplier
                words[(half << Int(bits)) + Int(hash >> UInt64(64 - bits))] |=
                    1 << UInt32(hash >> UInt64(59 - bits) & 31) | 1 << UInt32(hash >> UInt64(54 - bits) & 31)
            }
        }
        return true
    }

    /// Lends the filter.
    func withFilter(_ body: (strongroom_filter) -> Void) {
        bytes.withUnsafeBytes { bytes in
            body(strongroom_filter(words: bytes.bindMemory(to: UInt32.self).baseAddress, bits: bits))
        }
    }
}
