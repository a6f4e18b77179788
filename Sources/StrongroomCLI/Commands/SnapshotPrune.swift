import ArgumentParser
import Strongroom

struct SnapshotPrune: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove the snapshots that the rules do not keep.",
        discussion: """
            A snapshot that any rule keeps is kept. Without a rule, the policy's are used. Before anything goes, one that \
            stays is shown to be good, every page of it; the only good one is never removed. What cannot be read is never \
            removed, and ends with 3. Removing a snapshot does not destroy copies of it elsewhere.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("So many of the newest.", valueName: "n")) var keepLast: Int?
    @Option(help: ArgumentHelp("The newest of so many days (UTC).", valueName: "n")) var keepDaily: Int?
    @Option(help: ArgumentHelp("The newest of so many weeks.", valueName: "n")) var keepWeekly: Int?
    @Option(help: ArgumentHelp("The newest of so many months.", valueName: "n")) var keepMonthly: Int?
    @Flag(help: "Say what would be removed, and remove nothing.") var dryRun = false
    @Flag(help: "Every database.") var all = false
    @Argument(help: "A profile's id or name; or 'global'.") var database: String?

    private var rules: [Int?] { [keepLast, keepDaily, keepWeekly, keepMonthly] }

    func validate() throws {
        guard all != (database != nil) else { throw ValidationError("Name a database, or say --all.") }
        guard rules.allSatisfy({ $0.map { (0...100_000).contains($0) } ?? true }) else {
            throw ValidationError("A rule keeps from 0 to 100000.")
        }
        if rules.contains(where: { $0 != nil }), rules.allSatisfy({ $0 ?? 0 == 0 }) {
            throw ValidationError("These rules keep nothing. Keep at least one.")
        }
    }

    private struct Output: Encodable {
        let databases: [PruneReport]
    }

    func run() async throws {
        let retention =
            rules.contains { $0 != nil }
            ? Retention(last: keepLast ?? 0, daily: keepDaily ?? 0, weekly: keepWeekly ?? 0, monthly: keepMonthly ?? 0)
            : nil
        let (reports, hasFailures) = try await unlock.withStoreForSnapshots(common) { store in
            try await store.forEachDatabase(database) {
                try await store.pruneSnapshots(of: $0, keeping: retention, isDryRun: dryRun)
            }
        }
        try Terminal.result(Output(databases: reports), common) {
            for report in reports {
                print(
                    "\(report.scope): \(dryRun ? "would remove" : "removed") \(report.removed.count), keeps \(report.kept.count)"
                )
                for snapshot in report.removed { print("  \(dryRun ? "would remove" : "removed") \(snapshot.name)") }
                if let only = report.keptAsOnlyGood { print("  kept, because no other one is good: \(only.name)") }
            }
        }
        let unusable = reports.flatMap(\.unusable)
        for entry in unusable { Terminal.note("left alone, cannot be read: \(entry.name), \(entry.code)") }
        if !unusable.isEmpty || hasFailures { throw Finding(category: .incomplete) }
    }
}
