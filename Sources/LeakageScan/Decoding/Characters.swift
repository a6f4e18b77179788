// Bytes that were taken for characters: each byte became the character of that number, and that was written as text.

enum Characters {
    /// Whether a UTF-8 character from U+0080 to U+00FF begins here.
    @inline(__always) static func isPair(_ text: UnsafeRawBufferPointer, _ position: Int) -> Bool {
        position + 1 < text.count && text[position] & 0xfe == 0xc2 && text[position + 1] & 0xc0 == 0x80
    }

    @inline(__always) static func pairValue(_ text: UnsafeRawBufferPointer, _ position: Int) -> UInt8 {
        text[position] << 6 | text[position + 1] & 0x3f
    }

    /// One byte a character of UTF-8, up to the first that is not below U+0100.
    static func utf8(
        _ text: UnsafeRawBufferPointer, into bytes: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Symbols.Progress {
        var count = 0
        var position = 0
        while position < text.count, count < limit {
            if text[position] < 0x80 {
                bytes[count] = text[position]
                position += 1
            } else if isPair(text, position) {
                bytes[count] = pairValue(text, position)
                position += 2
            } else {
                break
            }
            count += 1
        }
        return (count, position)
    }

    /// Every second byte.
    static func utf16(
        _ text: UnsafeRawBufferPointer, into bytes: UnsafeMutablePointer<UInt8>, limit: Int = .max
    ) -> Symbols.Progress {
        let count = min(limit, text.count / 2)
        for index in 0..<count { bytes[index] = text[2 * index] }
        return (count, 2 * count)
    }

    /// Which escapes are read as such: a per cent sign between those of a program's string is a character, and so is a backslash between those
    /// of a URL.
    enum EscapeStyle {
        case any, backslash, percent
    }

    /// One byte a character or escape.
    static func escapes(
        _ text: UnsafeRawBufferPointer, into bytes: UnsafeMutablePointer<UInt8>, limit: Int = .max,
        _ style: EscapeStyle = .any
    ) -> Symbols.Progress {
        var count = 0
        var position = 0
        while position < text.count, count < limit {
            let end = position &+ 8
            if let eight = EightBytes(text, at: position), count <= limit &- 8, isPlain(eight) {
                UnsafeMutableRawPointer(bytes + count).storeBytes(of: eight.value, as: UInt64.self)
                count += 8
                position = end
                continue
            }
            while position < min(end, text.count), count < limit {
                if let (value, length) = escape(text, position, style) {
                    bytes[count] = value
                    position += length
                } else if isPair(text, position) {
                    bytes[count] = pairValue(text, position)
                    position += 2
                } else {
                    bytes[count] = text[position]
                    position += 1
                }
                count += 1
            }
        }
        return (count, position)
    }

    /// Whether none of eight bytes begins an escape or a pair.
    @inline(__always) private static func isPlain(_ eight: EightBytes) -> Bool {
        !eight.contain(UInt8(ascii: "\\")) && !eight.contain(UInt8(ascii: "%")) && !eight.masked(0xfe).contain(0xc2)
    }

    /// Whether an escape that says a number begins here.
    static func isNumericEscape(_ text: UnsafeRawBufferPointer, _ position: Int) -> Bool {
        guard let (_, length) = escape(text, position, .any) else { return false }
        return length > 2 || text[position] == UInt8(ascii: "%")
    }

    private static func escape(
        _ text: UnsafeRawBufferPointer, _ position: Int, _ style: EscapeStyle
    ) -> (value: UInt8, length: Int)? {
        switch text[position] {
        case UInt8(ascii: "%") where style != .backslash: digits(text, position + 1, 2).map { ($0, 3) }
        case UInt8(ascii: "\\") where style != .percent: position + 1 < text.count ? backslash(text, position) : nil
        default: nil
        }
    }

    private static func backslash(_ text: UnsafeRawBufferPointer, _ position: Int) -> (value: UInt8, length: Int)? {
        switch text[position + 1] {
        case UInt8(ascii: "x"): return digits(text, position + 2, 2).map { ($0, 4) }
        case UInt8(ascii: "u"):
            if position + 2 < text.count, text[position + 2] == UInt8(ascii: "{") { return braced(text, position) }
            guard position + 5 < text.count, text[position + 2] == 0x30, text[position + 3] == 0x30 else { return nil }
            return digits(text, position + 4, 2).map { ($0, 6) }
        case 0x30...0x37: return octal(text, position)
        case UInt8(ascii: "n"): return (0x0a, 2)
        case UInt8(ascii: "r"): return (0x0d, 2)
        case UInt8(ascii: "t"): return (0x09, 2)
        case UInt8(ascii: "b"): return (0x08, 2)
        case UInt8(ascii: "f"): return (0x0c, 2)
        case UInt8(ascii: "v"): return (0x0b, 2)
        case UInt8(ascii: "a"): return (0x07, 2)
        case UInt8(ascii: "e"): return (0x1b, 2)
        case UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "\""), UInt8(ascii: "'"):
            return (text[position + 1], 2)
        default: return nil
        }
    }

    /// Exactly so many hex digits.
    private static func digits(_ text: UnsafeRawBufferPointer, _ position: Int, _ count: Int) -> UInt8? {
        guard position + count <= text.count else { return nil }
        var value: UInt8 = 0
        for index in position..<position + count {
            guard let digit = Symbols.hexValue(text[index]) else { return nil }
            value = value << 4 | digit
        }
        return value
    }

    /// `\u{e9}`.
    private static func braced(_ text: UnsafeRawBufferPointer, _ position: Int) -> (value: UInt8, length: Int)? {
        var value = 0
        var end = position + 3
        while end < text.count, end < position + 11, let digit = Symbols.hexValue(text[end]) {
            value = value << 4 | Int(digit)
            end += 1
        }
        guard end > position + 3, end < text.count, text[end] == UInt8(ascii: "}"), value <= 0xff else { return nil }
        return (UInt8(value), end + 1 - position)
    }

    /// `\351`: one to three digits.
    private static func octal(_ text: UnsafeRawBufferPointer, _ position: Int) -> (value: UInt8, length: Int)? {
        var value = 0
        var end = position + 1
        while end < text.count, end < position + 4, (0x30...0x37).contains(text[end]) {
            value = value << 3 | Int(text[end] - 0x30)
            end += 1
        }
        return value <= 0xff ? (UInt8(value), end - position) : nil
    }
}
