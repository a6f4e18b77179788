import CLibcrypto
public import Secrets

/// The hash functions in use.
public enum HashAlgorithm: String, Sendable, CaseIterable {
    case sha256
    case sha512

    /// The length of a digest or tag, in bytes.
    public var length: Int { self == .sha256 ? 32 : 64 }

    var raw: OpaquePointer? { self == .sha256 ? EVP_sha256() : EVP_sha512() }
    var libcryptoName: String { self == .sha256 ? "SHA256" : "SHA512" }
}

/// SHA-256 (FIPS 180-4) over data that comes in pieces.
public struct SHA256: ~Copyable {
    /// Fetched once: libcrypto looks a method up under a lock each time it is named. It is counted, and never changes.
    nonisolated(unsafe) private static let method = EVP_MD_fetch(nil, HashAlgorithm.sha256.libcryptoName, nil)

    private let context: OpaquePointer

    /// Starts a digest.
    public init() throws(CryptoError) {
        guard let context = EVP_MD_CTX_new() else { throw .libcryptoRefused(.hash) }
        guard let method = Self.method, EVP_DigestInit_ex(context, method, nil) == 1 else {
            EVP_MD_CTX_free(context)
            throw .libcryptoRefused(.hash)
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds bytes.
    public func update(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) {
        guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else { throw .libcryptoRefused(.hash) }
    }

    /// Ends the digest: 32 bytes.
    public consuming func finish() throws(CryptoError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: HashAlgorithm.sha256.length)
        guard EVP_DigestFinal_ex(context, &digest, nil) == 1 else { throw .libcryptoRefused(.hash) }
        return digest
    }

    /// The digest of `bytes`: 32 bytes.
    public static func hash(_ bytes: [UInt8]) throws(CryptoError) -> [UInt8] {
        let digest = try SHA256()
        do {
            try bytes.withUnsafeBytes { try digest.update($0) }
        } catch { throw .libcryptoRefused(.hash) }
        return try digest.finish()
    }
}

/// HMAC (FIPS 198-1, RFC 2104).
public enum HMAC {
    /// The tag of `message`: 32 bytes with SHA-256, 64 with SHA-512.
    public static func tag(
        of message: UnsafeRawBufferPointer, key: borrowing SecretBytes, algorithm: HashAlgorithm
    ) throws(CryptoError) -> [UInt8] {
        var tag = [UInt8](repeating: 0, count: algorithm.length)
        var written = 0
        let done = key.withUnsafeBytes { key in
            EVP_Q_mac(
                nil, "HMAC", nil, algorithm.libcryptoName, nil, key.baseAddress, key.count, message.bytes,
                message.count, &tag, tag.count, &written) != nil
        }
        guard done, written == algorithm.length else { throw .libcryptoRefused(.hmac) }
        return tag
    }

    /// The tag of `message`: 32 bytes with SHA-256, 64 with SHA-512.
    public static func tag(
        of message: [UInt8], key: borrowing SecretBytes, algorithm: HashAlgorithm
    ) throws(CryptoError) -> [UInt8] {
        var result: Swift.Result<[UInt8], CryptoError> = .failure(.libcryptoRefused(.hmac))
        message.withUnsafeBytes { message in
            do throws(CryptoError) {
                result = .success(try tag(of: message, key: key, algorithm: algorithm))
            } catch { result = .failure(error) }
        }
        return try result.get()
    }
}

/// Comparison of tags in time that does not depend on where they differ.
public enum ConstantTime {
    /// Whether both are the same bytes.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
