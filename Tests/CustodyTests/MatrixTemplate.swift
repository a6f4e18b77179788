// The store that the adversary's matrix attacks, "the present", and every earlier moment of it. It is made once a run.

import DurableFiles
import Foundation
import GRDB
import KeyPolicy
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// One store with a history: profiles alpha and beta, a third one shredded, snapshots under two keys, a removed unlocker whose secret is
/// the attacker's, and rotations since.
struct MatrixTemplate: Sendable {
    /// What stands at the end.
    let present: FileTree
    /// What stood at earlier moments, oldest first.
    let moments: [(name: String, tree: FileTree)]
    /// Where the roles' files are, in `present`; some are not there.
    let paths: [String: String]
    let ids: [String: ProfileID]
    /// The rows of the profiles at the end.
    let rows: [String: [Int]]
    /// The rows in each snapshot, by its name; of snapshots of the global database the names of profiles stand in `names`.
    let snapshotRows: [String: [Int]]
    let unlockers: Set<String>
    let removedUnlocker: String
    let sequence: Int
    let policyDigest: String

    static let owner: [UInt8] = (0..<32).map { UInt8(truncatingIfNeeded: 0x51 &+ $0 &* 0x2f) }
    /// The secret that the attacker kept.
    static let removed: [UInt8] = (0..<32).map { UInt8(truncatingIfNeeded: 0xc3 &+ $0 &* 0x35) }
    static let spare: [UInt8] = (0..<32).map { UInt8(truncatingIfNeeded: 0x1d &+ $0 &* 0x67) }

    /// The path of a role's file.
    func path(_ role: String) -> String {
        guard let path = paths[role] else { preconditionFailure("no role \(role)") }
        return path
    }

    /// - Parameter root: a directory that is not there yet; nothing of it is needed afterwards.
    static func make(in root: FilePath) async throws -> MatrixTemplate {
        try FileManager.default.createDirectory(
            atPath: root.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: root.string) }
        var history = History(root: root)
        try await history.live()
        return try history.finished()
    }
}

/// The making of it, step by step.
private struct History {
    let root: FilePath
    private var path: FilePath { root.appending("store") }
    private var moments: [(name: String, tree: FileTree)] = []
    private var ids: [String: ProfileID] = [:]
    private var rows: [String: [Int]] = ["alpha": [], "beta": [], "gone": []]
    private var snapshotRows: [String: [Int]] = [:]
    private var roles: [String: String] = [:]
    private var unlockers: Set<String> = []
    private var removedUnlocker = ""
    private var sequence = 0
    private var present = FileTree()

    init(root: FilePath) { self.root = root }

    private mutating func note(_ name: String) throws { moments.append((name, try FileTree(of: root))) }

    private func open() throws -> Store {
        try Store.open(at: path, with: .keyFile(root.appending("key")), options: StoreOptions(recovery: .never))
    }

    private mutating func insert(_ values: [Int], in profile: Profile) async throws {
        try await profile.database.write { db in
            try db.execute(sql: "CREATE TABLE IF NOT EXISTS t (v INTEGER PRIMARY KEY, filling TEXT)")
            for value in values {
                try db.execute(
                    sql: "INSERT INTO t VALUES (?, ?)", arguments: [value, MatrixStage.filling(value)])
            }
        }
        rows[profile.info.name, default: []] += values
    }

    private mutating func insert(_ values: [Int], in name: String) async throws {
        let store = try open()
        let profile = try store.openProfile(name)
        try await insert(values, in: profile)
        try profile.close()
        try store.lock()
    }

    private mutating func snapshot(_ name: String, as role: String) async throws {
        let store = try open()
        defer { try? store.lock() }
        let scope: KeyScope = ids[name].map { .profile($0) } ?? .global
        let snapshot = try await store.createSnapshot(of: scope)
        snapshotRows[snapshot.name] = rows[name] ?? []
        let place = ids[name].map { "store/profiles/\($0)/backups/" } ?? "store/backups/"
        for (kind, suffix) in [("manifest", ".json"), ("pages", ".db"), ("verified", ".verified.json")] {
            roles["\(kind) \(name) \(role)"] = place + snapshot.name + suffix
        }
        _ = try await store.verifySnapshot(snapshot)
    }

    private mutating func backUp() async throws {
        let store = try open()
        defer { try? store.lock() }
        try? FileManager.default.removeItem(atPath: root.appending("backup").string)
        try await store.backUpKeyring(to: root.appending("backup"))
    }

