// Every page of a file, authenticated. One thread, one buffer: memory does not grow with the file.

package import DurableFiles

/// What a scan of a database file found.
package struct PageScan: Sendable, Equatable {
    /// How many whole pages there are.
    package var pageCount = 0
    /// How many bytes stand after the last whole page.
    package var trailingBytes = 0
    /// How many pages do not authenticate.
    package var badPageCount = 0
    /// The numbers of the first of these, a thousand at most.
    package var badPages: [Int] = []

    private static let bufferBytes = 1 << 20
    private static let listedBadPages = 1_000

    /// Scans `file`, first page to last, never stopping at a bad one.
    package init(of file: DataFile, with key: borrowing PageKey) throws {
        let layout = key.layout
        let pagesAtOnce = max(1, Self.bufferBytes / layout.size)
        var buffer = [UInt8](repeating: 0, count: pagesAtOnce * layout.size)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try file.read(at: pageCount * layout.size, into: $0) }
            buffer.withUnsafeBytes { bytes in
                for start in stride(from: 0, through: count - layout.size, by: layout.size) {
                    pageCount += 1
                    let page = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + layout.size)])
                    if key.isAuthentic(page, number: pageCount) { continue }
                    if pageCount == layout.lockPageNumber, page.allSatisfy({ $0 == 0 }) { continue }
                    badPageCount += 1
                    if badPages.count < Self.listedBadPages { badPages.append(pageCount) }
                }
            }
            trailingBytes = count % layout.size
            if count < buffer.count { return }
        }
    }
}
