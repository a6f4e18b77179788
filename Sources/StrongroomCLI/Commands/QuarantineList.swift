import ArgumentParser
import Strongroom

struct QuarantineList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what is in quarantine, oldest first.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(help: "A profile's id or name, or 'global'; every database otherwise.") var database: String?

    private struct Output: Encodable {
        let quarantines: [QuarantineEntry]
    }

    func run() async throws {
        let (lists, hasFailures) = try await unlock.withStoreForSnapshots(common) { store in
            try await store.forEachDatabase(database) { try await store.quarantines(of: $0) }
        }
        let entries = lists.flatMap(\.self)
        try Terminal.result(Output(quarantines: entries), common) {
            for entry in entries {
                print("\(entry.scope)  \(entry.name)  \(entry.files.count) file(s), \(Terminal.size(entry.bytes))")
            }
            if entries.isEmpty { print("Nothing is in quarantine.") }
        }
        if hasFailures { throw Finding(category: .incomplete) }
    }
}
