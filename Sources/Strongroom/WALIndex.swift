// What SQLite knows of a WAL: docs/formats/page.md, "The index of a WAL". It is asked of the connection and not read from the file: closing
// another descriptor of the file would end every lock that this process holds on it.

import CSQLCipher
import DurableFiles
import GRDB
import GRDBSQLite
import Glibc
import PageCipher

extension DatabaseFiles {
    private static let attempts = 50

    /// What the WAL is like now.
    ///
    /// - Parameter db: a connection to the database, on its own queue, that has read from it already.
    /// - Throws: `PageCipherError.walDamaged` where there is none any more, and changes waited in it.
    func walMark(_ db: Database) throws -> WALMark {
        let main = try OpenFile(of: ConnectionExchange.handle(db))
        guard try StrictFiles.exists(wal) else {
            // Its name may be gone: whoever has it open goes on with it, and nobody else would miss it.
            if let index = try? main.walIndex(), index.frames > 0 { throw PageCipherError.walDamaged }
            return .none
        }
        let file = try DataFile(wal)
        // Another process may write meanwhile.
        for _ in 1...Self.attempts {
            let header = try WALMark.header(of: file)
            if let index = try main.walIndex() {
                // Where a round has no frame yet, the file has the header of the one before, all of which is in the main file.
                if index.frames == 0
                    || header.dropFirst(WALMark.salts.lowerBound).prefix(WALMark.salts.count) == index.salts[...]
                {
                    return WALMark(frames: index.frames, header: header)
                }
            }
            usleep(2_000)
        }
        throw StrongroomError(.sqlite(code: SQLITE_PROTOCOL, .query))
    }
}

/// What the index of a WAL says of it.
private struct WALIndex {
    /// How many frames of this round hold what was acknowledged.
    let frames: Int
    let salts: [UInt8]

    /// The size of one of the two copies of its head, in bytes.
    static let headLength = 48

    /// - Parameter head: one copy; nil where there is none yet.
    init?(_ head: UnsafeRawBufferPointer) {
        // In the byte order of the machine: the version; twelve bytes on, whether it is filled in; the last frame that was committed; salts.
        guard head.load(as: UInt32.self) == 3_007_000, head[12] != 0 else { return nil }
        frames = Int(head.load(fromByteOffset: 16, as: UInt32.self))
        salts = Array(head[32..<40])
    }
}

extension OpenFile {
    /// As large as SQLite maps a part of it, which is what the file layer is asked for.
    private static let indexPartBytes: CInt = 32_768

    /// - Returns: nil where somebody is writing it.
    fileprivate func walIndex() throws -> WALIndex? {
        guard let methods = file.pointee.pMethods, methods.pointee.iVersion >= 2, let map = methods.pointee.xShmMap
        else {
            throw StrongroomError(.sqlite(code: SQLITE_ERROR, .query))
        }
        var mapped: UnsafeMutableRawPointer?
        let result = map(file, 0, Self.indexPartBytes, 0, &mapped)
        guard result == SQLITE_OK, let mapped else { throw StrongroomError(.sqlite(code: result, .query)) }
        // Written from the second to the first, and read from the first to the second.
        let length = WALIndex.headLength
        let first = [UInt8](UnsafeRawBufferPointer(start: mapped, count: length))
        methods.pointee.xShmBarrier?(file)
        let second = [UInt8](UnsafeRawBufferPointer(start: mapped + length, count: length))
        guard first == second else { return nil }
        return first.withUnsafeBytes { WALIndex($0) }
    }
}
