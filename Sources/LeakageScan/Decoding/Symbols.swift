// From text to symbols of a few bits, and from symbols to bytes. Where a text begins is not known, so the symbols are put
// together at every phase; what was encoded appears in one of them.

/// Classes of characters, as bits of one table.
enum CharacterClass {
    /// Part of base64 or base32 text, its line ends and escaped slashes.
    static let base64: UInt8 = 1
    /// A hex digit, or what stands between numbers in a list.
    static let list: UInt8 = 2
    static let hexDigit: UInt8 = 4
    /// Printable ASCII and the white space of text.
    static let text: UInt8 = 8

    static let table: [UInt8] = {
        var table = [UInt8](repeating: 0, count: 256)
        func add(_ bit: UInt8, _ characters: some Sequence<UInt8>) {
            for character in characters { table[Int(character)] |= bit }
        }
        let upper = UInt8(ascii: "A")...UInt8(ascii: "Z")
        let lower = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        add(base64, upper)
        add(base64, lower)
        add(base64, digits)
        add(base64, "+/-_\n\r\\".utf8)
        add(hexDigit | list, digits)
        add(hexDigit | list, "abcdefABCDEF".utf8)
        add(list, " ,:;-_.+/\\|%#&<>=(){}[]\"'xX\n\r\t".utf8)
        add(text, 0x20...0x7e)
        add(text, "\n\r\t".utf8)
        return table
    }()
}

/// Symbols of one kind of encoding.
enum Symbols {
    /// How many of the symbols were read, and how far in the text.
    typealias Progress = (count: Int, consumed: Int)

    private static let none: UInt8 = 0xff

