// Whether base64 text may say bytes of a key, told without decoding it. Digits that stand four apart say the same bits of bytes that
// stand three apart: their differences, like those of the bytes, are the same whatever single byte all bytes are XORed with. So the
// differences of a key's digits are known, for each of the three places in a group of digits at which it may begin.

import CByteKernels
import Secrets

/// Windows of eight differences of digits, in secret memory: they are as good as the key.
final class Base64Filter: Sendable {
    /// How many digits a window is made of: eight, and the four behind them.
    private static let windowDigits = 12

    private let bytes: SecretBytes
    private let bits: UInt32

    /// - Returns: nil where a key repeats itself in a way that leaves a window empty.
    static func make(_ needles: [KeyForms]) throws -> Base64Filter? {
        var rows: [(KeyForms, Range<Int>)] = []
        for forms in needles { rows += forms.forms.map { (forms, $0.range) } }
        let longest = rows.map(\.1.count).max() ?? 0
        // At each of three places, fewer windows than digits; each window sets bits in two bytes.
        let count = rows.reduce(0) { $0 + 3 * digits(of: $1.1.count, behind: 0).count }
        // Two bytes for each, and 128 KiB at least: then one window in some thousands is looked at in vain.
        let bits = WindowFilter.bits(atLeast: count * 4, 17...20)
        var isComplete = true
        var bytes: SecretBytes?
        // The digits of one row, which are as secret as it is.
        _ = try SecretBytes(count: digits(of: longest, behind: 0).count + 1) { scratch in
            bytes = try SecretBytes(count: 1 << Int(bits)) { filter in
                for (forms, range) in rows {
                    forms.bytes.withUnsafeBytes { all in
                        let row = UnsafeRawBufferPointer(rebasing: all[range])
                        for behind in 0..<3 where isComplete {
                            let count = write(row, behind: behind, scratch)
                            isComplete = add(UnsafeRawBufferPointer(rebasing: scratch[..<count]), to: filter, bits)
                        }
                    }
                }
            }
        }
        guard isComplete, let bytes = bytes.take() else { return nil }
        return Base64Filter(bytes, bits)
    }

    private init(_ bytes: consuming SecretBytes, _ bits: UInt32) {
        self.bytes = bytes
        self.bits = bits
    }

    /// The digits that say nothing but bits of a row, where so many bytes of a group stand before it.
    private static func digits(of count: Int, behind: Int) -> Range<Int> {
        (8 * behind + 5) / 6..<8 * (behind + count) / 6
    }

    private static func write(
        _ row: UnsafeRawBufferPointer, behind: Int, _ digits: UnsafeMutableRawBufferPointer
    ) -> Int {
        var count = 0
        for digit in Self.digits(of: row.count, behind: behind) {
            let bit = 6 * digit - 8 * behind
            let next = bit / 8 + 1 < row.count ? row[bit / 8 + 1] : 0
            digits[count] = UInt8((UInt16(row[bit / 8]) << 8 | UInt16(next)) >> (10 - UInt16(bit % 8)) & 63)
            count += 1
        }
        return count
    }

    /// - Returns: false where a window is empty: one of zeros would be found in every filling.
    private static func add(
        _ digits: UnsafeRawBufferPointer, to filter: UnsafeMutableRawBufferPointer, _ bits: UInt32
    ) -> Bool {
        guard digits.count >= windowDigits else { return true }
        for start in 0...(digits.count - windowDigits) {
            var window: UInt64 = 0
            for place in start..<start + 8 {
                window |= UInt64(digits[place] ^ digits[place + 4]) << UInt64(8 * (place - start))
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
