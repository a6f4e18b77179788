// How long it takes until an app can read.

import CSQLCipher
import Foundation
import GRDB
import Strongroom

enum OpeningRows {
    /// With the keyring unlocked, against a SQLCipher file that is opened by its passphrase.
    static func byKey(rounds: Int) throws -> Comparison {
        let work = try BenchDirectory.make()
        defer { try? FileManager.default.removeItem(at: work) }
        let directory = FilePath(work.path)
        let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
        let store = try Store.create(at: directory.appending("store"), unlockers: [(secret, "bench")])
        let info = try store.createProfile(named: "bench")
        let fill =
            "CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n"
        let profile = try store.openProfile(info)
        try profile.database.write { try $0.execute(sql: fill) }
        try profile.close()

        let file = directory.appending("passphrase.db").string
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            // A passphrase of the benchmark's own, which protects nothing.
            let passphrase = Array("correct horse battery staple".utf8)
            guard sqlite3_key_v2(db.sqliteConnection, "main", passphrase, Int32(passphrase.count)) == 0 else {
                throw DatabaseError(message: "sqlite3_key_v2")
            }
        }
        try DatabaseQueue(path: file, configuration: configuration).write { try $0.execute(sql: fill) }

        let clock = ContinuousClock()
        var ours: [Duration] = []
        var theirs: [Duration] = []
        for _ in 0..<rounds {
            // Each side: open, one query, and the time is taken; then close.
            let start = clock.now
            let profile = try store.openProfile(info)
            _ = try profile.database.write { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
            ours.append(clock.now - start)
            try profile.close()

            let theirStart = clock.now
            let queue = try DatabaseQueue(path: file, configuration: configuration)
            _ = try queue.write { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
            theirs.append(clock.now - theirStart)
            try queue.close()
        }
        try store.lock()
        return Comparison(
            "open a profile, keyring unlocked, and run one query", ours: ours, theirs: theirs,
            theirName: "SQLCipher, opened by passphrase")
    }

    /// A large profile that was closed properly, against an empty one: opening must not cost a look at every page.
    static func bySize(megabytes: Int, rounds: Int) throws -> Comparison {
        let large = try BenchProfile(megabytes: megabytes)
        defer { large.remove() }
        let store = large.store
        try large.profile.close()
        let empty = try store.createProfile(named: "empty")

        let clock = ContinuousClock()
        func open(_ info: ProfileInfo) throws -> Duration {
            let start = clock.now
            let profile = try store.openProfile(info)
            _ = try profile.database.write { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") }
            let duration = clock.now - start
            try profile.close()
            return duration
        }
        var ours: [Duration] = []
        var theirs: [Duration] = []
        for _ in 0..<rounds {
            ours.append(try open(large.profile.info))
            theirs.append(try open(empty))
        }
        try store.lock()
        return Comparison(
            String(format: "open a profile of %.0f MB that was closed properly", large.megabytes), ours: ours,
            theirs: theirs, theirName: "an empty profile")
    }
}
