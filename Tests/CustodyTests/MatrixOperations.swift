// The commands and calls that the adversary's matrix runs, and what each of them claims. Judging the claims is the oracle's affair.

import DurableFiles
import Foundation
import GRDB
import Logging
import Secrets
import SystemPackage
import TestSupport

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// One thing that an operation said.
enum MatrixClaim: Sendable {
    /// The store opened.
    case opened
    /// The store opened, its global database unread.
    case openedWithoutGlobal
    case openedWithRemovedSecret
    case names(Set<String>)
    /// Rows of a profile, and how many of them the operation wrote.
    case rows(String, [Int])
    /// The condition of a database: `healthy`, or what it is called in an error code.
    case condition(String, String)
    case snapshotHealthy(String)
    /// A code in a report, of a scope where it says one.
    case finding(String, scope: String?)
    case unlockers(Set<String>)
    /// What a recovery says that it brought back: a snapshot.
    case restored(String, rows: [Int])
    /// An older keyring, accepted by its sequence, and that it is shown.
    case acceptedOlder(OlderState, isShown: Bool)
    case keyringRestored(KeyringRestoreReport)
    case recovered(RecoveryEvent)
    case certificate(RetirementCertificate)
}

/// Where an operation runs.
final class MatrixStage: Sendable {
    let root: FilePath
    let template: MatrixTemplate
    /// Opened before the attack, where that is what the case is about.
    let store: Store?

    var path: FilePath { root.appending("store") }

    init(_ root: FilePath, _ template: MatrixTemplate, isOpen: Bool) throws {
        self.root = root
        self.template = template
        store = isOpen ? try Self.open(root) : nil
    }

    /// Thousands of cases have thousands of warnings to tell.
    static let silent = Logger(label: "matrix") { _ in SwiftLogNoOpLogHandler() }

    static func open(_ root: FilePath, key: String = "key", recovery: RecoveryMode = .never) throws -> Store {
        try Store.open(
            at: root.appending("store"), with: .keyFile(root.appending(key)), options: StoreOptions(recovery: recovery),
            logger: silent)
    }

    /// Runs `body` with the store: the one that is open, or a fresh one.
    func with<Result>(
        global: Bool = true, recovery: RecoveryMode = .never, _ body: (Store) async throws -> Result
    ) async throws -> Result {
        if let store, case .never = recovery { return try await body(store) }
        let fresh =
            try global
            ? Self.open(root, recovery: recovery)
            : Store.openWithoutGlobal(
                at: path, with: .keyFile(root.appending("key")), logger: Self.silent)
        let result: Result
        do { result = try await body(fresh) } catch {
            try? fresh.lock()
            throw error
        }
        try fresh.lock()
        return result
    }

    func info(_ name: String) -> ProfileInfo {
        guard let id = template.ids[name] else { preconditionFailure("no profile \(name)") }
        return ProfileInfo(id: id, name: name, created: Date(timeIntervalSince1970: 0))
    }

    func scope(_ name: String) -> KeyScope { template.ids[name].map { .profile($0) } ?? .global }

    func rows(_ info: ProfileInfo, in store: Store, writing value: Int? = nil) throws -> [Int] {
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        if let value {
            try profile.database.write { try $0.execute(sql: "INSERT INTO t VALUES (?, 'new')", arguments: [value]) }
        }
        let rows = try profile.database.read { try Self.rows($0) }
        try profile.close()
        return rows
    }

    /// What the template wrote beside each number.
    static func filling(_ value: Int) -> String { String(repeating: "row \(value) ", count: 40) }

    /// The numbers; negative where what stands beside one is not what was written.
    static func rows(_ db: Database) throws -> [Int] {
        try Row.fetchAll(db, sql: "SELECT v, filling FROM t ORDER BY v").map { row in
            let (value, filling) = (row["v"] as Int, row["filling"] as String)
            return filling == Self.filling(value) || value == 999 && filling == "new" ? value : -value
        }
    }
}

struct MatrixOperation: Sendable {
    let name: String
    /// The scopes whose files it reads besides those that opening a store reads; nil for every file.
    let scopes: Set<String>?
    /// Whether it reads the keyring's backup.
    let readsBackup: Bool
    /// What it is allowed to make the present: a recovery may bring back what it names.
    let isRecovery: Bool
    let run: @Sendable (MatrixStage) async throws -> [MatrixClaim]