    mutating func live() async throws {
        var policy = String(decoding: try KeyPolicy.shippedBytes(named: "default"), as: UTF8.self)
        for (old, new) in [("size: 4096", "size: 1024"), ("graceDays: 30", "graceDays: 0")] {
            policy = policy.replacing(old, with: new)
        }
        let policyFile = root.appending("policy.yaml")
        try TestFiles.write(Array(policy.utf8), to: policyFile)
        for (name, bytes) in [
            ("key", MatrixTemplate.owner), ("removed", MatrixTemplate.removed), ("spare", MatrixTemplate.spare),
        ] { try TestFiles.write(bytes, to: root.appending(name)) }
        var store = try Store.create(
            at: path, policy: .file(policyFile),
            unlockers: [(.keyFile(root.appending("key")), "owner"), (.keyFile(root.appending("removed")), "left")])
        removedUnlocker = store.keyring.unlockers.first { $0.label == "left" }?.id ?? ""
        try store.lock()
        try note("created")
        store = try open()
        for name in ["alpha", "beta", "gone"] { ids[name] = try store.createProfile(named: name).id }
        try store.lock()
        for name in ["alpha", "beta", "gone"] { try await insert([1, 2, 3], in: name) }
        try note("rows")
        // A key of alpha that is destroyed, with a certificate.
        store = try open()
        try await store.rotateDataKey(of: .profile(id("alpha")))
        try note("alpha rotated")
        _ = try await store.retireDataKeys(of: [.profile(id("alpha"))], destroying: true)
        try store.lock()
        for name in ["global", "alpha", "beta", "gone"] { try await snapshot(name, as: "old") }
        try await backUp()
        try note("snapshots")
        store = try open()
        let profile = try store.openProfile("alpha")
        try await insert([4, 5], in: profile)
        try note("in session")
        try profile.close()
        // The removed unlocker saw this root key too, and not the next one.
        try await store.rotateRootKey()
        try store.lock()
        try note("root rotated")
        try await insert([4], in: "beta")
        store = try open()
        try store.lock()
        try await restoreBeta("beta restored")
        store = try open()
        _ = try await store.shredProfile(id("gone"))
        try note("gone shredded")
        try store.removeUnlocker(removedUnlocker)
        try note("unlocker removed")
        try await store.rotateRootKey()
        try note("root rotated again")
        _ = try await store.rotateAllDataKeys()
        try store.lock()
        try note("all rotated")
        for name in ["global", "alpha", "beta"] { try await snapshot(name, as: "new") }
        try await insert([6], in: "alpha")
        try await insert([5], in: "beta")
        // Under the keys in force, so that its journal is authentic for good.
        try await restoreBeta("beta restored again")
        store = try open()
        unlockers = Set(store.keyring.unlockers.map(\.id))
        try await store.writeVerifyKey(of: .profile(id("alpha")), to: root.appending("verify.key"))
        try store.lock()
        try await backUp()
        // Beta is in use when the machine stops: what it wrote last is in its WAL.
        store = try open()
        sequence = store.keyring.sequence
        let last = try store.openProfile("beta")
        try await insert([7], in: last)
        present = try FileTree(of: root)
        try last.close()
        try store.lock()
    }

    /// Restores beta's latest snapshot, and writes again what was written since.
    private mutating func restoreBeta(_ moment: String) async throws {
        let store = try open()
        let sample = try await store.snapshot("latest", of: .profile(id("beta")))
        let kept = rows["beta"] ?? []
        _ = try await store.restoreSnapshot(sample)
        let restored = snapshotRows[sample.name] ?? []
        rows["beta"] = restored
        try note(moment)
        try store.lock()
        try await insert(kept.filter { !restored.contains($0) }, in: "beta")
    }

    private func id(_ name: String) throws -> ProfileID { try #require(ids[name]) }

    mutating func finished() throws -> MatrixTemplate {
        roles.merge([
            "store": "store/store.json", "policy": "store/policy.yaml", "keyring": "store/keyring/keyring.json",
            "verify key": "verify.key", "database global": "store/global.db", "wal global": "store/global.db-wal",
            "journal global": "store/global.db-journal", "restore global": "store/restore.json",
            "backup keyring": "backup/keyring.json", "backup store": "backup/store.json",
            "backup policy": "backup/policy.yaml",
        ]) { $1 }
        for (name, scope) in ids.mapValues(\.description).merging(["global": "global"], uniquingKeysWith: { $1 }) {
            roles["envelope \(name)"] = "store/keyring/envelopes/\(scope).json"
            roles["backup envelope \(name)"] = "backup/envelopes/\(scope).json"
            guard name != "global" else { continue }
            let place = "store/profiles/\(scope)"
            roles["database \(name)"] = "\(place)/profile.db"
            roles["wal \(name)"] = "\(place)/profile.db-wal"
            roles["journal \(name)"] = "\(place)/profile.db-journal"
            roles["restore \(name)"] = "\(place)/restore.json"
            roles["certificate \(name)"] = "store/keyring/certificates/\(scope)-1.json"
        }
        return MatrixTemplate(
            present: present, moments: moments, paths: roles, ids: ids, rows: rows, snapshotRows: snapshotRows,
            unlockers: unlockers, removedUnlocker: removedUnlocker, sequence: sequence,
            policyDigest: TestDigest.sha256(present["store/policy.yaml"] ?? []))
    }
}
