// Text forms of public bytes: ids, digests, tags. Secrets never take a text form in ordinary memory.

/// Lowercase hexadecimal.
public enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two digits a byte.
    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of lowercase hexadecimal text, or nil where it is anything else.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let values = text.utf8.map { value(of: $0) }
        guard values.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: values.count, by: 2) {
            guard let high = values[index], let low = values[index + 1] else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// The value of one digit, or nil.
    static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    /// Writes two digits a byte into `output`, which has room for them: for keys, from secret memory to secret memory.
    package static func encode(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        for (index, byte) in bytes.enumerated() where 2 * index + 1 < output.count {
            output[2 * index] = digits[Int(byte >> 4)]
            output[2 * index + 1] = digits[Int(byte & 15)]
        }
    }
}

/// RFC 4648 base32 in lower case and without padding: for random ids.
public enum Base32 {
    private static let digits = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// One digit for every five bits; `bytes` has a multiple of five bytes.
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for group in stride(from: 0, to: bytes.count - bytes.count % 5, by: 5) {
            let value = bytes[group..<(group + 5)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            for shift in stride(from: 35, through: 0, by: -5) { text.append(digits[Int(value >> UInt64(shift) & 31)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether every character is one of the 32 digits.
    public static func isValid(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { digits.contains($0) }
    }
}
