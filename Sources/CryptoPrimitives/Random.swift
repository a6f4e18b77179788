import CLibcrypto
public import Secrets

/// Random bytes from libcrypto's generators, seeded by the system.
public enum Random {
    /// `count` public random bytes: salts, nonces, ids.
    public static func bytes(count: Int) throws(CryptoError) -> [UInt8] {
        guard count >= 0, count <= Int(Int32.max) else { throw .parameterOutOfRange(.outputLength) }
        var bytes = [UInt8](repeating: 0, count: count)
        guard RAND_bytes(&bytes, Int32(count)) == 1 else { throw .libcryptoRefused(.random) }
        return bytes
    }

    /// `count` secret random bytes, from the generator that libcrypto keeps for secrets.
    ///
    /// - Throws: `CryptoError.libcryptoRefused`, or `SecretsError` where there is no memory for the secret.
    public static func secret(count: Int) throws -> SecretBytes {
        try SecretBytes(count: count) { buffer in
            guard RAND_priv_bytes(buffer.baseAddress, Int32(count)) == 1 else {
                throw CryptoError.libcryptoRefused(.random)
            }
        }
    }
}
