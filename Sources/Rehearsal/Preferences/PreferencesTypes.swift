/// The key of a preference: 1 to 160 of the characters `A-Z a-z 0-9 . _ : -`, and none that would name a secret.
public struct PreferenceKey: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The key, as it was given.
    public let description: String

    /// Writes the key as a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Reads a key.
    ///
    /// - Throws: as ``init(_:)``.
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }
}

/// The value of a preference: at most 32,768 bytes, and nothing that looks like a secret.
public struct PreferenceValue: Sendable, Hashable, Decodable {
    /// The value, as it was given.
    public let text: String

    /// Reads a value.
    ///
    /// - Throws: as ``init(_:)``.
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }
}

/// What is kept under a key, or that nothing is.
public struct Preference: Sendable, Hashable, Encodable {
    /// The longest key.
    public static let maximumKeyCharacters = 160
    /// The longest value, in bytes of UTF-8.
    public static let maximumValueBytes = 32_768

    /// The key.
    public let key: PreferenceKey
    /// What is kept under it; nil where nothing is.
    public let value: String?

    private enum CodingKeys: CodingKey { case key, value }

    /// Writes a value that is not there as null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(key, forKey: .key)
        try container.encode(value, forKey: .value)
    }
}
