// A database that somebody else made, opened so that not a byte of it, nor of what stands beside it, changes.

import CSQLCipher
import DurableFiles
import Foundation
import GRDBSQLite
import PageCipher
public import Secrets
public import SystemPackage

/// A database to import: a plaintext SQLite file, or one of SQLCipher with its passphrase.
public final class ImportSource: Sendable {
    /// The file.
    public let path: FilePath
    let passphrase: SecretBox?
    /// As what a file of SQLCipher is tried, in this order.
    let settings: [CipherSettings]

    /// A plaintext SQLite file.
    public init(_ path: FilePath) {
        self.path = path
        passphrase = nil
        settings = []
    }

    /// A file that SQLCipher made with this passphrase.
    ///
    /// - Parameter settings: how it was made; nil tries the defaults of SQLCipher 4, 3, 2 and 1.
    public init(_ path: FilePath, passphrase: consuming SecretBytes, settings: CipherSettings? = nil) {
        self.path = path
        self.settings = settings.map { [$0] } ?? CipherSettings.defaults
        self.passphrase = SecretBox(passphrase)
    }
}

/// An import source, open for reading.
final class OpenImportSource {
    let connection: RawConnection
    /// Of collations that only its own app has.
    let collations = StandInCollations()
    /// What kind of file it turned out to be.
    let kind: ImportReport.SourceKind
    private let source: ImportSource
    private let before: [FileFingerprint?]

    init(_ source: ImportSource) throws {
        let path = source.path
        guard try StrictFiles.exists(path) else { throw StrongroomError(.importSource(.missing), path) }
        // A header in plaintext begins as a plaintext file does.
        let hasHeader = source.settings.contains { $0.plaintextHeaderSize ?? 0 > 0 }
        let isPlaintext = try Self.isPlaintext(path) && !hasHeader
        guard isPlaintext || source.passphrase != nil else { throw StrongroomError(.importSource(.notADatabase), path) }
        guard try !Self.isInUse(path) else { throw StrongroomError(.importSource(.inUse), path) }
        before = try Self.fingerprints(path)
        self.source = source
        let file = try SourceFile(path)
        if isPlaintext {
            connection = try ReadOnlyVFS.connect(to: file, place: path)
            kind = .plaintext
            try Self.requireReadable(connection, path)
        } else {
            (connection, kind) = try Self.openEncrypted(file, source)
        }
        try RawSQL.execute(
            """
            PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;
            PRAGMA ignore_check_constraints = ON
            """, on: connection.handle)
        collations.register(on: connection.handle)
        SourceWatch.stopWhenCancelled(connection.handle)
    }

    /// That the source is what it was when it was opened: only then is what was read of it a state it ever had.
    func requireUnchanged() throws {
        guard try Self.fingerprints(source.path) == before else {
            throw StrongroomError(.importSource(.changed), source.path)
        }
    }

    private static func isPlaintext(_ path: FilePath) throws -> Bool {
        try DataFile(path).bytes(at: 0, count: 16) == PageLayout.plaintextMagic
    }

    private static func fingerprints(_ path: FilePath) throws -> [FileFingerprint?] {
        try [path, sibling(path, "-wal"), sibling(path, "-journal")].map { try FileFingerprint(of: $0) }
    }

    fileprivate static func sibling(_ path: FilePath, _ suffix: String) -> FilePath {
        DatabaseFiles.sibling(of: path, suffix: suffix)
    }

    /// SQLite's locks: bytes 2^30 on of the database for all journal modes, byte 128 of the -shm file while a
    /// connection in WAL mode is open (SQLite, "File locking" and "WAL-mode file format").
    private static func isInUse(_ path: FilePath) throws -> Bool {
        if try DataFile(path).isLocked(from: 0x4000_0000, count: 512) { return true }
        let shm = sibling(path, "-shm")
        return try StrictFiles.exists(shm) && DataFile(shm).isLocked(from: 120, count: 9)
    }

    private static func openEncrypted(
        _ file: SourceFile, _ source: ImportSource
    ) throws -> (RawConnection, ImportReport.SourceKind) {
        guard let passphrase = source.passphrase else {
            throw StrongroomError(.importSource(.notADatabase), source.path)
        }
        for settings in source.settings {
            guard settings.isValid else { continue }
            let connection = try ReadOnlyVFS.connect(to: file, place: source.path)
            let keyed = passphrase.withSecret { secret in
                secret.withUnsafeBytes { sqlite3_key_v2(connection.handle, "main", $0.baseAddress, Int32($0.count)) }
            }
            guard keyed == SQLITE_OK else { throw StrongroomError(.storeLocked) }
            for pragma in settings.pragmas { try RawSQL.execute(pragma, on: connection.handle) }
            try readWhatCanBeRead(connection)
            if (try? RawSQL.integer("SELECT count(*) FROM main.sqlite_master", on: connection.handle)) != nil {
                return (connection, ImportReport.SourceKind(settings.version))
            }
        }
        throw StrongroomError(.importSource(.wrongPassphrase), source.path, tried: source.settings)
    }

    /// What SQLite cannot read of a schema it then leaves out instead of giving up, so that it can be named (see `SourceSchema`).
    private static func readWhatCanBeRead(_ connection: RawConnection) throws {
        try RawSQL.execute("PRAGMA writable_schema = ON", on: connection.handle)
    }

    private static func requireReadable(_ connection: RawConnection, _ path: FilePath) throws {
        do {
            try readWhatCanBeRead(connection)
            _ = try RawSQL.integer("SELECT count(*) FROM main.sqlite_master", on: connection.handle)
        } catch {
            let problem: ImportSourceProblem =
                (try? hasCiphertextBehindHeader(path)) == true ? .plaintextHeader : .damaged
            throw StrongroomError(.importSource(problem), path)
        }
    }

    /// Whether a file that begins as SQLite's does goes on as one of SQLCipher with a header of 32 bytes in plaintext: SQLite has zeros
    /// from byte 72 to 91, and ciphertext has hardly any.
    private static func hasCiphertextBehindHeader(_ path: FilePath) throws -> Bool {
        let reserved = try DataFile(path).bytes(at: 72, count: 20)
        return reserved.count { $0 != 0 } > 10
    }
}

/// The file with what its journal or WAL says laid over it. Nothing of either is copied anywhere: not a byte of plaintext leaves them.
private final class SourceFile: ReadOnlyBytes {
    private let pages: UnfinishedChanges

    init(_ path: FilePath) throws {
        func companion(_ suffix: String) throws -> DataFile? {
            let path = OpenImportSource.sibling(path, suffix)
            return try StrictFiles.exists(path) ? DataFile(path) : nil
        }
        pages = try UnfinishedChanges(DataFile(path), journal: companion("-journal"), wal: companion("-wal")) { name in
            (try? StrictFiles.exists(FilePath(String(decoding: name, as: UTF8.self)))) ?? true
        }
        guard pages.isWhole else { throw StrongroomError(.importSource(.damaged), path) }
        super.init(length: pages.length)
    }

    override func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) -> Bool {
        (try? pages.read(at: offset, into: output)) != nil
    }
}
