// Pending migrations, run when a database is opened: all of them or none.

import GRDB
import Snapshots

/// Rows whose foreign key leads nowhere, after all steps.
struct ForeignKeysViolated: Error { let count: Int }

/// A step that failed, and which.
private struct StepFailed: Error {
    let name: String
    let error: any Error
}

extension OpenDatabase {
    /// Brings the database to the last step, or leaves it exactly as it is. The caller has given it to nobody yet.
    ///
    /// - Throws: `StrongroomError.migrationHistoryGap`, `.migrationFailed`, `.migrationNameInvalid`; what keeps a snapshot from
    ///   being taken.
    func migrate(_ migrations: Migrations, of store: Store) throws {
        try migrations.requireValidNames(files)
        let (history, hasContent) = try writer.read { db in
            (try MigrationHistory(db), try Self.hasContent(db))
        }
        if let gap = history.gap(in: migrations.names) {
            throw StrongroomError(.migrationHistoryGap(gap), files.main)
        }
        let pending = Array(migrations.steps.dropFirst(history.applied.count))
        guard let next = pending.first, let last = pending.last else { return }
        if hasContent { try takeSnapshot(before: next.name, of: store) }
        try beginSession()
        do {
            try apply(pending, upTo: last.name, isFirst: history.applied.isEmpty)
        } catch {
            let failed = error as? StepFailed
            throw StrongroomError(
                .migrationFailed(
                    MigrationName(showing: failed?.name ?? last.name), MigrationFailure(failed?.error ?? error)),
                files.main)
        }
        store.logger.notice(
            "database_migrated",
            metadata: ["scope": "\(files.scope)", "count": "\(pending.count)", "latest": "\(last.name)"])
    }

    /// All pending steps in the one transaction that GRDB's migrator makes for the last of them.
    private func apply(_ pending: [Migrations.Step], upTo last: String, isFirst: Bool) throws {
        var migrator = DatabaseMigrator()
        migrator.registerMigration(last) { db in
            for step in pending {
                do {
                    try step.migrate(db)
                } catch { throw StepFailed(name: step.name, error: error) }
                if step.name != last {
                    try db.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES (?)", arguments: [step.name])
                }
            }
            let violations = try Int.fetchOne(db, sql: "SELECT count(*) FROM pragma_foreign_key_check") ?? 0
            guard violations == 0 else { throw ForeignKeysViolated(count: violations) }
        }
        do {
            try migrator.migrate(writer)
        } catch {
            // GRDB makes its table before the transaction begins.
            if isFirst { try? writer.write { try $0.execute(sql: "DROP TABLE IF EXISTS grdb_migrations") } }
            throw error
        }
    }

    /// Nobody writes meanwhile: the database has been given to nobody.
    private func takeSnapshot(before next: String, of store: Store) throws {
        let rotation = try store.holdRotation()
        defer { rotation.release() }
        let (migrations, moment) = try writer.writeWithoutTransaction {
            (try MigrationState($0), try files.walMark($0))
        }
        let frozen = FrozenDatabase(files: files, migrations: migrations, moment: moment, release: {})
        _ = try frozen.take(SnapshotOccasion(reason: .preMigration(next: next)), store, nil)
        try store.prunePreMigrationSnapshots(of: files.scope)
    }

    /// Whether there is anything that a migration could lose.
    private static func hasContent(_ db: Database) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM sqlite_schema
                    WHERE name NOT LIKE '\\_strongroom%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                      AND tbl_name NOT LIKE '\\_strongroom%' ESCAPE '\\')
                """) ?? true
    }
}

extension Migrations {
    fileprivate func requireValidNames(_ files: DatabaseFiles) throws {
        var seen: Set<String> = []
        for name in names where !MigrationName.isValid(name) || !seen.insert(name).inserted {
            throw StrongroomError(.migrationNameInvalid(MigrationName(showing: name)), files.main)
        }
    }
}
