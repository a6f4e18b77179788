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
    private static let workersPerCore = 4
    /// How many chunks a worker writes before it makes them durable and reads them back.
    private static let chunksKept = 4

    /// Writes every page of `source` into `target` under another key, each with a fresh IV.
    ///
    /// Every page is authenticated before it is opened; plaintext is in secret memory only, one page a worker. What is
    /// written is not durable before `target` has been synced.
    ///
    /// - Parameters:
    ///   - source: pages that do not change meanwhile.
    ///   - target: a new, empty file.
    ///   - layout: the same for both.
    ///   - readingBack: whether everything is to be fsynced and then read from the disk and compared, on the way.
    ///   - makeOldKey: called once a thread.
    ///   - makeNewKey: called once a thread.
    /// - Returns: how many pages there are, the root over the tags of the *source*, and that over the tags of the target.
    /// - Throws: `PageCipherError.pageNotAuthentic` at a page that is not what was written; the target is of no use then.
    @discardableResult
    package static func rewrite(
        _ source: PageSource, into target: NewDataFile, layout: PageLayout, workers: Int? = nil,
        readingBack: Bool = false, progress: (@Sendable (PageProgress) -> Void)? = nil,
        makeOldKey: @Sendable @escaping () throws -> PageKey,
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
            let written = WrittenChunks(
                of: target, chunkBytes: pages.chunkBytes, count: readingBack ? chunksKept : 1)
            while try next({ chunk in
                try sourceLeaves.add(chunk, layout: layout)
                let ivs = try Random.bytes(count: chunk.bytes.count / layout.size * PageLayout.ivLength)
                let output = written.nextBuffer(chunk.bytes.count)
                try ivs.withUnsafeBytes { try rewrite(chunk, layout, oldKey, newKey, plaintext, $0, output) }
                try targetLeaves.add(
                    PageChunk(
                        bytes: UnsafeRawBufferPointer(output), firstNumber: chunk.firstNumber, pageSize: layout.size),
                    layout: layout)
                try target.write(UnsafeRawBufferPointer(output), at: (chunk.firstNumber - 1) * layout.size)
                if readingBack { try written.keep(output, at: (chunk.firstNumber - 1) * layout.size) }
            }) {}
            try written.readBack()
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

/// What one worker has written and not read back yet.
private final class WrittenChunks {
    private let target: NewDataFile
    private let chunkBytes: Int
    private let buffers: UnsafeMutableRawBufferPointer
    private let found: UnsafeMutableRawBufferPointer
    private let count: Int
    private var kept: [(bytes: UnsafeMutableRawBufferPointer, offset: Int)] = []

    init(of target: NewDataFile, chunkBytes: Int, count: Int) {
        self.target = target
        self.chunkBytes = chunkBytes
        self.count = count
        buffers = .allocate(byteCount: count * chunkBytes, alignment: NewDataFile.alignment)
        found = .allocate(byteCount: chunkBytes, alignment: NewDataFile.alignment)
    }

    deinit {
        buffers.deallocate()
        found.deallocate()
    }

    /// Room for a chunk, until ``keep(_:at:)`` says that it is to be kept.
    func nextBuffer(_ length: Int) -> UnsafeMutableRawBufferPointer {
        let start = kept.count * chunkBytes
        return UnsafeMutableRawBufferPointer(rebasing: buffers[start..<(start + length)])
    }

    func keep(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws {
        kept.append((bytes, offset))
        if kept.count == count { try readBack() }
    }

    /// Makes durable what was kept, reads it past the cache, and compares.
    func readBack() throws {
        guard !kept.isEmpty else { return }
        try target.sync()
        let file = try DataFile(target.path, pastCache: true)
        for (bytes, offset) in kept {
            let buffer = UnsafeMutableRawBufferPointer(rebasing: found[..<bytes.count])
            let length = try file.read(at: offset, into: buffer)
            let isEqual =
                PageChunk(bytes: UnsafeRawBufferPointer(buffer), firstNumber: 1, pageSize: 1)
                .isEqual(to: UnsafeRawBufferPointer(bytes))
            guard length == bytes.count, isEqual else { throw DurableFilesError.readBackDiffers(target.path) }
        }
        kept.removeAll(keepingCapacity: true)
    }
}
