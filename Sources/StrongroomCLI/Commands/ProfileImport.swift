import ArgumentParser
import Strongroom

struct ProfileImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a profile from a SQLite or SQLCipher file, which is left as it is.",
        discussion: """
            The copy is compared with the file, table by table, before it counts as done. The original stays where it \
            is: where it is plaintext, destroying it is up to you.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The file is of SQLCipher 3 or 4; read its passphrase from here.", valueName: "n"))
    var sourcePassphraseFd: Int32?
    @Option(help: ArgumentHelp("The file is of SQLCipher 3 or 4; this prints its passphrase.", valueName: "cmd"))
    var sourcePassphraseCommand: String?
    @Argument var name: String
    @Argument(completion: .file()) var file: String

    private struct Output: Encodable {
        struct Table: Encodable {
            let name: String
            let rows: Int
        }
        let profile: ProfileOutput
        let source: String
        let tables: [Table]
        let rows: Int
    }

    func run() throws {
        let source = try source()
        let bar = ProgressBar(common)
        let (info, report) = try unlock.withStore(common) { store in
            try store.importProfile(named: name, from: source) { progress in
                bar.show(progress.phase.label, done: progress.rows, total: progress.totalRows)
            }
        }
        bar.finish()
        let output = Output(
            profile: ProfileOutput(info), source: report.kind.rawValue,
            tables: report.tables.map { .init(name: $0.name, rows: $0.rows) }, rows: report.rows)
        try Terminal.result(output, common) {
            print("\(info.id)  \(info.name)")
            print("Imported \(report.tables.count) tables, \(report.rows) rows; every row was read back and compared.")
        }
        if report.kind == .plaintext, !common.quiet, !common.json {
            Terminal.note("The original is still there, and is still plaintext.")
        }
    }

    private func source() throws -> ImportSource {
        if let sourcePassphraseFd {
            return ImportSource(FilePath(file), passphrase: try SecretInput.passphrase(descriptor: sourcePassphraseFd))
        }
        if let sourcePassphraseCommand {
            return ImportSource(
                FilePath(file), passphrase: try SecretInput.passphrase(command: sourcePassphraseCommand))
        }
        return ImportSource(FilePath(file))
    }
}

extension TransferProgress.Phase {
    var label: String {
        switch self {
        case .checkingSource: "checking the source"
        case .copying: "copying"
        case .verifying: "reading back and comparing"
        }
    }
}
