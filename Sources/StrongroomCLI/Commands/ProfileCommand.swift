import ArgumentParser

struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "Make, list, rename, import, export, query and shred profiles.",
        subcommands: [
            ProfileCreate.self, ProfileList.self, ProfileRename.self, ProfileImport.self, ProfileExport.self,
            ProfileSQL.self, ProfileShred.self,
        ])
}
