import ArgumentParser

struct ScanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Look for leaked keys and plaintext; make blind kits for auditors.",
        subcommands: [ScanPaths.self, ScanKit.self, ScanSelfTest.self], defaultSubcommand: ScanPaths.self)
}
