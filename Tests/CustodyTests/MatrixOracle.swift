// What may come out, said from the rules of docs/security/custody.md ("Oracle") and from nothing that the product does.

import Foundation
import SystemPackage

@testable import Strongroom

/// One case of the adversary's matrix.
struct MatrixCase: Sendable {
    enum Phase: String, Sendable { case closed, open }

    let variants: [MatrixVariant]
    let phase: Phase
    let operation: MatrixOperation

    var description: String {
        variants.map(\.description).joined(separator: " + ") + (phase == .open ? ", while open" : "") + " × "
            + operation.name
    }

    /// What stands at each attacked path; the later change of two counts.
    var changes: [String: [UInt8]?] {
        Dictionary(variants.flatMap(\.changes).map { ($0.path, $0.bytes) }, uniquingKeysWith: { $1 })
    }
}

/// What came of one case.
enum MatrixVerdict: Sendable, Hashable {
    /// An error or a finding that says what was attacked; everything as it was.
    case told(String)
    /// The present.
    case current
    /// A documented limit.
    case limit(String)
    case wrong(String)
}

struct MatrixOutcome: Sendable {
    /// The code of the error that was thrown.
    var error: String?
    var claims: [MatrixClaim] = []
    /// What the files looked like with the attack, and afterwards.
    var before = FileTree()
    var after = FileTree()
    /// What is wrong with new MACs.
    var signatures: [String] = []
    /// What a fresh look at the store says afterwards, and once more with the true files back in their places; nil where no file
    /// was changed.
    var afterwards: MatrixLook?
    var putBack: MatrixLook?
    /// Whether every file that was attacked could be put back: the operation wrote to none of them.
    var isWholeAgain = true
}

/// A look at a whole store: each part, or the code of the error that it gives.
struct MatrixLook: Sendable {
    var names: Result<Set<String>, MatrixCode> = .failure(MatrixCode(""))
    var unlockers: Result<Set<String>, MatrixCode> = .failure(MatrixCode(""))
    var rows: [String: Result<[Int], MatrixCode>] = [:]

    var codes: [String] {
        var codes: [String] = []
        if case .failure(let code) = names { codes.append(code.text) }
        for case .failure(let code) in rows.values { codes.append(code.text) }
        return codes
    }
}

struct MatrixCode: Error, Hashable {
    let text: String
    init(_ text: String) { self.text = text }
}

struct MatrixOracle: Sendable {
    let template: MatrixTemplate

    /// - Parameter ordinary: the codes that the operation gives where nothing was attacked.
    func judge(_ test: MatrixCase, _ outcome: MatrixOutcome, ordinary: Set<String>) -> MatrixVerdict {
        if let wrong = outcome.signatures.first {
            let limit = MatrixLimit.of(test, signing: true)
            return limit.map { .limit($0.rawValue) } ?? .wrong("signed: \(wrong)")
        }
        if let wrong = wrong(test, outcome, ordinary) {
            let limit = MatrixLimit.of(test, signing: false)
            return limit.map { .limit($0.rawValue) } ?? .wrong(wrong)
        }
        return codes(outcome).first { !ordinary.contains($0) }.map { .told($0) } ?? .current
    }

    private func wrong(_ test: MatrixCase, _ outcome: MatrixOutcome, _ ordinary: Set<String>) -> String? {
        if let wrong = lost(test, outcome) { return wrong }
        for code in codes(outcome) where !ordinary.contains(code) && !MatrixCodes.allows(code, test) {
            return "the code \(code)"
        }
        // An error is the answer, whatever was said before it.
        if outcome.error != nil { return nil }
        return outcome.claims.lazy.compactMap { wrong($0, test, outcome) }.first
    }

    /// What was told: the error, or what a report found.
    func codes(_ outcome: MatrixOutcome) -> [String] {
        let found = outcome.claims.compactMap { claim -> String? in
            switch claim {
            case .finding(let code, _): code
            case .condition(_, let name) where name != "healthy": "database_\(name)"
            default: nil
            }
        }
        return (outcome.error.map { [$0] } ?? []) + found
    }

