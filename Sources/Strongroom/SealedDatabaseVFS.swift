// SQLite's own checks on an encrypted file that is not to be touched, and without SQLCipher's second look at every page on
// one core: a read-only file layer of SQLite (VFS) that decrypts in memory what the page cipher reads.

import DurableFiles
import Foundation
import GRDBSQLite
import PageCipher
import Secrets
import Synchronization
import SystemPackage

/// A sealed file that SQLite reads as if it were plain. Nothing is written anywhere: there is no such call in here.
final class SealedDatabase {
    let connection: RawConnection

    /// Opens a settled file for reading.
    convenience init(_ file: DataFile, key: consuming PageKey, authenticating: Bool = false) throws {
        let source = try PageSource(file, pageSize: key.layout.size)
        try self.init(source, key: key, authenticating: authenticating)
    }

    /// Opens pages for reading: those of a file, or with a WAL laid over it.
    ///
    /// - Parameters:
    ///   - source: every page of it was shown to be authentic just before; that is not done again here.
    ///   - key: the key that the file is under.
    ///   - authenticating: whether to read only pages that are authentic, where that was not done before.
    init(_ source: PageSource, key: consuming PageKey, authenticating: Bool = false) throws {
        try SealedVFS.register()
        let reader = try SealedReader(source, key: key, authenticating: authenticating)
        // SQLite is given a number, under which it finds the reader when it opens the "file".
        let ticket = SealedVFS.waiting.withLock { waiting in
            let ticket = "sealed-\(waiting.next)"
            waiting.next += 1
            waiting.readers[ticket] = reader
            return ticket
        }
        defer { SealedVFS.waiting.withLock { $0.readers[ticket] = nil } }
        connection = try RawConnection(
            uri: "file:\(ticket)?vfs=\(SealedVFS.name)&mode=ro&immutable=1", flags: SQLITE_OPEN_READONLY,
            place: source.main.path)
        try RawSQL.execute(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cache_size = -8192",
            on: connection.handle)
    }

    /// Runs `integrity_check` and `foreign_key_check`. What is in rows is not read out of here.
    func check() throws -> IntegrityFindings { try IntegrityFindings(of: connection.handle) }
}

/// What SQLite's own checks say.
struct IntegrityFindings: Equatable {
    /// What `integrity_check` complains of; nil where it needs a collation or function that only the app has.
    let integrityViolations: Int?
    /// Rows whose foreign key leads nowhere.
    let foreignKeyViolations: Int

    init(of connection: OpaquePointer) throws(StrongroomError) {
        do {
            let complaints = try RawSQL.texts("PRAGMA integrity_check(100)", on: connection)
            let foreignKeys = try RawSQL.integer("SELECT count(*) FROM pragma_foreign_key_check", on: connection)
            integrityViolations = complaints == [["ok"]] ? 0 : complaints.count
            foreignKeyViolations = Int(foreignKeys ?? 0)
        } catch {
            guard error.isMissingDefinition else { throw error }
            integrityViolations = nil
            foreignKeyViolations = 0
        }
    }
}

/// Any bytes of the plaintext, decrypted page by page.
private final class SealedReader {
    private let source: PageSource
    private let key: PageKey
    private let plaintext: PlaintextPage
    /// Ciphertext that was read together. SQLite's check walks through a file backwards, which no system reads ahead.
    private let chunk: UnsafeMutableRawBufferPointer
    private var chunkStart = 0
    private var chunkLength = 0
    private var lastMiss = 0
    private var current = 0
    private let isAuthenticating: Bool
    let length: Int

    private static let chunkBytes = 1 << 20

    init(_ source: PageSource, key: consuming PageKey, authenticating: Bool) throws {
        isAuthenticating = authenticating
        length = source.pageCount * source.pageSize
        plaintext = try PlaintextPage(size: key.layout.size)
        chunk = .allocate(byteCount: Self.chunkBytes, alignment: 16)
        self.source = source
        self.key = key
    }

    deinit { chunk.deallocate() }

