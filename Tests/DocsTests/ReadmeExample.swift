import Foundation
import GRDB
import Strongroom

struct Note: Codable, FetchableRecord, MutablePersistableRecord {
    var id: Int64?
    var body: String

    mutating func didInsert(_ inserted: InsertionSuccess) { id = inserted.rowID }
}

/// Every launch of an app: open, bring the schema up to date, write, read, take a snapshot, lock.
func keepNote(_ body: String, in directory: FilePath, unlockedWith keyFile: FilePath) async throws -> [Note] {
    var migrations = Migrations()
    migrations.add("create-note") { db in
        try db.create(table: "note") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("body", .text).notNull()
        }
    }
    let options = StoreOptions(schema: StoreSchema(profile: migrations))
    let secret = try UnlockSecret.keyFile(keyFile)
    let store = try Store.open(at: directory, with: secret, options: options)
    defer { try? store.lock() }  // closes every profile and wipes every key

    let profile = try store.openProfile("Work")
    try await profile.database.write { db in
        var note = Note(body: body)
        try note.insert(db)
    }
    let notes = try await profile.database.read { db in try Note.fetchAll(db) }
    _ = try await profile.snapshot()  // while everybody goes on reading and writing
    return notes
}
