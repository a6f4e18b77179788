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
    /// - Returns: how many pages there are.
    /// - Throws: `PageCipherError.pageNotAuthentic` at a page that is not what was written; the target is of no use then.
    @discardableResult
    package static func rewrite(
        _ source: DataFile, into target: NewDataFile, layout: PageLayout, workers: Int? = nil,
        progress: (@Sendable (PageProgress) -> Void)? = nil, makeOldKey: @Sendable () throws -> PageKey,
        makeNewKey: @Sendable () throws -> PageKey
    ) throws -> Int {
        guard try source.length().isMultiple(of: layout.size) else { throw PageCipherError.notWholePages }
        let pages = try ParallelPages(source, pageSize: layout.size, workers: workers)
        // The whole length at once: the page that SQLite never writes stays a hole.
        try target.setLength(pages.pageCount * layout.size)
        _ = try pages.run(progress: progress) { next in
            let oldKey = try makeOldKey()
            let newKey = try makeNewKey()
            let plaintext = try PlaintextPage(size: layout.size)
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: pages.chunkBytes, alignment: NewDataFile.alignment)
            defer { buffer.deallocate() }
            while try next({ chunk in
                let ivs = try Random.bytes(count: chunk.bytes.count / layout.size * PageLayout.ivLength)
                let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<chunk.bytes.count])
                try ivs.withUnsafeBytes { try rewrite(chunk, layout, oldKey, newKey, plaintext, $0, output) }
                try target.write(UnsafeRawBufferPointer(output), at: (chunk.firstNumber - 1) * layout.size)
            }) {}
        }
        return pages.pageCount
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
