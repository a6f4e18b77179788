// What is sound in a damaged WAL: docs/formats/page.md, "Reading a damaged WAL". SQLite stops at the first frame whose check sum
// is off. The tags in the pages tell more: which frames are what was written.

package import DurableFiles

/// The newest state that a damaged WAL still leads to, and what lies behind it.
package struct WALRecovery: Sendable, Equatable {
    /// The newest frame of each page, by page number, up to the last commit that is whole.
    package private(set) var frames: [Int: Int] = [:]
    /// How many pages the database has then, as page 1 in one of these frames says; nil where none of them has it or it does not say.
    /// What a commit says of it is not authenticated, and is not looked at.
    package private(set) var pageCount: Int?
    /// Commits up to that one.
    package private(set) var keptTransactions = 0
    /// Commits after that one: each was acknowledged, and a page of it, or of one before it, is gone.
    package private(set) var lostTransactions = 0
    /// Whether a single frame is of this database: otherwise the file is another one's.
    package private(set) var isOfThisDatabase = false

    private struct Frame {
        let number: Int
        let page: Int
        let isCommit: Bool
        let isSound: Bool
    }

    package init(of file: DataFile, with key: borrowing PageKey) throws {
        let frames = try Self.read(file, key.authenticator)
        isOfThisDatabase = frames.contains(where: \.isSound)
        guard isOfThisDatabase else { return }
        let commits = frames.filter(\.isCommit)
        guard let last = Self.lastWhole(commits, frames) else {
            lostTransactions = commits.count
            return
        }
        keptTransactions = commits.count { $0.number <= last.number }
        lostTransactions = commits.count - keptTransactions
        for frame in frames.prefix(while: { $0.number <= last.number }) { self.frames[frame.page] = frame.number }
        if let first = self.frames[1] { pageCount = try Self.pageCount(inFrame: first, of: file, key) }
    }

    /// What page 1 says that stands in a frame.
    private static func pageCount(inFrame frame: Int, of file: DataFile, _ key: borrowing PageKey) throws -> Int? {
        let page = try file.bytes(
            at: WALFrame.pageOffset(of: frame, pageSize: key.layout.size), count: key.layout.size)
        return try page.withUnsafeBytes { page in
            try key.authenticate(SealedPage(page, number: 1)).flatMap { try key.header(of: $0).pageCount }
        }
    }

    /// The last commit at which every page that stands in the WAL has a sound frame as its newest.
    private static func lastWhole(_ commits: [Frame], _ frames: [Frame]) -> Frame? {
        // From where on a damaged frame does no harm, because its page was written again.
        var harmless: [(damaged: Int, until: Int)] = []
        var newestSound: [Int: Int] = [:]
        for frame in frames.reversed() {
            if frame.isSound {
                newestSound[frame.page] = frame.number
            } else {
                harmless.append((frame.number, newestSound[frame.page] ?? .max))
            }
        }
        return commits.last { commit in
            commit.isSound && harmless.allSatisfy { commit.number < $0.damaged || commit.number >= $0.until }
        }
    }

    /// Every frame of the newest round, damaged ones included.
    private static func read(_ file: DataFile, _ key: borrowing PageAuthenticator) throws -> [Frame] {
        let size = key.layout.size
        let count = WALFrame.count(in: try file.length(), pageSize: size)
        guard count > 0 else { return [] }
        let header = WALHeader(try file.bytes(at: 0, count: WALHeader.length))
        let salts = try header?.salts ?? salts(of: file, count, size, key)
        // Frames of earlier rounds stand behind those of this one, and have other salts.
        var end = 0
        for number in 1...count where try WALFrame(bytes(of: file, number, size, headerOnly: true)).salts == salts {
            end = number
        }
        var frames: [Frame] = []
        var sum = header?.checksum
        var current = end > 0 ? try bytes(of: file, 1, size) : []
        for number in stride(from: 1, through: end, by: 1) {
            let next = number < end ? try bytes(of: file, number + 1, size) : nil
            frames.append(frame(number, current, next, isBigEndian: header?.isBigEndian ?? true, &sum, key))
            current = next ?? []
        }
        // The salts of the last frame may be what is damaged: it belongs to the round all the same where its check sum fits.
        while frames.count < count, let known = sum {
            let next = try bytes(of: file, frames.count + 1, size)
            let isNext = known.adding(next, isBigEndian: header?.isBigEndian ?? true) == WALFrame(next).checksum
            guard isNext, !frames.isEmpty else { break }
            frames.append(frame(frames.count + 1, next, nil, isBigEndian: header?.isBigEndian ?? true, &sum, key))
        }
        return frames
    }

    /// One frame. Where its check sum is off, a single bit of its page number or of its commit mark is tried the other way round.
    ///
    /// - Parameter sum: the check sum up to the frame before it; then up to this one. Nil where it is not known.
    private static func frame(
        _ number: Int, _ bytes: [UInt8], _ next: [UInt8]?, isBigEndian: Bool, _ sum: inout WALChecksum?,
        _ key: borrowing PageAuthenticator
    ) -> Frame {
        let claimed = WALFrame(bytes)
        var bestGuess: (header: [UInt8], sum: WALChecksum?)?
        for bit in -1..<64 {
            var candidate = bytes
            if bit >= 0 { candidate[bit / 8] ^= 1 << UInt8(bit % 8) }
            let isAuthentic = isAuthentic(candidate, key)
            // Without its page, neither a number nor a mark can be put right.
            guard isAuthentic else { continue }
            let computed = sum.map { $0.adding(candidate, isBigEndian: isBigEndian) }
            if computed == claimed.checksum {
                bestGuess = (candidate, computed)
                break
            }
            // It may be the check sum itself that is damaged: then the next frame fits to what it should be.
            let fits = next.map { next in
                computed?.adding(next, isBigEndian: isBigEndian) == WALFrame(next).checksum
            }
            if fits == true || bestGuess == nil { bestGuess = (candidate, fits == true ? computed : claimed.checksum) }
            if fits == true { break }
        }
        sum = bestGuess?.sum ?? claimed.checksum
        let header = bestGuess.map { WALFrame($0.header) } ?? claimed
        return Frame(
            number: number, page: header.pageNumber, isCommit: header.isCommit, isSound: bestGuess != nil)
    }

    private static func isAuthentic(_ bytes: [UInt8], _ key: borrowing PageAuthenticator) -> Bool {
        let frame = WALFrame(Array(bytes[..<WALFrame.headerLength]))
        return frame.pageNumber > 0 && bytes.withUnsafeBytes { key.authenticate(frame.page(in: $0)) != nil }
    }

    /// The salts of the first frame that is of this database, where the header does not say them.
    private static func salts(
        of file: DataFile, _ count: Int, _ size: Int, _ key: borrowing PageAuthenticator
    ) throws -> [UInt32] {
        for number in 1...count {
            let bytes = try bytes(of: file, number, size)
            if isAuthentic(bytes, key) { return WALFrame(bytes).salts }
        }
        return []
    }

    private static func bytes(
        of file: DataFile, _ number: Int, _ size: Int, headerOnly: Bool = false
    ) throws -> [UInt8] {
        let start = WALFrame.pageOffset(of: number, pageSize: size) - WALFrame.headerLength
        let length = WALFrame.headerLength + (headerOnly ? 0 : size)
        let bytes = try file.bytes(at: start, count: length)
        guard bytes.count == length else { throw DurableFilesError.shrank(file) }
        return bytes
    }
}

extension WALChecksum {
    /// The check sum up to and with a frame.
    fileprivate func adding(_ frame: [UInt8], isBigEndian: Bool) -> WALChecksum {
        var sum = self
        sum.add(frame[..<8], isBigEndian: isBigEndian)
        sum.add(frame[WALFrame.headerLength...], isBigEndian: isBigEndian)
        return sum
    }
}
