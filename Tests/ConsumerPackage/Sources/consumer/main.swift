// Opens a profile the way an app does, and proves that the file is ciphertext and the engine SQLCipher.

import Foundation
import GRDB
import Strongroom

func require(_ condition: Bool, _ what: String) {
    guard condition else {
        FileHandle.standardError.write(Data("consumer: \(what)\n".utf8))
        exit(1)
    }
}

let work = FileManager.default.temporaryDirectory.appending(path: "strongroom-consumer-\(UUID().uuidString)")
try FileManager.default.createDirectory(
    at: work, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
defer { try? FileManager.default.removeItem(at: work) }
let directory = FilePath(work.path)

let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
let store = try Store.create(at: directory.appending("store"), unlockers: [(secret, "consumer")])
let info = try store.createProfile(named: "Work")
let profile = try store.openProfile(info)
try await profile.database.write { db in
    try db.execute(sql: "CREATE VIRTUAL TABLE note USING fts5 (body); INSERT INTO note VALUES ('a CANARY sings')")
}
let found = try await profile.database.read {
    try String.fetchOne($0, sql: "SELECT body FROM note WHERE note MATCH 'canary'")
}
require(found == "a CANARY sings", "the row is not there")
let version = try await profile.database.read { try String.fetchOne($0, sql: "PRAGMA cipher_version") }
require(version != nil, "the engine is not SQLCipher")
let snapshot = try await profile.snapshot()
try profile.close()
_ = try await store.restoreSnapshot(snapshot)
let restored = try store.openProfile(info)
let again = try await restored.database.read { try String.fetchOne($0, sql: "SELECT body FROM note") }
require(again == "a CANARY sings", "the row is not in the snapshot")
try store.lock()

let file = work.appending(path: "store/profiles/\(info.id)/profile.db")
let bytes = try Data(contentsOf: file)
require(bytes.count >= 8192, "the file is too short to say anything")
require(bytes.range(of: Data("SQLite format 3".utf8)) == nil, "the file is a plaintext database")
require(bytes.range(of: Data("CANARY".utf8)) == nil, "the row is in the file as plaintext")
// The same search in the same row written by nobody's codec: it can find.
require(Data("x a CANARY sings x".utf8).range(of: Data("CANARY".utf8)) != nil, "the search finds nothing at all")
print("consumer: SQLCipher \(version ?? ""), \(bytes.count) bytes of ciphertext")
