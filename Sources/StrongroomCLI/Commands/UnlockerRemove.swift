import ArgumentParser
import Strongroom

struct UnlockerRemove: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Take an unlocker away.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(help: "The unlocker's id.") var id: String

    func run() throws {
        try unlock.withStore(common) { try $0.removeUnlocker(id) }
        try Terminal.result(UnlockerOutput(id: id), common) { print("Removed \(id).") }
        Terminal.noteOfWhatIsNotProtected(common)
    }
}
