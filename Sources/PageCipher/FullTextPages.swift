// The form of what an FTS5 index keeps in its tree (SQLite, the comments at the head of fts5_index.c), told from the bytes alone.

/// A page of a full-text index.
package enum FullTextPages {
    /// How many bits of an id are the number of a page.
    package static let pageBits = 31
    private static let mostSegments: UInt64 = 2_000

    /// A leaf: where its first rowid stands, how long it is without the list of its terms, and behind it that list.
    package static func isLeaf(_ block: [UInt8]) -> Bool {
        guard block.count >= 4 else { return false }
        let rowid = Int(block[0]) << 8 | Int(block[1])
        let length = Int(block[2]) << 8 | Int(block[3])
        guard length >= 4, length <= block.count, rowid == 0 || (4..<length).contains(rowid) else { return false }
        var reader = VarintReader(bytes: block[length...])
        var term: UInt64 = 0
        while !reader.isAtEnd {
            guard let step = reader.next(), step <= UInt64(length) else { return false }
            term += step
            guard term >= 4, term < UInt64(length) else { return false }
        }
        return true
    }

    /// How many pages of tombstones the structure says that there are; nil where it has not the form of one.
    package static func claimedTombstones(in block: [UInt8]) -> UInt64? {
        guard block.count >= 7 else { return nil }
        let isSecond = Array(block[4..<min(8, block.count)]) == [0xff, 0, 0, 1]
        var reader = VarintReader(bytes: block[(isSecond ? 8 : 4)...])
        guard let levels = reader.next(), let segments = reader.next(), reader.next() != nil, levels <= mostSegments,
            segments <= mostSegments
        else { return nil }
        var tombstones: UInt64 = 0
        var counted: UInt64 = 0
        for _ in 0..<levels {
            guard let merging = reader.next(), let total = reader.next(), total >= merging, total <= mostSegments else {
                return nil
            }
            counted += total
            for _ in 0..<total {
                guard let segment = reader.next(), let first = reader.next(), let last = reader.next(), last >= first,
                    segment <= UInt64(UInt16.max), last < 1 << pageBits
                else { return nil }
                guard isSecond else { continue }
                guard reader.next() != nil, reader.next() != nil, let pages = reader.next(), reader.next() != nil,
                    reader.next() != nil, pages < 1 << pageBits
                else { return nil }
                tombstones += pages
            }
        }
        return counted == segments ? tombstones : nil
    }
}

/// SQLite's numbers of one to nine bytes.
private struct VarintReader {
    private var rest: ArraySlice<UInt8>

    init(bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    /// Nil where the bytes end within it.
    mutating func next() -> UInt64? {
        var number: UInt64 = 0
        for position in 0..<9 {
            guard let byte = rest.popFirst() else { return nil }
            if position == 8 { return number << 8 | UInt64(byte) }
            number = number << 7 | UInt64(byte & 0x7f)
            if byte < 0x80 { return number }
        }
        return nil
    }
}
