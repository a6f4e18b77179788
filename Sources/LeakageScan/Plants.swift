// Leaks made on purpose: a key in every form in which keys leak, and in every kind of file. The self-test and the measure of
// recall plant with this; it shares no code with the decoders that must find it.

import CryptoPrimitives
import Foundation
import Secrets

/// A way in which a key is written where it leaks.
public enum LeakForm: String, Sendable, CaseIterable, Codable {
    case raw, reversed
    case wordsReversed = "words_reversed"
    case maskedHMACInner = "masked_hmac_inner"
    case maskedHMACOuter = "masked_hmac_outer"
    case maskedOther = "masked_other"
    case fragment16Raw = "fragment_16_raw"
    case fragment16Hex = "fragment_16_hex"
    case hexLower = "hex_lower"
    case hexUpper = "hex_upper"
    case hexColons = "hex_colons"
    case hexSpaces = "hex_spaces"
    case hexCArray = "hex_c_array"
    case hexBackslashX = "hex_backslash_x"
    case hexLines = "hex_lines"
    case hexDump = "hex_dump"
    case sqlcipher64 = "sqlcipher_64"
    case sqlcipher96 = "sqlcipher_96"
    case sqlcipher160 = "sqlcipher_160"
    case base64, base64Unaligned1 = "base64_unaligned_1"
    case base64Unaligned2 = "base64_unaligned_2"
    case base64URL = "base64_url"
    case base64Wrapped = "base64_wrapped"
    case base64Indented = "base64_indented"
    case base64EscapedSlash = "base64_escaped_slash"
    case base32, base32Lower = "base32_lower"
    case decimalList = "decimal_list"
    case signedList = "signed_list"
    case utf16LittleHex = "utf16le_hex"
    case utf16BigHex = "utf16be_hex"
    case utf16LittleBase64 = "utf16le_base64"
    case utf16BigBase64 = "utf16be_base64"
    case utf16Characters = "utf16_characters"
    case latin1AsUTF8 = "latin1_as_utf8"
    case jsonEscapes = "json_escapes"
    case jsonMixed = "json_mixed"
    case pythonBytes = "python_bytes"
    case octalEscapes = "octal_escapes"
    case percentEscapes = "percent_escapes"
    case base64OfHex = "base64_of_hex"
    case hexOfBase64 = "hex_of_base64"
    case scheduleEncryption = "schedule_encryption"
    case scheduleEncryptionWords = "schedule_encryption_words"
    case scheduleDecryption = "schedule_decryption"
    case scheduleDecryptionWords = "schedule_decryption_words"

    /// Whether it is a schedule, which is kept at multiples of four bytes.
    var isSchedule: Bool { rawValue.hasPrefix("schedule") }

    /// Writes a key of 32 bytes in this form.
    ///
    /// - Parameter key: a throwaway key: it leaves secret memory here, which is what leaking is.
    package func write(_ key: [UInt8]) throws -> [UInt8] {
        switch self {
        case .raw: return key
        case .reversed: return key.reversed()
        case .wordsReversed: return Self.words(key)
        case .maskedHMACInner: return key.map { $0 ^ 0x36 }
        case .maskedHMACOuter: return key.map { $0 ^ 0x5c }
        case .maskedOther: return key.map { $0 ^ 0xa7 }
        case .fragment16Raw: return Array(key[9..<25])
        case .fragment16Hex: return Array(Self.hex(Array(key[9..<25])).utf8)
        case .hexLower: return text(Self.hex(key))
        case .hexUpper: return text(Self.hex(key).uppercased())
        case .hexColons: return text(Self.hex(key, ":"))
        case .hexSpaces: return text(Self.hex(key, " "))
        case .hexCArray: return text("{ 0x" + Self.hex(key, ", 0x") + " };")
        case .hexBackslashX: return text("\\x" + Self.hex(key, "\\x"))
        case .hexLines: return text(Self.wrap(Self.hex(key), 16, "\n"))
        case .hexDump: return text(Self.dump(key))
        case .sqlcipher64: return text("x'" + Self.hex(key) + "'")
        case .sqlcipher96: return text("x'" + Self.hex(key + key.prefix(16).map { ~$0 }) + "'")
        case .sqlcipher160: return text("x'" + Self.hex(key + key.map { ~$0 } + key.prefix(16)) + "'")
        case .base64: return text(Self.base64(key))
        case .base64Unaligned1: return text(Self.base64([0x7b] + key + [0x22]))
        case .base64Unaligned2: return text(Self.base64([0x7b, 0x22] + key + [0x22, 0x7d]))
        case .base64URL:
            return text(
                Self.base64(key).replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                    .replacingOccurrences(of: "=", with: ""))
        case .base64Wrapped: return text(Self.wrap(Self.base64(key), 24, "\r\n"))
        case .base64Indented: return text(Self.wrap(Self.base64(key), 24, "\n        "))
        case .base64EscapedSlash: return text(Self.base64(key).replacingOccurrences(of: "/", with: "\\/"))
        case .base32: return text(Self.base32(key))
        case .base32Lower: return text(Self.base32(key).lowercased())
        case .decimalList: return text("[" + key.map { String($0) }.joined(separator: ", ") + "]")
        case .signedList: return text("[" + key.map { String(Int8(bitPattern: $0)) }.joined(separator: ",") + "]")
        case .utf16LittleHex: return Self.hex(key).utf8.flatMap { [$0, 0] }
        case .utf16BigHex: return Self.hex(key).utf8.flatMap { [0, $0] }
        case .utf16LittleBase64: return Self.base64(key).utf8.flatMap { [$0, 0] }
        case .utf16BigBase64: return Self.base64(key).utf8.flatMap { [0, $0] }
        case .utf16Characters: return key.flatMap { [$0, 0] }
        case .latin1AsUTF8: return text(String(String.UnicodeScalarView(key.map { Unicode.Scalar($0) })))
        case .jsonEscapes: return text("\"" + key.map { String(format: "\\u00%02x", $0) }.joined() + "\"")
        case .jsonMixed: return Self.jsonMixed(key)
        case .pythonBytes: return text("b'" + key.map(Self.pythonByte).joined() + "'")
        case .octalEscapes: return text(key.map { String(format: "\\%03o", $0) }.joined())
        case .percentEscapes: return text("?k=" + key.map { String(format: "%%%02X", $0) }.joined())
        case .base64OfHex: return text(Self.base64(Array(Self.hex(key).utf8)))
        case .hexOfBase64: return text(Self.hex(Array(Self.base64(key).utf8)))
        case .scheduleEncryption: return try Self.schedule(key, .encryption)
        case .scheduleEncryptionWords: return Self.words(try Self.schedule(key, .encryption))
        case .scheduleDecryption: return try Self.schedule(key, .decryption)
        case .scheduleDecryptionWords: return Self.words(try Self.schedule(key, .decryption))
        }
    }

