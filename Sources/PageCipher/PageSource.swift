// Where the pages of a database stand: in its main file, and in front of that in its WAL.

package import DurableFiles

/// The pages of one database, as they are at one moment.
package struct PageSource: Sendable {
    /// The main file.
    package let main: DataFile
    /// The size of a page, in bytes.
    package let pageSize: Int
    /// How many whole pages there are.
    package let pageCount: Int
    /// What the WAL has instead of the main file.
    let overlay: WALOverlay?
    /// Whole pages that stand in front of both.
    let patches: [Int: [UInt8]]

    /// The pages of the main file alone.
    package init(_ main: DataFile, pageSize: Int) throws {
        self.main = main
        self.pageSize = pageSize
        pageCount = try main.length() / pageSize
        overlay = nil
        patches = [:]
    }

    /// The pages of a damaged database, put together again. Nobody has it open.
    ///
    /// - Parameters:
    ///   - frames: which frame of `wal` has which page.
    ///   - patches: pages that stand in none of the two files as they should.
    /// - Throws: `PageCipherError.walDamaged` where a page is nowhere.
    package init(
        _ main: DataFile, pageSize: Int, pageCount: Int, wal: DataFile?, frames: [Int: Int], patches: [Int: [UInt8]]
    ) throws {
        self.main = main
        self.pageSize = pageSize
        self.pageCount = pageCount
        overlay = try wal.map { try WALOverlay(of: $0, frames: frames, pageCount: pageCount, pageSize: pageSize) }
        self.patches = patches.filter { $0.key <= pageCount }
        guard try hasEveryPage() else { throw PageCipherError.walDamaged }
    }

    /// The pages of the main file with the committed frames of the WAL laid over it, as they were at one moment. The caller
    /// has held a read transaction open since then, so that neither is overwritten.
    ///
    /// - Parameters:
    ///   - moment: the mark of the WAL when nobody was writing and that transaction had begun.
    ///   - earlier: the pages at an earlier moment: of the WAL only what was written since is read.
    /// - Throws: `PageCipherError.walDamaged` where the WAL holds acknowledged changes that cannot be read;
    ///   `.pageNotAuthentic` with the first page that is missing, where the main file alone counts and is too short.
    package init(
        _ main: DataFile, wal: DataFile?, at moment: WALMark, key: borrowing PageKey, after earlier: PageSource? = nil
    ) throws {
        pageSize = key.layout.size
        self.main = main
        patches = [:]
        // It was there at that moment, and nothing that holds it still would have let it be removed.
        if wal == nil, moment.frames > 0, !moment.header.isEmpty { throw PageCipherError.walDamaged }
        overlay = try wal.map { try WALOverlay(of: $0, at: moment, over: main, key, after: earlier?.overlay) } ?? nil
        let inMain = try main.length() / pageSize
        pageCount = overlay?.pageCount ?? inMain
        guard try hasEveryPage() else { throw PageCipherError.walDamaged }
        // How long a file is says nothing: page 1 says how many pages there are.
        if overlay?.pageCount == nil, let counted = try PageOneCount(inPageOneOf: main, key)?.pages, counted > inMain {
            throw PageCipherError.pageNotAuthentic(number: inMain + 1)
        }
    }

    /// Whether every page stands somewhere: the number of them is never taken from a file without a look at what is there.
    private func hasEveryPage() throws -> Bool {
        let inMain = try main.length() / pageSize
        guard pageCount > inMain else { return true }
        let behind = inMain + 1...pageCount
        var elsewhere = Set(overlay?.frames.keys.filter { behind.contains($0) } ?? [])
        elsewhere.formUnion(patches.keys.filter { behind.contains($0) })
        if behind.contains(lockPageNumber) { elsewhere.insert(lockPageNumber) }
        return elsewhere.count == behind.count
    }

    private var lockPageNumber: Int { PageLayout.lockPageNumber(pageSize: pageSize) }

    /// Whether nothing stands after the last page of the main file, where that alone is read.
    func isWholePages() throws -> Bool { try overlay?.pageCount != nil || main.length().isMultiple(of: pageSize) }

    /// Whether what was read since then is still what there was: false where the WAL has begun anew.
    package func isUnchanged() throws -> Bool { try overlay?.isUnchanged() ?? true }

    /// Fills `buffer` with whole pages.
    ///
    /// - Parameter first: the number of the first page, counted from 1.
    package func read(from first: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let found = try main.read(at: (first - 1) * pageSize, into: buffer)
        let count = buffer.count / pageSize
        guard overlay != nil || !patches.isEmpty else {
            guard found == buffer.count else { throw DurableFilesError.shrank(main) }
            return
        }
        for index in 0..<count {
            let page = UnsafeMutableRawBufferPointer(rebasing: buffer[(index * pageSize)..<((index + 1) * pageSize)])
            if let patch = patches[first + index] {
                page.copyBytes(from: patch)
            } else if let overlay, let frame = overlay.frames[first + index] {
                try overlay.read(frame, into: page)
            } else if (index + 1) * pageSize > found {
                // SQLite leaves a hole there, or ends the file before it.
                if first + index == lockPageNumber {
                    page.initializeMemory(as: UInt8.self, repeating: 0)
                    continue
                }
                throw DurableFilesError.shrank(main)
            }
        }
    }

    /// The bytes of one page.
    package func pageBytes(_ number: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: pageSize)
        try bytes.withUnsafeMutableBytes { try read(from: number, into: $0) }
        return bytes
    }

    /// The pages that do not stand in the main file, in order.
    package var overlaidPages: [Int] { Set(overlay?.frames.keys.map(\.self) ?? []).union(patches.keys).sorted() }

    /// The pages that were written since an earlier moment. Both moments were held still by a read transaction, this one from
    /// before the other was released.
    ///
    /// - Throws: `PageCipherError.walDamaged` where the WAL is not the one of this moment any more, which that transaction forbids.
    package func pagesChanged(since earlier: WALMark, until now: WALMark) throws -> [Int] {
        guard earlier != now, now != .none else { return [] }
        guard let overlay else { throw PageCipherError.walDamaged }
        // It began anew, which it can only where everything up to the earlier moment was in the main file.
        guard earlier.header == now.header else { return overlay.newestFrames.keys.sorted() }
        return overlay.newestFrames.filter { $0.value > earlier.frames }.keys.sorted()
    }
}
