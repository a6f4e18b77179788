import ArgumentParser
import Foundation
import Strongroom

/// A profile as `--json` shows it.
struct ProfileOutput: Encodable {
    let id: String
    let name: String
    let created: Date

    init(_ info: ProfileInfo) {
        id = info.id.description
        name = info.name
        created = info.created
    }
}

struct ProfileList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the profiles.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions

    private struct Output: Encodable { let profiles: [ProfileOutput] }

    func run() throws {
        let profiles = try unlock.withStore(common) { try $0.profiles() }
        try Terminal.result(Output(profiles: profiles.map(ProfileOutput.init)), common) {
            Terminal.table(
                ["id", "name", "created"],
                profiles.map { [$0.id.description, $0.name, Terminal.date($0.created)] })
        }
    }
}
