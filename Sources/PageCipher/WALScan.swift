// The write-ahead log of an encrypted database: SQLite's frames around SQLCipher's pages. SQLite stops at the first frame
// whose check sum is off and says nothing; what comes after it is lost without a word. This tells a tail that a crash
// tore from damage to what was acknowledged: docs/formats/page.md, "The WAL".

import CryptoPrimitives
package import DurableFiles

/// What a scan of a WAL found.
package struct WALScan: Sendable, Equatable {
    /// As long is a WAL that holds no frame, in bytes.
    package static let headerLength = WALHeader.length

    /// What is wrong with a WAL.
    package enum Damage: String, Sendable {
        /// The header is not one, although authentic frames follow it.
        case header
        /// A frame breaks the chain of check sums, and transactions that were acknowledged after it follow.
        case brokenChain = "broken_chain"
        /// A frame belongs to the chain, and its page is not of this database.
        case foreignPage = "foreign_page"
        /// The page size is not the database's.
        case pageSize = "page_size"
        /// The number of pages in a commit is not the one in the authenticated page 1 of that commit, or more than there are.
        case commitSize = "commit_size"
    }

    /// How many frames SQLite will read, up to the last commit.
    package private(set) var committedFrames = 0
    /// How many frames stand there in all, those of earlier rounds included.
    package private(set) var frames = 0
    /// What is wrong; nil also for a tail that a crash tore.
    package private(set) var damage: Damage?
    /// The frame, counted from 1, at which that was seen.
    package private(set) var damagedFrame: Int?
    /// How many pages the database has after the last commit; nil where there is none.
    package private(set) var pageCount: Int?
    /// The newest committed frame of each page, by page number.
    package private(set) var newestFrames: [Int: Int] = [:]
    /// What the check sum of the next frame continues; nil before the first frame.
    private var sum: WALChecksum?
    /// What the newest committed frame of page 1 says of the number of pages; nil before the first one.
    private var counted: PageOneCount?

    /// Scans the WAL of a database; a file too short to hold a frame is an empty one.
    ///
    /// - Parameters:
    ///   - last: the last frame that is looked at; the last of the file unless said otherwise.
    ///   - main: the database's main file, whose page 1 counts where the WAL has none.
    ///   - earlier: a scan of the same round, up to a commit; only frames behind that are looked at, unless it went further.
    package init(
        of file: DataFile, upToFrame last: Int = .max, over main: DataFile, with key: borrowing PageKey,
        continuing earlier: WALScan? = nil
    ) throws {
        if let earlier, earlier.committedFrames <= last { self = earlier }
        let header = try file.bytes(at: 0, count: WALHeader.length)
        let frameLength = WALFrame.headerLength + key.layout.size
        let frames = try min(last, WALFrame.count(in: file.length(), pageSize: key.layout.size))
        guard header.count == WALHeader.length, frames > committedFrames else { return }
        self.frames = frames
        let parsed = WALHeader(header)
        if let parsed, parsed.pageSize != key.layout.size {
            damage = .pageSize
            return
        }
        try walk(file, with: key, header: parsed, frameLength: frameLength)
        if damage == nil, !CustodyCheck.commitSize.isSkipped, try !isSizeProven(by: main, key) {
            report(.commitSize, at: committedFrames)
        }
    }

    /// Whether the number of pages after the last commit is one that page 1 of that commit says: the newest in the WAL, otherwise
    /// the main file's. Where the WAL has one, the main file may have it already or not yet, and says nothing.
    private func isSizeProven(by main: DataFile, _ key: borrowing PageKey) throws -> Bool {
        guard let pageCount else { return true }
        let inMain = try main.length() / key.layout.size
        // Who can make an authentic page 1 without reading it can put any number there: each page must stand somewhere.
        let behind = inMain + 1..<max(inMain, pageCount) + 1
        let absent = behind.count - newestFrames.keys.count { behind.contains($0) }
        guard absent <= (behind.contains(key.layout.lockPageNumber) ? 1 : 0) else { return false }
        let counted = try counted ?? PageOneCount(inPageOneOf: main, key)
        if let count = counted?.pages { return pageCount == count }
        // Page 1 does not say. Then the pages that are there do.
        return pageCount == max(inMain, newestFrames.keys.max() ?? 0)
    }

    /// The page of the first frame and its number, whatever its check sum says; nil where there is none.
    package static func firstFrame(of file: DataFile, pageSize: Int) throws -> (page: [UInt8], pageNumber: Int)? {
        let bytes = try file.bytes(at: WALHeader.length, count: WALFrame.headerLength + pageSize)
        guard bytes.count == WALFrame.headerLength + pageSize else { return nil }
        return (Array(bytes[WALFrame.headerLength...]), WALFrame(bytes).pageNumber)
    }

    private mutating func walk(
        _ file: DataFile, with key: borrowing PageKey, header: WALHeader?, frameLength: Int
    ) throws {
        var buffer = [UInt8](repeating: 0, count: frameLength)
        var sum = sum ?? header?.checksum ?? WALChecksum()
        var firstBroken: Int?
        var hasCommitSinceBreak = false
        var uncommitted: [Int: Int] = [:]
        var newest = counted
        for number in committedFrames + 1...frames {
            let offset = WALHeader.length + (number - 1) * frameLength
            let count = try buffer.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
            // The file is shorter than it was: somebody is truncating it.
            guard count == frameLength else { return }
            let frame = WALFrame(buffer)
            let isAuthentic = buffer.withUnsafeBytes { key.authenticate(frame.page(in: $0)) != nil }
            guard let header else {
                if isAuthentic { return report(.header, at: nil) }
                continue
            }
            guard firstBroken == nil else {
                guard isAuthentic, frame.salts == header.salts else { continue }
                // Nothing is written behind a commit before that has been fsynced: it was whole once.
                if hasCommitSinceBreak { return report(.brokenChain, at: firstBroken) }
                hasCommitSinceBreak = frame.isCommit
                continue
            }
            if frame.salts == header.salts {
                sum.add(buffer[..<8], isBigEndian: header.isBigEndian)
                sum.add(buffer[WALFrame.headerLength...], isBigEndian: header.isBigEndian)
            }
            // To SQLite, too, a frame of page 0 ends the log.
            guard frame.salts == header.salts, sum == frame.checksum, frame.pageNumber > 0 else {
                firstBroken = number
                hasCommitSinceBreak = frame.isCommit && (isAuthentic || frame.salts == header.salts)
                continue
            }
            guard isAuthentic else { return report(.foreignPage, at: number) }
            uncommitted[frame.pageNumber] = number
            if frame.pageNumber == 1 {
                newest = try buffer.withUnsafeBytes {
                    try PageOneCount(of: AuthenticPage(alreadyAuthenticated: frame.page(in: $0)), key)
                }
            }
            guard let pagesAfter = frame.pagesAfterCommit else { continue }
            // SQLite writes page 1 whenever the number of pages changes: without one, the number is the one before.
            let expected = newest == nil ? pageCount : newest?.pages
            if let expected, expected != pagesAfter, !CustodyCheck.commitSize.isSkipped {
                return report(.commitSize, at: number)
            }
            committedFrames = number
            self.sum = sum
            counted = newest
            pageCount = pagesAfter
            newestFrames.merge(uncommitted) { $1 }
            uncommitted.removeAll(keepingCapacity: true)
        }
    }

    private mutating func report(_ damage: Damage, at frame: Int?) {
        self.damage = damage
        damagedFrame = frame
    }
}