    // MARK: What was said

    /// The attacks of a case on what a claim is about, those left out that change nothing.
    private func attacked(
        _ test: MatrixCase, except: (MatrixVariant) -> Bool, _ covers: (String) -> Bool
    ) -> String? {
        test.variants.first { covers($0.role) && !isCurrent($0) && !except($0) }?.description
    }

    /// What says the same as the present.
    private func isCurrent(_ variant: MatrixVariant) -> Bool {
        // A WAL or a journal without bytes holds nothing, and a note of a verification decides nothing.
        (variant.attack == .empty && (variant.role.hasPrefix("wal ") || variant.role.hasPrefix("journal ")))
            || variant.role.hasPrefix("verified ")
    }

    private static let ofOpening: Set<String> = [
        "keyring", "store", "policy", "database global", "wal global", "journal global", "envelope global",
        "restore global",
    ]

    private func wrong(_ claim: MatrixClaim, _ test: MatrixCase, _ outcome: MatrixOutcome) -> String? {
        /// Something was called the present: then nothing of it may have been attacked.
        func current(
            _ what: String, except: (MatrixVariant) -> Bool = { _ in false }, _ covers: (String) -> Bool
        ) -> String? {
            attacked(test, except: except, covers).map { "\(what), in spite of \($0)" }
        }
        switch claim {
        case .opened:
            // A page of the global database is authenticated when it is read, and not before. An app that recovers has it recovered.
            let isRecovered = { (variant: MatrixVariant) in
                test.operation.isRecovery && variant.role.hasSuffix(" global")
                    && [.forged, .empty].contains(variant.attack)
            }
            return test.phase == .open
                ? nil
                : current("opened", except: { $0.isOfOnePage || isRecovered($0) }) { Self.ofOpening.contains($0) }
        case .openedWithoutGlobal:
            // What was accepted is named in the result.
            if test.phase == .open || isAccepted(outcome) { return nil }
            // It opens in order to say what is wrong.
            if outcome.claims.contains(where: { if case .finding = $0 { true } else { false } }) { return nil }
            return current("opened") { ["keyring", "store", "policy"].contains($0) }
        case .openedWithRemovedSecret: return "the removed unlocker opens the store"
        case .names(let names): return names == ["alpha", "beta"] ? nil : "the profiles are \(names.sorted())"
        case .unlockers(let ids): return ids == template.unlockers ? nil : "the unlockers are \(ids.sorted())"
        case .rows(let name, let rows):
            // What a recovery brought back it has named.
            if test.operation.isRecovery, named(outcome).contains(where: { template.snapshotRows[$0] == rows }) {
                return nil
            }
            guard isPresent(rows, of: name) else { return "\(name) has the rows \(rows)" }
            if test.operation.isRecovery { return nil }
            return current("\(name) is read") {
                ["database", "wal", "journal", "envelope", "restore"].contains($0.dropSuffix(name))
            }
        case .condition(let name, let condition):
            guard condition == "healthy" else { return nil }
            return current("\(name) is healthy") {
                ["database", "wal", "journal", "envelope"].contains($0.dropSuffix(name))
            }
        case .snapshotHealthy(let name):
            return current("the snapshot \(name) is healthy") { isOf(name, $0) }
        case .finding: return nil
        case .restored(let name, let rows):
            guard template.snapshotRows[name] == rows else { return "restored \(rows)" }
            return current("restored \(name)") { isOf(name, $0) }
        case .acceptedOlder(_, let isShown):
            return isShown ? nil : "an older keyring was accepted, and that is not shown"
        case .keyringRestored: return nil
        case .recovered(let event):
            guard let snapshot = event.plan.snapshot, event.plan.action == .restore else { return nil }
            let isWhole = template.snapshotRows[snapshot.name] == template.rows["alpha"]
            if event.plan.isLossless, !isWhole { return "a recovery with loss is called lossless" }
            return current("recovered from \(snapshot.name)") { isOf(snapshot.name, $0) }
        case .certificate(let certificate):
            let outcomes = ["alpha": "destroyed", "gone": "shredded"]
            let name = template.ids.first { $0.value.description == certificate.scope }?.key ?? ""
            guard certificate.generation == 1, outcomes[name] == certificate.outcome.rawValue else {
                return "another certificate"
            }
            // It names its key itself, wherever it stands.
            return current("the certificate is good", except: { $0.attack == .otherScope }) {
                $0 == "certificate alpha"
            }
        }
    }

