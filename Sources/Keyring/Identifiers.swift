// Names from outside become one of these types once, at the edge; only these types ever become part of a path.

package import DurableFiles
import CryptoPrimitives

/// A profile's id: `prof_` and 16 base32 digits, random. It says nothing about whose profile it is.
public struct ProfileID: Sendable, Hashable, CustomStringConvertible {
    /// The text form.
    public let description: String

    /// Reads an id, or answers nil where `text` is not one.
    public init?(_ text: String) {
        guard RandomIdentifier.isValid(text, prefix: "prof_") else { return nil }
        description = text
    }

    /// Reads the name of a profile's directory.
    package init?(_ name: FileName) {
        guard let text = name.text else { return nil }
        self.init(text)
    }

    /// A new random id.
    ///
    /// - Throws: `CryptoError`.
    public static func random() throws -> ProfileID {
        ProfileID(trusted: try RandomIdentifier.make(prefix: "prof_"))
    }

    private init(trusted: String) { description = trusted }
}

/// What an envelope is for: the global database, or one profile's.
public enum KeyScope: Sendable, Hashable, CustomStringConvertible, Encodable {
    case global
    case profile(ProfileID)

    /// `global` or the profile's id.
    public var description: String {
        switch self {
        case .global: "global"
        case .profile(let id): id.description
        }
    }

    /// Writes `global` or the id.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Reads a scope, or answers nil where `text` is not one.
    public init?(_ text: String) {
        if text == "global" {
            self = .global
        } else if let id = ProfileID(text) {
            self = .profile(id)
        } else {
            return nil
        }
    }
}

/// Which key a database is under: 16 bytes, the first of its file.
public struct KeyID: Sendable, Hashable, CustomStringConvertible {
    /// The length in bytes.
    public static let length = 16

    /// The 16 bytes.
    public let bytes: [UInt8]

    /// Takes 16 bytes, or answers nil.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = bytes
    }

    /// 32 hex digits.
    public var description: String { Hex.encode(bytes) }
}

/// Random ids with a prefix that says what they name.
enum RandomIdentifier {
    private static let digits = 16

    static func make(prefix: String) throws(CryptoError) -> String {
        prefix + Base32.encode(try Random.bytes(count: 10))
    }

    static func isValid(_ text: String, prefix: String) -> Bool {
        text.utf8.count == prefix.utf8.count + digits && text.hasPrefix(prefix)
            && Base32.isValid(text.dropFirst(prefix.count))
    }
}
