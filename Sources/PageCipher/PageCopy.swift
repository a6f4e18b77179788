// The pages of a database into a new file, as they are: never opened, each authenticated on the way.

package import DurableFiles
package import SystemPackage

/// What was written, once it is known that every page of it is authentic.
package struct CopiedPages: Sendable, Equatable {
    /// How many pages there are.
    package let count: Int
    /// The root over their tags.
    package let tagRoot: TagRoot
}

package enum PageCopy {
    /// More threads than cores: some wait for the disk while others authenticate.
    private static let workersPerCore = 4

    /// Writes every page of `source` into `target`, as it is.
    ///
    /// Where the file system can let two files share what they hold, they do, and the pages are authenticated in place.
    /// What is written is not durable before `target` has been synced.
    ///
    /// - Parameters:
    ///   - source: pages that do not change meanwhile.
    ///   - target: a new, empty file.
    ///   - makeAuthenticator: called once a thread.
    /// - Throws: `PageCipherError.pageNotAuthentic` at a page that is not what was written; the target is of no use then.
    package static func copy(
        _ source: PageSource, into target: NewDataFile, layout: PageLayout,
        progress: (@Sendable (PageProgress) -> Void)? = nil,
        makeAuthenticator: @Sendable @escaping () throws -> PageAuthenticator
    ) throws -> CopiedPages {
        guard source.pageCount > 0 else { throw PageCipherError.notWholePages }
        if target.clone(source.main) {
            try overlay(source, onto: target, layout)
            return try authenticate(target, layout, progress, makeAuthenticator)
        }
        try target.reserve(source.pageCount * layout.size)
        let pages = ParallelPages(source, workersPerCore: workersPerCore)
        let leaves = try pages.run(progress: progress) { next in
            let authenticator = try makeAuthenticator()
            var leaves = TagLeaves()
            while try next({ chunk in
                try authenticate(chunk, layout, authenticator)
                try leaves.add(chunk, layout: layout)
                try target.write(chunk.bytes, at: (chunk.firstNumber - 1) * layout.size)
            }) {}
            return leaves
        }
        return try CopiedPages(count: pages.pageCount, leaves)
    }

    /// Whether `copy` holds what `source` holds: read back from the disk, past the page cache, and compared.
    package static func isEqual(_ source: DataFile, to copy: FilePath, pageSize: Int) throws -> Bool {
        let pages = ParallelPages(
            try PageSource(DataFile(copy, pastCache: true), pageSize: pageSize), workersPerCore: workersPerCore)
        guard try source.length() == pages.pageCount * pageSize else { return false }
        let parts = try pages.run(progress: nil) { next in
            let expected = UnsafeMutableRawBufferPointer.allocate(byteCount: pages.chunkBytes, alignment: 16)
            defer { expected.deallocate() }
            var areEqual = true
            while try next({ chunk in
                let wanted = UnsafeMutableRawBufferPointer(rebasing: expected[..<chunk.bytes.count])
                let found = try source.read(at: (chunk.firstNumber - 1) * pageSize, into: wanted)
                if found != wanted.count || !chunk.isEqual(to: UnsafeRawBufferPointer(wanted)) { areEqual = false }
            }) {}
            return areEqual
        }
        return parts.allSatisfy { $0 }
    }

    private static func authenticate(
        _ chunk: PageChunk, _ layout: PageLayout, _ authenticator: borrowing PageAuthenticator
    ) throws {
        var bad: Int?
        chunk.forEachPage { page in
            guard bad == nil, !(page.number == layout.lockPageNumber && page.isZeroed) else { return }
            if authenticator.authenticate(page) == nil { bad = page.number }
        }
        if let bad { throw PageCipherError.pageNotAuthentic(number: bad) }
    }

    /// Puts the pages of the WAL over the shared ones, and gives the file its length.
    private static func overlay(_ source: PageSource, onto target: NewDataFile, _ layout: PageLayout) throws {
        try target.setLength(source.pageCount * layout.size)
        var page = [UInt8](repeating: 0, count: layout.size)
        for number in source.overlaidPages {
            try page.withUnsafeMutableBytes { try source.read(from: number, into: $0) }
            try page.withUnsafeBytes { try target.write($0, at: (number - 1) * layout.size) }
        }
    }

    private static func authenticate(
        _ target: NewDataFile, _ layout: PageLayout, _ progress: (@Sendable (PageProgress) -> Void)?,
        _ makeAuthenticator: @Sendable @escaping () throws -> PageAuthenticator
    ) throws -> CopiedPages {
        let scan = try PageScan(
            of: DataFile(target.path), layout: layout, progress: progress, makeAuthenticator: makeAuthenticator)
        if let bad = scan.badPages.first { throw PageCipherError.pageNotAuthentic(number: bad.number) }
        return CopiedPages(count: scan.pageCount, tagRoot: scan.tagRoot)
    }
}

extension CopiedPages {
    /// From what every worker gathered.
    init(count: Int, _ parts: [TagLeaves]) throws {
        self.count = count
        tagRoot = try parts.reduce(into: TagLeaves()) { $0.merge($1) }.root(pageCount: count)
    }
}
