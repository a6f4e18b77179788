// A schema from outside, checked as a whole before anything of the file is read or anything is made: in a database in memory that has
// no rows.

import GRDBSQLite

/// The schema of a database that is copied: what of it is made, and what is left out.
struct SourceSchema {
    /// Tables with rows of their own, in the order of the schema.
    let tables: [SchemaRow]
    let indexes: [SchemaRow]
    /// Views, triggers and virtual tables, in the order of the schema. They come in as rows of the schema, and are not run.
    let passive: [SchemaRow]
    let skipped: [SkippedObject]
    /// SQLite's own tables that hold what cannot be made again.
    let internalTables: [String]

    private static let internalNames = ["sqlite_sequence", "sqlite_stat1", "sqlite_stat4"]

    /// Reads the schema and checks every object of it.
    ///
    /// - Parameters:
    ///   - skipping: names of what is left out, together with the indexes and triggers of a table.
    ///   - isOurs: whether it is a profile's, with a table of ours that is left out.
    ///   - leavingOut: what cannot come in is left out and not thrown.
    /// - Throws: `StrongroomError` with the first object that cannot come in.
    init(
        of connection: OpaquePointer, skipping: Set<String> = [], isOurs: Bool = false, leavingOut: Bool = false
    ) throws(StrongroomError) {
        let all = try SchemaRow.all(of: connection)
        let asked = Set(skipping.map(SQLName.folded))
        // A virtual table goes with the tables that it keeps its contents in.
        let virtual = all.filter { $0.kind == .virtualTable && asked.contains(SQLName.folded($0.name)) }
        let names = asked.union(
            virtual.flatMap { row in FullTextIndex.suffixes.map { SQLName.folded(row.name) + $0 } })
        internalTables = Self.internalNames.filter { name in all.contains { $0.kind == .table && $0.name == name } }
        var kept: [SchemaRow] = []
        var skipped: [SkippedObject] = []
        var unknown = asked
        for row in all where row.sql != nil {
            if Bookkeeping.isOurTable(row) || (isOurs && row.name == Bookkeeping.table) { continue }
            if row.kind == .table, internalTables.contains(row.name) || row.name.hasPrefix("sqlite_stat") { continue }
            unknown.remove(SQLName.folded(row.name))
            if names.contains(SQLName.folded(row.name)) || names.contains(SQLName.folded(row.table)) {
                skipped.append(SkippedObject(kind: row.kind, name: row.name))
            } else {
                kept.append(row)
            }
        }
        guard unknown.isEmpty else { throw StrongroomError(.importSource(.unknownSkip)) }
        let sieve = try SchemaSieve()
        var refused: Set<String> = []
        // A trigger needs its table or view, and an index its table.
        for kind in [ImportObject.Kind.table, .virtualTable, .view, .index, .trigger] {
            for row in kept where row.kind == kind {
                do throws(StrongroomError) {
                    if !isOurs, Bookkeeping.mentionsUs(row) { throw row.obstructed(.reservedName) }
                    try sieve.pass(row)
                } catch {
                    guard leavingOut, error.object != nil else { throw error }
                    refused.insert(row.name)
                    skipped.append(SkippedObject(kind: row.kind, name: row.name))
                }
            }
        }
        kept.removeAll { refused.contains($0.name) || refused.contains($0.table) }
        tables = kept.filter { $0.kind == .table }
        indexes = kept.filter { $0.kind == .index }
        passive = kept.filter { $0.kind == .view || $0.kind == .trigger || $0.kind == .virtualTable }
        self.skipped = skipped
    }

    /// Names that are left out.
    var skippedNames: Set<String> { Set(skipped.map { SQLName.folded($0.name) }) }
}

/// An empty database in memory, in which a schema is made to see whether it is what it says.
private final class SchemaSieve {
    private let collations = StandInCollations()
    private let connection: RawConnection

    init() throws(StrongroomError) {
        connection = try RawConnection(
            uri: "file::memory:", flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, place: "/")
        collations.register(on: connection.handle)
    }

    func pass(_ row: SchemaRow) throws(StrongroomError) {
        let guardian = CreationGuard(row)
        switch row.kind {
        case .virtualTable:
            // Only read: to make one is to run its module.
            guard row.rootPage == 0 else { throw row.obstructed(.otherObject) }
            _ = try guardian.prepare(on: connection.handle)
        case .table:
            guard row.rootPage > 1 else { throw StrongroomError(.importSource(.damaged)) }
            guard !row.isSQLitesOwn, SQLName.isSame(row.name, row.table) else { throw row.obstructed(.otherObject) }
            try guardian.make(on: connection.handle)
        case .view, .trigger:
            guard row.rootPage == 0 else { throw row.obstructed(.otherObject) }
            try guardian.make(on: connection.handle)
        case .index: try guardian.make(on: connection.handle)
        }
        if row.kind == .table || row.kind == .index, try collations.sorts(row, on: connection.handle) {
            throw row.obstructed(.unknownCollation)
        }
    }
}
