import ArgumentParser

struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "Make, list, import, export, query and shred profiles.",
        subcommands: [
            ProfileCreate.self, ProfileList.self, ProfileImport.self, ProfileExport.self, ProfileSQL.self,
            ProfileShred.self,
        ])
}
