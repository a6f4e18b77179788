// Recovery keys as people write them down: docs/formats/recovery-key.md. The private half is made into text, and text into it, in
// secret memory and nowhere else.

import CryptoPrimitives
public import Secrets

/// A key pair whose private half is kept offline.
public struct RecoveryKey: ~Copyable {
    /// The private half, 32 bytes.
    let privateKey: SecretBytes
    /// The public half, 32 bytes: what a keyring needs.
    public let publicKey: [UInt8]

    /// A random one.
    ///
    /// - Throws: `CryptoError`; `SecretsError` where there is no memory for it.
    public static func random() throws -> RecoveryKey {
        let privateKey = try X25519.makePrivateKey()
        let publicKey = try X25519.publicKey(of: privateKey)
        return RecoveryKey(privateKey: privateKey, publicKey: publicKey)
    }

    init(privateKey: consuming SecretBytes, publicKey: [UInt8]) {
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    /// The public half as text: `srpub1-` and 56 digits.
    public var recipient: String {
        get throws {
            let bytes = publicKey + (try RecoveryText.checksum(RecoveryText.publicPrefix, publicKey.span, count: 3))
            return RecoveryText.publicPrefix + Base32.encode(bytes).grouped(by: 4)
        }
    }

    /// The private half as text in secret memory: `srkey1-` and 56 digits.
    ///
    /// - Parameter forQR: in upper case and without groups.
    public borrowing func text(forQR: Bool = false) throws -> SecretBytes {
        try RecoveryText.encode(privateKey, forQR: forQR)
    }

    /// The private half as 18 words in secret memory, with spaces between.
    public borrowing func words() throws -> SecretBytes { try RecoveryText.words(privateKey) }

    /// The private half, to unlock with.
    public consuming func secret() throws -> UnlockSecret { try .recoveryKey(privateKey) }

    /// Reads the text of a recipient.
    ///
    /// - Returns: 32 bytes.
    /// - Throws: `KeyringError.recoveryTextInvalid`.
    public static func publicKey(recipient text: String) throws -> [UInt8] {
        let digits = Array(text.lowercased().utf8)
        let prefix = Array(RecoveryText.publicPrefix.utf8)
        guard digits.starts(with: prefix) else { throw KeyringError(.recoveryTextInvalid) }
        var bytes = [UInt8](repeating: 0, count: 35)
        try bytes.withUnsafeMutableBytes { output in
            try digits.dropFirst(prefix.count).withUnsafeBytes { try RecoveryText.decodeBase32($0, into: output) }
        }
        let key = Array(bytes.prefix(32))
        guard try RecoveryText.checksum(RecoveryText.publicPrefix, key.span, count: 3) == bytes.suffix(3) else {
            throw KeyringError(.recoveryTextInvalid)
        }
        return key
    }
}

extension UnlockSecret {
    /// Reads a recovery key from its text: `srkey1-…`, or its words.
    ///
    /// - Throws: `KeyringError.recoveryTextInvalid` where it is mistyped.
    public static func recoveryKey(text: borrowing SecretBytes) throws -> UnlockSecret {
        try .recoveryKey(RecoveryText.decode(text))
    }
}

private enum RecoveryText {
    static let publicPrefix = "srpub1-"
    static let privatePrefix = "srkey1-"
    private static let digits = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    private static let consonants = Array("bdfghjklmnprstvz".utf8)
    private static let vowels = Array("aiou".utf8)
    private static let keyLength = X25519.keyLength
    private static let wordCount = 18

    static func checksum(_ prefix: String, _ key: Span<UInt8>, count: Int) throws -> [UInt8] {
        let digest = try SHA256()
        try Array(prefix.utf8).withUnsafeBytes { try digest.update($0) }
        try key.withUnsafeBytes { try digest.update($0) }
        return Array(try digest.finish().prefix(count))
    }

    private static func checksum(_ key: UnsafeRawBufferPointer, count: Int) throws -> [UInt8] {
        let digest = try SHA256()
        try Array(privatePrefix.utf8).withUnsafeBytes { try digest.update($0) }
        try digest.update(key)
        return Array(try digest.finish().prefix(count))
    }

    /// The key and its check sum.
    private static func summed(_ key: borrowing SecretBytes, count: Int) throws -> SecretBytes {
        try key.withUnsafeBytes { key in
            let sum = try checksum(key, count: count)
            return try SecretBytes(count: keyLength + count) { output in
                output.copyBytes(from: key)
                for (index, byte) in sum.enumerated() { output[keyLength + index] = byte }
            }
        }
    }

