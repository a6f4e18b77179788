// SQLite's own checks on an encrypted file that is not to be touched, and without SQLCipher's second look at every page on
// one core: what the page cipher reads is decrypted in memory (ReadOnlyVFS.swift).

import DurableFiles
import GRDBSQLite
import PageCipher
import Secrets

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
        connection = try ReadOnlyVFS.connect(
            to: SealedReader(source, key: key, authenticating: authenticating), place: source.main.path)
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
private final class SealedReader: ReadOnlyBytes {
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

    private static let chunkBytes = 1 << 20

    init(_ source: PageSource, key: consuming PageKey, authenticating: Bool) throws {
        isAuthenticating = authenticating
        plaintext = try PlaintextPage(size: key.layout.size)
        chunk = .allocate(byteCount: Self.chunkBytes, alignment: 16)
        self.source = source
        self.key = key
        super.init(length: source.pageCount * source.pageSize)
    }

    deinit { chunk.deallocate() }

    override var hidesThatItIsReadOnly: Bool { true }

    override func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) -> Bool {
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
        // A snapshot has no WAL, and SQLite is not to look for one.
        if number == 1, plaintext.buffer.count > 19 { (plaintext.buffer[18], plaintext.buffer[19]) = (1, 1) }
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
