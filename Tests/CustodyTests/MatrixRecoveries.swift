// The operations of the adversary's matrix that change what is in force: recoveries, keys, backups.

import DurableFiles
import Foundation
import GRDB
import SystemPackage

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

extension MatrixOperation {
    static let recoveries: [MatrixOperation] =
        restores
        + ["alpha", "global"].flatMap {
            [plan($0), repair($0), repair($0, loss: true)] + Store.WALDecision.allCases.map(settle($0))
        }

    private static func plan(_ name: String) -> MatrixOperation {
        .init("plan for \(name)", [name, "snapshots"]) { stage in
            try await stage.with(global: false) { store in
                let plan = try await store.recoveryPlan(of: stage.scope(name))
                return [.openedWithoutGlobal, .condition(name, plan.condition.name)]
            }
        }
    }

    private static func repair(_ name: String, loss: Bool = false) -> MatrixOperation {
        .init("repair \(name)\(loss ? ", accepting loss" : "")", [name, "snapshots"], recovery: true) { stage in
            try await stage.with(global: false) { store in
                let event = try await store.repair(stage.scope(name), acceptingLoss: loss)
                var claims = [MatrixClaim.openedWithoutGlobal]
                if let event { claims.append(.recovered(event)) }
                return claims
            }
        }
    }

    private static func settle(_ name: String) -> (Store.WALDecision) -> MatrixOperation {
        { decision in
            .init("settle the WAL of \(name), \(decision)", [name], recovery: true) { stage in
                try await stage.with(global: false) { store in
                    try await store.settleWAL(of: stage.scope(name), decision)
                    return [.openedWithoutGlobal]
                }
            }
        }
    }

    private static let restores: [MatrixOperation] = [
        .init("open alpha, recovering", ["alpha", "snapshots"], recovery: true) { stage in
            try await stage.with(recovery: .automatic) { store in
                let profile = try store.openProfile(stage.info("alpha"))
                defer { try? profile.close() }
                let rows = try profile.database.read { try MatrixStage.rows($0) }
                try profile.close()
                var claims: [MatrixClaim] = [.opened, .rows("alpha", rows)]
                if let event = profile.recovery { claims.append(.recovered(event)) }
                return claims
            }
        },
        .init("restore alpha in place", ["alpha", "snapshots"], recovery: true) { stage in
            try await stage.with { store in
                let snapshot = try await store.snapshot("latest", of: stage.scope("alpha"))
                _ = try await store.restoreSnapshot(snapshot)
                return [.opened, .restored(snapshot.name, rows: try stage.rows(stage.info("alpha"), in: store))]
            }
        },
        .init("restore alpha as a new profile", ["alpha", "snapshots"], recovery: true) { stage in
            try await stage.with { store in
                let snapshot = try await store.snapshot("latest", of: stage.scope("alpha"))
                let made = try await store.restoreSnapshot(snapshot, asProfileNamed: "copy")
                return [.opened, .restored(snapshot.name, rows: try stage.rows(made.info, in: store))]
            }
        },
        .init("restore global", ["snapshots", "alpha", "beta"], recovery: true) { stage in
            try await stage.with(global: false) { store in
                let snapshot = try await store.snapshot("latest", of: .global)
                _ = try await store.restoreSnapshot(snapshot)
                return [.openedWithoutGlobal, .names(Set(try store.profiles().map(\.name)))]
            }
        },
        .init("restore global, accepting", ["snapshots", "alpha", "beta"], recovery: true) { stage in
            try await stage.with(global: false) { store in
                try store.acceptOlderKeyring(sequence: store.keyring.sequence)
                let snapshot = try await store.snapshot("latest", of: .global)
                let report = try await store.restoreSnapshot(snapshot)
                let isShown = try !store.olderStates().isEmpty
                var claims = [MatrixClaim.openedWithoutGlobal]
                if let older = report.acceptedOlderState { claims.append(.acceptedOlder(older, isShown: isShown)) }
                return claims
            }
        },
    ]

