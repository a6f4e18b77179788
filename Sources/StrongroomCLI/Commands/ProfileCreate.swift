import ArgumentParser
import Strongroom

struct ProfileCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make an empty profile.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument var name: String

    func run() throws {
        let info = try unlock.withStore(common) { try $0.createProfile(named: name) }
        try Terminal.result(ProfileOutput(info), common) { print(info.id) }
    }
}
