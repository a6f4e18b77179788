import ArgumentParser

struct UnlockerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlocker", abstract: "Say who may open the keyring.",
        subcommands: [
            UnlockerList.self, UnlockerAdd.self, UnlockerChange.self, UnlockerRemove.self,
            UnlockerGenerateRecovery.self,
        ])
}