/// SQLite's running check sum over 32-bit words (file format, "Checksum Algorithm").
struct WALChecksum: Equatable {
    var first: UInt32 = 0
    var second: UInt32 = 0

    /// - Parameter bytes: a multiple of eight.
    mutating func add(_ bytes: ArraySlice<UInt8>, isBigEndian: Bool) {
        bytes.withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count - bytes.count % 8, by: 8) {
                let left = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                let right = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                first &+= (isBigEndian ? UInt32(bigEndian: left) : UInt32(littleEndian: left)) &+ second
                second &+= (isBigEndian ? UInt32(bigEndian: right) : UInt32(littleEndian: right)) &+ first
            }
        }
    }
}

private func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
}

/// The first 32 bytes of a WAL, once they are known to be whole.
struct WALHeader {
    static let length = 32

    let isBigEndian: Bool
    let pageSize: Int
    let salts: [UInt32]
    /// What the check sum of the first frame continues.
    let checksum: WALChecksum

    /// - Parameter bytes: 32 bytes; nil where the magic, the version or the check sum is off.
    init?(_ bytes: [UInt8]) {
        let magic = number(bytes, at: 0)
        guard magic == 0x377f_0682 || magic == 0x377f_0683, number(bytes, at: 4) == 3_007_000 else { return nil }
        isBigEndian = magic & 1 == 1
        pageSize = Int(number(bytes, at: 8))
        salts = [number(bytes, at: 16), number(bytes, at: 20)]
        var sum = WALChecksum()
        sum.add(bytes[..<24], isBigEndian: isBigEndian)
        guard sum == WALChecksum(first: number(bytes, at: 24), second: number(bytes, at: 28)) else { return nil }
        checksum = sum
    }
}

/// The 24 bytes before a page.
struct WALFrame {
    static let headerLength = 24

    let pageNumber: Int
    /// How many pages the database has where a transaction ends here; nil where none does.
    let pagesAfterCommit: Int?
    let salts: [UInt32]
    let checksum: WALChecksum

    /// Whether a transaction ends here.
    var isCommit: Bool { pagesAfterCommit != nil }

    /// How many frames a WAL of this length has.
    static func count(in length: Int, pageSize: Int) -> Int {
        max(0, length - WALHeader.length) / (headerLength + pageSize)
    }

    /// Where the page of a frame begins, in bytes.
    static func pageOffset(of frame: Int, pageSize: Int) -> Int {
        WALHeader.length + (frame - 1) * (headerLength + pageSize) + headerLength
    }

    init(_ bytes: [UInt8]) {
        pageNumber = Int(number(bytes, at: 0))
        let pages = Int(number(bytes, at: 4))
        pagesAfterCommit = pages > 0 ? pages : nil
        salts = [number(bytes, at: 8), number(bytes, at: 12)]
        checksum = WALChecksum(first: number(bytes, at: 16), second: number(bytes, at: 20))
    }

    /// The page behind the header.
    ///
    /// - Parameter bytes: the whole frame.
    func page(in bytes: UnsafeRawBufferPointer) -> SealedPage {
        SealedPage(UnsafeRawBufferPointer(rebasing: bytes[Self.headerLength...]), number: pageNumber)
    }
}

/// What an authentic page 1 says of the number of pages.
struct PageOneCount: Sendable, Equatable {
    /// Nil where it does not say so reliably.
    let pages: Int?

    init(of page: AuthenticPage, _ key: borrowing PageKey) throws { pages = try key.header(of: page).pageCount }

    /// - Returns: nil where page 1 of the file is not authentic.
    init?(inPageOneOf main: DataFile, _ key: borrowing PageKey) throws {
        let bytes = try main.bytes(at: 0, count: key.layout.size)
        let found = try bytes.withUnsafeBytes { bytes in
            try key.authenticate(SealedPage(bytes, number: 1)).map { try PageOneCount(of: $0, key) }
        }
        guard let found else { return nil }
        self = found
    }
}
