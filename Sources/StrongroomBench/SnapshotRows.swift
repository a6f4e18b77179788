// Snapshots and restores of a profile, against a bare copy of its file and against what SQLCipher does itself.

import Foundation
import GRDB
import Strongroom

/// A profile of a store of its own, about as large as asked for.
final class BenchProfile {
    let directory: URL
    let store: Store
    let profile: Profile
    let file: FilePath
    let megabytes: Double

    init(megabytes: Int) throws {
        directory = try BenchDirectory.make()
        let path = FilePath(directory.path)
        let secret = try UnlockSecret.makeKeyFile(path.appending("key"))
        store = try Store.create(at: path.appending("store"), unlockers: [(secret, "bench")])
        let info = try store.createProfile(named: "bench")
        profile = try store.openProfile(info)
        file = path.appending("store").appending("profiles").appending(info.id.description).appending("profile.db")
        let rows = megabytes * 1_000_000 / 460
        let batch = 20_000
        try profile.database.write { try $0.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, filling BLOB)") }
        for first in stride(from: 1, through: rows, by: batch) {
            try profile.database.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO t WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                        SELECT i, randomblob(400) FROM n
                        """, arguments: [first, min(rows, first + batch - 1)])
            }
        }
        _ = try profile.database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        let attributes = try FileManager.default.attributesOfItem(atPath: file.string)
        self.megabytes = Double(attributes[.size] as? Int ?? 0) / 1_000_000
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    /// What everybody has: `cp` and an fsync of the copy.
    func copyFile() throws {
        let target = copy
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/cp")
        process.arguments = ["--reflink=never", file.string, target.string]
        try process.run()
        process.waitUntilExit()
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: target.string))
        try handle.synchronize()
        try handle.close()
    }

    var copy: FilePath { FilePath(directory.path).appending("copy.db") }

    func removeCopy() { try? FileManager.default.removeItem(atPath: copy.string) }

    func removeSnapshots() throws {
        try FileManager.default.removeItem(
            atPath: file.removingLastComponent().appending("backups").string)
    }
}

enum SnapshotRows {
    static func measure(_ bench: BenchProfile, rounds: Int) async throws -> [Comparison] {
        var rows = [
            try await Comparison.measure(
                "live authenticated snapshot", theirName: "cp and fsync", rounds: rounds, megabytes: bench.megabytes,
                ours: { _ = try await bench.profile.snapshot() }, afterOurs: { try bench.removeSnapshots() },
                theirs: { try bench.copyFile() }, afterTheirs: { bench.removeCopy() }),
            try await Comparison.measure(
                "live authenticated snapshot", theirName: "VACUUM INTO", rounds: max(1, rounds / 2),
                megabytes: bench.megabytes,
                ours: { _ = try await bench.profile.snapshot() }, afterOurs: { try bench.removeSnapshots() },
                theirs: {
                    try bench.profile.database.writeWithoutTransaction {
                        try $0.execute(sql: "VACUUM INTO ?", arguments: [bench.copy.string])
                    }
                }, afterTheirs: { bench.removeCopy() }),
        ]
        let snapshot = try await bench.profile.snapshot()
        try bench.profile.close()
        rows.append(
            try await Comparison.measure(
                "verified restore", theirName: "cp and fsync", rounds: rounds, megabytes: bench.megabytes,
                ours: { _ = try await bench.store.restoreSnapshot(snapshot) },
                afterOurs: {
                    try FileManager.default.removeItem(
                        atPath: bench.file.removingLastComponent().appending("corrupted").string)
                },
                theirs: { try bench.copyFile() }, afterTheirs: { bench.removeCopy() }))
        return rows
    }
}
