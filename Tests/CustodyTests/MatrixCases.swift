// The cases: every variant of every file × every operation that reads it, and pairs of files; and the table of what came of them.

import Foundation
import Synchronization

struct MatrixCases: Sendable {
    private let singles: [MatrixCase]
    /// One variant each, older or absent, of which pairs are made.
    private let partners: [MatrixVariant]

    init(_ attacks: MatrixAttacks) {
        var singles: [MatrixCase] = []
        for variant in attacks.variants {
            for operation in MatrixOperation.all where operation.reads(variant.role) {
                for phase in [MatrixCase.Phase.closed, .open] {
                    singles.append(MatrixCase(variants: [variant], phase: phase, operation: operation))
                }
            }
        }
        self.singles = singles + Self.recoveries(from: attacks.variants)
        var newest: [String: MatrixVariant] = [:]
        for variant in attacks.variants where variant.attack == .older || variant.attack == .absent {
            newest["\(variant.role) \(variant.attack)"] = variant
        }
        partners = newest.sorted { $0.key < $1.key }.map(\.value)
    }

    /// A recovery looks at snapshots only where the database is damaged.
    private static func recoveries(from variants: [MatrixVariant]) -> [MatrixCase] {
        let damaged = variants.filter { $0.attack == .forged && ["a bit", "cut", "garbage"].contains($0.name) }
        var cases: [MatrixCase] = []
        for variant in variants where variant.role.hasPrefix("pages ") || variant.role.hasPrefix("manifest ") {
            for damage in damaged where damage.role == "database " + variant.role.split(separator: " ")[1] {
                for operation in MatrixOperation.recoveries
                where operation.reads(variant.role) && operation.reads(damage.role) {
                    cases.append(MatrixCase(variants: [variant, damage], phase: .closed, operation: operation))
                }
            }
        }
        return cases
    }

    /// Cases that the check can decide.
    func attacking(_ roles: [String], _ attacks: Set<MatrixAttack> = Set(MatrixAttack.allCases)) -> [MatrixCase] {
        singles.filter { test in
            let variant = test.variants[0]
            return attacks.contains(variant.attack) && roles.contains { variant.role.hasPrefix($0) }
        }
    }

    private var pairs: [MatrixCase] {
        var pairs: [MatrixCase] = []
        for (index, first) in partners.enumerated() {
            for second in partners[(index + 1)...] where first.role != second.role {
                for operation in MatrixOperation.all where operation.reads(first.role) && operation.reads(second.role) {
                    pairs.append(MatrixCase(variants: [first, second], phase: .closed, operation: operation))
                }
            }
        }
        return pairs
    }

    var everything: [MatrixCase] { singles + pairs }
    var count: Int { everything.count }

    /// At least one case of each variant, and of each operation and phase with each attack, and then at random.
    func sample(_ count: Int, using random: inout SplitMix64) -> [MatrixCase] {
        var chosen: [MatrixCase] = []
        var seen: Set<String> = []
        var rest: [MatrixCase] = []
        for test in singles.shuffled(using: &random) {
            let variant = test.variants[0]
            let cells = [
                "\(variant.role) \(variant.attack) \(variant.name) \(test.variants.count)",
                "\(variant.role) \(variant.attack) \(test.phase)",
                "\(test.operation.name) \(variant.attack) \(test.phase)",
            ]
            let isNew = cells.map { seen.insert($0).inserted }.contains(true)
            if isNew { chosen.append(test) } else { rest.append(test) }
        }
        let more = max(0, count - chosen.count)
        chosen += rest.prefix(more * 2 / 3)
        chosen += pairs.shuffled(using: &random).prefix(max(0, count - chosen.count))
        return chosen
    }
}

struct MatrixTable: Sendable {
    struct Cell: Sendable { var told = 0, current = 0, limit = 0, wrong = 0 }

    private var cells: [String: [String: Cell]] = [:]
    private var limits: [String: Int] = [:]
    private(set) var wrong: [String] = []

    private mutating func note(_ test: MatrixCase, _ verdict: MatrixVerdict) {
        let isPair = test.variants.count > 1 && test.variants[1].attack != .forged
        let row = isPair ? "pairs" : test.variants[0].role
        let column = test.phase == .open ? "while open" : isPair ? "older, absent" : test.variants[0].attack.rawValue
        var cell = cells[row, default: [:]][column, default: Cell()]
        switch verdict {
        case .told: cell.told += 1
        case .current: cell.current += 1
        case .limit(let name):
            cell.limit += 1
            limits[name, default: 0] += 1
        case .wrong(let text):
            cell.wrong += 1
            wrong.append("\(test.description): \(text)")
        }
        cells[row, default: [:]][column] = cell
    }

    private final class Progress: Sendable {
        let next = Atomic(0)
        let table = Mutex(MatrixTable())
    }

    /// Two at a time, each with a forger of its own.
    ///
    /// - Parameter untilWrong: whether to stop at the first outcome that is wrong.
    static func run(
        _ cases: [MatrixCase], with runner: MatrixRunner, untilWrong: Bool = false
    ) async throws -> MatrixTable {
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    let forger = try Forger()
                    while case let index = progress.next.wrappingAdd(1, ordering: .relaxed).oldValue,
                        index < cases.count
                    {
                        let verdict = try await runner.run(cases[index], forger)
                        let isWrong = progress.table.withLock { table in
                            table.note(cases[index], verdict)
                            return !table.wrong.isEmpty
                        }
                        if untilWrong, isWrong { return }
                    }
                }
            }
            try await group.waitForAll()
        }
        return progress.table.withLock { $0 }
    }

    var text: String {
        let columns = MatrixAttack.allCases.map(\.rawValue) + ["while open", "older, absent"]
        let widths = columns.map { max($0.count, 14) }
        func line(_ head: String, _ cells: [String]) -> String {
            head.padding(toLength: 26, withPad: " ", startingAt: 0)
                + zip(cells, widths).map { $0.padding(toLength: $1 + 2, withPad: " ", startingAt: 0) }.joined()
        }
        var lines = [line("told/current/limit !WRONG", columns)]
        for (role, row) in cells.sorted(by: { $0.key < $1.key }) {
            lines.append(
                line(
                    role,
                    columns.map { column in
                        row[column].map {
                            "\($0.told)/\($0.current)/\($0.limit)" + ($0.wrong > 0 ? " !\($0.wrong)" : "")
                        } ?? "-"
                    }))
        }
        for (limit, count) in limits.sorted(by: { $0.key < $1.key }) { lines.append("limit: \(limit): \(count)") }
        return lines.joined(separator: "\n")
    }
}