    private func text(_ string: String) -> [UInt8] { Array(string.utf8) }

    private static func hex(_ bytes: [UInt8], _ separator: String = "") -> String {
        bytes.map { String(format: "%02x", $0) }.joined(separator: separator)
    }

    private static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    private static func base32(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        let bits = bytes.map { String(String(Int($0) + 256, radix: 2).dropFirst()) }.joined()
        let padded = Array(bits + String(repeating: "0", count: (5 - bits.count % 5) % 5))
        return stride(from: 0, to: padded.count, by: 5).map { start in
            String(alphabet[Int(String(padded[start..<start + 5]), radix: 2) ?? 0])
        }.joined()
    }

    private static func wrap(_ text: String, _ width: Int, _ lineEnd: String) -> String {
        let characters = Array(text)
        return stride(from: 0, to: characters.count, by: width)
            .map { String(characters[$0..<min($0 + width, characters.count)]) }.joined(separator: lineEnd)
    }

    /// As `xxd` prints it, with the key somewhere within.
    private static func dump(_ key: [UInt8]) -> String {
        let bytes = [UInt8](repeating: 0x2e, count: 5) + key + [UInt8](repeating: 0x2e, count: 11)
        return stride(from: 0, to: bytes.count, by: 16).map { start in
            let line = bytes[start..<min(start + 16, bytes.count)]
            let pairs = stride(from: start, to: line.endIndex, by: 2).map {
                hex(Array(bytes[$0..<min($0 + 2, line.endIndex)]))
            }
            let shown = line.map { (0x20...0x7e).contains($0) ? String(Unicode.Scalar($0)) : "." }.joined()
            return String(format: "%08x: ", start) + pairs.joined(separator: " ") + "  " + shown
        }.joined(separator: "\n")
    }

    /// As a JSON encoder writes a string whose characters are the bytes.
    private static func jsonMixed(_ key: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [0x22]
        for byte in key {
            switch byte {
            case 0x22, 0x5c, 0x2f: bytes += [0x5c, byte]
            case 0x0a: bytes += Array("\\n".utf8)
            case 0x0d: bytes += Array("\\r".utf8)
            case 0x09: bytes += Array("\\t".utf8)
            case 0..<0x20: bytes += Array(String(format: "\\u00%02x", byte).utf8)
            default: bytes += Array(String(Unicode.Scalar(byte)).utf8)
            }
        }
        return bytes + [0x22]
    }

    private static func pythonByte(_ byte: UInt8) -> String {
        switch byte {
        case 0x0a: "\\n"
        case 0x0d: "\\r"
        case 0x09: "\\t"
        case 0x27, 0x5c: "\\" + String(Unicode.Scalar(byte))
        case 0x20...0x7e: String(Unicode.Scalar(byte))
        default: String(format: "\\x%02x", byte)
        }
    }

    private static func words(_ bytes: [UInt8]) -> [UInt8] {
        stride(from: 0, to: bytes.count, by: 4).flatMap { bytes[$0..<$0 + 4].reversed() }
    }

    private static func schedule(_ key: [UInt8], _ direction: AES256KeySchedule.Direction) throws -> [UInt8] {
        try key.withUnsafeBytes { key in
            let schedule = try AES256KeySchedule.expand(key, direction)
            return schedule.withUnsafeBytes { Array($0) }
        }
    }
}
