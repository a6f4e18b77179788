// Whether a database from outside is whole. What its own schema says of its rows is another matter: a schema may have been changed
// after they were written.

import GRDBSQLite

extension OpenImportSource {
    /// SQLite's own check of the b-trees. A file that fails it would import with rows missing. Virtual tables are not looked into.
    ///
    /// - Parameter schema: what is copied, which was checked before: the check computes generated columns.
    func requireSound(_ schema: SourceSchema) throws(StrongroomError) {
        do {
            try requireSound("PRAGMA main.quick_check(2147483647)")
        } catch {
            if Task.isCancelled { throw StrongroomError(.cancelled) }
            // Something that is left out needs a function of its own app.
            guard error.isMissingDefinition, !schema.skipped.isEmpty else {
                throw error.isMissingDefinition || error.isDamage ? StrongroomError(.importSource(.damaged)) : error
            }
            for row in schema.tables {
                try requireSound("PRAGMA main.quick_check(\(RawSQL.quoted(row.name)))")
            }
        }
    }

    /// What a search would trust.
    func requireSoundIndexes(_ schema: SourceSchema) throws(StrongroomError) {
        for row in schema.passive where row.kind == .virtualTable {
            guard SQLName.folded(String(decoding: row.sql ?? [], as: UTF8.self)).contains("fts5"),
                let data = schema.tables.first(where: { SQLName.isSame($0.name, row.name + "_data") })
            else { continue }
            let isSound: Bool
            do {
                isSound = try FullTextIndex.isSound(data.name, on: connection.handle)
            } catch {
                guard error.isMissingDefinition else { throw error }
                // A table of that name without an id and a block.
                isSound = false
            }
            guard isSound else { throw row.obstructed(.damagedIndex) }
        }
    }

    private func requireSound(_ pragma: String) throws(StrongroomError) {
        let statement = try RawStatement(pragma, on: connection.handle)
        while try statement.step() {
            let line = statement.text(0) ?? ""
            if SoundLine.isAcceptable(line) { continue }
            // Of a table that is left out: one that is copied has no such collation.
            if collations.wasAsked, line.hasPrefix("row not in PRIMARY KEY order for ") { continue }
            throw StrongroomError(.importSource(.damaged))
        }
    }
}

/// A line of SQLite's own check.
enum SoundLine {
    /// Whether it is about a rule of the schema and not about the file. Names stand behind these words, never before them.
    static func isAcceptable(_ line: String) -> Bool {
        line == "ok"
            || ["NULL value in ", "CHECK constraint failed in ", "NUMERIC value in ", "TEXT value in "]
                .contains { line.hasPrefix($0) }
            || (line.hasPrefix("non-")
                && line.split(separator: " ").dropFirst().prefix(2).elementsEqual(["value", "in"]))
    }
}

extension StrongroomError {
    /// Whether SQLite takes the file for damaged.
    var isDamage: Bool {
        guard case .sqlite(let code, _) = reason else { return false }
        return code & 0xff == SQLITE_CORRUPT || code & 0xff == SQLITE_NOTADB
    }
}

/// Looks while SQLite works whether the task was cancelled.
enum SourceWatch {
    private static let stepsBetweenLooks: CInt = 100_000

    static func stopWhenCancelled(_ connection: OpaquePointer) {
        sqlite3_progress_handler(connection, stepsBetweenLooks, { _ in Task.isCancelled ? 1 : 0 }, nil)
    }
}

extension ImportReport.SourceKind {
    init(_ version: ImportSource.CipherSettings.Version) {
        self =
            switch version {
            case .one: .sqlcipher1
            case .two: .sqlcipher2
            case .three: .sqlcipher3
            case .four: .sqlcipher4
            }
    }
}
