// A QR code (ISO/IEC 18004) of one size, for a recovery key: version 4, 33 × 33 modules, error correction M, alphanumeric mode, mask 0.
// What goes into it is secret, so it is made in secret memory throughout. No package draws one there.

import Strongroom

/// A drawn QR code in secret memory.
struct QRCode: ~Copyable {
    static let size = 33
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:".utf8)
    private static let dataBytes = 64
    private static let blocks = 2
    private static let correctionBytes = 18
    private static let quietZone = 4
    /// Error correction M and mask 0, with their own error correction (ISO/IEC 18004, table C.1).
    private static let format: UInt16 = 0b101_0100_0001_0010

    /// One byte a module: 0 is light, 1 is dark.
    private let modules: SecretBytes

    /// - Parameter text: up to 90 characters of digits, capitals and ` $%*+-./:`.
    init(alphanumeric text: borrowing SecretBytes) throws {
        let codewords = try Self.interleaved(Self.codewords(text))
        modules = try codewords.withUnsafeBytes { codewords in
            try SecretBytes(count: Self.size * Self.size) { Self.draw(codewords, into: $0) }
        }
    }

    // MARK: Data

    private static func codewords(_ text: borrowing SecretBytes) throws -> SecretBytes {
        try text.withUnsafeBytes { text in
            guard text.count <= 90 else { throw ValidationFailure() }
            return try SecretBytes(count: dataBytes) { output in
                var position = 0
                func put(_ value: Int, _ bits: Int) {
                    for shift in stride(from: bits - 1, through: 0, by: -1) where position < 8 * dataBytes {
                        if value >> shift & 1 == 1 { output[position / 8] |= 0x80 >> UInt8(position % 8) }
                        position += 1
                    }
                }
                func value(_ index: Int) throws -> Int {
                    guard let value = alphabet.firstIndex(of: text[index]) else { throw ValidationFailure() }
                    return value
                }
                put(0b0010, 4)
                put(text.count, 9)
                for index in stride(from: 0, to: text.count, by: 2) {
                    if index + 1 < text.count {
                        try put(value(index) * 45 + value(index + 1), 11)
                    } else {
                        try put(value(index), 6)
                    }
                }
                put(0, 4)
                position = (position + 7) / 8 * 8
                var pad = 0
                while position < 8 * dataBytes {
                    put(pad.isMultiple(of: 2) ? 0xec : 0x11, 8)
                    pad += 1
                }
            }
        }
    }

    private static func interleaved(_ data: borrowing SecretBytes) throws -> SecretBytes {
        let perBlock = dataBytes / blocks
        return try data.withUnsafeBytes { data in
            try SecretBytes(count: dataBytes + blocks * correctionBytes) { output in
                for block in 0..<blocks {
                    let part = UnsafeRawBufferPointer(rebasing: data[(block * perBlock)..<((block + 1) * perBlock)])
                    let correction = try SecretBytes(count: correctionBytes) { correct(part, into: $0) }
                    for (index, byte) in part.enumerated() { output[index * blocks + block] = byte }
                    correction.withUnsafeBytes { correction in
                        for (index, byte) in correction.enumerated() {
                            output[dataBytes + index * blocks + block] = byte
                        }
                    }
                }
            }
        }
    }

    /// The remainder of division by the generator polynomial over GF(256).
    private static func correct(_ data: UnsafeRawBufferPointer, into remainder: UnsafeMutableRawBufferPointer) {
        var generator = [UInt8](repeating: 0, count: correctionBytes)
        generator[correctionBytes - 1] = 1
        var root: UInt8 = 1
        for _ in 0..<correctionBytes {
            for index in generator.indices {
                generator[index] = product(generator[index], root)
                if index + 1 < generator.count { generator[index] ^= generator[index + 1] }
            }
            root = product(root, 2)
        }
        for byte in data {
            let factor = byte ^ remainder[0]
            for index in 0..<(correctionBytes - 1) { remainder[index] = remainder[index + 1] }
            remainder[correctionBytes - 1] = 0
            for index in 0..<correctionBytes { remainder[index] ^= product(generator[index], factor) }
        }
    }

