import ArgumentParser
import Strongroom

struct ProfileRename: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Give a profile another name; it may be open.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(help: "The profile's id or name.") var profile: String
    @Argument(help: "What it is to be called.") var name: String

    func run() throws {
        let info = try unlock.withStore(common) { try $0.renameProfile($0.profile(profile).id, to: name) }
        try Terminal.result(ProfileOutput(info), common) { print(info.id) }
    }
}