    static let keys: [MatrixOperation] = [
        .init("rotate root key", nil) { stage in
            try await stage.with { store in
                let report = try await store.rotateRootKey()
                return [.opened] + report.failed.map { .finding($0.code, scope: $0.scope) }
            }
        },
        .init("rotate all data keys", ["alpha", "beta"]) { stage in
            try await stage.with { store in
                let report = try await store.rotateAllDataKeys()
                return [.opened] + report.failed.map { .finding($0.code, scope: $0.scope) }
            }
        },
        .init("plan rotations", ["alpha", "beta"]) { stage in
            try await stage.with { store in
                _ = try store.planRootKeyRotation()
                _ = try store.planDataKeyRotation()
                return [.opened]
            }
        },
        .init("retire, dry", nil) { stage in
            try await stage.with { store in
                let report = try await store.retireDataKeys(destroying: true, isDryRun: true)
                return [.opened] + report.failed.map { .finding($0.code, scope: $0.scope) }
            }
        },
        .init("retire", nil) { stage in
            try await stage.with { store in
                let report = try await store.retireDataKeys(destroying: true)
                return [.opened] + report.failed.map { .finding($0.code, scope: $0.scope) }
            }
        },
        .init("shred alpha, dry", ["alpha"]) { stage in
            try await stage.with { store in
                _ = try await store.shredProfile(stage.info("alpha").id, isDryRun: true)
                return [.opened]
            }
        },
        .init("add and remove an unlocker") { stage in
            try await stage.with { store in
                let id = try store.addUnlocker(.keyFile(stage.root.appending("spare")), label: "spare")
                let claim = MatrixClaim.unlockers(Set(store.keyring.unlockers.map(\.id)).subtracting([id]))
                try store.removeUnlocker(id)
                return [.opened, claim]
            }
        },
        .init("certificate", ["alpha"]) { stage in
            try await stage.with { store in
                let path = stage.root.pushing(FilePath(stage.template.path("certificate alpha")))
                return [.opened, .certificate(try store.certificate(at: path))]
            }
        },
    ]

    static let backups: [MatrixOperation] = [
        .init("back up the keyring", nil) { stage in
            try await stage.with { store in
                let report = try await store.backUpKeyring(to: stage.root.appending("new backup"))
                let rehearsed = try await Store.rehearseRecovery(
                    of: stage.path, from: stage.root.appending("new backup"),
                    with: .keyFile(stage.root.appending("key")))
                return [.opened] + report.unusable.map { .finding($0.code, scope: $0.scope) }
                    + rehearsed.failed.map { .finding($0.code, scope: $0.scope) }
            }
        },
        .init("rehearse", nil, backup: true) { stage in
            let report = try await Store.rehearseRecovery(
                of: stage.path, from: stage.root.appending("backup"), with: .keyFile(stage.root.appending("key")))
            return report.failed.map { .finding($0.code, scope: $0.scope) }
        },
        .init("restore the keyring, dry", nil, backup: true) { stage in
            let report = try await Store.restoreKeyring(
                of: stage.path, from: stage.root.appending("backup"), with: .keyFile(stage.root.appending("key")),
                isDryRun: true)
            return report.failed.map { .finding($0.code, scope: $0.scope) }
        },
        .init("restore the keyring", nil, backup: true, recovery: true) {
            try await restoreKeyring($0, accepting: nil)
        },
        .init("restore the keyring, accepting", nil, backup: true, recovery: true) { stage in
            let plan = try? await Store.restoreKeyring(
                of: stage.path, from: stage.root.appending("backup"), with: .keyFile(stage.root.appending("key")),
                isDryRun: true)
            let ofBackup = try? LockedKeyring(in: stage.root.appending("backup")).sequence
            return try await restoreKeyring(stage, accepting: plan?.sequence ?? ofBackup ?? 0)
        },
    ]

    private static func restoreKeyring(_ stage: MatrixStage, accepting sequence: Int?) async throws -> [MatrixClaim] {
        let report = try await Store.restoreKeyring(
            of: stage.path, from: stage.root.appending("backup"), with: .keyFile(stage.root.appending("key")),
            acceptingSequence: sequence)
        var claims: [MatrixClaim] = [.keyringRestored(report)]
        claims += report.failed.map { .finding($0.code, scope: $0.scope) }
        if let older = report.olderState {
            // A store that does not open shows nothing, and the keyring stays an older one to it.
            var isShown = true
            if let store = try? MatrixStage.open(stage.root) {
                isShown = try !store.olderStates().isEmpty
                try store.lock()
            }
            claims.append(.acceptedOlder(older, isShown: isShown))
        }
        return claims
    }
}
