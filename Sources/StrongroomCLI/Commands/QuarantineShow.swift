import ArgumentParser
import Strongroom

struct QuarantineShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what is in one directory of the quarantine.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var database: DatabaseArgument
    @Argument(help: "Its name, as 'quarantine list' shows it.") var name: String

    func run() async throws {
        let entries = try await unlock.withStoreForSnapshots(common) { store in
            try await store.quarantines(of: database.scope(in: store))
        }
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw ValidationError("There is no quarantine of this name; 'strongroom quarantine list' shows them.")
        }
        try Terminal.result(entry, common) {
            print("\(entry.scope)  \(entry.name)")
            print("moved away by a \(entry.kind.rawValue) on \(Terminal.time(entry.date)) UTC")
            for file in entry.files { print("  \(file.name)  \(Terminal.size(file.bytes))") }
        }
    }
}
