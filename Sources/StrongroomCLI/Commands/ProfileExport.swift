import ArgumentParser
import Strongroom

struct ProfileExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a profile to a new plaintext SQLite file.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Yes: write it unencrypted, readable by whoever gets the file.")
    var plaintext = false
    @Argument var profile: String
    @Argument(completion: .file()) var file: String

    private struct Output: Encodable {
        let profile: ProfileOutput
        let rows: Int
        let plaintext: Bool
    }

    func run() throws {
        let bar = ProgressBar(common)
        let (info, rows) = try unlock.withStore(common) { store in
            let info = try store.profile(profile)
            let rows = try store.exportProfile(info, toPlaintext: FilePath(file), confirmingPlaintext: plaintext) {
                bar.show($0.phase.label, done: $0.rows, total: $0.totalRows)
            }
            return (info, rows)
        }
        bar.finish()
        try Terminal.result(Output(profile: ProfileOutput(info), rows: rows, plaintext: true), common) {
            print("Exported \(rows) rows.")
        }
        Terminal.note(
            "warning: this file is PLAINTEXT. Deleting it later does not remove it from the disk, backups or snapshots."
        )
    }
}