    private static func product(_ left: UInt8, _ right: UInt8) -> UInt8 {
        var result = 0
        for bit in stride(from: 7, through: 0, by: -1) {
            result = result << 1 ^ (result >> 7) * 0x11d
            result ^= Int(right >> UInt8(bit) & 1) * Int(left)
        }
        return UInt8(truncatingIfNeeded: result)
    }

    // MARK: Modules

    /// Whether a module is a part of the fixed pattern; nil, or whether it is dark.
    private static func pattern(_ row: Int, _ column: Int) -> Bool? {
        let last = size - 1
        for (top, left) in [(0, 0), (0, last - 6), (last - 6, 0)] {
            let distance = max(abs(row - top - 3), abs(column - left - 3))
            if distance <= 4 { return distance != 2 && distance != 4 }
        }
        let alignment = max(abs(row - 26), abs(column - 26))
        if alignment <= 2 { return alignment != 1 }
        if row == 6 { return column.isMultiple(of: 2) }
        if column == 6 { return row.isMultiple(of: 2) }
        return formatModule(row, column)
    }

    private static func formatModule(_ row: Int, _ column: Int) -> Bool? {
        if row == size - 8, column == 8 { return true }
        var bit: Int?
        if column == 8, row < 6 { bit = row }
        if column == 8, row == 7 || row == 8 { bit = row - 1 }
        if row == 8, column == 7 { bit = 8 }
        if row == 8, column < 6 { bit = 14 - column }
        if row == 8, column >= size - 8 { bit = size - 1 - column }
        if column == 8, row > size - 8 { bit = row - (size - 15) }
        return bit.map { format >> UInt16($0) & 1 == 1 }
    }

    private static func draw(_ codewords: UnsafeRawBufferPointer, into modules: UnsafeMutableRawBufferPointer) {
        for row in 0..<size {
            for column in 0..<size { modules[row * size + column] = pattern(row, column) == true ? 1 : 0 }
        }
        var bit = 0
        // Pairs of columns from the right, up and down in turns; the column of the timing pattern is left out.
        for (turn, right) in [32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 5, 3, 1].enumerated() {
            for step in 0..<size {
                let row = turn.isMultiple(of: 2) ? size - 1 - step : step
                for column in [right, right - 1] where pattern(row, column) == nil {
                    let isDark = bit < 8 * codewords.count && codewords[bit / 8] >> UInt8(7 - bit % 8) & 1 == 1
                    let mask = (row + column).isMultiple(of: 2)
                    modules[row * size + column] = isDark != mask ? 1 : 0
                    bit += 1
                }
            }
        }
    }

    // MARK: Drawing

    /// Two modules a character, dark on light whatever the terminal's colours are.
    borrowing func drawing() throws -> SecretBytes {
        let begin = Array("\u{1b}[30;107m".utf8)
        let end = Array("\u{1b}[0m\n".utf8)
        let symbols = [" ", "▄", "▀", "█"].map { Array($0.utf8) }
        let width = Self.size + 2 * Self.quietZone
        return try modules.withUnsafeBytes { modules in
            func isDark(_ row: Int, _ column: Int) -> Int {
                guard (0..<Self.size).contains(row), (0..<Self.size).contains(column) else { return 0 }
                return Int(modules[row * Self.size + column])
            }
            return try SecretBytes(capacity: (width / 2 + 1) * (begin.count + 3 * width + end.count)) { output in
                var count = 0
                func put(_ bytes: [UInt8]) {
                    for byte in bytes {
                        output[count] = byte
                        count += 1
                    }
                }
                for row in stride(from: -Self.quietZone, to: Self.size + Self.quietZone, by: 2) {
                    put(begin)
                    for column in -Self.quietZone..<(Self.size + Self.quietZone) {
                        put(symbols[2 * isDark(row, column) + isDark(row + 1, column)])
                    }
                    put(end)
                }
                return count
            }
        }
    }

    /// What goes in is made by us and always fits.
    private struct ValidationFailure: Error {}
}
