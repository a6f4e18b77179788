import ArgumentParser

struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "Make, list, import, export and query profiles.",
        subcommands: [
            ProfileCreate.self, ProfileList.self, ProfileImport.self, ProfileExport.self, ProfileSQL.self,
        ])
}
