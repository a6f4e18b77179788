// Rotations, end to end: what an operator waits for, against what SQLCipher offers.

import CSQLCipher
import Foundation
import GRDB
import KeyPolicy
import Keyring
import Strongroom

enum RotationRows {
    /// A closed profile to another key, fsynced and read back, and the same while it is open; against what SQLCipher does (`rekeyName`) to a
    /// database of the same size, which is not read back. Both sides begin with their file in the page cache.
    static func data(_ bench: BenchProfile, _ database: BenchDatabase, rounds: Int) async throws -> [Comparison] {
        try bench.profile.close()
        let scope = KeyScope.profile(bench.profile.info.id)
        var rows = [
            try await Comparison.measure(
                "rotate the data key of a closed profile, fsynced and read back",
                theirName: BenchDatabase.rekeyName, rounds: rounds, megabytes: bench.megabytes,
                beforeOurs: { try bench.readFile() },
                ours: { _ = try await bench.store.rotateDataKey(of: scope) },
                beforeTheirs: { try database.makeCopy() }, theirs: { try database.rekeyCopy() })
        ]
        let profile = try bench.store.openProfile(bench.profile.info)
        rows.append(
            try await Comparison.measure(
                "rotate the data key of an open profile, fsynced and read back",
                theirName: BenchDatabase.rekeyName, rounds: rounds, megabytes: bench.megabytes,
                beforeOurs: { try bench.readFile() },
                ours: { _ = try await profile.rotateDataKey() },
                beforeTheirs: { try database.makeCopy() }, theirs: { try database.rekeyCopy() }))
        try profile.close()
        return rows
    }

    /// How long the root key takes with so many envelopes, and how much memory.
    static func root(envelopes counts: [Int]) async throws -> [RootRotation] {
        var rows: [RootRotation] = []
        for count in counts {
            let work = try BenchDirectory.make()
            defer { try? FileManager.default.removeItem(at: work) }
            let directory = FilePath(work.path)
            let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
            let store = try Store.create(at: directory.appending("store"), unlockers: [(secret, "bench")])
            for _ in 1..<count {
                try store.keyring.createEnvelope(for: .profile(.random()), pageFormat: store.policy.pageFormat)
            }
            let before = try residentMegabytes()
            let clock = ContinuousClock()
            let time = try await clock.measure { try await store.rotateRootKey() }
            rows.append(
                RootRotation(
                    envelopes: count, seconds: time / .seconds(1), megabytesBefore: before,
                    megabytesAtMost: try residentMegabytes(atMost: true)))
            try store.lock()
        }
        return rows
    }

    private static func residentMegabytes(atMost: Bool = false) throws -> Double {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let name = atMost ? "VmHWM:" : "VmRSS:"
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
        return (Double(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "") ?? 0) / 1024
    }
}

/// One rotation of a root key.
struct RootRotation: Encodable {
    let envelopes: Int
    let seconds: Double
    /// Resident, in MB, before the rotation began.
    let megabytesBefore: Double
    /// The most that the process ever had, in MB.
    let megabytesAtMost: Double

    func show() {
        print(
            String(
                format:
                    "rotate the root key, %d envelopes: %.2f s, %.3f ms each; memory %.0f MB before, %.0f MB at most",
                envelopes, seconds, seconds * 1000 / Double(envelopes), megabytesBefore, megabytesAtMost))
    }
}

extension BenchProfile {
    /// Reads the database once, so that it is in the page cache, as a copy that was just made is.
    func readFile() throws {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file.string))
        while let data = try handle.read(upToCount: 8 << 20), !data.isEmpty {}
        try handle.close()
    }
}

extension BenchDatabase {
    private var copy: FilePath { path.removingLastComponent().appending("copy.db") }

    /// A copy that nobody has changed yet, durable.
    func makeCopy() throws {
        try? FileManager.default.removeItem(atPath: copy.string)
        try FileManager.default.copyItem(atPath: path.string, toPath: copy.string)
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: copy.string))
        try handle.synchronize()
        try handle.close()
    }

    /// Called as a function, because the pragma that does the same would put the key into SQL text.
    static let rekeyName = "sqlite3_rekey_v2"

    func rekeyCopy() throws {
        let queue = try Self.open(copy, .old)
        try queue.writeWithoutTransaction { db in
            let literal = Key.new.literal
            guard sqlite3_rekey_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count)) == 0 else {
                throw BenchFailure(what: "rekey")
            }
        }
        try queue.close()
    }
}
