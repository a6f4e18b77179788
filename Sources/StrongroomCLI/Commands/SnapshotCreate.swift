import ArgumentParser
import ErrorReporting
import Strongroom

struct SnapshotCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Take a snapshot of one database, or of all as one set.",
        discussion: """
            A profile that another process has open goes on being read and written meanwhile. With --all every database is \
            frozen at the same moment, which takes that no other process has it open; one that cannot be taken is reported \
            and does not stop the others (exit code 3).
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("Why: a word that goes into the name.", valueName: "word")) var reason = "manual"
    @Flag(help: "The global database and every profile.") var all = false
    @Argument(help: "A profile's id or name; or 'global'.") var database: String?

    func validate() throws {
        guard all != (database != nil) else { throw ValidationError("Name a database, or say --all.") }
    }

    func run() async throws {
        guard let reason = SnapshotReason(reason) else { throw SnapshotError.reasonInvalid }
        let bar = ProgressBar(common)
        guard let database else { return try await createSet(reason, bar) }
        let snapshot = try await unlock.withStoreForSnapshots(common) { store in
            try await store.createSnapshot(of: DatabaseArgument.scope(database, in: store), reason: reason) {
                bar.show("copying", done: $0.pages, total: $0.totalPages, unit: "pages")
            }
        }
        bar.finish()
        try Terminal.result(snapshot, common) {
            print("\(snapshot.name)")
            print(
                "\(snapshot.pages) pages, \(Terminal.size(snapshot.size)), every one authenticated; id \(snapshot.id)")
        }
    }

    private func createSet(_ reason: SnapshotReason, _ bar: ProgressBar) async throws {
        let set = try await unlock.withStoreForSnapshots(common) { store in
            try await store.createSnapshotSet(reason: reason) {
                bar.show("copying \($0)", done: $1.pages, total: $1.totalPages, unit: "pages")
            }
        }
        bar.finish()
        try Terminal.result(set, common) {
            print("\(set.name): \(set.snapshots.count) database(s), frozen at one moment")
            for snapshot in set.snapshots {
                print("  \(snapshot.scope)  \(snapshot.pages) pages, \(Terminal.size(snapshot.size))")
            }
        }
        for failure in set.failed {
            Terminal.note("not in the set: \(failure.scope), \(failure.code) (see the runbook)")
        }
        if !set.failed.isEmpty { throw Finding(category: .incomplete) }
    }
}