    /// Fills `output`; false where the file ends or cannot be read.
    func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < output.count {
            let position = offset + done
            guard load(page: position / key.layout.size + 1) else { return false }
            let start = position % key.layout.size
            let count = min(output.count - done, key.layout.size - start)
            UnsafeMutableRawBufferPointer(rebasing: output[done..<(done + count)]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: plaintext.buffer[start..<(start + count)]))
            done += count
        }
        return true
    }

    private func load(page number: Int) -> Bool {
        if number == current { return true }
        current = 0
        guard let sealed = sealedPage(at: (number - 1) * key.layout.size) else { return false }
        let unknown = SealedPage(sealed, number: number)
        let known = isAuthenticating ? key.authenticate(unknown) : AuthenticPage(alreadyAuthenticated: unknown)
        guard let page = known, (try? key.open(page, into: plaintext.buffer)) != nil else { return false }
        current = number
        return true
    }

    private func sealedPage(at offset: Int) -> UnsafeRawBufferPointer? {
        let size = key.layout.size
        if offset < chunkStart || offset + size > chunkStart + chunkLength {
            // Near the last one, forwards or backwards, the next ones will be near as well; otherwise this one alone.
            let isNear = abs(offset - lastMiss) <= 2 * Self.chunkBytes
            lastMiss = offset
            chunkStart = isNear ? offset / Self.chunkBytes * Self.chunkBytes : offset
            let wanted = min(isNear ? Self.chunkBytes : size, length - chunkStart)
            chunkLength = 0
            guard wanted > 0 else { return nil }
            let buffer = UnsafeMutableRawBufferPointer(rebasing: chunk[..<wanted])
            guard (try? source.read(from: chunkStart / size + 1, into: buffer)) != nil else { return nil }
            chunkLength = wanted
            guard offset + size <= chunkStart + chunkLength else { return nil }
        }
        let start = offset - chunkStart
        return UnsafeRawBufferPointer(rebasing: chunk[start..<(start + size)])
    }
}

/// The file layer. Every call but opening, reading and measuring answers that nothing is to be done.
private enum SealedVFS {
    static let name = "strongroom-sealed"
    /// SQLITE_IOERR_READ and SQLITE_IOERR_SHORT_READ, which are macros that Swift does not see.
    private static let readError: CInt = SQLITE_IOERR | 1 << 8
    private static let shortRead: CInt = SQLITE_IOERR | 2 << 8

    struct Waiting {
        var next = 1
        /// Readers that SQLite has not opened yet. `SealedReader` is used by one connection, which one thread uses at a time.
        nonisolated(unsafe) var readers: [String: SealedReader] = [:]
    }

    static let waiting = Mutex(Waiting())

    /// What SQLite allocates for each open file: its own part first, then ours.
    struct OpenFile {
        var base: sqlite3_file
        var reader: Unmanaged<SealedReader>
    }

    private static let registration = Mutex<CInt?>(nil)

    static func register() throws {
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
                let reader = SealedVFS.waiting.withLock({ $0.readers[String(cString: path)] })
            else {
                file?.pointee.pMethods = nil
                return SQLITE_CANTOPEN
            }
            let methods = vfs.pointee.pAppData.assumingMemoryBound(to: sqlite3_io_methods.self)
            UnsafeMutableRawPointer(file).initializeMemory(
                as: OpenFile.self,
                to: OpenFile(base: sqlite3_file(pMethods: UnsafePointer(methods)), reader: .passRetained(reader)))
            outFlags?.pointee = SQLITE_OPEN_READONLY
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
            if let file { SealedVFS.reader(of: file).release() }
            return SQLITE_OK
        }
        methods.pointee.xRead = { file, output, count, offset in
            guard let file, let output else { return SealedVFS.readError }
            let reader = SealedVFS.reader(of: file).takeUnretainedValue()
            let buffer = UnsafeMutableRawBufferPointer(start: output, count: Int(count))
            let available = min(buffer.count, max(0, reader.length - Int(offset)))
            let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<available])
            guard reader.read(at: Int(offset), into: wanted) else { return SealedVFS.readError }
            if available == buffer.count { return SQLITE_OK }
            memset(output + available, 0, buffer.count - available)
            return SealedVFS.shortRead
        }
        methods.pointee.xWrite = { _, _, _, _ in SQLITE_READONLY }
        methods.pointee.xTruncate = { _, _ in SQLITE_READONLY }
        methods.pointee.xSync = { _, _ in SQLITE_OK }
        methods.pointee.xFileSize = { file, size in
            if let file { size?.pointee = Int64(SealedVFS.reader(of: file).takeUnretainedValue().length) }
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
        methods.pointee.xDeviceCharacteristics = { _ in SQLITE_IOCAP_IMMUTABLE }
        return methods
    }

    private static func reader(of file: UnsafeMutablePointer<sqlite3_file>) -> Unmanaged<SealedReader> {
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: OpenFile.self).pointee.reader
    }
}
