// Telling whether a page is what was written takes the page key alone, which reads nothing: who verifies snapshots on
// another machine holds no more than this.

import CLibcrypto
import Glibc
import CryptoPrimitives
package import Secrets

/// A page as it stands in a file, of which nobody knows yet whether it is what was written. Valid as long as its bytes.
package struct SealedPage {
    let bytes: UnsafeRawBufferPointer
    /// Counted from 1.
    package let number: Int

    package init(_ bytes: UnsafeRawBufferPointer, number: Int) {
        self.bytes = bytes
        self.number = number
    }

    /// Whether every byte is zero.
    package var isZeroed: Bool {
        guard let base = bytes.baseAddress, bytes[0] == 0 else { return bytes.isEmpty }
        return memcmp(base, base + 1, bytes.count - 1) == 0
    }
}

/// A page whose tag fits its content, its number and a key. ``PageAuthenticator`` makes one.
package struct AuthenticPage {
    let sealed: SealedPage

    fileprivate init(_ sealed: SealedPage) { self.sealed = sealed }

    /// For a page of a file that was authenticated as a whole just before, by the same caller.
    package init(alreadyAuthenticated sealed: SealedPage) { self.sealed = sealed }
}

/// The page key of one database, ready for pages. Not for two threads at once: each makes its own.
package struct PageAuthenticator: ~Copyable {
    package let layout: PageLayout
    private let mac: OpaquePointer
    /// Room for one tag, so that no page costs an allocation.
    private let tag: UnsafeMutablePointer<UInt8>

    /// The length of a page key, in bytes.
    package static let keyLength = 32

    /// - Parameter pageKey: 32 bytes.
    package init(pageKey: borrowing SecretBytes, layout: PageLayout) throws {
        guard pageKey.count == Self.keyLength else { throw CryptoError.parameterOutOfRange(.keyLength) }
        guard let mac = Self.makeMAC(key: pageKey, hash: layout.hash) else {
            throw CryptoError.libcryptoRefused(.hmac)
        }
        self.layout = layout
        self.mac = mac
        tag = .allocate(capacity: HashAlgorithm.sha512.length)
    }

    deinit {
        EVP_MAC_CTX_free(mac)
        tag.deallocate()
    }

    /// The page key of a data key: docs/formats/page.md, "Authentication".
    ///
    /// - Parameter salt: the 16 bytes that the file begins with, or should.
    package static func pageKey(of dataKey: borrowing SecretBytes, salt: [UInt8]) throws -> SecretBytes {
        guard dataKey.count == 32, salt.count == PageLayout.saltLength else {
            throw CryptoError.parameterOutOfRange(.keyLength)
        }
        return try PBKDF2.deriveUnbounded(
            from: dataKey, salt: salt.map { $0 ^ 0x3a }, iterations: 2, algorithm: .sha512, count: keyLength)
    }

    /// The page, known to be what was written under this key at this place; nil where it is not.
    package borrowing func authenticate(_ page: SealedPage) -> AuthenticPage? {
        guard let base = page.bytes.baseAddress, page.bytes.count == layout.size,
            computeTag(of: base, number: page.number),
            CRYPTO_memcmp(tag, base + layout.tagStart, layout.hash.length) == 0
        else { return nil }
        return AuthenticPage(page)
    }

    /// Puts the tag of a page where it belongs.
    ///
    /// - Parameter page: `layout.size` bytes.
    borrowing func tag(_ page: UnsafeMutableRawPointer, number: Int) throws(CryptoError) {
        guard computeTag(of: UnsafeRawPointer(page), number: number) else { throw .libcryptoRefused(.hmac) }
        (page + layout.tagStart).copyMemory(from: tag, byteCount: layout.hash.length)
    }

    /// HMAC(ciphertext ‖ IV ‖ page number), into `tag`.
    private borrowing func computeTag(of page: UnsafeRawPointer, number: Int) -> Bool {
        guard let number = UInt32(exactly: number) else { return false }
        let start = layout.ciphertextStart(ofPage: Int(number))
        var littleEndian = number.littleEndian
        var written = 0
        return EVP_MAC_init(mac, nil, 0, nil) == 1
            && EVP_MAC_update(mac, (page + start).assumingMemoryBound(to: UInt8.self), layout.tagStart - start) == 1
            && withUnsafeBytes(of: &littleEndian) {
                EVP_MAC_update(mac, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count)
            } == 1
            && EVP_MAC_final(mac, tag, &written, HashAlgorithm.sha512.length) == 1 && written == layout.hash.length
    }

    private static func makeMAC(key: borrowing SecretBytes, hash: HashAlgorithm) -> OpaquePointer? {
        guard let algorithm = EVP_MAC_fetch(nil, "HMAC", nil) else { return nil }
        defer { EVP_MAC_free(algorithm) }
        guard let context = EVP_MAC_CTX_new(algorithm) else { return nil }
        var name = Array((hash == .sha256 ? "SHA256" : "SHA512").utf8CString)
        let done = name.withUnsafeMutableBufferPointer { name in
            let parameters = [
                OSSL_PARAM_construct_utf8_string(strongroom_mac_digest, name.baseAddress, 0),
                OSSL_PARAM_construct_end(),
            ]
            return key.withUnsafeBytes { key in
                EVP_MAC_init(context, key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, parameters) == 1
            }
        }
        guard done else {
            EVP_MAC_CTX_free(context)
            return nil
        }
        return context
    }
}