    init(
        _ name: String, _ scopes: Set<String>? = [], backup: Bool = false, recovery: Bool = false,
        _ run: @Sendable @escaping (MatrixStage) async throws -> [MatrixClaim]
    ) {
        self.name = name
        self.scopes = scopes
        readsBackup = backup
        isRecovery = recovery
        self.run = run
    }

    /// Whether it may read the file of a role.
    func reads(_ role: String) -> Bool {
        if role.hasPrefix("backup ") { return readsBackup }
        if role == "verify key" { return name == "verify key" }
        guard let scopes else { return true }
        let words = role.split(separator: " ").map(String.init)
        guard words.count > 1 else { return true }
        return words[1] == "global" && words[0] != "manifest" && words[0] != "pages" || scopes.contains(words[1])
    }
}

extension MatrixOperation {
    static let all: [MatrixOperation] = opening + databases + snapshots + recoveries + keys + backups

    private static let opening: [MatrixOperation] = [
        .init("open") { stage in try await stage.with { _ in [.opened] } },
        .init("open with the removed secret") { stage in
            try MatrixStage.open(stage.root, key: "removed").lock()
            return [.openedWithRemovedSecret]
        },
        .init("profiles") { stage in
            try await stage.with { [.opened, .names(Set(try $0.profiles().map(\.name)))] }
        },
        .init("create profile") { stage in
            try await stage.with { store in
                try store.createProfile(named: "new")
                return [.opened, .names(Set(try store.profiles().map(\.name)).subtracting(["new"]))]
            }
        },
        .init("rename profile", ["beta"]) { stage in
            try await stage.with { store in
                _ = try store.renameProfile(stage.info("beta").id, to: "beta too")
                let names = Set(try store.profiles().map(\.name))
                _ = try store.renameProfile(stage.info("beta").id, to: "beta")
                return [.opened, .names(Set(names.map { $0 == "beta too" ? "beta" : $0 }))]
            }
        },
        .init("key status", nil) { stage in
            try await stage.with { store in
                let status = try store.keyStatus()
                let violations = try store.policyViolations()
                return [.opened, .unlockers(Set(status.unlockers.map(\.id)))]
                    + status.unusableEnvelopes.map { .finding($0.code, scope: $0.scope) }
                    + violations.map { .finding("policy_\($0)", scope: nil) }
            }
        },
        .init("acknowledge") { stage in
            try await stage.with {
                let states = try $0.olderStates()
                return [.opened] + (try $0.acknowledgeOlderStates() + states).map { .acceptedOlder($0, isShown: false) }
            }
        },
    ]

    private static let databases: [MatrixOperation] =
        ["alpha", "beta"].flatMap { name -> [MatrixOperation] in
            [
                .init("read \(name)", [name]) { stage in
                    try await stage.with { [.opened, .rows(name, try stage.rows(stage.info(name), in: $0))] }
                },
                .init("write \(name)", [name]) { stage in
                    try await stage.with { store in
                        let first = try stage.rows(stage.info(name), in: store, writing: 999)
                        let second = try stage.rows(stage.info(name), in: store)
                        return [.opened, .rows(name, first), .rows(name, second)]
                    }
                },
                .init("verify \(name)", [name]) { stage in
                    try await stage.with {
                        [.opened, .condition(name, try $0.verify(stage.info(name)).condition.name)]
                    }
                },
                .init("diagnostics \(name)", [name]) { stage in
                    try await stage.with { store in
                        let found = try await store.diagnostics(profile: stage.info(name).id)
                        return [.opened] + claims(found, profile: name)
                    }
                },
            ]
        } + [
            .init("verify global") { stage in
                try await stage.with(global: false) {
                    [.openedWithoutGlobal, .condition("global", try $0.verifyGlobal().condition.name)]
                }
            },
            .init("diagnostics") { stage in
                try await stage.with(global: false) {
                    [.openedWithoutGlobal] + claims(try await $0.diagnostics(), profile: nil)
                }
            },
        ]

