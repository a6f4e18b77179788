// Whether base64, base32 or hex text may say bytes of a key, told without decoding it. Digits of base64 that stand four apart say the same bits of
// bytes that stand three apart; in base32 it is eight and five, in hex two and one. So their differences, like those of the bytes, are the same whatever single byte
// all bytes are XORed with, and those of a key are known for each place in a group of digits at which it may begin.

import CByteKernels
import Secrets

/// Windows of eight differences of digits, in secret memory: they are as good as the key.
final class DigitFilter: Sendable {
    /// How digits say bytes.
    private struct Code {
        /// How many bits a digit says.
        let bits: Int
        /// How many bytes a group of digits says.
        let groupBytes: Int
        var groupDigits: Int { 8 * groupBytes / bits }

        static let base64 = Code(bits: 6, groupBytes: 3)
        static let base32 = Code(bits: 5, groupBytes: 5)
        static let hex = Code(bits: 4, groupBytes: 1)

        /// The digits that say nothing but bits of a row, where so many bytes of a group stand before it.
        func digits(of count: Int, behind: Int) -> Range<Int> {
            (8 * behind + bits - 1) / bits..<8 * (behind + count) / bits
        }
    }

    private static let windowDigits = 8

    private let bytes: SecretBytes
    private let bits: UInt32

    /// - Returns: nil where a key repeats itself in a way that leaves a window empty.
    static func make(_ needles: [KeyForms]) throws -> DigitFilter? {
        var rows: [(KeyForms, Range<Int>)] = []
        for forms in needles { rows += forms.forms.map { (forms, $0.range) } }
        let codes: [Code] = [.base64, .base32, .hex]
        // There are fewer windows than digits.
        func digits(_ count: Int, _ code: Code) -> Int { code.groupBytes * code.digits(of: count, behind: 0).count }
        let count = rows.reduce(0) { sum, row in sum + codes.reduce(0) { $0 + digits(row.1.count, $1) } }
        let longest = rows.map(\.1.count).max() ?? 0
        // Two bytes for each, and 128 KiB at least: then one window in some thousands is looked at in vain.
        let bits = WindowFilter.bits(atLeast: count * 2, 17...20)
        var isComplete = true
        var bytes: SecretBytes?
        // The digits of one row, which are as secret as it is.
        _ = try SecretBytes(count: 2 * longest) { scratch in
            bytes = try SecretBytes(count: 1 << Int(bits)) { filter in
                for (forms, range) in rows {
                    forms.bytes.withUnsafeBytes { all in
                        let row = UnsafeRawBufferPointer(rebasing: all[range])
                        for code in codes {
                            for behind in 0..<code.groupBytes where isComplete {
                                let count = write(row, code, behind: behind, scratch)
                                let written = UnsafeRawBufferPointer(rebasing: scratch[..<count])
                                isComplete = add(written, code, to: filter, bits)
                            }
                        }
                    }
                }
            }
        }
        guard isComplete, let bytes = bytes.take() else { return nil }
        return DigitFilter(bytes, bits)
    }

    private init(_ bytes: consuming SecretBytes, _ bits: UInt32) {
        self.bytes = bytes
        self.bits = bits
    }

    /// - Returns: how many digits there are.
    private static func write(
        _ row: UnsafeRawBufferPointer, _ code: Code, behind: Int, _ digits: UnsafeMutableRawBufferPointer
    ) -> Int {
        var count = 0
        for digit in code.digits(of: row.count, behind: behind) {
            let bit = code.bits * digit - 8 * behind
            let next = bit / 8 + 1 < row.count ? row[bit / 8 + 1] : 0
            let two = UInt16(row[bit / 8]) << 8 | UInt16(next)
            digits[count] = UInt8(two >> UInt16(16 - code.bits - bit % 8) & (1 << UInt16(code.bits) - 1))
            count += 1
        }
        return count
    }

    /// - Returns: false where a window is empty: one of zeros would be found in every filling.
    private static func add(
        _ digits: UnsafeRawBufferPointer, _ code: Code, to filter: UnsafeMutableRawBufferPointer, _ bits: UInt32
    ) -> Bool {
        let count = digits.count - code.groupDigits - windowDigits
        guard count >= 0 else { return true }
        for start in 0...count {
            var window: UInt64 = 0
            for place in start..<start + windowDigits {
                window |= UInt64(digits[place] ^ digits[place + code.groupDigits]) << UInt64(8 * (place - start))
            }
            guard window != 0 else { return false }
            for multiplier in [STRONGROOM_HASH_64, STRONGROOM_SECOND_HASH_64] {
                let hash = window &* multiplier
                let pattern = ByteTables.filterPatterns[Int(hash >> UInt64(58 - bits) & 63)]
                filter[Int(hash >> UInt64(64 - bits))] |= pattern
            }
        }
        return true
    }

    /// Lends the filter to a kernel.
    func withFilter(_ body: (UnsafePointer<strongroom_filter>) -> Void) {
        bytes.withUnsafeBytes { bytes in
            withUnsafePointer(
                to: strongroom_filter(bytes: bytes.bindMemory(to: UInt8.self).baseAddress, bits: bits), body)
        }
    }
}
