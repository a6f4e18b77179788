// In and out: a database that somebody else made becomes a profile, and a profile becomes a plaintext file.

import DurableFiles
import GRDB
import GRDBSQLite
import SystemPackage

/// How far an import or export is.
public struct TransferProgress: Sendable, Hashable {
    /// What is being done.
    public enum Phase: String, Sendable { case checkingSource, copying, verifying }

    /// What is being done.
    public let phase: Phase
    /// Rows done in this phase.
    public let rows: Int
    /// Rows in all; 0 where that is not known.
    public let totalRows: Int
}

/// What was copied, after both sides were shown to be the same.
public struct ImportReport: Sendable, Hashable {
    /// What kind of file was imported.
    public enum SourceKind: String, Sendable { case plaintext, sqlcipher3, sqlcipher4 }

    /// A table and its rows.
    public struct Table: Sendable, Hashable {
        /// The table's name.
        public let name: String
        /// Its rows, on both sides.
        public let rows: Int
    }

    /// What kind of file was imported.
    public let kind: SourceKind
    /// The tables in the order of the schema.
    public let tables: [Table]

    /// The rows of all tables.
    public var rows: Int { tables.reduce(0) { $0 + $1.rows } }
}

extension Store {
    /// Makes a profile from a database that exists: schema, rows, rowids, `user_version` and `application_id`. What
    /// stands in a WAL or hot journal beside it is part of it. The source is not touched.
    ///
    /// The copy is read back and compared with the source by digest, table by table, before it is registered.
    ///
    /// - Parameters:
    ///   - name: the new profile's name.
    ///   - source: the file; it must not be open for writing elsewhere.
    ///   - progress: called now and then, on the calling thread.
    /// - Throws: `StrongroomError` with `.importSource` and what is wrong with the file; `.cancelled` where the task
    ///   was. Nothing is left behind then.
    @discardableResult
    public func importProfile(
        named name: String, from source: ImportSource, progress: (TransferProgress) -> Void = { _ in }
    ) throws -> (info: ProfileInfo, report: ImportReport) {
        let made = try makeProfile(named: name) { open in
            progress(TransferProgress(phase: .checkingSource, rows: 0, totalRows: 0))
            let opened = try OpenImportSource(source, stagingForCiphertext: open.files.directory)
            try opened.requireSound()
            guard try !Bookkeeping.isTaken(in: opened.connection.handle) else {
                throw StrongroomError(.importSource(.reservedName), source.path)
            }
            let copied = try open.writer.writeWithoutTransaction { db in
                try Transfer.copy(opened.connection.handle, to: Transfer.handle(of: db), progress)
            }
            let expected = try DatabaseContents(of: opened.connection.handle, known: copied)
            try opened.requireUnchanged()
            // A connection of its own, and only after everything is in the main file: what is compared was read back.
            _ = try open.writer.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try Transfer.verify(open, holds: expected, progress)
            return ImportReport(
                kind: opened.kind, tables: copied.map { .init(name: $0.table.name, rows: $0.digest.rows) })
        }
        logger.debug("profile_imported", metadata: ["profile": "\(made.info.id)", "rows": "\(made.filling.rows)"])
        return (made.info, made.filling)
    }

    /// Writes a profile to a new **plaintext** file (0600) that anybody who gets it can read.
    ///
    /// - Parameters:
    ///   - info: the profile; no process may have it open.
    ///   - target: a file that does not exist yet.
    ///   - confirmingPlaintext: must be true; it is here so that no call exports by accident.
    ///   - progress: called now and then, on the calling thread.
    /// - Throws: `StrongroomError`; the target is removed then.
    @discardableResult
    public func exportProfile(
        _ info: ProfileInfo, toPlaintext target: FilePath, confirmingPlaintext: Bool,
        progress: (TransferProgress) -> Void = { _ in }
    ) throws -> Int {
        guard confirmingPlaintext else { throw StrongroomError(.plaintextNotConfirmed) }
        let profile = try openProfile(info)
        defer { try? profile.close() }
        try DatabaseFiles.requireNoCompanions(of: target)
        try DurableFiles.createEmpty(target)
        do {
            let copied = try profile.database.read { db in
                let source = try Transfer.handle(of: db)
                let connection = try RawConnection(
                    uri: RawConnection.uri(target, parameters: "mode=rw"), flags: SQLITE_OPEN_READWRITE, place: target)
                let copied = try Transfer.copy(source, to: connection.handle, progress)
                let written = try DatabaseContents(of: connection.handle)
                guard try DatabaseContents(of: source, known: copied) == written else {
                    throw StrongroomError(.copyDiffers, target)
                }
                return copied
            }
            try DurableFiles.syncFile(target)
            try DurableFiles.syncDirectory(DurableFiles.parent(of: target))
            logger.warning("profile_exported_as_plaintext", metadata: ["profile": "\(info.id)"])
            return copied.reduce(0) { $0 + $1.digest.rows }
        } catch {
            for suffix in ["", "-journal", "-wal", "-shm"] {
                try? DurableFiles.remove(DatabaseFiles.sibling(of: target, suffix: suffix))
            }
            if let error = error as? DatabaseError { throw StrongroomError(error, .copy, target) }
            throw error
        }
    }
}

/// What import and export have in common.
private enum Transfer {
    static func handle(of db: Database) throws -> OpaquePointer {
        guard let handle = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        return handle
    }

    static func copy(
        _ source: OpaquePointer, to target: OpaquePointer, _ progress: (TransferProgress) -> Void
    ) throws -> [(table: CopiedTable, digest: TableDigest)] {
        try withoutActuallyEscaping(progress) { progress in
            try DatabaseCopy(source: source, target: target) { rows, total in
                progress(TransferProgress(phase: .copying, rows: rows, totalRows: total))
                if Task.isCancelled { throw StrongroomError(.cancelled) }
            }.run()
        }
    }

    /// Reads the new database through a connection that took no part in writing it.
    static func verify(
        _ open: OpenDatabase<DatabaseQueue>, holds expected: DatabaseContents,
        _ progress: (TransferProgress) -> Void
    ) throws {
        progress(TransferProgress(phase: .verifying, rows: 0, totalRows: 0))
        let reader = try open.makeReader()
        defer { try? reader.close() }
        try reader.read { db in
            let isSound = try String.fetchAll(db, sql: "PRAGMA quick_check(1)") == ["ok"]
            guard isSound, try DatabaseContents(of: handle(of: db)) == expected else {
                throw StrongroomError(.copyDiffers, open.files.main)
            }
        }
    }
}
