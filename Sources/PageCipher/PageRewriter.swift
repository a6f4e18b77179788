// A database under one key becomes the same database under another, page by page on every core: what SQLCipher's rekey
// does through SQL, one page at a time and with a journal. The source is only read.

import CryptoPrimitives
package import DurableFiles
import Secrets
package import SystemPackage

/// What was written, once it is known that every page of the source is authentic.
package struct RewrittenPages: Sendable {
    /// How many pages there are.
    package let count: Int
    /// The root over the tags of the source.
    package let sourceRoot: TagRoot
    /// The root over the tags that were written.
    package let targetRoot: TagRoot
}

package enum PageRewriter {
    /// More threads than cores: some wait for the disk while others encrypt.
    private static let workersPerCore = 2

    /// Writes every page of `source` into `target` under another key, each with a fresh IV.
    ///
    /// Every page is authenticated before it is opened; plaintext is in secret memory only, one page a worker. What is
    /// written is not durable before `target` has been synced.
    ///
    /// - Parameters:
    ///   - source: pages that do not change meanwhile.
    ///   - target: a new, empty file.
    ///   - layout: the same for both.
    ///   - makeOldKey: called once a thread.
    ///   - makeNewKey: called once a thread.
    /// - Returns: how many pages there are, the root over the tags of the *source*, and that over the tags of the target.
    /// - Throws: `PageCipherError.pageNotAuthentic` at a page that is not what was written; the target is of no use then.
    @discardableResult
    package static func rewrite(
        _ source: PageSource, into target: NewDataFile, layout: PageLayout, workers: Int? = nil,
        progress: (@Sendable (PageProgress) -> Void)? = nil, makeOldKey: @Sendable @escaping () throws -> PageKey,
        makeNewKey: @Sendable @escaping () throws -> PageKey
    ) throws -> RewrittenPages {
        guard source.pageCount > 0, try source.isWholePages() else { throw PageCipherError.notWholePages }
        let pages = ParallelPages(source, workers: workers, workersPerCore: workersPerCore)
        try target.reserve(pages.pageCount * layout.size)
        let leaves = try pages.run(progress: progress) { next in
            var sourceLeaves = TagLeaves()
            var targetLeaves = TagLeaves()
            let oldKey = try makeOldKey()
            let newKey = try makeNewKey()
            let plaintext = try PlaintextPage(size: layout.size)
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: pages.chunkBytes, alignment: NewDataFile.alignment)
            defer { buffer.deallocate() }
            while try next({ chunk in
                try sourceLeaves.add(chunk, layout: layout)
                let ivs = try Random.bytes(count: chunk.bytes.count / layout.size * PageLayout.ivLength)
                let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<chunk.bytes.count])
                try ivs.withUnsafeBytes { try rewrite(chunk, layout, oldKey, newKey, plaintext, $0, output) }
                let written = UnsafeRawBufferPointer(output)
                try targetLeaves.add(
                    PageChunk(bytes: written, firstNumber: chunk.firstNumber, pageSize: layout.size), layout: layout)
                try target.write(written, at: (chunk.firstNumber - 1) * layout.size)
            }) {}
            return (sourceLeaves, targetLeaves)
        }
        return RewrittenPages(
            count: pages.pageCount, sourceRoot: try CopiedPages(count: pages.pageCount, leaves.map(\.0)).tagRoot,
            targetRoot: try CopiedPages(count: pages.pageCount, leaves.map(\.1)).tagRoot)
    }

    /// Writes some pages of `source` into `target` again, which has the others already, and gives it its length.
    ///
    /// - Parameter numbers: counted from 1; those that the source does not have are left out.
    /// - Throws: as ``rewrite(_:into:layout:workers:progress:makeOldKey:makeNewKey:)``.
    package static func rewrite(
        pages numbers: [Int], of source: PageSource, into target: NewDataFile, layout: PageLayout,
        oldKey: borrowing PageKey, newKey: borrowing PageKey
    ) throws {
        try target.setLength(source.pageCount * layout.size)
        let plaintext = try PlaintextPage(size: layout.size)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: 2 * layout.size, alignment: NewDataFile.alignment)
        defer { buffer.deallocate() }
        let input = UnsafeMutableRawBufferPointer(rebasing: buffer[..<layout.size])
        let output = UnsafeMutableRawBufferPointer(rebasing: buffer[layout.size...])
        for number in numbers where number <= source.pageCount {
            try source.read(from: number, into: input)
            let chunk = PageChunk(
                bytes: UnsafeRawBufferPointer(input), firstNumber: number, pageSize: layout.size)
            let iv = try Random.bytes(count: PageLayout.ivLength)
            try iv.withUnsafeBytes { try rewrite(chunk, layout, oldKey, newKey, plaintext, $0, output) }
            try target.write(UnsafeRawBufferPointer(output), at: (number - 1) * layout.size)
        }
    }

    /// Whether pages that were just written and synced are on the disk: each is read past the cache and authenticated.
    package static func readsBack(
        pages numbers: [Int], at path: FilePath, pageCount: Int, key: borrowing PageAuthenticator
    ) throws -> Bool {
        let file = try DataFile(path, pastCache: true)
        guard try file.length() == pageCount * key.layout.size else { return false }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: key.layout.size, alignment: NewDataFile.alignment)
        defer { buffer.deallocate() }
        for number in numbers where number <= pageCount {
            guard try file.read(at: (number - 1) * key.layout.size, into: buffer) == buffer.count else { return false }
            let page = SealedPage(UnsafeRawBufferPointer(buffer), number: number)
            let isEmptyLockPage = number == key.layout.lockPageNumber && page.isZeroed
            guard isEmptyLockPage || key.authenticate(page) != nil else { return false }
        }
        return true
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
