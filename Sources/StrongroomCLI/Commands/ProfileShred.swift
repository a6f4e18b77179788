import ArgumentParser
import Strongroom

struct ProfileShred: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shred",
        abstract: "Destroy every key of a profile, so that nobody opens it or its snapshots any more.",
        discussion: "The files stay where they are. It cannot be undone with this keyring.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The profile once more, as it was named.", valueName: "profile")) var confirm: String?
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Argument(help: "The profile's id or name.") var profile: String

    func validate() throws {
        guard dryRun || confirm == profile else {
            throw ValidationError("This cannot be undone: say --confirm with the profile's id or name once more.")
        }
    }

    func run() async throws {
        let report = try await unlock.withStore(common) { store in
            // One that was interrupted may be off the list already.
            let id = try ProfileID(profile) ?? store.profile(profile).id
            return try await store.shredProfile(id, isDryRun: dryRun)
        }
        try Terminal.result(report, of: .shred, common) {
            print(
                "\(report.profile): \(report.keysDestroyed) key(s) \(dryRun ? "would be destroyed" : "destroyed"); \(report.filesUnderKeys) file(s) \(dryRun ? "could" : "can") not be opened any more."
            )
            if let date = report.lastBackup, let sequence = report.lastBackupSequence {
                print(
                    "The keyring backup of \(Terminal.time(date)) UTC (sequence \(sequence)) still could, and every one before it."
                )
            } else {
                print("No keyring backup is known to this store; any that was made by hand still could.")
            }
            if dryRun { print("Nothing was changed.") }
        }
    }
}
