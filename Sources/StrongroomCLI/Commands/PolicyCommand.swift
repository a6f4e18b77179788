import ArgumentParser

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "List, show and check key policies.",
        subcommands: [PolicyList.self, PolicyShow.self, PolicyCheck.self])
}
