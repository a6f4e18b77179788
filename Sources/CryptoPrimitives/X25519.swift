import CLibcrypto
public import Secrets

/// X25519 key agreement (RFC 7748).
public enum X25519 {
    /// The length of a private key, a public key and a shared secret, in bytes.
    public static let keyLength = 32

    /// A new random private key.
    public static func makePrivateKey() throws -> SecretBytes {
        try Random.secret(count: keyLength)
    }

    /// The public half of `privateKey`: ``keyLength`` bytes.
    public static func publicKey(of privateKey: borrowing SecretBytes) throws(CryptoError) -> [UInt8] {
        let key = try AgreementKey(privateKey: privateKey)
        var publicKey = [UInt8](repeating: 0, count: keyLength)
        var count = keyLength
        guard EVP_PKEY_get_raw_public_key(key.raw, &publicKey, &count) == 1, count == keyLength else {
            throw .libcryptoRefused(.keyAgreement)
        }
        return publicKey
    }

    /// The secret that the owner of `privateKey` shares with the owner of `publicKey`: ``keyLength`` bytes, to be put
    /// through ``HKDF`` before any use.
    ///
    /// - Throws: `CryptoError`, also where `publicKey` is one of the points that force the secret to zero.
    public static func sharedSecret(privateKey: borrowing SecretBytes, publicKey: [UInt8]) throws -> SecretBytes {
        guard publicKey.count == keyLength else { throw CryptoError.parameterOutOfRange(.keyLength) }
        let own = try AgreementKey(privateKey: privateKey)
        let peer = try AgreementKey(publicKey: publicKey)
        guard let context = EVP_PKEY_CTX_new(own.raw, nil) else { throw CryptoError.libcryptoRefused(.keyAgreement) }
        defer { EVP_PKEY_CTX_free(context) }
        return try SecretBytes(count: keyLength) { output in
            var count = keyLength
            guard EVP_PKEY_derive_init(context) == 1, EVP_PKEY_derive_set_peer(context, peer.raw) == 1,
                EVP_PKEY_derive(context, output.bytes, &count) == 1, count == keyLength
            else { throw CryptoError.libcryptoRefused(.keyAgreement) }
        }
    }
}

/// Owns one of libcrypto's keys, which wipes itself when it is freed.
private struct AgreementKey: ~Copyable {
    let raw: OpaquePointer

    init(privateKey: borrowing SecretBytes) throws(CryptoError) {
        guard privateKey.count == X25519.keyLength else { throw .parameterOutOfRange(.keyLength) }
        let raw = privateKey.withUnsafeBytes { bytes in
            EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, bytes.bytes, bytes.count)
        }
        guard let raw else { throw .libcryptoRefused(.keyAgreement) }
        self.raw = raw
    }

    init(publicKey: [UInt8]) throws(CryptoError) {
        guard let raw = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, publicKey, publicKey.count) else {
            throw .libcryptoRefused(.keyAgreement)
        }
        self.raw = raw
    }

    deinit { EVP_PKEY_free(raw) }
}
