import CLibcrypto
public import Secrets

/// HKDF with SHA-256 (RFC 5869): a key from key material that is already random.
public enum HKDF {
    /// Derives a key.
    ///
    /// - Parameters:
    ///   - inputKeyMaterial: random bytes.
    ///   - salt: public; may be empty.
    ///   - info: names the use; no two uses of one key share it.
    ///   - count: 1 to 8,160 bytes.
    /// - Throws: `CryptoError`, or `SecretsError` where there is no memory for the result.
    public static func derive(
        from inputKeyMaterial: borrowing SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) throws -> SecretBytes {
        guard (1...(255 * HashAlgorithm.sha256.length)).contains(count) else {
            throw CryptoError.parameterOutOfRange(.outputLength)
        }
        guard let algorithm = EVP_KDF_fetch(nil, "HKDF", nil) else { throw CryptoError.libcryptoRefused(.hkdf) }
        defer { EVP_KDF_free(algorithm) }
        guard let context = EVP_KDF_CTX_new(algorithm) else { throw CryptoError.libcryptoRefused(.hkdf) }
        defer { EVP_KDF_CTX_free(context) }
        var digest = Array("SHA256".utf8CString)
        var salt = salt
        var info = info
        let saltCount = salt.count
        let infoCount = info.count
        return try inputKeyMaterial.withUnsafeBytes { material in
            try SecretBytes(count: count) { output in
                let derived = digest.withUnsafeMutableBufferPointer { digest in
                    salt.withUnsafeMutableBytes { salt in
                        info.withUnsafeMutableBytes { info in
                            var parameters = [
                                OSSL_PARAM_construct_utf8_string(strongroom_kdf_digest, digest.baseAddress, 0),
                                OSSL_PARAM_construct_octet_string(
                                    strongroom_kdf_key, UnsafeMutableRawPointer(mutating: material.baseAddress),
                                    material.count),
                            ]
                            if saltCount > 0 {
                                parameters.append(
                                    OSSL_PARAM_construct_octet_string(strongroom_kdf_salt, salt.baseAddress, saltCount))
                            }
                            if infoCount > 0 {
                                parameters.append(
                                    OSSL_PARAM_construct_octet_string(strongroom_kdf_info, info.baseAddress, infoCount))
                            }
                            parameters.append(OSSL_PARAM_construct_end())
                            return EVP_KDF_derive(context, output.bytes, count, parameters) == 1
                        }
                    }
                }
                guard derived else { throw CryptoError.libcryptoRefused(.hkdf) }
            }
        }
    }

    /// Derives a key; `info` is the UTF-8 text of `label`.
    public static func derive(
        from inputKeyMaterial: borrowing SecretBytes, salt: [UInt8] = [], label: String, count: Int = 32
    ) throws -> SecretBytes {
        try derive(from: inputKeyMaterial, salt: salt, info: Array(label.utf8), count: count)
    }
}

/// What scrypt is to cost. Memory is 128 · r · 2^logN bytes.
public struct ScryptCost: Sendable, Hashable {
    /// The base-2 logarithm of N, 15 to 20.
    public let logN: Int
    /// The block size r, 8 in every policy; 1 to 16 are read.
    public let blockSize: Int
    /// The parallelism p, 1 in every policy; 1 to 4 are read.
    public let parallelism: Int

    /// The values of N that are accepted, as logarithms.
    public static let logNBounds = 15...20
    static let blockSizeBounds = 1...16
    static let parallelismBounds = 1...4
    /// The units of the most expensive cost that is within the bounds.
    package static let maximumUnits =
        (1 << logNBounds.upperBound) * blockSizeBounds.upperBound * parallelismBounds.upperBound

    /// How much work it is: N · r · p.
    package var units: Int { (1 << logN) * blockSize * parallelism }

    /// Checks the bounds, before anything is allocated.
    ///
    /// - Throws: `CryptoError.parameterOutOfRange`.
    public init(logN: Int, blockSize: Int = 8, parallelism: Int = 1) throws(CryptoError) {
        guard Self.logNBounds.contains(logN), Self.blockSizeBounds.contains(blockSize),
            Self.parallelismBounds.contains(parallelism)
        else { throw .parameterOutOfRange(.scryptCost) }
        self.init(unchecked: logN, blockSize, parallelism)
    }

