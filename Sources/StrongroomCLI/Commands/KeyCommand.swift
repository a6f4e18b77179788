import ArgumentParser

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Look after keys: see them, rotate, retire, back up, rehearse.",
        subcommands: [
            KeyStatusCommand.self, KeyRotate.self, KeyRetire.self, KeyCertificate.self, KeyBackup.self,
            KeyRehearse.self, KeyRestore.self, KeyAcknowledge.self,
        ])
}
