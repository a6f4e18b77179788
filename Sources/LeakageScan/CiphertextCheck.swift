// Whether a file that should be ciphertext is. What SQLite and SQLCipher leave in the clear by their formats is allowed
// (docs/leakage.md), and nothing else is; every other byte must look like a random one.

import DurableFiles
import Foundation
import SystemPackage

/// One look at one file, from its beginning to its end.
struct CiphertextCheck {
    private let file: OpenedFile
    private let collector: Collector

    /// What is tested at once, in bytes.
    static let blockBytes = 4_096
    /// How improbable something must be in ciphertext, for a whole file, before it is reported: once in a million files.
    static let improbability = 1e-6
    fileprivate static let sqliteMagic = Array("SQLite format 3\0".utf8)

    init(_ file: OpenedFile, _ collector: Collector) {
        self.file = file
        self.collector = collector
    }

    /// Whether a file that was met in a directory is one by its name.
    static func isDatabase(_ path: FilePath) -> Bool {
        guard let name = path.name else { return false }
        return [".db", ".sqlite", ".sqlite3", "-wal", "-journal", ".rotating", ".restoring"].contains(
            where: name.hasSuffix)
    }

    func run() throws {
        let layout = try CiphertextLayout(file)
        var statistics = BlockStatistics(length: file.length)
        if layout.beginsInTheClear {
            try collector.add(.sqliteHeader, file.artifact, offset: 0, length: Self.sqliteMagic.count)
        }
        // A page at a time, read in pieces of a megabyte.
        var reader = PageReader(file.data)
        var pages = 0
        var treePages = MergedRanges()
        try layout.forEachPage { range, isWholePage in
            let bytes = try reader.bytes(range)
            guard bytes.count == range.count else { return collector.add(.changed, file.artifact) }
            pages += 1
            if bytes.starts(with: Self.sqliteMagic) {
                try collector.add(
                    .sqliteHeader, file.artifact, offset: range.lowerBound, length: Self.sqliteMagic.count)
            }
            if isWholePage, TreePage.looksLikeOne(bytes) {
                treePages.add(range)
            }
            statistics.add(bytes, at: range.lowerBound)
        }
        let covered = pages
        collector.count {
            $0.ciphertextFiles += 1
            $0.ciphertextPages += covered
        }
        for range in treePages.ranges {
            try collector.add(.treePage, file.artifact, offset: range.lowerBound, length: range.count)
        }
        for finding in statistics.findings() {
            try collector.add(finding.rule, file.artifact, offset: finding.offset, length: finding.length)
        }
        collector.add(statistics.map(of: file.artifact.file))
    }
}

/// Ranges that come in order, those that are near each other put together: a plaintext database is one finding, not one a page.
struct MergedRanges {
    private static let nearness = 64 << 10
    private(set) var ranges: [Range<Int>] = []

    mutating func add(_ range: Range<Int>) {
        guard let last = ranges.last, range.lowerBound - last.upperBound <= Self.nearness else {
            return ranges.append(range)
        }
        ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
    }
}

/// Which parts of a file are to be ciphertext.
private struct CiphertextLayout {
    private enum Kind {
        case database
        case wal(pageSize: Int)
        case journal(pageSize: Int, sector: Int)
    }

    private let kind: Kind
    private let length: Int
    /// Whether it is a SQLite database from its first byte on.
    let beginsInTheClear: Bool

    private static let blockBytes = CiphertextCheck.blockBytes
    private static let journalMagic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]

    init(_ file: OpenedFile) throws {
        let head = try file.data.bytes(at: 0, count: 32)
        func number(_ offset: Int) -> Int {
            head.count >= offset + 4 ? head[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } : 0
        }
        let isPageSize = { (size: Int) in (512...65_536).contains(size) && size.nonzeroBitCount == 1 }
        if head.starts(with: [0x37, 0x7f, 0x06]), head.count == 32, head[3] & 0xfe == 0x82, isPageSize(number(8)) {
            kind = .wal(pageSize: number(8))
        } else if head.starts(with: Self.journalMagic), isPageSize(number(24)), isPageSize(number(20)) {
            kind = .journal(pageSize: number(24), sector: number(20))
        } else {
            kind = .database
        }
        beginsInTheClear = head.starts(with: CiphertextCheck.sqliteMagic)
        length = file.length
    }

    /// Each part that is to be ciphertext, as blocks of 4096 bytes, or pages where these are shorter.
    ///
    /// - Parameter body: the bytes of a block, and whether a page begins with it.
    func forEachPage(_ body: (Range<Int>, _ isWholePage: Bool) throws -> Void) throws {
        func blocks(_ start: Int, _ end: Int) throws {
            for block in stride(from: start, to: end, by: Self.blockBytes) {
                try body(block..<min(block + Self.blockBytes, end), block == start)
            }
        }
        switch kind {
        case .database:
            // The first 16 bytes name the key.
            if length > 16 { try body(16..<min(Self.blockBytes, length), false) }
            for block in stride(from: Self.blockBytes, to: length, by: Self.blockBytes) {
                try body(block..<min(block + Self.blockBytes, length), true)
            }
        case .wal(let pageSize):
            for frame in stride(from: 32, to: length, by: 24 + pageSize) where frame + 24 < length {
                try blocks(frame + 24, min(frame + 24 + pageSize, length))
            }
        case .journal(let pageSize, let sector):
            for record in stride(from: sector, to: length, by: pageSize + 8) where record + 4 < length {
                try blocks(record + 4, min(record + 4 + pageSize, length))
            }
        }
    }
}

/// Reads ranges that come one after the other, in larger pieces.
private struct PageReader {
    private let data: DataFile
    private var piece: [UInt8] = []
    private var start = 0

    private static let pieceBytes = 1 << 20

    init(_ data: DataFile) { self.data = data }

    mutating func bytes(_ range: Range<Int>) throws -> ArraySlice<UInt8> {
        if range.lowerBound < start || range.upperBound > start + piece.count {
            start = range.lowerBound
            piece = try data.bytes(at: start, count: max(range.count, Self.pieceBytes))
        }
        let end = min(range.upperBound - start, piece.count)
        return piece[range.lowerBound - start..<max(range.lowerBound - start, end)]
    }
}

/// The head of a page of a SQLite b-tree (SQLite's file format, "B-tree Pages").
enum TreePage {
    static func looksLikeOne(_ page: ArraySlice<UInt8>) -> Bool {
        guard page.count >= 512, let kind = page.first, [2, 5, 10, 13].contains(kind) else { return false }
        let at = page.startIndex
        func number(_ offset: Int) -> Int { Int(page[at + offset]) << 8 | Int(page[at + offset + 1]) }
        let header = kind == 2 || kind == 5 ? 12 : 8
        let cells = number(3)
        let content = number(5) == 0 ? 65_536 : number(5)
        let freeBlock = number(1)
        // Of pages with fewer cells random bytes would be taken for one now and then.
        guard cells >= 3, header + 2 * cells <= min(content, page.count), content >= header + 2 * cells,
            freeBlock == 0 || freeBlock >= content, page[at + 7] <= 60
        else { return false }
        return (0..<cells).allSatisfy { number(header + 2 * $0) >= content }
    }
}
