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

    private static let listedBadPages = 10_000

    /// Scans `file`.
    ///
    /// - Parameters:
    ///   - makeKey: called once a thread.
    ///   - expectsSettled: whether the file must hold all pages that its header counts, as it does while no changes wait
    ///     in a WAL.
    ///   - workers: how many threads; one a core unless said otherwise.
    ///   - progress: called after each chunk, by one thread at a time.
    package init(
        of file: DataFile, layout: PageLayout, expectsSettled: Bool = true, workers: Int? = nil,
        progress: (@Sendable (PageProgress) -> Void)? = nil, makeKey: @Sendable () throws -> PageKey
    ) throws {
        struct Part {
            var badPageCount = 0
            var badPages: [BadPage] = []
            var countedPages: Int?
        }
        let pages = try ParallelPages(file, pageSize: layout.size, workers: workers)
        let parts = try pages.run(progress: progress) { next in
            var part = Part()
            let key = try makeKey()
            while try next({ chunk in
                try chunk.forEachPage { page in
                    let isZeroed = page.isZeroed
                    if isZeroed, page.number == layout.lockPageNumber { return }
                    if !isZeroed, let authentic = key.authenticate(page) {
                        if page.number == 1 { part.countedPages = try key.header(of: authentic).pageCount }
                        return
                    }
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
        var present = pageCount
        if trailingBytes > 0 {
            present += 1
            badPageCount += 1
            badPages.append(BadPage(number: present, kind: .torn))
        }
        if expectsSettled, let counted = parts.compactMap(\.countedPages).first, counted > present {
            badPageCount += counted - present
            let listed = min(counted, present + Self.listedBadPages)
            badPages += (present + 1...listed).map { BadPage(number: $0, kind: .beyondEnd) }
        }
        badPages = Array(badPages.sorted().prefix(Self.listedBadPages))
    }
}
