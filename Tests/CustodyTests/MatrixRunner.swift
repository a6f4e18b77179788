// Runs cases of the adversary's matrix, each on a copy of its own.

import DurableFiles
import Foundation
import SystemPackage
import Synchronization
import TestSupport

@testable import Keyring
@testable import Strongroom

/// The two stores, the attacks on the first, and where copies stand.
final class MatrixRunner: Sendable {
    let template: MatrixTemplate
    let attacks: MatrixAttacks
    let oracle: MatrixOracle
    private let place: FilePath
    private let facts: FilePath
    private let number = Atomic(0)
    private let ordinary = Mutex<[String: Set<String>]>([:])

    /// Made once: it takes a few seconds.
    static let shared = Task { try await MatrixRunner() }

    init() async throws {
        let parent = MemoryDirectories.find() ?? FilePath(FileManager.default.temporaryDirectory.path)
        // Short: a debug build pays for each byte of a path.
        place = parent.appending("srm\(UInt32.random(in: 0...UInt32.max))")
        try FileManager.default.createDirectory(
            atPath: place.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        Self.removeAtExit(place)
        template = try await MatrixTemplate.make(in: place.appending("template"))
        let other = try await MatrixTemplate.make(in: place.appending("other"))
        let variants = place.appending("variants")
        try FileManager.default.createDirectory(atPath: variants.string, withIntermediateDirectories: false)
        attacks = try MatrixAttacks(template, other, in: variants)
        oracle = MatrixOracle(template: template)
        facts = place.appending("facts.json")
        try writeFacts(variants.appending("present"))
    }

    private static func removeAtExit(_ path: FilePath) {
        places.withLock { $0.append(path.string) }
        if places.withLock({ $0.count }) == 1 {
            atexit {
                for path in MatrixRunner.places.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
            }
        }
    }
    private static let places = Mutex<[String]>([])

    /// What the audit of new MACs compares with.
    private func writeFacts(_ present: FilePath) throws {
        let forger = try Forger.shared.get()
        func json(_ role: String) throws -> [String: Any] {
            try forger("describe", ["file": present.pushing(FilePath(template.path(role)))]).value("json")
        }
        let roots = try forger(
            "open-keyring",
            ["keyring": present.pushing(FilePath(template.path("keyring"))), "keyFile": present.appending("key")])
        var envelopes: [String: Any] = [:]
        for name in ["global", "alpha", "beta", "gone"] {
            let envelope = try json("envelope \(name)")
            var keys: [String: Any] = [:]
            for key in envelope["keys"] as? [[String: Any]] ?? [] { keys["\(key["generation"] ?? 0)"] = key }
            envelopes[envelope["scope"] as? String ?? ""] = ["sequence": envelope["sequence"] ?? 0, "keys": keys]
        }
        let facts: [String: Any] = [
            "roots": try roots.value("roots", as: [String: String].self), "foreignRoots": attacks.foreignRoots,
            "oldRoots": attacks.knownRoots, "foreignKeys": [String](), "storeId": try json("store")["storeId"] ?? "",
            "digest": template.policyDigest, "unlockers": template.unlockers.sorted(), "sequence": template.sequence,
            "envelopes": envelopes,
        ]
        try TestFiles.write(Array(try JSONSerialization.data(withJSONObject: facts)), to: self.facts)
    }

    // MARK: One case

    func run(_ test: MatrixCase, _ forger: Forger) async throws -> MatrixVerdict {
        let ordinary = try await ordinaryCodes(of: test, forger)
        return oracle.judge(test, try await outcome(of: test, forger), ordinary: ordinary)
    }

    /// What an operation says where nothing was attacked, which was judged too.
    private func ordinaryCodes(of test: MatrixCase, _ forger: Forger) async throws -> Set<String> {
        let key = "\(test.phase) \(test.operation.name)"
        if let known = ordinary.withLock({ $0[key] }) { return known }
        let untouched = MatrixCase(variants: [], phase: test.phase, operation: test.operation)
        let outcome = try await CustodyCheck.$skipped.withValue(nil) { try await self.outcome(of: untouched, forger) }
        let codes = Set(oracle.codes(outcome))
        if case .wrong(let text) = oracle.judge(untouched, outcome, ordinary: codes) {
            throw MatrixCode("without an attack, \(test.operation.name): \(text)")
        }
        ordinary.withLock { $0[key] = codes }
        return codes
    }

    private func outcome(of test: MatrixCase, _ forger: Forger) async throws -> MatrixOutcome {
        let root = place.appending("\(number.wrappingAdd(1, ordering: .relaxed).newValue)")
        try template.present.write(to: root)
        defer { try? FileManager.default.removeItem(atPath: root.string) }
        let stage = try MatrixStage(root, template, isOpen: test.phase == .open)
        for (path, bytes) in test.changes { try FileTree.put(bytes, at: "\(root)/\(path)") }
        var outcome = MatrixOutcome()
        outcome.before = try FileTree(of: root)
        do { outcome.claims = try await test.operation.run(stage) } catch {
            outcome.error = (error as? any ReportableError)?.code ?? "\(type(of: error))"
        }
        do { try stage.store?.lock() } catch {
            outcome.error = outcome.error ?? (error as? any ReportableError)?.code ?? "\(type(of: error))"
        }
        outcome.after = try FileTree(of: root)
        let changed = outcome.after.changes(since: outcome.before)
        if !changed.isEmpty {
            try check(test, root, changed, &outcome, forger)
        }
        return outcome
    }

    private func check(
        _ test: MatrixCase, _ root: FilePath, _ changed: Set<String>, _ outcome: inout MatrixOutcome, _ forger: Forger
    ) throws {
        let known = Set(outcome.before.files.filter { $0.key.hasSuffix(".json") }.values)
        let fresh = changed.filter { path in
            (path.hasSuffix(".json") || path.hasSuffix(".replaced"))
                && outcome.after[path].map { !known.contains($0) } ?? false
        }
        let isAccepted = outcome.claims.contains { if case .acceptedOlder = $0 { true } else { false } }
        if !fresh.isEmpty {
            outcome.signatures = try forger(
                "audit",
                [
                    "root": root, "fresh": fresh.sorted(), "facts": facts, "keyFile": root.appending("key"),
                    "accepted": isAccepted, "restored": test.operation.name.hasPrefix("restore the keyring"),
                ]
            ).value("wrong")
        }
        let look = look(at: root)
        outcome.afterwards = look
        guard !look.codes.isEmpty else { return }
        // What the operation left as the attacker made it becomes what it was.
        for (path, bytes) in test.changes {
            let now = try? FileTree.read("\(root)/\(path)")
            if now == bytes {
                try FileTree.put(template.present[path], at: "\(root)/\(path)")
            } else if now != template.present[path] {
                outcome.isWholeAgain = false
            }
        }
        outcome.putBack = self.look(at: root)
    }

    private func look(at root: FilePath) -> MatrixLook {
        func attempt<Value>(_ body: () throws -> Value) -> Result<Value, MatrixCode> {
            do { return .success(try body()) } catch {
                return .failure(MatrixCode((error as? any ReportableError)?.code ?? "\(type(of: error))"))
            }
        }
        var look = MatrixLook()
        let stage: MatrixStage
        do { stage = try MatrixStage(root, template, isOpen: true) } catch {
            look.names = .failure(MatrixCode((error as? any ReportableError)?.code ?? "\(type(of: error))"))
            return look
        }
        guard let store = stage.store else { return look }
        defer { try? store.lock() }
        look.unlockers = .success(Set(store.keyring.unlockers.map(\.id)))
        look.names = attempt { Set(try store.profiles().map(\.name)) }
        for name in ["alpha", "beta"] { look.rows[name] = attempt { try stage.rows(stage.info(name), in: store) } }
        return look
    }
}
