// A database of somebody else's with a hot journal or a WAL beside it, read as SQLite would leave it, without a copy and without a
// write: what is to be rolled back or checkpointed is looked up where it stands. Pages may be ciphertext; nothing here needs a key, and
// nothing here is authenticated.

package import DurableFiles

/// A database file together with the changes beside it that SQLite has not finished.
package struct UnfinishedChanges: Sendable {
    private enum Place: Sendable {
        case journal(Int)
        case wal(Int)
    }

    private let main: DataFile
    private let journal: DataFile?
    private let wal: DataFile?
    private let pageSize: Int
    private let places: [Int: Place]
    /// The length of the database as it would be, in bytes.
    package let length: Int
    /// Whether every page that there is to be stands somewhere: a number of pages is nobody's word for it.
    package let isWhole: Bool

    /// - Parameters:
    ///   - journal: the rollback journal, where there is one.
    ///   - wal: the write-ahead log, where there is one.
    ///   - isThere: whether there is a file of this name: a journal of several databases is over when their common one has gone.
    /// - Throws: `DurableFilesError`.
    package init(
        _ main: DataFile, journal: DataFile?, wal: DataFile?, isThere: ([UInt8]) -> Bool
    ) throws(DurableFilesError) {
        let inMain = try main.length()
        let header = try main.bytes(at: 0, count: 18)
        let stated = header.count == 18 ? Int(header[16]) << 8 | Int(header[17]) : 0
        var length = inMain
        var pageSize = stated == 1 ? 65_536 : stated
        var places: [Int: Place] = [:]
        if let journal, inMain > 0, let found = try Rollback(journal, pageSize: pageSize, isThere: isThere) {
            pageSize = found.pageSize
            length = found.pages * found.pageSize
            for (page, offset) in found.records { places[page] = .journal(offset) }
        }
        if let wal, inMain > 0, let found = try Log(wal) {
            // What was rolled back has pages of another size: SQLite would have refused one of the two.
            if found.pageSize != pageSize { places = [:] }
            pageSize = found.pageSize
            length = found.pages * found.pageSize
            for (page, offset) in found.frames { places[page] = .wal(offset) }
        }
        self.main = main
        self.journal = journal
        self.wal = wal
        self.pageSize = pageSize
        self.places = places
        self.length = length
        let pages = pageSize > 0 ? length / pageSize : 0
        let standing = pageSize > 0 ? inMain / pageSize : 0
        let behind = places.keys.count { $0 > standing && $0 <= pages }
        // SQLite leaves a hole where its locks are.
        isWhole = length == inMain || pages <= standing + behind + 1
    }

    /// Fills `output`. What stands nowhere reads as zeros, as in a file with holes.
    package func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) throws(DurableFilesError) {
        guard !places.isEmpty else { return try fill(output, from: main, at: offset) }
        var done = 0
        while done < output.count {
            let position = offset + done
            let within = position % pageSize
            let part = UnsafeMutableRawBufferPointer(
                rebasing: output[done..<min(output.count, done + pageSize - within)])
            switch places[position / pageSize + 1] {
            case .journal(let start):
                if let journal { try fill(part, from: journal, at: start + within) }
            case .wal(let start):
                if let wal { try fill(part, from: wal, at: start + within) }
            case nil: try fill(part, from: main, at: position)
            }
            done += part.count
        }
    }

    private func fill(
        _ output: UnsafeMutableRawBufferPointer, from file: DataFile, at offset: Int
    ) throws(DurableFilesError) {
        let count = try file.read(at: offset, into: output)
        UnsafeMutableRawBufferPointer(rebasing: output[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> Int {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
    }

    private static func isSize(_ size: Int, from least: Int) -> Bool {
        (least...65_536).contains(size) && size & (size - 1) == 0
    }

    /// What a WAL says, up to its last commit.
    private struct Log {
        let pageSize: Int
        private(set) var pages = 0
        private(set) var frames: [Int: Int] = [:]

        /// Nil where SQLite would read nothing of it.
        init?(_ file: DataFile) throws(DurableFilesError) {
            let bytes = try file.bytes(at: 0, count: WALHeader.length)
            guard bytes.count == WALHeader.length, let header = WALHeader(bytes),
                UnfinishedChanges.isSize(header.pageSize, from: 512)
            else { return nil }
            pageSize = header.pageSize
            var sum = header.checksum
            var uncommitted: [Int: Int] = [:]
            let count = WALFrame.count(in: try file.length(), pageSize: pageSize)
            for number in 0..<count {
                let start = WALHeader.length + number * (WALFrame.headerLength + pageSize)
                let frame = try file.bytes(at: start, count: WALFrame.headerLength + pageSize)
                guard frame.count == WALFrame.headerLength + pageSize else { break }
                let parsed = WALFrame(frame)
                sum.add(frame[..<8], isBigEndian: header.isBigEndian)
                sum.add(frame[WALFrame.headerLength...], isBigEndian: header.isBigEndian)
                guard parsed.salts == header.salts, sum == parsed.checksum, parsed.pageNumber > 0 else { break }
                uncommitted[parsed.pageNumber] = start + WALFrame.headerLength
                guard let after = parsed.pagesAfterCommit else { continue }
                pages = after
                frames.merge(uncommitted) { $1 }
                uncommitted.removeAll(keepingCapacity: true)
            }
            if pages == 0 { return nil }
        }
    }

    /// What a hot journal puts back.
    private struct Rollback {
        let pageSize: Int
        let pages: Int
        private(set) var records: [Int: Int] = [:]

        private static let magic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
        private static let headerLength = 28

        /// Nil where SQLite would roll nothing back: its header is zeroed or was never written, or it belongs to a change of several
        /// databases that was finished.
        init?(
            _ file: DataFile, pageSize stated: Int, isThere: ([UInt8]) -> Bool
        ) throws(DurableFilesError) {
            let length = try file.length()
            let first = try file.bytes(at: 0, count: Self.headerLength)
            guard first.count == Self.headerLength, Array(first[..<8]) == Self.magic else { return nil }
            let sector = UnfinishedChanges.number(first, at: 20)
            let named = UnfinishedChanges.number(first, at: 24)
            let pageSize = named == 0 ? stated : named
            guard UnfinishedChanges.isSize(pageSize, from: 512), UnfinishedChanges.isSize(sector, from: 32) else {
                return nil
            }
            if let common = try Self.commonJournal(of: file, length), !isThere(common) { return nil }
            self.pageSize = pageSize
            pages = UnfinishedChanges.number(first, at: 16)
            let recordLength = pageSize + 8
            let lockPage = PageLayout.lockPageNumber(pageSize: pageSize)
            var offset = 0
            // One header for each time that the journal was synced.
            while true {
                let header = try file.bytes(at: offset, count: Self.headerLength)
                guard header.count == Self.headerLength, Array(header[..<8]) == Self.magic else { return }
                offset += sector
                let room = max(0, length - offset) / recordLength
                let counted = UnfinishedChanges.number(header, at: 8)
                let start = UInt32(UnfinishedChanges.number(header, at: 12))
                for _ in 0..<(counted == 0xffff_ffff ? room : min(counted, room)) {
                    let record = try file.bytes(at: offset, count: recordLength)
                    guard record.count == recordLength else { return }
                    let page = UnfinishedChanges.number(record, at: 0)
                    guard page > 0, page != lockPage else { return }
                    if page <= pages, records[page] == nil {
                        var sum = start
                        for position in stride(from: pageSize - 200, to: 0, by: -200) {
                            sum &+= UInt32(record[4 + position])
                        }
                        guard sum == UInt32(UnfinishedChanges.number(record, at: pageSize + 4)) else { return }
                        // The first one is what was there before the transaction.
                        records[page] = offset + 4
                    }
                    offset += recordLength
                }
                // A count that the file has no room for ends it.
                guard counted <= room else { return }
                offset = (offset + sector - 1) / sector * sector
            }
        }

        /// The name at the end of the journal of one of several databases that were changed together.
        private static func commonJournal(of file: DataFile, _ length: Int) throws(DurableFilesError) -> [UInt8]? {
            guard length >= 16 else { return nil }
            let end = try file.bytes(at: length - 16, count: 16)
            guard end.count == 16, Array(end[8...]) == magic else { return nil }
            let count = UnfinishedChanges.number(end, at: 0)
            guard count > 0, count <= min(length - 16, 4_096) else { return nil }
            let name = try file.bytes(at: length - 16 - count, count: count)
            // Its check sum: the sum of its bytes, each with its sign.
            let sum = name.reduce(UInt32(0)) { $0 &+ UInt32(bitPattern: Int32(Int8(bitPattern: $1))) }
            return sum == UInt32(UnfinishedChanges.number(end, at: 4)) ? name : nil
        }
    }
}
