import ArgumentParser

struct ScanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Look for leaked keys and plaintext; make blind kits for auditors.",
        discussion: """
            'strongroom scan --key-file KEY PATH …' looks through files and directories; 'strongroom scan paths --help' has all that it \
            takes. Exit codes: 0 clean, and the self-test found all that it had planted; 1 findings; 3 not everything was looked at.
            """,
        subcommands: [ScanPaths.self, ScanKit.self, ScanSelfTest.self], defaultSubcommand: ScanPaths.self)
}
