// In and out: a database that somebody else made becomes a profile, and a profile becomes a plaintext file.

import DurableFiles
import GRDB
import GRDBSQLite
import Snapshots
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
    public enum SourceKind: String, Sendable { case plaintext, sqlcipher1, sqlcipher2, sqlcipher3, sqlcipher4 }

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
    /// What was left out, because the caller said so.
    public let skipped: [SkippedObject]

    /// The rows of all tables.
    public var rows: Int { tables.reduce(0) { $0 + $1.rows } }
}

extension Store {
    /// Makes a profile from a database that exists: schema, rows, rowids, `user_version` and `application_id`. What
    /// stands in a WAL or hot journal beside it is part of it. The source is not touched.
    ///
    /// Nothing that the file brings is run: of each object of its schema one statement is made, and views, triggers and virtual tables
    /// are kept without a look at what they do. The copy is read back and compared with the source by digest, table by table, before it
    /// is registered.
    ///
    /// - Parameters:
    ///   - name: the new profile's name.
    ///   - source: the file; it must not be open for writing elsewhere.
    ///   - skipped: names of tables, indexes, views, triggers and virtual tables to leave out; a table's indexes and triggers go with it.
    ///   - progress: called now and then, on the calling thread.
    /// - Throws: `StrongroomError` with `.importSource` and what is wrong with the file, and with `object` where one object cannot come
    ///   in; `.cancelled` where the task was. Nothing is left behind then.
    @discardableResult
    public func importProfile(
        named name: String, from source: ImportSource, skipping skipped: Set<String> = [],
        progress: (TransferProgress) -> Void = { _ in }
    ) throws -> (info: ProfileInfo, report: ImportReport) {
        do {
            let made = try makeProfile(
                named: name,
                source: { _ in
                    progress(TransferProgress(phase: .checkingSource, rows: 0, totalRows: 0))
                    let opened = try OpenImportSource(source)
                    let schema = try SourceSchema(of: opened.connection.handle, skipping: skipped)
                    try opened.requireSound(schema)
                    try opened.requireSoundIndexes(schema)
                    return (opened, schema)
                }, encoding: { try TextEncoding(of: $0.0.connection.handle) },
                fill: { open, source in try Transfer.fill(open, from: source.0, source.1, progress) })
            logger.debug("profile_imported", metadata: ["profile": "\(made.info.id)", "rows": "\(made.filling.rows)"])
            return (made.info, made.filling)
        } catch let error as StrongroomError {
            if case .sqlite(let code, _) = error.reason, code & 0xff == SQLITE_INTERRUPT, Task.isCancelled {
                throw StrongroomError(.cancelled)
            }
            if case .importSource = error.reason { throw error.at(source.path) }
            throw error
        }
    }

    /// Imports without keeping a thread of the caller's waiting: for apps. Cancelling the task ends it, and leaves nothing behind.
    ///
    /// - Parameter progress: called now and then, on a thread of its own.
    /// - Throws: as the other one.
    @discardableResult
    public func importProfile(
        named name: String, from source: ImportSource, skipping skipped: Set<String> = [],
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws -> (info: ProfileInfo, report: ImportReport) {
        try await BlockingWork.run {
            try self.importBlocking(named: name, from: source, skipping: skipped, progress: progress)
        }
    }

    private func importBlocking(
        named name: String, from source: ImportSource, skipping skipped: Set<String>,
        progress: @Sendable (TransferProgress) -> Void
    ) throws -> (info: ProfileInfo, report: ImportReport) {
        try importProfile(named: name, from: source, skipping: skipped, progress: progress)
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
        try Room.require(DataFile(profile.open.files.main).lengthAtOpening, in: DurableFiles.parent(of: target))
        try DurableFiles.createEmpty(target)
        do {
            let copied = try profile.database.read { db in
                let source = try Transfer.handle(of: db)
                let schema = try SourceSchema(of: source, isOurs: true)
                let collations = StandInCollations()
                let connection = try RawConnection(
                    uri: RawConnection.uri(target, parameters: "mode=rw"), flags: SQLITE_OPEN_READWRITE, place: target)
                try RawSQL.execute(TextEncoding(of: source).pragma, on: connection.handle)
                try RawSQL.execute("PRAGMA temp_store = MEMORY", on: connection.handle)
                collations.register(on: connection.handle)
                let copied = try withExtendedLifetime(collations) {
                    try Transfer.copy(source, schema, to: connection.handle, collations, progress)
                }
                let written = try DatabaseContents(of: connection.handle)
                guard try DatabaseContents(of: source, known: copied).isSame(as: written) else {
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
            if let known = profile.open.known(error) { throw known }
            if let object = (error as? StrongroomError)?.object {
                throw StrongroomError(.notExportable, profile.open.files.main, object: object)
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
        _ source: OpaquePointer, _ schema: SourceSchema, to target: OpaquePointer, _ collations: StandInCollations,
        _ progress: (TransferProgress) -> Void
    ) throws -> [TableCopy] {
        try withoutActuallyEscaping(progress) { progress in
            try DatabaseCopy(source: source, schema: schema, target: target, collations: collations) { rows, total in
                progress(TransferProgress(phase: .copying, rows: rows, totalRows: total))
                if Task.isCancelled { throw StrongroomError(.cancelled) }
            }.run()
        }
    }

    /// Fills a new database, and compares it with the source.
    static func fill(
        _ open: OpenDatabase<DatabaseQueue>, from opened: OpenImportSource, _ schema: SourceSchema,
        _ progress: (TransferProgress) -> Void
    ) throws -> ImportReport {
        let source = opened.connection.handle
        let copied = try write(source, schema, to: open, progress)
        let expected = try DatabaseContents(of: source, known: copied, skipped: schema.skippedNames)
        try opened.requireUnchanged()
        // A connection of its own, and only after everything is in the main file: what is compared was read back.
        _ = try open.writer.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try verify(open, holds: expected, progress)
        return ImportReport(
            kind: opened.kind, tables: copied.map { .init(name: $0.table.name, rows: $0.digest.rows) },
            skipped: schema.skipped)
    }

    private static func write(
        _ source: OpaquePointer, _ schema: SourceSchema, to open: OpenDatabase<DatabaseQueue>,
        _ progress: (TransferProgress) -> Void
    ) throws -> [TableCopy] {
        let collations = StandInCollations()
        let connection = try open.connect(readonly: false)
        collations.register(on: connection.handle)
        SourceWatch.stopWhenCancelled(connection.handle)
        return try withExtendedLifetime(collations) {
            try copy(source, schema, to: connection.handle, collations, progress)
        }
    }

    /// Reads the new database through a connection that took no part in writing it, and that runs no module.
    private static func verify(
        _ open: OpenDatabase<DatabaseQueue>, holds expected: DatabaseContents,
        _ progress: (TransferProgress) -> Void
    ) throws {
        progress(TransferProgress(phase: .verifying, rows: 0, totalRows: 0))
        let collations = StandInCollations()
        let reader = try open.connect(readonly: true)
        collations.register(on: reader.handle)
        SourceWatch.stopWhenCancelled(reader.handle)
        try withExtendedLifetime(collations) {
            let isSound = try RawSQL.texts("PRAGMA main.integrity_check(2147483647)", on: reader.handle)
                .allSatisfy { SoundLine.isAcceptable($0.first.flatMap { $0 } ?? "") }
            guard isSound, try DatabaseContents(of: reader.handle).isSame(as: expected) else {
                throw StrongroomError(.copyDiffers, open.files.main)
            }
        }
    }
}
