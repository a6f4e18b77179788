// The one rollback journal that is ours: SQLite writes it when a rotation takes an open database out of WAL mode, and a crash at that
// moment leaves it (SQLite's file format, "The Rollback Journal"). It is not authenticated, so it may bring back page 1 and no more.

import DurableFiles
import Keyring
import PageCipher

/// What the head of a rollback journal says.
private struct JournalHeader {
    static let length = 28
    private static let magic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]

    /// How many pages the database is cut to.
    let pageCount: Int
    /// Where the first record begins, in bytes.
    let sectorSize: Int
    let pageSize: Int

    /// - Returns: nil where SQLite takes nothing from the journal.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.length, Array(bytes.prefix(Self.magic.count)) == Self.magic else { return nil }
        func number(_ offset: Int) -> Int { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
        pageCount = number(16)
        sectorSize = number(20)
        pageSize = number(24)
    }
}

extension Diagnosis {
    /// Whether there is a rollback journal that SQLite is not to see.
    func hasForeignJournal(under info: DataKeyInfo) throws -> Bool {
        guard try files.hasForeignJournal() else { return false }
        return try files.session(envelope) != .exchanging || !isOfExchange(under: info)
    }

    /// Removes the journal of an exchange that was never complete: SQLite takes nothing from it, and would leave it there.
    func removeUnfinishedJournal() throws {
        guard try files.session(envelope) == .exchanging, try files.hasForeignJournal() else { return }
        guard try JournalHeader(DataFile(files.journal).bytes(at: 0, count: JournalHeader.length)) == nil else {
            return
        }
        try DurableFiles.remove(files.journal)
    }

    /// Whether the journal brings back page 1 as it was, in a database that stays as long as it is, or nothing at all.
    private func isOfExchange(under info: DataKeyInfo) throws -> Bool {
        guard let file = try? DataFile(files.journal) else { return false }
        guard let header = try JournalHeader(file.bytes(at: 0, count: JournalHeader.length)) else { return true }
        let size = info.pageFormat.size
        guard header.pageSize == size, (512...65_536).contains(header.sectorSize),
            try header.pageCount == DataFile(files.main).length() / size
        else { return false }
        // A record is the page's number, the page, and a check sum.
        let recordLength = 4 + size + 4
        let recordsLength = try file.length() - header.sectorSize
        guard recordsLength < 2 * recordLength else { return false }
        guard recordsLength >= recordLength else { return true }
        let record = try file.bytes(at: header.sectorSize, count: 4 + size)
        guard record.count == 4 + size, record.prefix(4).elementsEqual([0, 0, 0, 1]) else { return false }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let authenticator = try key.makePageAuthenticator()
        return Array(record.dropFirst(4)).withUnsafeBytes {
            authenticator.authenticate(SealedPage($0, number: 1)) != nil
        }
    }
}
