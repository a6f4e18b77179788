// Authenticating and opening single pages. The keyed contexts are made once and used for every page.

import CLibcrypto
package import CryptoPrimitives
package import Secrets

/// The key material of one database, ready for pages. Not for two threads at once.
package struct PageKey: ~Copyable {
    package let layout: PageLayout
    private let mac: OpaquePointer
    private let cipher: OpaquePointer
    private let dataKey: SecretBytes

    /// - Parameters:
    ///   - dataKey: 32 bytes.
    ///   - salt: the 16 bytes that the file begins with, or should.
    package init(dataKey: borrowing SecretBytes, salt: [UInt8], layout: PageLayout) throws {
        guard dataKey.count == 32, salt.count == PageLayout.saltLength else {
            throw CryptoError.parameterOutOfRange(.keyLength)
        }
        let hmacKey = try PBKDF2.deriveUnbounded(
            from: dataKey, salt: salt.map { $0 ^ 0x3a }, iterations: 2, algorithm: .sha512, count: 32)
        let dataKey = try dataKey.copy()
        guard let mac = Self.makeMAC(key: hmacKey, hash: layout.hash) else {
            throw CryptoError.libcryptoRefused(.hmac)
        }
        guard let cipher = EVP_CIPHER_CTX_new() else {
            EVP_MAC_CTX_free(mac)
            throw CryptoError.libcryptoRefused(.decrypt)
        }
        self.layout = layout
        self.mac = mac
        self.cipher = cipher
        self.dataKey = dataKey
    }

    deinit {
        EVP_MAC_CTX_free(mac)
        EVP_CIPHER_CTX_free(cipher)
    }

    /// Whether the page's tag fits its content, its number and this key.
    ///
    /// - Parameters:
    ///   - page: `layout.size` bytes.
    ///   - number: counted from 1.
    package borrowing func isAuthentic(_ page: UnsafeRawBufferPointer, number: Int) -> Bool {
        guard page.count == layout.size, let number32 = UInt32(exactly: number), let base = page.baseAddress else {
            return false
        }
        let start = layout.ciphertextStart(ofPage: number)
        let tagStart = layout.size - layout.hash.length
        var littleEndian = number32.littleEndian
        var tag = [UInt8](repeating: 0, count: layout.hash.length)
        var written = 0
        guard EVP_MAC_init(mac, nil, 0, nil) == 1,
            EVP_MAC_update(mac, (base + start).assumingMemoryBound(to: UInt8.self), tagStart - start) == 1,
            withUnsafeBytes(
                of: &littleEndian,
                {
                    EVP_MAC_update(mac, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count)
                }) == 1,
            EVP_MAC_final(mac, &tag, &written, tag.count) == 1, written == tag.count
        else { return false }
        return CRYPTO_memcmp(tag, base + tagStart, tag.count) == 0
    }

    /// The SQLite header that page 1 decrypts to, its first 16 bytes being SQLite's own.
    ///
    /// - Parameter page: an authentic page 1.
    /// - Returns: 100 bytes: sizes and counters, no content.
    package borrowing func header(ofFirstPage page: UnsafeRawBufferPointer) throws(CryptoError) -> DatabaseHeader {
        guard page.count == layout.size, let base = page.baseAddress else {
            throw .parameterOutOfRange(.inputLength)
        }
        let start = PageLayout.saltLength
        let iv = base + (layout.size - layout.reserve)
        // The header ends at byte 100; CBC decrypts block by block, so six blocks are enough.
        var plaintext = [UInt8](repeating: 0, count: 96)
        var written: Int32 = 0
        let done = dataKey.withUnsafeBytes { key in
            EVP_DecryptInit_ex(
                cipher, EVP_aes_256_cbc(), nil, key.baseAddress?.assumingMemoryBound(to: UInt8.self),
                iv.assumingMemoryBound(to: UInt8.self)) == 1
                && EVP_CIPHER_CTX_set_padding(cipher, 0) == 1
                && EVP_DecryptUpdate(
                    cipher, &plaintext, &written, (base + start).assumingMemoryBound(to: UInt8.self),
                    Int32(plaintext.count)) == 1
        }
        guard done, written == plaintext.count else { throw .libcryptoRefused(.decrypt) }
        return DatabaseHeader(plaintext)
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

/// What Strongroom reads of SQLite's own header: counters, no content.
package struct DatabaseHeader: Sendable, Equatable {
    /// How many pages the database has, or nil where the header does not say so reliably.
    package let pageCount: Int?

    /// - Parameter bytes: the header from its byte 16 on, 84 bytes at least.
    init(_ bytes: [UInt8]) {
        func number(at offset: Int) -> Int {
            bytes[(offset - 16)..<(offset - 12)].reduce(0) { $0 << 8 | Int($1) }
        }
        // SQLite trusts the page count only where the change counter equals the number it was valid for.
        let isReliable = number(at: 24) == number(at: 92)
        pageCount = isReliable && number(at: 28) > 0 ? number(at: 28) : nil
    }
}
