/// A way to write bytes that the scanner undoes.
public enum Encoding: UInt8, Sendable, CaseIterable {
    case hex = 1
    case base64
    case base32
    /// Numbers from 0 to 255, or from -128 to 127.
    case decimal
    /// Characters, some of them as `\u00e9`, `\xe9`, `\351`, `%E9` and the like.
    case escapes
    /// Each byte as the character of that number, in UTF-8.
    case utf8
    /// Each byte as the character of that number, in UTF-16.
    case utf16

    /// How long a symbol is at most as text, in bytes.
    var symbolLength: Int {
        switch self {
        case .hex, .base64, .base32: 1
        case .decimal: 3
        case .escapes: 10
        case .utf8, .utf16: 2
        }
    }

    /// The stable name in reports.
    public var name: String {
        switch self {
        case .hex: "hex"
        case .base64: "base64"
        case .base32: "base32"
        case .decimal: "decimal"
        case .escapes: "escapes"
        case .utf8: "utf8"
        case .utf16: "utf16"
        }
    }
}

/// Encodings within each other, outermost first. No more than four are undone.
struct EncodingPath: Sendable, Hashable {
    private var packed: UInt32 = 0

    var depth: Int { (32 - packed.leadingZeroBitCount + 7) / 8 }

    func appending(_ encoding: Encoding) -> EncodingPath {
        var path = self
        path.packed = path.packed << 8 | UInt32(encoding.rawValue)
        return path
    }

    var encodings: [Encoding] {
        (0..<depth).reversed().compactMap { Encoding(rawValue: UInt8(truncatingIfNeeded: packed >> UInt32(8 * $0))) }
    }
}
