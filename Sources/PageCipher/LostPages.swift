// Pages that are not what was written, and where exactly that version of them still stands: docs/decisions/0016.

import CryptoPrimitives
package import DurableFiles
import Secrets

/// Looks for the bad pages of one database. Every page that is found is authentic, and is the version that was there.
package struct LostPages: ~Copyable {
    /// Where a page was found.
    package enum Source: Sendable, Hashable {
        /// Only the 16 bytes before page 1 were damaged.
        case header
        /// Under another number in the same file: two pages were exchanged.
        case misplaced
        /// SQLite does not use the page, so that nothing was in it.
        case unused
        /// In the donor of this index.
        case donor(Int)
    }

    /// Pages that are still to be found, in order.
    package private(set) var missing: Set<Int>
    /// Pages that were found, sealed.
    package private(set) var found: [Int: (bytes: [UInt8], source: Source)] = [:]
    private let main: DataFile
    private let key: PageKey
    private var layout: PageLayout { key.layout }

    /// Among so many bad pages those are looked for that stand in each other's place.
    private static let mostExchanged = 64
    /// So much of two pages is compared at a time: a block of the cipher.
    private static let pieceBytes = 16

    /// Found pages are kept in memory: not more than 64 MiB of them.
    package static func limit(_ layout: PageLayout) -> Int { (64 << 20) / layout.size }

    /// - Parameters:
    ///   - main: the database's main file.
    ///   - missing: the numbers of its bad pages, those after its end included.
    package init(_ main: DataFile, missing: Set<Int>, key: consuming PageKey) throws {
        self.main = main
        self.missing = missing
        self.key = key
        try repairHeader()
        try findExchanged()
    }

    /// The database's own header, where page 1 is there or was found.
    package borrowing func header() throws -> DatabaseHeader? {
        try withPage(1) { page in try key.header(of: page) }
    }

    /// Adds pages that are missing as well, such as those that the header turned out to count.
    package mutating func add(_ numbers: some Sequence<Int>) {
        for number in numbers where found[number] == nil { missing.insert(number) }
    }

    /// Looks for pages in another file of the same database, under the same key. That a page of it is authentic is not enough: who
    /// can verify and not read can make one.
    package mutating func look(in donor: inout RootedPages, index: Int) throws {
        for number in missing.sorted() {
            guard let theirs = try donor.page(number), isAuthentic(theirs, number), isOurs(theirs, number),
                try isSameVersion(theirs, as: number)
            else { continue }
            note(number, theirs, .donor(index))
        }
    }

    /// Puts empty pages where SQLite uses none: it never reads them.
    package mutating func replaceUnused() throws {
        let unused = try unusedPages()
        for number in missing where unused.contains(number) {
            let plaintext = [UInt8](repeating: 0, count: layout.size)
            let iv = try Random.bytes(count: PageLayout.ivLength)
            var sealed = plaintext
            try plaintext.withUnsafeBytes { plaintext in
                try iv.withUnsafeBytes { iv in
                    try sealed.withUnsafeMutableBytes {
                        try key.seal(plaintext, number: number, iv: iv, into: $0)
                    }
                }
            }
            note(number, sealed, .unused)
        }
    }

    // MARK: Parts

    private mutating func note(_ number: Int, _ bytes: [UInt8], _ source: Source) {
        found[number] = (bytes, source)
        missing.remove(number)
    }

    private func stored(_ number: Int) throws -> [UInt8] {
        try main.bytes(at: (number - 1) * layout.size, count: layout.size)
    }

    private func isAuthentic(_ bytes: [UInt8], _ number: Int) -> Bool {
        bytes.withUnsafeBytes { key.authenticate(SealedPage($0, number: number)) != nil }
    }

    /// No tag covers the salt before page 1.
    private func isOurs(_ bytes: [UInt8], _ number: Int) -> Bool {
        number != 1 || Array(bytes.prefix(key.salt.count)) == key.salt
    }

    /// The tag of page 1 does not cover the salt before it.
    private mutating func repairHeader() throws {
        var page = try stored(1)
        guard page.count == layout.size, isAuthentic(page, 1), !isOurs(page, 1) else { return }
        page.replaceSubrange(..<key.salt.count, with: key.salt)
        note(1, page, .header)
    }

    private mutating func findExchanged() throws {
        guard (2...Self.mostExchanged).contains(missing.count) else { return }
        for place in missing.sorted() {
            let bytes = try stored(place)
            guard bytes.count == layout.size else { continue }
            // Page 1 is authenticated without its first 16 bytes.
            for number in missing where number != place && number != 1 && isAuthentic(bytes, number) {
                note(number, bytes, .misplaced)
            }
        }
    }

    /// Whether what is left of our page shows that theirs is the same version of it. Each write of a page takes a fresh random
    /// IV, so that no block of one version is ever in another. Most of what is left must agree, because a write that the disk did
    /// only in part leaves some of the old version; what is filled with one byte says nothing.
    private func isSameVersion(_ theirs: [UInt8], as number: Int) throws -> Bool {
        let ours = try stored(number)
        var equal = 0
        var other = 0
        for start in stride(from: 0, to: ours.count - ours.count % Self.pieceBytes, by: Self.pieceBytes) {
            let piece = ours[start..<start + Self.pieceBytes]
            if piece == theirs[start..<start + Self.pieceBytes] {
                equal += 1
            } else if piece.contains(where: { $0 != piece[start] }) {
                other += 1
            }
        }
        return equal > other
    }

    /// The leaves of SQLite's list of free pages (file format, "The Freelist"); none where the list cannot be read to its end.
    private func unusedPages() throws -> Set<Int> {
        var leaves: Set<Int> = []
        var seen: Set<Int> = []
        guard var trunk = try number(at: 32, ofPage: 1) else { return [] }
        while trunk != 0 {
            guard seen.insert(trunk).inserted, let next = try number(at: 0, ofPage: trunk),
                let count = try number(at: 4, ofPage: trunk), count <= layout.ivStart / 4 - 2
            else { return [] }
            for index in 0..<count {
                guard let leaf = try number(at: 8 + 4 * index, ofPage: trunk) else { return [] }
                leaves.insert(leaf)
            }
            trunk = next
        }
        return leaves
    }

    /// A number in the plaintext of a page; nil where the page is not there.
    private func number(at offset: Int, ofPage number: Int) throws -> Int? {
        try withPage(number) { page in
            let plaintext = try PlaintextPage(size: layout.size)
            try key.open(page, into: plaintext.buffer)
            return plaintext.buffer[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
        }
    }

    /// Lends a page that is authentic, as it stands in the file or was found.
    private borrowing func withPage<Result>(
        _ number: Int, _ body: (AuthenticPage) throws -> Result
    ) throws -> Result? {
        guard number > 0 else { return nil }
        let bytes = try found[number]?.bytes ?? stored(number)
        guard bytes.count == layout.size else { return nil }
        return try bytes.withUnsafeBytes { bytes in
            try key.authenticate(SealedPage(bytes, number: number)).map(body)
        }
    }
}
