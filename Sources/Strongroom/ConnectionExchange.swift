// An open connection follows its database to another file under another key, so that a pool, its observations and whoever waits
// for it go on: docs/decisions/0013-exchange-under-open-connections.md. Only SQLite's public interface is used.

import CSQLCipher
import CryptoPrimitives
import GRDB
import GRDBSQLite
import Keyring
import PageCipher
import Secrets

enum ConnectionExchange {
    /// How long another connection of this process may still hold the database, in milliseconds; everybody waits meanwhile.
    private static let patienceMilliseconds = 250

    /// Writes everything back into the main file and takes the connection out of WAL mode, which it can only be alone.
    ///
    /// - Parameter willLeave: called when nothing is in the WAL any more. While there is none, none may be missed.
    /// - Throws: `StrongroomError.connectionsOpen` where it is not alone. The caller puts it back into WAL mode then.
    static func leaveWAL(_ db: Database, willLeave: () throws -> Void) throws {
        let connection = try handle(db)
        sqlite3_busy_timeout(connection, CInt(patienceMilliseconds))
        defer { sqlite3_busy_timeout(connection, CInt(Engine.busyTimeoutMilliseconds)) }
        do {
            _ = try db.checkpoint(.truncate)
            try willLeave()
            try Engine.keepWAL(false, db)
            try ConnectionGuard.exchanging(db) {
                let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = DELETE")
                guard mode == "delete" else { throw StrongroomError(.connectionsOpen) }
                // A journal in a file would be taken for that of whatever stands at this path when the program ends.
                guard try String.fetchOne(db, sql: "PRAGMA journal_mode = MEMORY") == "memory" else {
                    throw StrongroomError(.engineSettingRefused(.journalMode))
                }
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY || error.resultCode == .SQLITE_LOCKED
        {
            throw StrongroomError(.connectionsOpen)
        }
    }

    /// Brings a connection to the file that now stands at its path, and to the key of that file.
    ///
    /// SQLCipher takes a new key for an open connection only by encrypting the whole database again. So it is given a database of
    /// one page, in memory and under the old key, to do that with; then the file at its path takes that one's place.
    static func follow(_ db: Database, from old: DataKey, to new: DataKey) throws {
        let connection = try handle(db)
        let file = try OpenFile(of: connection)
        guard let memory = sqlite3_vfs_find("memdb"), memory.pointee.szOsFile <= file.vfs.pointee.szOsFile else {
            throw StrongroomError(.sqlite(code: SQLITE_ERROR, .open))
        }
        let placeholder = try Placeholder.page(under: old)
        try file.replace(by: memory, path: nil, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)
        try file.write(placeholder)
        try rekey(connection, new)
        // It may say that it worked and be wrong: what it wrote names the key.
        guard try file.read(count: KeyID.length) == new.info.keyID.bytes else {
            throw StrongroomError(.engineSettingRefused(.key))
        }
        try file.replace(
            by: file.vfs, path: sqlite3_db_filename(connection, "main"),
            flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB)
        try ConnectionGuard.settled(db)
        try Engine.settle(db)
        try Engine.keepWAL(true, db)
        _ = try Bookkeeping.epoch(db)
    }

    /// Makes every further use of the connection's file fail, so that nothing is acknowledged that is not kept.
    static func cutOff(_ db: Database) {
        guard let connection = db.sqliteConnection, let file = try? OpenFile(of: connection) else { return }
        file.cutOff()
    }

    static func handle(_ db: Database) throws -> OpaquePointer {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        return connection
    }

    private static func rekey(_ connection: OpaquePointer, _ key: DataKey) throws {
        let result = try key.secret.withSecret { secret in
            let literal = try Engine.rawKeyLiteral(secret, salt: key.info.keyID.bytes)
            return literal.withUnsafeBytes { sqlite3_rekey_v2(connection, "main", $0.baseAddress, Int32($0.count)) }
        }
        guard let result else { throw StrongroomError(.storeLocked) }
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }
}

/// The file that a connection has open, as SQLite's file layer sees it.
struct OpenFile {
    let file: UnsafeMutablePointer<sqlite3_file>
    let vfs: UnsafeMutablePointer<sqlite3_vfs>

    init(of connection: OpaquePointer) throws {
        var file: UnsafeMutablePointer<sqlite3_file>?
        var vfs: UnsafeMutablePointer<sqlite3_vfs>?
        let results = [
            sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &file),
            sqlite3_file_control(connection, "main", SQLITE_FCNTL_VFS_POINTER, &vfs),
        ]
        guard results == [SQLITE_OK, SQLITE_OK], let file, let vfs else {
            throw StrongroomError(.sqlite(code: SQLITE_ERROR, .open))
        }
        self.file = file
        self.vfs = vfs
    }

    /// Closes the file and opens another one in its place.
    ///
    /// - Parameter path: lives as long as the file is open; nil for one without a name.
    func replace(by other: UnsafeMutablePointer<sqlite3_vfs>, path: UnsafePointer<CChar>?, flags: CInt) throws {
        _ = file.pointee.pMethods.pointee.xClose(file)
        UnsafeMutableRawPointer(file).initializeMemory(as: UInt8.self, repeating: 0, count: Int(vfs.pointee.szOsFile))
        var given: CInt = 0
        let result = other.pointee.xOpen(other, path, file, flags, &given)
        guard result == SQLITE_OK, file.pointee.pMethods != nil else {
            file.pointee.pMethods = CutOffFile.methods
            throw StrongroomError(.sqlite(code: result, .open))
        }
    }

    func write(_ bytes: [UInt8]) throws {
        let result = bytes.withUnsafeBytes {
            file.pointee.pMethods.pointee.xWrite(file, $0.baseAddress, CInt($0.count), 0)
        }
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }

    func read(count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = bytes.withUnsafeMutableBytes {
            file.pointee.pMethods.pointee.xRead(file, $0.baseAddress, CInt($0.count), 0)
        }
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
        return bytes
    }

    /// What was open there stays so until the process ends: SQLite may have a part of it mapped.
    func cutOff() { file.pointee.pMethods = CutOffFile.methods }
}

/// A file of which nothing can be read and to which nothing can be written.
private enum CutOffFile {
    /// Made once, and there for as long as the process. Nobody writes to it after that.
    nonisolated(unsafe) static let methods: UnsafePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 2
        methods.pointee.xClose = { _ in SQLITE_OK }
        methods.pointee.xRead = { _, _, _, _ in SQLITE_IOERR }
        methods.pointee.xWrite = { _, _, _, _ in SQLITE_IOERR }
        methods.pointee.xTruncate = { _, _ in SQLITE_IOERR }
        methods.pointee.xSync = { _, _ in SQLITE_IOERR }
        methods.pointee.xFileSize = { _, _ in SQLITE_IOERR }
        methods.pointee.xLock = { _, _ in SQLITE_IOERR }
        methods.pointee.xUnlock = { _, _ in SQLITE_OK }
        methods.pointee.xCheckReservedLock = { _, _ in SQLITE_IOERR }
        methods.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.pointee.xSectorSize = { _ in 4096 }
        methods.pointee.xDeviceCharacteristics = { _ in 0 }
        methods.pointee.xShmMap = { _, _, _, _, _ in SQLITE_IOERR }
        methods.pointee.xShmLock = { _, _, _, _ in SQLITE_IOERR }
        methods.pointee.xShmBarrier = { _ in }
        methods.pointee.xShmUnmap = { _, _ in SQLITE_OK }
        return UnsafePointer(methods)
    }()
}