    private static func table(_ alphabet: some Sequence<UInt8>, _ more: [(UInt8, UInt8)] = []) -> [UInt8] {
        var table = [UInt8](repeating: none, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        for (character, value) in more { table[Int(character)] = value }
        return table
    }

    private static let base64Values = table(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8,
        [(UInt8(ascii: "-"), 62), (UInt8(ascii: "_"), 63)])
    private static let base32Values = table(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8, (0..<26).map { (UInt8(ascii: "a") + $0, $0) })
    private static let hexValues = table(
        "0123456789abcdef".utf8, (0..<6).map { (UInt8(ascii: "A") + $0, 10 + $0) })

    /// The value of a digit of base64, or nil.
    static func base64Value(_ character: UInt8) -> UInt8? {
        let value = base64Values[Int(character)]
        return value == none ? nil : value
    }

    /// The value of a digit of base32, or nil.
    static func base32Value(_ character: UInt8) -> UInt8? {
        let value = base32Values[Int(character)]
        return value == none ? nil : value
    }

    /// The value of a hex digit, or nil.
    @inline(__always) static func hexValue(_ character: UInt8) -> UInt8? {
        switch character {
        case 0x30...0x39: character - 0x30
        case 0x61...0x66: character - 0x57
        case 0x41...0x46: character - 0x37
        default: nil
        }
    }

    /// Six bits a symbol.
    static func base64(
        _ text: UnsafeRawBufferPointer, into symbols: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Progress {
        digits(text, base64Values, into: symbols, limit: limit)
    }

    /// Five bits a symbol.
    static func base32(
        _ text: UnsafeRawBufferPointer, into symbols: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Progress {
        digits(text, base32Values, into: symbols, limit: limit)
    }

    /// A symbol a character that has a value. What has none is left out: line ends and the white space behind them, hyphens, and the
    /// backslashes of `\/`, `\n` and `\r`.
    private static func digits(
        _ text: UnsafeRawBufferPointer, _ values: [UInt8], into symbols: UnsafeMutablePointer<UInt8>, limit: Int
    ) -> Progress {
        values.withUnsafeBufferPointer { values in
            var count = 0
            var position = 0
            while position < text.count, count < limit {
                let character = text[position]
                position += 1
                if character == UInt8(ascii: "\\") {
                    let isLineEnd =
                        position < text.count
                        && (text[position] == UInt8(ascii: "n") || text[position] == UInt8(ascii: "r"))
                    if isLineEnd { position += 1 }
                    continue
                }
                let value = values[Int(character)]
                if value != none {
                    symbols[count] = value
                    count += 1
                }
            }
            return (count, position)
        }
    }

    /// Four bits a symbol. `0x`, where no digit stands before it, and whatever stands between is left out; a digit that stands alone is a byte.
    static func hex(
        _ text: UnsafeRawBufferPointer, into symbols: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Progress {
        hexValues.withUnsafeBufferPointer { values in
            var count = 0
            var position = 0
            while position < text.count, count < limit {
                let value = values[Int(text[position])]
                if value == none {
                    position += 1
                    continue
                }
                let isFirst = position == 0 || values[Int(text[position - 1])] == none
                if value == 0, isFirst, position + 1 < text.count, text[position + 1] | 0x20 == UInt8(ascii: "x") {
                    position += 2
                    continue
                }
                let isLast = position + 1 == text.count || values[Int(text[position + 1])] == none
                if isFirst, isLast {
                    symbols[count] = 0
                    count += 1
                }
                symbols[count] = value
                count += 1
                position += 1
            }
            return (count, position)
        }
    }

    /// A byte a number.
    static func decimal(
        _ text: UnsafeRawBufferPointer, into symbols: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Progress {
        var count = 0
        var position = 0
        while position < text.count, count < limit {
            guard (0x30...0x39).contains(text[position]) else {
                position += 1
                continue
            }
            let start = position
            var value = 0
            while position < text.count, (0x30...0x39).contains(text[position]) {
                if value < 1_000 { value = value * 10 + Int(text[position] - 0x30) }
                position += 1
            }
            let isNegative = start > 0 && text[start - 1] == UInt8(ascii: "-")
            if isNegative ? value <= 128 : value <= 255 {
                symbols[count] = UInt8(truncatingIfNeeded: isNegative ? -value : value)
                count += 1
            }
        }
        return (count, position)
    }

    // MARK: Putting symbols together

    /// How many phases there are for symbols of so many bits.
    static func phases(_ bits: Int) -> Int { bits == 4 ? 2 : bits == 6 ? 4 : bits == 5 ? 8 : 1 }

    /// The bytes that begin at a symbol.
    ///
    /// - Returns: how many there are.
    static func combine(
        _ symbols: UnsafePointer<UInt8>, count: Int, bits: Int, into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        guard count > 0 else { return 0 }
        switch bits {
        case 4:
            let length = count / 2
            for index in 0..<length { bytes[index] = symbols[2 * index] << 4 | symbols[2 * index + 1] }
            return length
        case 6:
            var length = 0
            var index = 0
            while index + 3 < count {
                let group =
                    UInt32(symbols[index]) << 18 | UInt32(symbols[index + 1]) << 12 | UInt32(symbols[index + 2]) << 6
                    | UInt32(symbols[index + 3])
                bytes[length] = UInt8(truncatingIfNeeded: group >> 16)
                bytes[length + 1] = UInt8(truncatingIfNeeded: group >> 8)
                bytes[length + 2] = UInt8(truncatingIfNeeded: group)
                length += 3
                index += 4
            }
            // The last one or two bytes of a text that does not end with a group.
            if count - index >= 2 {
                bytes[length] = symbols[index] << 2 | symbols[index + 1] >> 4
                length += 1
            }
            if count - index >= 3 {
                bytes[length] = symbols[index + 1] << 4 | symbols[index + 2] >> 2
                length += 1
            }
            return length
        default:
            var length = 0
            var held: UInt32 = 0
            var heldBits = 0
            for index in 0..<count {
                held = held << UInt32(bits) | UInt32(symbols[index])
                heldBits += bits
                if heldBits >= 8 {
                    heldBits -= 8
                    bytes[length] = UInt8(truncatingIfNeeded: held >> UInt32(heldBits))
                    length += 1
                }
            }
            return length
        }
    }
}