    private static func claims(_ found: Diagnostics, profile: String?) -> [MatrixClaim] {
        var claims: [MatrixClaim] = []
        for (name, state) in [("global", found.global), (profile ?? "", found.profile)] {
            switch state?.condition {
            case .condition(let condition): claims.append(.condition(name, condition.name))
            case .error(let code): claims.append(.finding("\(code)", scope: name))
            case nil: break
            }
            if state?.integrityCheck == .failed { claims.append(.finding("integrity_failed", scope: name)) }
        }
        return claims
    }

    private static let snapshots: [MatrixOperation] =
        ["alpha", "global"].flatMap { name -> [MatrixOperation] in
            let scopes: Set<String> = [name, "snapshots"]
            return [
                .init("snapshots of \(name)", scopes) { stage in
                    try await stage.with { store in
                        let list = try await store.snapshots(of: stage.scope(name))
                        return [.opened] + list.unusable.map { .finding($0.code, scope: name) }
                    }
                },
                .init("verify snapshots of \(name)", scopes) { stage in
                    try await stage.with { store in
                        var claims: [MatrixClaim] = [.opened]
                        for snapshot in try await store.snapshots(of: stage.scope(name)).snapshots {
                            let report = try await store.verifySnapshot(snapshot)
                            claims.append(
                                report.isHealthy
                                    ? .snapshotHealthy(snapshot.name) : .finding(report.condition, scope: name))
                        }
                        return claims
                    }
                },
                .init("drill \(name)", scopes) { stage in
                    try await stage.with { store in
                        let snapshot = try await store.snapshot("latest", of: stage.scope(name))
                        _ = try await store.drillSnapshot(snapshot)
                        return [.opened, .snapshotHealthy(snapshot.name)]
                    }
                },
                .init("prune, dry, \(name)", scopes) { stage in
                    try await stage.with { store in
                        _ = try await store.pruneSnapshots(of: stage.scope(name), isDryRun: true)
                        return [.opened]
                    }
                },
                .init("rotate data key of \(name)", [name]) { stage in
                    try await stage.with { store in
                        _ = try await store.rotateDataKey(of: stage.scope(name))
                        return [.opened, .condition(name, "healthy")]
                    }
                },
            ]
        } + [
            .init("create snapshot alpha", ["alpha"]) { stage in
                try await stage.with { store in
                    let snapshot = try await store.createSnapshot(of: stage.scope("alpha"))
                    let copy = try await store.restoreSnapshot(snapshot, asProfileNamed: "copy")
                    return [
                        .opened, .rows("alpha", try stage.rows(copy.info, in: store)), .condition("alpha", "healthy"),
                    ]
                }
            },
            .init("create snapshot global") { stage in
                try await stage.with { store in
                    _ = try await store.createSnapshot(of: .global)
                    return [.opened, .condition("global", "healthy")]
                }
            },
            .init("create snapshot set", ["alpha", "beta"]) { stage in
                try await stage.with { store in
                    let set = try await store.createSnapshotSet()
                    let names = set.snapshots.map { made in
                        stage.template.ids.first { "\($0.value)" == made.scope }?.key ?? made.scope
                    }
                    return [.opened] + names.map { .condition($0, "healthy") }
                        + set.failed.map { .finding($0.code, scope: $0.scope) }
                }
            },
            .init("write a verify key", ["alpha"]) { stage in
                try await stage.with { store in
                    try await store.writeVerifyKey(of: stage.scope("alpha"), to: stage.root.appending("new.key"))
                    return [.opened]
                }
            },
            .init("verify key", ["alpha", "snapshots"]) { stage in
                let key = try VerifyKey(stage.root.appending("verify.key"))
                var claims: [MatrixClaim] = []
                for role in ["old", "new"] {
                    let path = stage.template.path("pages alpha \(role)")
                    let report = try await key.verify(stage.root.pushing(FilePath(path)))
                    claims.append(
                        report.isHealthy ? .snapshotHealthy(report.name) : .finding(report.condition, scope: "alpha"))
                }
                return claims
            },
            .init("export snapshot", ["alpha", "snapshots"]) { stage in
                try await stage.with { store in
                    let snapshot = try await store.snapshot("latest", of: stage.scope("alpha"))
                    _ = try await store.exportSnapshot(
                        snapshot, to: stage.root.appending("exported.db"),
                        newKeyFile: stage.root.appending("exported.key"))
                    return [.opened, .snapshotHealthy(snapshot.name)]
                }
            },
        ]
}
