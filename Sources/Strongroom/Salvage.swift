// Rows of a database that cannot be repaired, as far as they can be read: into a database of their own beside the damaged file, under
// the same key. Nothing of it is put in force.

import DurableFiles
import GRDB
import Keyring
import PageCipher
import Snapshots
import SystemPackage

/// What could be read of a damaged database.
public struct Salvage: Sendable, Hashable, Encodable {
    /// How many tables there are.
    public let tables: Int
    /// In how many of them something could not be read.
    public let incompleteTables: Int
    /// How many rows there are in `salvaged.db`.
    public let rows: Int
}

extension Store {
    /// Reads what can be read of the damaged main file. Changes that wait in a WAL are not in it.
    ///
    /// - Returns: nil where nothing could be read.
    func salvage(_ files: DatabaseFiles, _ envelope: Envelope, into quarantine: Quarantine) throws -> Salvage? {
        guard let info = try files.keyInForce(envelope) else { return nil }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let damaged = try SealedDatabase(DataFile(files.main), key: key.makePageKey(), authenticating: true)
        let path = try files.make(quarantine).appending("salvaged.db")
        do {
            try DatabaseFiles.removeCompanions(of: path)
            try DurableFiles.createEmpty(path)
            let encoding = (try? TextEncoding(of: damaged.connection.handle)) ?? .utf8
            let queue = try DatabaseQueue(
                path: path.string,
                configuration: Engine.configuration(
                    keys: ConnectionKey(key), policy: policy, encoding: encoding, ConnectionProtection(isOwn: true)))
            try queue.writeWithoutTransaction { db in
                try Engine.settle(db)
                try Bookkeeping.create(db)
            }
            let found = try salvageRows(of: damaged, to: path, key)
            _ = try queue.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try queue.close()
            try DurableFiles.syncFile(path)
            try DurableFiles.syncDirectory(DurableFiles.parent(of: path))
            return found
        } catch {
            try? DatabaseFiles.removeCompanions(of: path)
            try? DurableFiles.remove(path)
            throw error
        }
    }

    /// Through a connection of its own: GRDB's is not made for schemas from outside, and a profile's may be one.
    private func salvageRows(of damaged: SealedDatabase, to path: FilePath, _ key: DataKey) throws -> Salvage? {
        let target = try Engine.connect(path, key: key, readonly: false)
        return try SalvageCopy(source: damaged.connection.handle, target: target.handle).run()
    }
}

/// Copies every row that can be read, table by table.
private struct SalvageCopy {
    let source: OpaquePointer
    let target: OpaquePointer

    /// So often a table is tried again behind what cannot be read.
    private static let mostAttempts = 10_000

    func run() throws -> Salvage? {
        let tables = try SourceSchema(of: source, isOurs: true, leavingOut: true)
        let lost = tables.skipped.count { $0.kind == .table }
        try RawSQL.execute(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE", on: target)
        var rows = 0
        var incomplete = lost
        for row in tables.tables {
            var isWhole = false
            do {
                let table = try CopiedTable(named: row.name, on: source)
                try CreationGuard(row).make(on: target)
                isWhole = try copy(table)
                rows += Int(
                    try RawSQL.integer("SELECT count(*) FROM \(RawSQL.quoted(row.name))", on: target) ?? 0)
            } catch {
                // A table that cannot be made here: the damaged file still has it.
            }
            if !isWhole { incomplete += 1 }
        }
        try RawSQL.execute("COMMIT", on: target)
        return rows == 0 ? nil : Salvage(tables: tables.tables.count + lost, incompleteTables: incomplete, rows: rows)
    }

    /// - Returns: whether every row was read.
    private func copy(_ table: CopiedTable) throws -> Bool {
        let insert = try RawStatement(table.insertIfAbsent, on: target)
        guard let rowid = table.rowid else {
            if try scan(table.select, insert).isWhole { return true }
            // SQLite walks along the key, and the other way round for this.
            _ = try scan("\(table.select) ORDER BY \(table.key) DESC", insert)
            return false
        }
        return try copy(insert, selecting: table.selectWithRowid(rowid), by: rowid)
    }

    /// Upwards as far as it goes; then in steps that double, until something can be read again, and from there back.
    private func copy(_ insert: RawStatement, selecting select: String, by rowid: String) throws -> Bool {
        var start = Int64.min
        var gap: Int64?
        var step: Int64 = 1
        for attempt in 0..<Self.mostAttempts {
            let part = try scan("\(select) WHERE \(rowid) >= \(start) ORDER BY \(rowid)", insert)
            if let gap, part.isWhole || part.last != nil {
                let behind = "\(select) WHERE \(rowid) > \(gap) AND \(rowid) < \(start) ORDER BY \(rowid) DESC"
                _ = try scan(behind, insert)
            }
            if part.isWhole { return attempt == 0 }
            if let last = part.last {
                (gap, step) = (last, 1)
                guard last < .max else { return false }
                start = last + 1
            } else if start == .min {
                (gap, start) = (.min, 0)
            } else {
                let (next, overflow) = start.addingReportingOverflow(step)
                guard !overflow else { return false }
                start = next
                step = step > .max / 2 ? step : step * 2
            }
        }
        return false
    }

    /// Reads until the end, or until something cannot be read.
    ///
    /// - Returns: whether it was the end, and the last column of the last row.
    private func scan(_ sql: String, _ insert: RawStatement) throws -> (isWhole: Bool, last: Int64?) {
        let rows = try RawStatement(sql, on: source)
        var last: Int64?
        while true {
            do {
                guard try rows.step() else { return (true, last) }
            } catch { return (false, last) }
            last = rows.integer(rows.columnCount - 1)
            try insert.insertRow(of: rows)
        }
    }
}
