import ArgumentParser
import Strongroom

struct SnapshotVerifyKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-key", abstract: "Make a key that verifies a database's snapshots and cannot read them.",
        discussion: """
            For the host that backups are copied to: 'snapshot verify --verify-only-key FILE'. Its holder can tell whether \
            a snapshot is whole, and can neither read it nor make one that this store would restore.

            Who holds it and can write to the live database can change pages there that verify as healthy, without reading \
            them. Keep it away from the machine that has the database.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var database: DatabaseArgument
    @Argument(help: "A new file (0600).", completion: .file()) var file: String

    private struct Output: Encodable {
        let scope: String
    }

    func run() async throws {
        let scope = try await unlock.withStoreForSnapshots(common) { store in
            let scope = try database.scope(in: store)
            try await store.writeVerifyKey(of: scope, to: FilePath(file))
            return scope
        }
        try Terminal.result(Output(scope: scope.description), common) {
            print("A verify key for the snapshots of \(scope). Make it again after each rotation.")
            print("Who holds it and can write to the live database can change pages there that verify as healthy:")
            print("move it off this machine, and keep it away from any that has the database.")
        }
    }
}
