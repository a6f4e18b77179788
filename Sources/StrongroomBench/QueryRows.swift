// Queries through a profile, against the same queries through GRDB keyed by hand on the same engine, which must make no
// difference; and against plain SQLite, which shows what encryption costs under each policy.

import CSQLCipher
import CryptoPrimitives
import Foundation
import GRDB
import KeyPolicy
import Strongroom

/// One way to have the same rows open.
struct QuerySide {
    let name: String
    /// Opens the database; the closure closes it.
    let open: () throws -> (database: DatabasePool, close: () throws -> Void)

    static let fill = """
        CREATE TABLE t (id INTEGER PRIMARY KEY, filling BLOB);
        INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        SELECT i, randomblob(400) FROM n
        """

    /// A profile of a store under a policy that comes with Strongroom.
    static func profile(under policy: KeyPolicy, in directory: FilePath) throws -> QuerySide {
        let secrets = try (0..<policy.requiredUnlockers).map { number in
            (try UnlockSecret.makeKeyFile(directory.appending("key-\(policy.name)-\(number)")), "bench")
        }
        let store = try Store.create(
            at: directory.appending("store-\(policy.name)"), policy: .shipped(policy.name), unlockers: secrets)
        let info = try store.createProfile(named: "bench")
        let profile = try store.openProfile(info)
        try profile.database.write { try $0.execute(sql: fill) }
        try profile.close()
        return QuerySide(name: "Strongroom") {
            let profile = try store.openProfile(info)
            return (profile.database, { try profile.close() })
        }
    }

    /// GRDB with the settings that a profile has; with a key by hand, or as plain SQLite.
    static func byHand(isKeyed: Bool, policy: KeyPolicy, in directory: FilePath) throws -> QuerySide {
        let side = byHand(
            at: directory.appending(isKeyed ? "by-hand.db" : "plain-\(policy.name).db"), isKeyed: isKeyed,
            policy: policy)
        let (pool, close) = try side.open()
        try pool.write { try $0.execute(sql: fill) }
        try close()
        return side
    }

    /// The same for a database that is there.
    static func byHand(at path: FilePath, isKeyed: Bool, policy: KeyPolicy) -> QuerySide {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            if isKeyed {
                let literal = BenchDatabase.Key.old.literal
                guard sqlite3_key_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count)) == 0 else {
                    throw BenchFailure(what: "sqlite3_key_v2")
                }
            }
            try db.execute(sql: "PRAGMA cache_size = -\(policy.cacheMebibytes * 1024); PRAGMA mmap_size = 0")
            try db.execute(sql: "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF")
        }
        return QuerySide(name: isKeyed ? "GRDB, keyed by hand" : "GRDB on plain SQLite") { [configuration] in
            let pool = try DatabasePool(path: path.string, configuration: configuration)
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            return (
                pool,
                {
                    // As a profile does: otherwise this side would find a WAL that has its length already.
                    _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
                    try pool.close()
                }
            )
        }
    }
}

/// What is measured.
enum Workload: String, CaseIterable {
    case coldScan = "scan 100,000 rows, cold cache"
    case warmScan = "scan 100,000 rows, again"
    case pointReads = "5,000 reads by id"
    case insert = "insert 10,000 rows in one transaction"

    func run(_ database: DatabasePool) throws {
        switch self {
        case .coldScan, .warmScan:
            let sum = try database.read {
                try Int.fetchOne($0, sql: "SELECT sum(length(filling)) FROM t WHERE id <= 100000")
            }
            guard sum == 40_000_000 else { throw BenchFailure(what: rawValue) }
        case .pointReads:
            try database.read { db in
                let statement = try db.cachedStatement(sql: "SELECT length(filling) FROM t WHERE id = ?")
                var id = 1
                for _ in 0..<5_000 {
                    id = (id * 48_271) % 99_991 + 1
                    guard try Int.fetchOne(statement, arguments: [id]) == 400 else {
                        throw BenchFailure(what: rawValue)
                    }
                }
            }
        case .insert:
            try database.write { db in
                let statement = try db.cachedStatement(sql: "INSERT INTO t (filling) VALUES (randomblob(400))")
                for _ in 0..<10_000 { try statement.execute() }
            }
            try database.write { try $0.execute(sql: "DELETE FROM t WHERE id > 100000") }
        }
    }
}

enum QueryRows {
    /// Every piece of work, in turns, each round on fresh connections.
    ///
    /// - Parameter name: what a row is called, before the name of its work.
    static func measure<Work: Hashable & CaseIterable & RawRepresentable<String>>(
        _ name: String, ours: QuerySide, theirs: QuerySide, rounds: Int,
        _ run: (Work, DatabasePool) async throws -> Void
    ) async throws -> [Comparison] {
        var times: [Work: (ours: [Duration], theirs: [Duration])] = [:]
        for round in 0..<rounds {
            // Who goes first changes, so that neither always finds the disk's cache warmed by the other.
            for isOurs in round.isMultiple(of: 2) ? [true, false] : [false, true] {
                let (database, close) = try (isOurs ? ours : theirs).open()
                for work in Work.allCases {
                    let time = try await ContinuousClock().measure { try await run(work, database) }
                    if isOurs {
                        times[work, default: ([], [])].ours.append(time)
                    } else {
                        times[work, default: ([], [])].theirs.append(time)
                    }
                }
                try close()
            }
        }
        return Work.allCases.compactMap { work in
            times[work].map {
                Comparison(
                    "\(name): \(work.rawValue)", ours: $0.ours, theirs: $0.theirs, theirName: theirs.name)
            }
        }
    }

    /// Through a profile, against GRDB keyed by hand.
    static func overhead(rounds: Int) async throws -> [Comparison] {
        let directory = try BenchDirectory.make()
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = FilePath(directory.path)
        let policy = try KeyPolicy(shipped: "default")
        return try await measure(
            "queries", ours: .profile(under: policy, in: path),
            theirs: .byHand(isKeyed: true, policy: policy, in: path), rounds: rounds
        ) { (work: Workload, database) in try work.run(database) }
    }

    /// What encryption costs, for each policy that comes with Strongroom.
    static func tax(rounds: Int) async throws -> [Comparison] {
        var rows: [Comparison] = []
        for name in KeyPolicy.shippedNames {
            let directory = try BenchDirectory.make()
            defer { try? FileManager.default.removeItem(at: directory) }
            let path = FilePath(directory.path)
            let policy = try KeyPolicy(shipped: name)
            rows += try await measure(
                "tax, \(name)", ours: .profile(under: policy, in: path),
                theirs: .byHand(isKeyed: false, policy: policy, in: path), rounds: rounds
            ) { (work: Workload, database) in try work.run(database) }
        }
        return rows
    }
}
