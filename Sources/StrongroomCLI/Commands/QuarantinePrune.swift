import ArgumentParser
import Strongroom

struct QuarantinePrune: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what has been in quarantine for long.",
        discussion: """
            How long is the policy's retirement.graceDays, unless --older-than says otherwise. Nothing goes while the database is not \
            healthy, every page of it, or where no snapshot that was made afterwards is good. Rows that stand nowhere but in \
            quarantine are gone then.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("So many days old at least.", valueName: "days")) var olderThan: Int?
    @Flag(help: "Say what would be removed, and remove nothing.") var dryRun = false
    @Flag(help: "Every database.") var all = false
    @Argument(help: "A profile's id or name; or 'global'.") var database: String?

    func validate() throws {
        guard all != (database != nil) else { throw ValidationError("Name a database, or say --all.") }
        guard olderThan.map({ (0...36_500).contains($0) }) ?? true else {
            throw ValidationError("--older-than takes from 0 to 36500 days.")
        }
    }

    private struct Output: Encodable {
        let databases: [QuarantinePruneReport]
    }

    func run() async throws {
        let (reports, hasFailures) = try await unlock.withStore(common) { store in
            try await store.forEachDatabase(database) {
                try await store.pruneQuarantines(of: $0, olderThanDays: olderThan, isDryRun: dryRun)
            }
        }
        try Terminal.result(Output(databases: reports), common) {
            for report in reports {
                for entry in report.removed {
                    print(
                        "\(dryRun ? "would remove" : "removed"): \(entry.scope)  \(entry.name), \(Terminal.size(entry.bytes))"
                    )
                }
                for kept in report.kept {
                    print("stays, \(Self.text(kept.reason)): \(kept.entry.scope)  \(kept.entry.name)")
                }
            }
            if reports.allSatisfy({ $0.removed.isEmpty && $0.kept.isEmpty }) { print("Nothing is in quarantine.") }
        }
        if hasFailures { throw Finding(category: .incomplete) }
    }

    private static func text(_ reason: QuarantinePruneReport.Reason) -> String {
        switch reason {
        case .young: "not old enough"
        case .noLaterSnapshot: "no later snapshot is good: take one, and prune again"
        case .notHealthy: "the database is not healthy: repair it first"
        }
    }
}
