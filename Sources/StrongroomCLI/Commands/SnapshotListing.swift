import ArgumentParser
import Strongroom

struct SnapshotListing: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show the snapshots of one database, or of all.",
        discussion: "One that cannot be used is shown with the reason, and ends with 1.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(help: "A profile's id or name; or 'global'.") var database: String?

    private struct Output: Encodable {
        let databases: [SnapshotList]
    }

    func run() async throws {
        let (lists, hasFailures) = try await unlock.withStoreForSnapshots(common) { store in
            try await store.forEachDatabase(database) { try await store.snapshots(of: $0) }
        }
        try Terminal.result(Output(databases: lists), common) {
            let snapshots = lists.flatMap(\.snapshots)
            if snapshots.isEmpty { print("There are no snapshots.") }
            Terminal.table(
                ["id", "database", "reason", "taken (UTC)", "size", "pages", "key", "migrations", "verified (UTC)"],
                snapshots.map { snapshot in
                    [
                        snapshot.id, snapshot.scope, snapshot.reason, Terminal.time(snapshot.created),
                        Terminal.size(snapshot.size), String(snapshot.pages), String(snapshot.keyGeneration),
                        snapshot.appliedMigrations.map { "\($0), \(snapshot.latestMigration ?? "")" } ?? "none",
                        snapshot.verified.map { Terminal.time($0) } ?? "never",
                    ]
                })
        }
        let unusable = lists.flatMap(\.unusable)
        for entry in unusable { Terminal.note("cannot be used: \(entry.name), \(entry.code) (see the runbook)") }
        if !unusable.isEmpty { throw Finding(category: .findings) }
        if hasFailures { throw Finding(category: .incomplete) }
    }
}