    /// For published vectors, which use costs far below what a policy may ask for.
    init(unchecked logN: Int, _ blockSize: Int, _ parallelism: Int) {
        self.logN = logN
        self.blockSize = blockSize
        self.parallelism = parallelism
    }
}

/// scrypt (RFC 7914): a key from a passphrase, slow and large on purpose.
public enum Scrypt {
    /// Derives a key.
    ///
    /// - Parameters:
    ///   - passphrase: at least one byte.
    ///   - salt: at least 16 bytes.
    ///   - cost: within its bounds by construction.
    ///   - count: 16 to 64 bytes.
    /// - Throws: `CryptoError`, or `SecretsError` where there is no memory for the result.
    public static func derive(
        from passphrase: borrowing SecretBytes, salt: [UInt8], cost: ScryptCost, count: Int = 32
    ) throws -> SecretBytes {
        guard passphrase.count > 0 else { throw CryptoError.parameterOutOfRange(.inputLength) }
        guard salt.count >= 16 else { throw CryptoError.parameterOutOfRange(.saltLength) }
        guard (16...64).contains(count) else { throw CryptoError.parameterOutOfRange(.outputLength) }
        return try deriveUnbounded(from: passphrase, salt: salt, cost: cost, count: count)
    }

    static func deriveUnbounded(
        from passphrase: borrowing SecretBytes, salt: [UInt8], cost: ScryptCost, count: Int
    ) throws -> SecretBytes {
        let blocks = UInt64(1) << UInt64(cost.logN)
        let blockLength = 128 * UInt64(cost.blockSize)
        // libcrypto's own limit is below what N = 2^15 needs; this is what the parameters need, and a little over.
        let limit = blockLength * (blocks + 2) + blockLength * UInt64(cost.parallelism) + 65_536
        return try passphrase.withUnsafeBytes { passphrase in
            try SecretBytes(count: count) { output in
                guard
                    EVP_PBE_scrypt(
                        passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), passphrase.count, salt, salt.count,
                        blocks, UInt64(cost.blockSize), UInt64(cost.parallelism), limit, output.bytes, count) == 1
                else { throw CryptoError.libcryptoRefused(.scrypt) }
            }
        }
    }
}

/// PBKDF2 with HMAC (RFC 8018): what a FIPS provider offers for passphrases.
public enum PBKDF2 {
    /// The iterations that are accepted where a passphrase is protected.
    public static let iterationBounds = 210_000...10_000_000

    /// Derives a key.
    ///
    /// - Parameters:
    ///   - passphrase: at least one byte.
    ///   - salt: at least 16 bytes.
    ///   - iterations: within ``iterationBounds``.
    ///   - count: 16 to 64 bytes.
    /// - Throws: `CryptoError`, or `SecretsError` where there is no memory for the result.
    public static func derive(
        from passphrase: borrowing SecretBytes, salt: [UInt8], iterations: Int, algorithm: HashAlgorithm = .sha512,
        count: Int = 32
    ) throws -> SecretBytes {
        guard passphrase.count > 0 else { throw CryptoError.parameterOutOfRange(.inputLength) }
        guard salt.count >= 16 else { throw CryptoError.parameterOutOfRange(.saltLength) }
        guard iterationBounds.contains(iterations) else { throw CryptoError.parameterOutOfRange(.iterations) }
        guard (16...64).contains(count) else { throw CryptoError.parameterOutOfRange(.outputLength) }
        return try deriveUnbounded(
            from: passphrase, salt: salt, iterations: iterations, algorithm: algorithm, count: count)
    }

    /// Without bounds: for published vectors, and for SQLCipher's HMAC key, whose input is a random key already.
    package static func deriveUnbounded(
        from passphrase: borrowing SecretBytes, salt: [UInt8], iterations: Int, algorithm: HashAlgorithm, count: Int
    ) throws -> SecretBytes {
        try passphrase.withUnsafeBytes { passphrase in
            try SecretBytes(count: count) { output in
                guard
                    PKCS5_PBKDF2_HMAC(
                        passphrase.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(passphrase.count), salt,
                        Int32(salt.count), Int32(iterations), algorithm.raw, Int32(count), output.bytes) == 1
                else { throw CryptoError.libcryptoRefused(.pbkdf2) }
            }
        }
    }
}
