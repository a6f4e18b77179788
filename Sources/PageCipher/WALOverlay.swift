// The committed frames of a WAL, laid over the main file: docs/decisions/0009-snapshot-overlays-the-wal.md.

package import DurableFiles
import Glibc

/// What a WAL is like at one moment. In a round it only ever grows, and each round has another header: equal marks mean that nothing was written
/// in between.
///
/// The length of the file says nothing of that. A WAL that begins anew is as long as it was, and until it is longer, frames of
/// its last round stand behind those of this one.
package struct WALMark: Equatable, Sendable {
    /// How many frames of this round hold what was acknowledged.
    let frames: Int
    let header: [UInt8]

    /// There is no WAL.
    package static let none = WALMark(frames: 0, header: [])

    /// - Parameters:
    ///   - frames: what SQLite knows of it: docs/formats/page.md, "The index of a WAL".
    ///   - header: the first bytes of the file, fewer where it has fewer.
    package init(frames: Int, header: [UInt8]) {
        self.frames = frames
        self.header = header
    }

    /// Whether it stands for all that a WAL holds.
    var isOfUnused: Bool { frames == .max }

    /// Of a WAL that nobody uses: all that it holds.
    package init(ofUnused file: DataFile) throws {
        self.init(frames: .max, header: try Self.header(of: file))
    }

    /// The first bytes of a WAL.
    package static func header(of file: DataFile) throws -> [UInt8] {
        try file.bytes(at: 0, count: WALHeader.length)
    }

    /// The salts of a round, which stand in the index as they do in the header.
    package static let salts = 16..<24
}

/// Which frame of the WAL holds the newest committed version of which page.
struct WALOverlay: Sendable {
    /// Frame numbers, counted from 1, by page number. Empty where the main file has everything already.
    let frames: [Int: Int]
    /// The newest committed frame of each page that stands in the WAL, whether the main file has it too or not.
    let newestFrames: [Int: Int]
    /// What the next overlay goes on from.
    private let scan: WALScan?
    /// How many pages the database has after the last commit; nil where the main file alone says so.
    let pageCount: Int?
    private let file: DataFile
    private let header: [UInt8]
    private let pageSize: Int

    private static let attempts = 50

    /// - Parameters:
    ///   - moment: what the WAL was like when the transaction began that holds it still; what came later is left out.
    ///   - earlier: the overlay of an earlier moment, whose frames are not looked at again where they are of the same round.
    /// - Returns: nil where it has begun anew since, so that everything is in the main file.
    init?(
        of file: DataFile, at moment: WALMark, over main: DataFile, _ key: borrowing PageKey,
        after earlier: WALOverlay? = nil
    ) throws {
        self.file = file
        pageSize = key.layout.size
        // A writer may begin the WAL anew while it is read, where all of it is in the main file already: again then.
        for attempt in 1...Self.attempts {
            // It began anew since: so all that it held at that moment was in the main file, and stays there.
            guard try file.bytes(at: 0, count: WALHeader.length) == moment.header else { return nil }
            let known = earlier?.header == moment.header ? earlier?.scan : nil
            let scan = try WALScan(of: file, upToFrame: moment.frames, over: main, with: key, continuing: known)
            let isStill = try file.bytes(at: 0, count: WALHeader.length) == moment.header
            // Whoever has it open knows how far it goes: what looks like a torn tail before that is none.
            let isWhole = moment.isOfUnused || scan.committedFrames == moment.frames
            if isStill, isWhole, scan.damage == nil {
                header = moment.header
                newestFrames = scan.newestFrames
                self.scan = scan
                guard let pageCount = scan.pageCount else {
                    (frames, self.pageCount) = ([:], nil)
                    return
                }
                let isWrittenBack = try scan.isWrittenBack(from: file, into: main, pageSize: pageSize)
                frames = isWrittenBack ? [:] : scan.newestFrames.filter { $0.key <= pageCount }
                self.pageCount = isWrittenBack ? nil : pageCount
                return
            }
            if isStill, attempt == Self.attempts { throw PageCipherError.walDamaged }
            usleep(2_000)
        }
        throw PageCipherError.walDamaged
    }

    /// Frames that were found one by one in a damaged WAL.
    init(of file: DataFile, frames: [Int: Int], pageCount: Int, pageSize: Int) throws {
        self.file = file
        self.frames = frames.filter { $0.key <= pageCount }
        newestFrames = frames
        scan = nil
        self.pageCount = pageCount
        self.pageSize = pageSize
        header = try file.bytes(at: 0, count: WALHeader.length)
    }

    func isUnchanged() throws -> Bool {
        try frames.isEmpty || file.bytes(at: 0, count: WALHeader.length) == header
    }

    /// Reads the page of a frame.
    func read(_ frame: Int, into page: UnsafeMutableRawBufferPointer) throws {
        let found = try file.read(at: WALFrame.pageOffset(of: frame, pageSize: pageSize), into: page)
        guard found == page.count else { throw DurableFilesError.shrank(file) }
    }
}

extension WALScan {
    /// Whether the main file has every page as the WAL has it, and ends where the database does. Then the WAL may begin anew at any
    /// time, and is not needed. Also where nothing was committed in it.
    package func isWrittenBack(from wal: DataFile, into main: DataFile, pageSize: Int) throws -> Bool {
        guard damage == nil else { return false }
        guard let pageCount else { return true }
        guard try main.length() == pageCount * pageSize else { return false }
        for (page, frame) in newestFrames where page <= pageCount {
            let inMain = try main.bytes(at: (page - 1) * pageSize, count: pageSize)
            let inWAL = try wal.bytes(at: WALFrame.pageOffset(of: frame, pageSize: pageSize), count: pageSize)
            if inMain != inWAL { return false }
        }
        return true
    }
}
