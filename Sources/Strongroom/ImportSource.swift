// A database that somebody else made, opened so that not a byte of it, nor of what stands beside it, changes.

import CSQLCipher
import DurableFiles
import Foundation
import GRDBSQLite
import PageCipher
public import Secrets
public import SystemPackage

/// A database to import: a plaintext SQLite file, or one of SQLCipher 3 or 4 with its passphrase.
public final class ImportSource: Sendable {
    /// The file.
    public let path: FilePath
    let passphrase: SecretBox?

    /// A plaintext SQLite file.
    public init(_ path: FilePath) {
        self.path = path
        passphrase = nil
    }

    /// A file that SQLCipher 3 or 4 made with this passphrase.
    public init(_ path: FilePath, passphrase: consuming SecretBytes) {
        self.path = path
        self.passphrase = SecretBox(passphrase)
    }
}

/// An import source, open for reading.
final class OpenImportSource {
    let connection: RawConnection
    /// What kind of file it turned out to be.
    let kind: ImportReport.SourceKind
    private let source: ImportSource
    private let before: [FileFingerprint?]
    private let staging: FilePath?

    /// - Parameter stagingForCiphertext: where an encrypted file may be copied if it has unfinished changes.
    init(_ source: ImportSource, stagingForCiphertext: FilePath) throws {
        let path = source.path
        guard try StrictFiles.exists(path) else { throw StrongroomError(.importSource(.missing), path) }
        let isPlaintext = try Self.isPlaintext(path)
        guard isPlaintext || source.passphrase != nil else { throw StrongroomError(.importSource(.notADatabase), path) }
        guard try !Self.isInUse(path) else { throw StrongroomError(.importSource(.inUse), path) }
        let before = try Self.fingerprints(path)

        var staging: FilePath?
        do {
            var file = path
            var parameters = "mode=ro&immutable=1"
            var flags = SQLITE_OPEN_READONLY
            if try Self.hasUnfinishedChanges(path) {
                // They are part of the database. SQLite can only apply them to files that it may write, so it is given
                // a copy: of plaintext in memory only, of ciphertext anywhere.
                let directory = try Self.makeStaging(isPlaintext: isPlaintext, ciphertext: stagingForCiphertext)
                staging = directory
                file = try Self.stage(path, in: directory)
                parameters = "mode=rw"
                flags = SQLITE_OPEN_READWRITE
            }
            let uri = RawConnection.uri(file, parameters: parameters)
            if isPlaintext {
                connection = try RawConnection(uri: uri, flags: flags, place: path)
                kind = .plaintext
                try Self.requireReadable(connection, path)
            } else {
                (connection, kind) = try Self.openEncrypted(uri, flags, source)
            }
        } catch {
            if let staging { try? DurableFiles.removeTree(staging) }
            throw error
        }
        self.source = source
        self.before = before
        self.staging = staging
        try RawSQL.execute(
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON", on: connection.handle)
    }

    deinit {
        if let staging { try? DurableFiles.removeTree(staging) }
    }

    /// That the source is what it was when it was opened: only then is what was read of it a state it ever had.
    func requireUnchanged() throws {
        guard try Self.fingerprints(source.path) == before else {
            throw StrongroomError(.importSource(.changed), source.path)
        }
    }

    /// SQLite's own check of the b-trees. A file that fails it would import with rows missing.
    func requireSound() throws {
        let damaged = StrongroomError(.importSource(.damaged), source.path)
        do {
            guard try RawSQL.texts("PRAGMA quick_check(1)", on: connection.handle) == [["ok"]] else { throw damaged }
        } catch let error as StrongroomError {
            // Not damage, but a collation or function that only the file's own app has.
            throw error.isMissingDefinition ? StrongroomError(.importSource(.unsupported), source.path) : damaged
        }
    }

    private static func isPlaintext(_ path: FilePath) throws -> Bool {
        try DataFile(path).bytes(at: 0, count: 16) == PageLayout.plaintextMagic
    }

    private static func fingerprints(_ path: FilePath) throws -> [FileFingerprint?] {
        try [path, sibling(path, "-wal"), sibling(path, "-journal")].map { try FileFingerprint(of: $0) }
    }

    private static func sibling(_ path: FilePath, _ suffix: String) -> FilePath {
        DatabaseFiles.sibling(of: path, suffix: suffix)
    }

    private static func hasUnfinishedChanges(_ path: FilePath) throws -> Bool {
        for suffix in ["-wal", "-journal"] where try StrictFiles.exists(sibling(path, suffix)) {
            if try DataFile(sibling(path, suffix)).length() > 0 { return true }
        }
        return false
    }

    /// SQLite's locks: bytes 2^30 on of the database for all journal modes, byte 128 of the -shm file while a
    /// connection in WAL mode is open (SQLite, "File locking" and "WAL-mode file format").
    private static func isInUse(_ path: FilePath) throws -> Bool {
        if try DataFile(path).isLocked(from: 0x4000_0000, count: 512) { return true }
        let shm = sibling(path, "-shm")
        return try StrictFiles.exists(shm) && DataFile(shm).isLocked(from: 120, count: 9)
    }

    private static func makeStaging(isPlaintext: Bool, ciphertext: FilePath) throws -> FilePath {
        guard let parent = isPlaintext ? MemoryDirectories.find() : ciphertext else {
            throw StrongroomError(.importSource(.noMemoryStaging))
        }
        let directory = parent.appending(".strongroom-import-\(UInt64.random(in: .min ... .max))")
        try DurableFiles.createDirectory(directory)
        return directory
    }

    private static func stage(_ path: FilePath, in directory: FilePath) throws -> FilePath {
        let copy = directory.appending("source.db")
        for suffix in ["", "-wal", "-journal"] where try StrictFiles.exists(sibling(path, suffix)) {
            do {
                try DurableFiles.copyTemporarily(sibling(path, suffix), to: sibling(copy, suffix))
            } catch {
                if error.code == "disk_full" { throw StrongroomError(.importSource(.noMemoryStaging), path) }
                throw error
            }
        }
        return copy
    }

    private static func openEncrypted(
        _ uri: String, _ flags: CInt, _ source: ImportSource
    ) throws -> (RawConnection, ImportReport.SourceKind) {
        guard let passphrase = source.passphrase else {
            throw StrongroomError(.importSource(.notADatabase), source.path)
        }
        for (kind, compatibility) in [(ImportReport.SourceKind.sqlcipher4, 4), (.sqlcipher3, 3)] {
            let connection = try RawConnection(uri: uri, flags: flags, place: source.path)
            let keyed = passphrase.withSecret { secret in
                secret.withUnsafeBytes { sqlite3_key_v2(connection.handle, "main", $0.baseAddress, Int32($0.count)) }
            }
            guard keyed == SQLITE_OK else { throw StrongroomError(.storeLocked) }
            try RawSQL.execute("PRAGMA cipher_compatibility = \(compatibility)", on: connection.handle)
            if (try? RawSQL.integer("SELECT count(*) FROM sqlite_schema", on: connection.handle)) != nil {
                return (connection, kind)
            }
        }
        throw StrongroomError(.importSource(.wrongPassphrase), source.path)
    }

    private static func requireReadable(_ connection: RawConnection, _ path: FilePath) throws {
        do {
            _ = try RawSQL.integer("SELECT count(*) FROM sqlite_schema", on: connection.handle)
        } catch { throw StrongroomError(.importSource(.damaged), path) }
    }
}
