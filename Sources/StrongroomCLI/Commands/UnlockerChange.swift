import ArgumentParser
import Strongroom

struct UnlockerChange: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "change", abstract: "Put a new passphrase or key file in an unlocker's place.",
        discussion: "The old one goes only after the new one has been shown to open the keyring that is on disk.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var new: NewUnlockerOptions
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Argument(help: "The unlocker's id.") var id: String

    func run() throws {
        let changed = try unlock.withStore(common) { store -> String in
            if dryRun {
                try store.requireUnlocker(id)
                return try new.validateOne()
            }
            let (secret, label) = try new.secret()
            do {
                return try store.changeUnlocker(id, to: secret, label: label)
            } catch {
                // The new one may be in the keyring by now, so a key file that was made stays.
                Terminal.note("The old unlocker is as it was unless 'unlocker list' says otherwise.")
                throw error
            }
        }
        try Terminal.result(UnlockerOutput(id: changed, isDryRun: dryRun), of: .change, common) {
            print(dryRun ? "Would put a new unlocker in the place of \(id). Nothing was changed." : changed)
        }
    }
}