/// An empty database of one page.
private enum Placeholder {
    static func page(under key: DataKey) throws -> [UInt8] {
        let pageKey = try key.makePageKey()
        let layout = pageKey.layout
        let plaintext = try PlaintextPage(size: layout.size)
        plaintext.buffer.initializeMemory(as: UInt8.self, repeating: 0)
        plaintext.buffer.copyBytes(from: header(layout))
        // An empty table of the schema: where the cells begin.
        plaintext.buffer[100] = 0x0d
        let cells = UInt16(truncatingIfNeeded: layout.size - layout.reserve)
        withUnsafeBytes(of: cells.bigEndian) {
            plaintext.buffer[105] = $0[0]
            plaintext.buffer[106] = $0[1]
        }
        var page = [UInt8](repeating: 0, count: layout.size)
        let iv = try Random.bytes(count: PageLayout.ivLength)
        try page.withUnsafeMutableBytes { output in
            try iv.withUnsafeBytes {
                try pageKey.seal(UnsafeRawBufferPointer(plaintext.buffer), number: 1, iv: $0, into: output)
            }
        }
        return page
    }

    /// The first hundred bytes (SQLite's file format, "The Database Header").
    private static func header(_ layout: PageLayout) -> [UInt8] {
        var header = PageLayout.plaintextMagic + [UInt8](repeating: 0, count: 84)
        let size = layout.size == 65_536 ? 1 : layout.size
        header.replaceSubrange(
            16..<24, with: [UInt8(size >> 8), UInt8(size & 0xff), 1, 1, UInt8(layout.reserve), 64, 32, 32])
        // Change counter, size in pages, schema format, text encoding, and what the size is valid for.
        for (offset, value) in [(27, 1), (31, 1), (47, 4), (59, 1), (95, 1)] { header[offset] = UInt8(value) }
        return header
    }
}
