// Where things stand in a page of SQLCipher 4: docs/formats/page.md.

package import CryptoPrimitives

/// The layout of the pages of one database.
package struct PageLayout: Sendable, Hashable {
    /// The page size, in bytes.
    package let size: Int
    /// The hash of the page HMAC.
    package let hash: HashAlgorithm

    package static let saltLength = 16
    package static let ivLength = 16
    /// What a database that is not encrypted begins with.
    package static let plaintextMagic = Array("SQLite format 3\0".utf8)

    package init(size: Int, hash: HashAlgorithm) {
        self.size = size
        self.hash = hash
    }

    /// What SQLCipher keeps at the end of each page, in bytes.
    package var reserve: Int { Self.ivLength + hash.length }

    /// Where the IV of a page begins: the end of its ciphertext.
    package var ivStart: Int { size - reserve }
    /// Where the tag of a page begins.
    package var tagStart: Int { size - hash.length }

    /// The page that SQLite never writes, because byte 2^30 of a file is where it keeps its locks.
    package var lockPageNumber: Int { Self.lockPageNumber(pageSize: size) }

    static func lockPageNumber(pageSize: Int) -> Int { (1 << 30) / pageSize + 1 }

    /// Where the ciphertext of a page begins.
    package func ciphertextStart(ofPage number: Int) -> Int { number == 1 ? Self.saltLength : 0 }
}
