// With PageAuthenticator the one seam to the cryptography of pages: authenticate, open, seal. Contexts are keyed once and
// used for every page. Another provider, with several lanes a core, would take these two types' place and nothing else's.

import CLibcrypto
import Glibc
package import CryptoPrimitives
package import Secrets

/// The key material of one database, ready for pages. Not for two threads at once: each makes its own.
package struct PageKey: ~Copyable {
    /// The 16 bytes that a file under this key begins with.
    package let salt: [UInt8]
    /// What tells whether pages are authentic.
    package let authenticator: PageAuthenticator
    private let opening: OpaquePointer
    private let sealing: OpaquePointer

    package var layout: PageLayout { authenticator.layout }

    /// - Parameters:
    ///   - dataKey: 32 bytes.
    ///   - salt: the 16 bytes that the file begins with, or should.
    package init(dataKey: borrowing SecretBytes, salt: [UInt8], layout: PageLayout) throws {
        let authenticator = try PageAuthenticator(
            pageKey: PageAuthenticator.pageKey(of: dataKey, salt: salt), layout: layout)
        let opening = Self.makeCipher(key: dataKey, encrypting: false)
        let sealing = Self.makeCipher(key: dataKey, encrypting: true)
        guard let opening, let sealing else {
            EVP_CIPHER_CTX_free(opening)
            EVP_CIPHER_CTX_free(sealing)
            throw CryptoError.libcryptoRefused(.decrypt)
        }
        self.authenticator = authenticator
        self.salt = salt
        self.opening = opening
        self.sealing = sealing
    }

    deinit {
        EVP_CIPHER_CTX_free(opening)
        EVP_CIPHER_CTX_free(sealing)
    }

    /// The page, known to be what was written under this key at this place; nil where it is not.
    package borrowing func authenticate(_ page: SealedPage) -> AuthenticPage? { authenticator.authenticate(page) }

    /// Decrypts a page, whose last ``PageLayout/reserve`` bytes come out as zeros.
    ///
    /// - Parameter output: `layout.size` bytes, in memory that is wiped by its owner.
    package borrowing func open(_ page: AuthenticPage, into output: UnsafeMutableRawBufferPointer) throws(CryptoError) {
        guard let base = page.sealed.bytes.baseAddress, let target = output.baseAddress, output.count == layout.size
        else {
            throw .parameterOutOfRange(.inputLength)
        }
        let start = layout.ciphertextStart(ofPage: page.sealed.number)
        let count = layout.ivStart - start
        guard Self.run(opening, iv: base + layout.ivStart, from: base + start, to: target + start, count: count) else {
            throw .libcryptoRefused(.decrypt)
        }
        if start > 0 { target.copyMemory(from: PageLayout.plaintextMagic, byteCount: start) }
        (target + layout.ivStart).initializeMemory(as: UInt8.self, repeating: 0, count: layout.reserve)
    }

    /// Encrypts and authenticates a page.
    ///
    /// - Parameters:
    ///   - plaintext: `layout.size` bytes; the reserve is not looked at.
    ///   - number: counted from 1.
    ///   - iv: 16 fresh random bytes.
    ///   - output: `layout.size` bytes.
    package borrowing func seal(
        _ plaintext: UnsafeRawBufferPointer, number: Int, iv: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CryptoError) {
        guard let source = plaintext.baseAddress, let target = output.baseAddress, let ivBase = iv.baseAddress,
            plaintext.count == layout.size, output.count == layout.size, iv.count == PageLayout.ivLength
        else { throw .parameterOutOfRange(.inputLength) }
        let start = layout.ciphertextStart(ofPage: number)
        guard
            Self.run(sealing, iv: ivBase, from: source + start, to: target + start, count: layout.ivStart - start)
        else { throw .libcryptoRefused(.encrypt) }
        if start > 0 { target.copyMemory(from: salt, byteCount: start) }
        (target + layout.ivStart).copyMemory(from: ivBase, byteCount: PageLayout.ivLength)
        try authenticator.tag(target, number: number)
    }

    /// The SQLite header that page 1 decrypts to: counters, no content.
    package borrowing func header(of page: AuthenticPage) throws -> DatabaseHeader {
        let plaintext = try SecretBytes(count: layout.size) { try open(page, into: $0) }
        return plaintext.withUnsafeBytes { DatabaseHeader($0) }
    }

    /// AES-256-CBC over whole blocks; the key is in the context already.
    private static func run(
        _ cipher: OpaquePointer, iv: UnsafeRawPointer, from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        count: Int
    ) -> Bool {
        var written: Int32 = 0
        return EVP_CipherInit_ex(cipher, nil, nil, nil, iv.assumingMemoryBound(to: UInt8.self), -1) == 1
            && EVP_CipherUpdate(
                cipher, target.assumingMemoryBound(to: UInt8.self), &written,
                source.assumingMemoryBound(to: UInt8.self), Int32(count)) == 1
            && Int(written) == count
    }

    private static func makeCipher(key: borrowing SecretBytes, encrypting: Bool) -> OpaquePointer? {
        guard let context = EVP_CIPHER_CTX_new() else { return nil }
        let done = key.withUnsafeBytes { key in
            EVP_CipherInit_ex(
                context, EVP_aes_256_cbc(), nil, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nil,
                encrypting ? 1 : 0) == 1 && EVP_CIPHER_CTX_set_padding(context, 0) == 1
        }
        guard done else {
            EVP_CIPHER_CTX_free(context)
            return nil
        }
        return context
    }
}

/// What Strongroom reads of SQLite's own header: counters, no content.
package struct DatabaseHeader: Sendable, Equatable {
    /// How many pages the database has, or nil where the header does not say so reliably.
    package let pageCount: Int?
    /// How often the schema was changed. (The count of changes says nothing here: SQLite takes it from the encrypted page.)
    package let schemaCookie: Int

    /// - Parameter page: a decrypted page 1.
    init(_ page: UnsafeRawBufferPointer) {
        func number(at offset: Int) -> Int {
            page.count >= offset + 4 ? page[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) } : 0
        }
        // SQLite trusts the page count only where the change counter equals the number it was valid for.
        let isReliable = number(at: 24) == number(at: 92)
        schemaCookie = number(at: 40)
        pageCount = isReliable && number(at: 28) > 0 ? number(at: 28) : nil
    }
}
