import CLibcrypto
public import Secrets

/// AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce that is made here and never passed in.
///
/// One key must not seal more than 2^32 values; Strongroom's keys seal one value each.
public enum AESGCM {
    /// The length of a key, in bytes.
    public static let keyLength = 32
    /// What sealing adds to the plaintext, in bytes: the nonce before it and the tag after it.
    public static let overhead = nonceLength + tagLength

    static let nonceLength = 12
    static let tagLength = 16

    /// Encrypts and authenticates.
    ///
    /// - Parameters:
    ///   - plaintext: up to ``SecretBytes/maximumCount`` bytes.
    ///   - key: ``keyLength`` bytes.
    ///   - associatedData: authenticated, not encrypted; needed again to open.
    /// - Returns: nonce (12) ‖ ciphertext ‖ tag (16).
    /// - Throws: `CryptoError`.
    public static func seal(
        _ plaintext: borrowing SecretBytes, key: borrowing SecretBytes, associatedData: [UInt8]
    ) throws(CryptoError) -> [UInt8] {
        try seal(plaintext, key: key, associatedData: associatedData, nonce: Random.bytes(count: nonceLength))
    }

    /// For published vectors only: every other caller lets the nonce be made.
    static func seal(
        _ plaintext: borrowing SecretBytes, key: borrowing SecretBytes, associatedData: [UInt8], nonce: [UInt8]
    ) throws(CryptoError) -> [UInt8] {
        guard key.count == keyLength, nonce.count == nonceLength else { throw .parameterOutOfRange(.keyLength) }
        let context = try CipherContext()
        let count = plaintext.count
        var sealed = nonce + [UInt8](repeating: 0, count: count + tagLength)
        let done = key.withUnsafeBytes { key in
            plaintext.withUnsafeBytes { plaintext in
                sealed.withUnsafeMutableBytes { sealed in
                    let output = sealed.baseAddress.map { $0 + nonceLength }?.assumingMemoryBound(to: UInt8.self)
                    var length: Int32 = 0
                    return EVP_EncryptInit_ex(context.raw, EVP_aes_256_gcm(), nil, key.bytes, nonce) == 1
                        && context.authenticate(associatedData, encrypting: true)
                        && (count == 0
                            || EVP_EncryptUpdate(context.raw, output, &length, plaintext.bytes, Int32(count)) == 1)
                        && EVP_EncryptFinal_ex(context.raw, output.map { $0 + count }, &length) == 1
                        && EVP_CIPHER_CTX_ctrl(
                            context.raw, EVP_CTRL_AEAD_GET_TAG, Int32(tagLength), output.map { $0 + count }) == 1
                }
            }
        }
        guard done else { throw .libcryptoRefused(.encrypt) }
        return sealed
    }

    /// Checks the tag and decrypts.
    ///
    /// - Parameters:
    ///   - sealed: what ``seal(_:key:associatedData:)`` returned.
    ///   - key: ``keyLength`` bytes.
    ///   - associatedData: the same as when sealing.
    /// - Throws: `CryptoError.authenticationFailed` where anything differs; `SecretsError` where there is no memory.
    public static func open(
        _ sealed: [UInt8], key: borrowing SecretBytes, associatedData: [UInt8]
    ) throws -> SecretBytes {
        guard key.count == keyLength else { throw CryptoError.parameterOutOfRange(.keyLength) }
        guard sealed.count >= overhead, sealed.count - overhead <= SecretBytes.maximumCount else {
            throw CryptoError.authenticationFailed
        }
        let context = try CipherContext()
        let count = sealed.count - overhead
        let nonce = Array(sealed[..<nonceLength])
        let ciphertext = Array(sealed[nonceLength..<(nonceLength + count)])
        var tag = Array(sealed[(nonceLength + count)...])
        return try key.withUnsafeBytes { key in
            guard EVP_DecryptInit_ex(context.raw, EVP_aes_256_gcm(), nil, key.bytes, nonce) == 1,
                context.authenticate(associatedData, encrypting: false)
            else { throw CryptoError.libcryptoRefused(.decrypt) }
            return try SecretBytes(count: count) { output in
                var length: Int32 = 0
                guard
                    count == 0
                        || EVP_DecryptUpdate(context.raw, output.bytes, &length, ciphertext, Int32(count)) == 1,
                    EVP_CIPHER_CTX_ctrl(context.raw, EVP_CTRL_AEAD_SET_TAG, Int32(tagLength), &tag) == 1
                else { throw CryptoError.libcryptoRefused(.decrypt) }
                guard EVP_DecryptFinal_ex(context.raw, output.bytes, &length) == 1 else {
                    throw CryptoError.authenticationFailed
                }
            }
        }
    }
}

/// Owns one of libcrypto's cipher contexts, which wipes its key schedule when it is freed.
private struct CipherContext: ~Copyable {
    let raw: OpaquePointer

    init() throws(CryptoError) {
        guard let raw = EVP_CIPHER_CTX_new() else { throw .libcryptoRefused(.encrypt) }
        self.raw = raw
    }

    deinit { EVP_CIPHER_CTX_free(raw) }

    borrowing func authenticate(_ associatedData: [UInt8], encrypting: Bool) -> Bool {
        guard !associatedData.isEmpty else { return true }
        var length: Int32 = 0
        let count = Int32(associatedData.count)
        return encrypting
            ? EVP_EncryptUpdate(raw, nil, &length, associatedData, count) == 1
            : EVP_DecryptUpdate(raw, nil, &length, associatedData, count) == 1
    }
}

extension UnsafeRawBufferPointer {
    /// The bytes as libcrypto wants them.
    var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    /// The bytes as libcrypto wants them.
    var bytes: UnsafeMutablePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
