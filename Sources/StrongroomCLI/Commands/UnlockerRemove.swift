import ArgumentParser
import Strongroom

struct UnlockerRemove: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Take an unlocker away.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Argument(help: "The unlocker's id.") var id: String

    func run() throws {
        try unlock.withStore(common) { store in
            if dryRun { return try store.requireUnlocker(id) }
            try store.removeUnlocker(id)
        }
        try Terminal.result(UnlockerOutput(id: id, isDryRun: dryRun), of: .change, common) {
            print(dryRun ? "Would remove \(id). Nothing was changed." : "Removed \(id).")
        }
    }
}
