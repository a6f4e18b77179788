// A database under one key becomes the same database under another, page by page on every core: what SQLCipher's rekey
// does through SQL, one page at a time and with a journal. The source is only read.

import CryptoPrimitives
package import DurableFiles
import Secrets

package enum PageRewriter {
    /// Writes every page of `source` into `target` under another key, each with a fresh IV.
    ///
    /// Every page is authenticated before it is opened; plaintext is in secret memory only, one page a worker. What is
    /// written is not durable before `target` has been synced.
    ///
    /// - Parameters:
    ///   - source: a settled database: no changes may wait in a WAL.
    ///   - target: a new, empty file.
    ///   - layout: the same for both.
    ///   - makeOldKey: called once a thread.
    ///   - makeNewKey: called once a thread.
    /// - Returns: how many pages there are, and the root over the tags of the *source*.
    /// - Throws: `PageCipherError.pageNotAuthentic` at a page that is not what was written; the target is of no use then.
    @discardableResult
    package static func rewrite(
        _ source: DataFile, into target: NewDataFile, layout: PageLayout, workers: Int? = nil,
        progress: (@Sendable (PageProgress) -> Void)? = nil, makeOldKey: @Sendable @escaping () throws -> PageKey,
        makeNewKey: @Sendable @escaping () throws -> PageKey
    ) throws -> CopiedPages {
        guard try source.length().isMultiple(of: layout.size) else { throw PageCipherError.notWholePages }
        let pages = ParallelPages(try PageSource(source, pageSize: layout.size), workers: workers)
        try target.reserve(pages.pageCount * layout.size)
        let leaves = try pages.run(progress: progress) { next in
            var leaves = TagLeaves()
            let oldKey = try makeOldKey()
            let newKey = try makeNewKey()
            let plaintext = try PlaintextPage(size: layout.size)
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: pages.chunkBytes, alignment: NewDataFile.alignment)
            defer { buffer.deallocate() }
            while try next({ chunk in
                try leaves.add(chunk, layout: layout)
                let ivs = try Random.bytes(count: chunk.bytes.count / layout.size * PageLayout.ivLength)
                let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<chunk.bytes.count])
                try ivs.withUnsafeBytes { try rewrite(chunk, layout, oldKey, newKey, plaintext, $0, output) }
                try target.write(UnsafeRawBufferPointer(output), at: (chunk.firstNumber - 1) * layout.size)
            }) {}
            return leaves
        }
        return try CopiedPages(count: pages.pageCount, leaves)
    }

    private static func rewrite(
        _ chunk: PageChunk, _ layout: PageLayout, _ oldKey: borrowing PageKey, _ newKey: borrowing PageKey,
        _ plaintext: borrowing PlaintextPage, _ ivs: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws {
        var index = 0
        try chunk.forEachPage { page in
            defer { index += 1 }
            let target = UnsafeMutableRawBufferPointer(
                rebasing: output[(index * layout.size)..<((index + 1) * layout.size)])
            if page.number == layout.lockPageNumber, page.isZeroed {
                _ = target.initializeMemory(as: UInt8.self, repeating: 0)
                return
            }
            guard let authentic = oldKey.authenticate(page) else {
                throw PageCipherError.pageNotAuthentic(number: page.number)
            }
            try oldKey.open(authentic, into: plaintext.buffer)
            try newKey.seal(
                UnsafeRawBufferPointer(plaintext.buffer), number: page.number,
                iv: UnsafeRawBufferPointer(
                    rebasing: ivs[(index * PageLayout.ivLength)..<((index + 1) * PageLayout.ivLength)]),
                into: target)
        }
    }
}
