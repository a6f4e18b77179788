// Every page of a file, authenticated on every core. A bad page stops nothing and hides nothing.

package import DurableFiles

/// A page that is not what was written, and how that shows.
package struct BadPage: Sendable, Hashable, Comparable {
    /// How it shows.
    package enum Kind: String, Sendable, Hashable {
        /// The tag does not fit.
        case wrongTag = "wrong_tag"
        /// The page is all zeros, which SQLite never writes here.
        case zeroed
        /// The file ends within the page.
        case torn
        /// The file ends before the page, although the database's own header counts it.
        case beyondEnd = "beyond_end"
    }

    /// Counted from 1.
    package let number: Int
    package let kind: Kind

    package static func < (left: BadPage, right: BadPage) -> Bool { left.number < right.number }
}

/// What a scan of a database file found.
package struct PageScan: Sendable, Equatable {
    /// How many whole pages there are.
    package private(set) var pageCount = 0
    /// How many bytes stand after the last whole page.
    package private(set) var trailingBytes = 0
    /// How many pages there are that are bad, those that are missing included.
    package private(set) var badPageCount = 0
    /// The first of these by number, ten thousand at most.
    package private(set) var badPages: [BadPage] = []
    /// The root over the tags as they stand there, those of bad pages included.
    package let tagRoot: TagRoot

    private static let listedBadPages = 10_000

    /// Scans `file`.
    ///
    /// - Parameters:
    ///   - expectedPages: how many pages there must be at least, where the caller knows.
    ///   - workers: how many threads; one a core unless said otherwise.
    ///   - progress: called after each chunk, by one thread at a time.
    ///   - makeAuthenticator: called once a thread.
    package init(
        of file: DataFile, layout: PageLayout, expectedPages: Int? = nil, workers: Int? = nil,
        progress: (@Sendable (PageProgress) -> Void)? = nil,
        makeAuthenticator: @Sendable @escaping () throws -> PageAuthenticator
    ) throws {
        struct Part {
            var badPageCount = 0
            var badPages: [BadPage] = []
            var leaves = TagLeaves()
        }
        let pages = ParallelPages(
            try PageSource(file, pageSize: layout.size), workers: workers)
        let parts = try pages.run(progress: progress) { next in
            var part = Part()
            let authenticator = try makeAuthenticator()
            while try next({ chunk in
                try part.leaves.add(chunk, layout: layout)
                chunk.forEachPage { page in
                    let isZeroed = page.isZeroed
                    if isZeroed, page.number == layout.lockPageNumber { return }
                    if !isZeroed, authenticator.authenticate(page) != nil { return }
                    part.badPageCount += 1
                    guard part.badPages.count < Self.listedBadPages else { return }
                    part.badPages.append(BadPage(number: page.number, kind: isZeroed ? .zeroed : .wrongTag))
                }
            }) {}
            return part
        }
        pageCount = pages.pageCount
        trailingBytes = try file.length() % layout.size
        badPageCount = parts.reduce(0) { $0 + $1.badPageCount }
        badPages = parts.flatMap(\.badPages)
        tagRoot = try parts.reduce(into: TagLeaves()) { $0.merge($1.leaves) }.root(pageCount: pages.pageCount)
        var present = pageCount
        if trailingBytes > 0 {
            present += 1
            badPageCount += 1
            badPages.append(BadPage(number: present, kind: .torn))
        }
        if let counted = expectedPages, counted > present {
            badPageCount += counted - present
            let listed = min(counted, present + Self.listedBadPages)
            badPages += (present + 1...listed).map { BadPage(number: $0, kind: .beyondEnd) }
        }
        badPages = Array(badPages.sorted().prefix(Self.listedBadPages))
    }
}
