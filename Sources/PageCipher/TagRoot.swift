// One hash over the tags of all pages of a file: which version of each page it holds. docs/formats/snapshot.md, "The root
// over the tags".

import CryptoPrimitives
package import DurableFiles

/// The root over the tags of a file's pages.
package struct TagRoot: Sendable, Hashable, CustomStringConvertible {
    /// 32 bytes.
    package let bytes: [UInt8]

    package init?(_ bytes: [UInt8]) {
        guard bytes.count == HashAlgorithm.sha256.length else { return nil }
        self.bytes = bytes
    }

    /// The root over the tags as they stand in a file, of which nothing is authenticated here.
    package init(ofStoredTagsIn file: DataFile, layout: PageLayout) throws {
        let source = try PageSource(file, pageSize: layout.size)
        self = try TagLeaves(ofStoredTagsIn: source, layout: layout).root(pageCount: source.pageCount)
    }

    /// 64 hex digits.
    package var description: String { Hex.encode(bytes) }
}

/// The leaves below a root, gathered in any order by any number of workers.
package struct TagLeaves: Sendable {
    private var leaves: [Int: [UInt8]] = [:]

    package init() {}

    /// Those of the tags as they stand there, of which nothing is authenticated here.
    init(ofStoredTagsIn source: PageSource, layout: PageLayout) throws {
        let parts = try ParallelPages(source).run(progress: nil) { next in
            var leaves = TagLeaves()
            while try next({ try leaves.add($0, layout: layout) }) {}
            return leaves
        }
        for part in parts { merge(part) }
    }

    /// Adds the group of pages that a chunk is.
    mutating func add(_ chunk: PageChunk, layout: PageLayout) throws {
        leaves[chunk.firstNumber] = try Self.leaf(of: chunk, layout)
    }

    /// Whether these pages are a group that was added, as far as their tags say.
    func contains(_ bytes: [UInt8], firstNumber: Int, layout: PageLayout) throws -> Bool {
        try bytes.withUnsafeBytes { bytes in
            let chunk = PageChunk(bytes: bytes, firstNumber: firstNumber, pageSize: layout.size)
            return try leaves[firstNumber] == Self.leaf(of: chunk, layout)
        }
    }

    private static func leaf(of chunk: PageChunk, _ layout: PageLayout) throws -> [UInt8] {
        let digest = try SHA256()
        try withUnsafeBytes(of: UInt8(0)) { try digest.update($0) }
        try chunk.forEachPage { page in
            try digest.update(UnsafeRawBufferPointer(rebasing: page.bytes[layout.tagStart...]))
        }
        return try digest.finish()
    }

    mutating func merge(_ other: TagLeaves) {
        leaves.merge(other.leaves) { $1 }
    }

    /// The root, once every group has been added.
    func root(pageCount: Int) throws -> TagRoot {
        let digest = try SHA256()
        try withUnsafeBytes(of: UInt8(1)) { try digest.update($0) }
        try withUnsafeBytes(of: UInt64(pageCount).littleEndian) { try digest.update($0) }
        for (_, leaf) in leaves.sorted(by: { $0.key < $1.key }) { try leaf.withUnsafeBytes { try digest.update($0) } }
        guard let root = TagRoot(try digest.finish()) else { throw CryptoError.libcryptoRefused(.hash) }
        return root
    }
}