    /// Whether a role is a file of a snapshot.
    private func isOf(_ snapshot: String, _ role: String) -> Bool {
        (role.hasPrefix("manifest ") || role.hasPrefix("pages ")) && template.path(role).contains("/\(snapshot).")
    }

    /// The rows of the present, and at most the one that an operation writes.
    private func isPresent(_ rows: [Int], of name: String) -> Bool {
        Set(rows).subtracting([999]) == Set(template.rows[name] ?? [])
    }

    // MARK: What is there afterwards

    /// What is there no more, or is there again.
    private func lost(_ test: MatrixCase, _ outcome: MatrixOutcome) -> String? {
        if test.operation.isRecovery, let path = unkept(outcome) { return "\(path) is nowhere any more" }
        guard let look = outcome.afterwards else { return nil }
        let named = named(outcome)
        let isAccepted = isAccepted(outcome)
        for (look, isBack) in [(look, false), (outcome.putBack, true)] {
            guard let look else { continue }
            if case .success(let names) = look.names {
                let rest = names.subtracting(["new", "copy"])
                if rest != ["alpha", "beta"] { return "afterwards the profiles are \(rest.sorted())" }
            }
            if case .success(let ids) = look.unlockers, ids != template.unlockers, !isAccepted {
                return "afterwards the unlockers are \(ids.sorted())"
            }
            for (name, rows) in look.rows {
                guard case .success(let rows) = rows else { continue }
                let isNamed = test.operation.isRecovery && named.contains { template.snapshotRows[$0] == rows }
                if !isPresent(rows, of: name), !isNamed { return "afterwards \(name) has the rows \(rows)" }
            }
            // What is under a newer root key than an accepted keyring has stays closed, as the restore said.
            if isBack, outcome.isWholeAgain, !isAccepted, let code = look.codes.first {
                return "with the true files back: \(code)"
            }
        }
        return nil
    }

    /// The snapshots that a recovery says it brought back.
    private func named(_ outcome: MatrixOutcome) -> [String] {
        outcome.claims.compactMap { claim in
            switch claim {
            case .restored(let name, _): name
            case .recovered(let event): event.plan.action == .restore ? event.plan.snapshot?.name : nil
            default: nil
            }
        }
    }

    private func isAccepted(_ outcome: MatrixOutcome) -> Bool {
        outcome.claims.contains { if case .acceptedOlder = $0 { true } else { false } }
    }

    /// A database or a WAL that a recovery put out of force and did not keep.
    private func unkept(_ outcome: MatrixOutcome) -> String? {
        let kept = Set(outcome.after.files.values.map(\.count))
        return outcome.before.files.first { path, bytes in
            (path.hasSuffix(".db") || path.hasSuffix("-wal")) && bytes.count > 32 && outcome.after[path] == nil
                && !(kept.contains(bytes.count) && outcome.after.files.values.contains(bytes))
        }?.key
    }
}

extension String {
    /// The kind of a role: `database` of `database alpha`.
    fileprivate func dropSuffix(_ scope: String) -> String {
        hasSuffix(" \(scope)") ? String(dropLast(scope.count + 1)) : self
    }
}
