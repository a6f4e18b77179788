// A file layer of SQLite (VFS) that reads bytes which we lend it, and can do nothing else: no file is opened, made, locked or written.

import Foundation
import GRDBSQLite
import Synchronization
import SystemPackage

/// What SQLite is to take for a file.
class ReadOnlyBytes {
    /// How many there are.
    let length: Int

    /// Whether SQLite is not told that nothing can be written. It parses no CHECK constraint of a database that is read-only, so its
    /// integrity check would not look at them. The bytes must not say that the database is in WAL mode then.
    var hidesThatItIsReadOnly: Bool { false }

    init(length: Int) { self.length = length }

    /// Fills `output`; false where that cannot be read.
    func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) -> Bool { false }
}

/// The file layer. Every call but opening, reading and measuring answers that nothing is to be done.
enum ReadOnlyVFS {
    private static let name = "strongroom-read-only"
    /// SQLITE_IOERR_READ and SQLITE_IOERR_SHORT_READ, which are macros that Swift does not see.
    private static let readError: CInt = SQLITE_IOERR | 1 << 8
    private static let shortRead: CInt = SQLITE_IOERR | 2 << 8

    private struct Waiting {
        var next = 1
        /// Readers that SQLite has not opened yet. `ReadOnlyBytes` is used by one connection, which one thread uses at a time.
        nonisolated(unsafe) var readers: [String: ReadOnlyBytes] = [:]
    }

    private static let waiting = Mutex(Waiting())

    /// What SQLite allocates for each open file: its own part first, then ours.
    private struct OpenFile {
        var base: sqlite3_file
        var reader: Unmanaged<ReadOnlyBytes>
    }

    private static let registration = Mutex<CInt?>(nil)

    /// Opens a connection that reads nothing but these bytes.
    ///
    /// - Parameter place: the file that errors are about.
    static func connect(to bytes: ReadOnlyBytes, place: FilePath) throws -> RawConnection {
        try register()
        // SQLite is given a number, under which it finds the bytes when it opens the "file".
        let ticket = waiting.withLock { waiting in
            let ticket = "bytes-\(waiting.next)"
            waiting.next += 1
            waiting.readers[ticket] = bytes
            return ticket
        }
        defer { waiting.withLock { $0.readers[ticket] = nil } }
        let mode = bytes.hidesThatItIsReadOnly ? "mode=rw&nolock=1" : "mode=ro&immutable=1"
        return try RawConnection(
            uri: "file:\(ticket)?vfs=\(name)&\(mode)",
            flags: bytes.hidesThatItIsReadOnly ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, place: place)
    }

    private static func register() throws {
        let result = registration.withLock { done in
            if let done { return done }
            let result = sqlite3_vfs_register(makeVFS(), 0)
            done = result
            return result
        }
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }

    /// Made once, and there for as long as the process.
    private static func makeVFS() -> UnsafeMutablePointer<sqlite3_vfs> {
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: sqlite3_vfs())
        vfs.pointee.iVersion = 1
        vfs.pointee.szOsFile = CInt(MemoryLayout<OpenFile>.size)
        vfs.pointee.mxPathname = 512
        vfs.pointee.zName = UnsafePointer(strdup(name))
        vfs.pointee.pAppData = UnsafeMutableRawPointer(makeMethods())
        vfs.pointee.xOpen = { vfs, path, file, _, outFlags in
            guard let vfs, let path, let file,
                let reader = ReadOnlyVFS.waiting.withLock({ $0.readers[String(cString: path)] })
            else {
                file?.pointee.pMethods = nil
                return SQLITE_CANTOPEN
            }
            let methods = vfs.pointee.pAppData.assumingMemoryBound(to: sqlite3_io_methods.self)
            UnsafeMutableRawPointer(file).initializeMemory(
                as: OpenFile.self,
                to: OpenFile(base: sqlite3_file(pMethods: UnsafePointer(methods)), reader: .passRetained(reader)))
            outFlags?.pointee = reader.hidesThatItIsReadOnly ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
            return SQLITE_OK
        }
        vfs.pointee.xDelete = { _, _, _ in SQLITE_READONLY }
        vfs.pointee.xAccess = { _, _, _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        vfs.pointee.xFullPathname = { _, path, count, output in
            guard let path, let output, strlen(path) < Int(count) else { return SQLITE_CANTOPEN }
            strcpy(output, path)
            return SQLITE_OK
        }
        vfs.pointee.xRandomness = { _, count, output in
            if let output { memset(output, 0, Int(count)) }
            return 0
        }
        vfs.pointee.xSleep = { _, microseconds in microseconds }
        vfs.pointee.xCurrentTime = { _, julianDay in
            julianDay?.pointee = Date().timeIntervalSince1970 / 86_400 + 2_440_587.5
            return SQLITE_OK
        }
        vfs.pointee.xGetLastError = { _, _, _ in 0 }
        return vfs
    }

    private static func makeMethods() -> UnsafeMutablePointer<sqlite3_io_methods> {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 1
        methods.pointee.xClose = { file in
            if let file { ReadOnlyVFS.reader(of: file).release() }
            return SQLITE_OK
        }
        methods.pointee.xRead = { file, output, count, offset in
            guard let file, let output else { return ReadOnlyVFS.readError }
            let reader = ReadOnlyVFS.reader(of: file).takeUnretainedValue()
            let buffer = UnsafeMutableRawBufferPointer(start: output, count: Int(count))
            let available = min(buffer.count, max(0, reader.length - Int(offset)))
            let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<available])
            guard reader.read(at: Int(offset), into: wanted) else { return ReadOnlyVFS.readError }
            if available == buffer.count { return SQLITE_OK }
            memset(output + available, 0, buffer.count - available)
            return ReadOnlyVFS.shortRead
        }
        methods.pointee.xWrite = { _, _, _, _ in SQLITE_READONLY }
        methods.pointee.xTruncate = { _, _ in SQLITE_READONLY }
        methods.pointee.xSync = { _, _ in SQLITE_OK }
        methods.pointee.xFileSize = { file, size in
            if let file { size?.pointee = Int64(ReadOnlyVFS.reader(of: file).takeUnretainedValue().length) }
            return SQLITE_OK
        }
        methods.pointee.xLock = { _, _ in SQLITE_OK }
        methods.pointee.xUnlock = { _, _ in SQLITE_OK }
        methods.pointee.xCheckReservedLock = { _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        methods.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.pointee.xSectorSize = { _ in 4096 }
        methods.pointee.xDeviceCharacteristics = { file in
            guard let file, !ReadOnlyVFS.reader(of: file).takeUnretainedValue().hidesThatItIsReadOnly else { return 0 }
            return SQLITE_IOCAP_IMMUTABLE
        }
        return methods
    }

    private static func reader(of file: UnsafeMutablePointer<sqlite3_file>) -> Unmanaged<ReadOnlyBytes> {
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenFile.self).pointee.reader
    }
}