    static func encode(_ key: borrowing SecretBytes, forQR: Bool) throws -> SecretBytes {
        let prefix = Array(privatePrefix.utf8)
        let digitCount = 56
        let length = prefix.count + digitCount + (forQR ? 0 : digitCount / 4 - 1)
        return try summed(key, count: 3).withUnsafeBytes { bytes in
            try SecretBytes(count: length) { output in
                var position = 0
                func put(_ byte: UInt8) {
                    output[position] = forQR && (97...122).contains(byte) ? byte - 32 : byte
                    position += 1
                }
                prefix.forEach(put)
                for digit in 0..<digitCount {
                    if !forQR, digit > 0, digit.isMultiple(of: 4) { put(UInt8(ascii: "-")) }
                    let bit = digit * 5
                    let pair =
                        UInt16(bytes[bit / 8]) << 8 | (bit / 8 + 1 < bytes.count ? UInt16(bytes[bit / 8 + 1]) : 0)
                    put(digits[Int(pair >> UInt16(11 - bit % 8) & 31)])
                }
            }
        }
    }

    static func words(_ key: borrowing SecretBytes) throws -> SecretBytes {
        try summed(key, count: 4).withUnsafeBytes { bytes in
            try SecretBytes(count: wordCount * 6 - 1) { output in
                for word in 0..<wordCount {
                    let value = Int(bytes[2 * word]) << 8 | Int(bytes[2 * word + 1])
                    let start = 6 * word
                    output[start] = consonants[value >> 12 & 15]
                    output[start + 1] = vowels[value >> 10 & 3]
                    output[start + 2] = consonants[value >> 6 & 15]
                    output[start + 3] = vowels[value >> 4 & 3]
                    output[start + 4] = consonants[value & 15]
                    if word + 1 < wordCount { output[start + 5] = UInt8(ascii: " ") }
                }
            }
        }
    }

    /// - Throws: `KeyringError.recoveryTextInvalid`.
    static func decode(_ text: borrowing SecretBytes) throws -> SecretBytes {
        let prefix = Array(privatePrefix.utf8)
        return try text.withUnsafeBytes { text in
            let start = text.firstIndex { !isSpace($0) } ?? text.count
            let rest = UnsafeRawBufferPointer(rebasing: text[start...])
            let hasPrefix = rest.count > prefix.count && zip(prefix, rest).allSatisfy { $0 == lowercased($1) }
            let sumLength = hasPrefix ? 3 : 4
            let bytes = try SecretBytes(count: keyLength + sumLength) { output in
                if hasPrefix {
                    try decodeBase32(UnsafeRawBufferPointer(rebasing: rest[prefix.count...]), into: output)
                } else {
                    try decodeWords(rest, into: output)
                }
            }
            return try bytes.withUnsafeBytes { bytes in
                let key = UnsafeRawBufferPointer(rebasing: bytes[..<keyLength])
                guard try ConstantTime.areEqual(checksum(key, count: sumLength), Array(bytes[keyLength...])) else {
                    throw KeyringError(.recoveryTextInvalid)
                }
                return try SecretBytes(count: keyLength) { $0.copyBytes(from: key) }
            }
        }
    }

    static func decodeBase32(_ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws {
        var bit = 0
        for character in text where !isSpace(character) && character != UInt8(ascii: "-") {
            guard let digit = digits.firstIndex(of: lowercased(character)), bit + 5 <= 8 * output.count else {
                throw KeyringError(.recoveryTextInvalid)
            }
            add(UInt16(digit), bits: 5, at: &bit, to: output)
        }
        guard bit == 8 * output.count else { throw KeyringError(.recoveryTextInvalid) }
    }

    private static func decodeWords(
        _ text: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws {
        var bit = 0
        var letter = 0
        for character in text where !isSpace(character) && character != UInt8(ascii: "-") {
            let isVowel = letter % 5 == 1 || letter % 5 == 3
            guard let value = (isVowel ? vowels : consonants).firstIndex(of: lowercased(character)),
                bit + (isVowel ? 2 : 4) <= 8 * output.count
            else { throw KeyringError(.recoveryTextInvalid) }
            add(UInt16(value), bits: isVowel ? 2 : 4, at: &bit, to: output)
            letter += 1
        }
        guard bit == 8 * output.count else { throw KeyringError(.recoveryTextInvalid) }
    }

    /// Adds the lowest bits of a value, highest first.
    private static func add(
        _ value: UInt16, bits: Int, at position: inout Int, to output: UnsafeMutableRawBufferPointer
    ) {
        for shift in stride(from: bits - 1, through: 0, by: -1) {
            if position % 8 == 0 { output[position / 8] = 0 }
            if value >> UInt16(shift) & 1 == 1 { output[position / 8] |= 0x80 >> UInt8(position % 8) }
            position += 1
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
    private static func lowercased(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }
}

extension String {
    /// With `-` between groups of so many characters.
    fileprivate func grouped(by count: Int) -> String {
        enumerated().map { $0.offset > 0 && $0.offset.isMultiple(of: count) ? "-\($0.element)" : "\($0.element)" }
            .joined()
    }
}
