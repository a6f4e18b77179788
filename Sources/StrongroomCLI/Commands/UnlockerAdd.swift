import ArgumentParser
import Strongroom

struct UnlockerAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Let another passphrase, key file or recovery key open the keyring.",
        discussion: "A recovery key stays where it was made: only its recipient is given, which is no secret.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var new: NewUnlockerOptions
    @Option(help: ArgumentHelp("The recipient that 'unlocker generate-recovery' has shown.", valueName: "srpub1-…"))
    var recipient: String?
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false

    func validate() throws {
        guard recipient == nil || !new.isGiven else {
            throw ValidationError("Give a recipient or a new secret, not both.")
        }
    }

    func run() throws {
        let id = try unlock.withStore(common) { store -> String in
            if let recipient {
                let publicKey = try RecoveryKey.publicKey(recipient: recipient)
                if dryRun { return "-" }
                return try store.addRecoveryRecipient(publicKey: publicKey, label: new.label ?? "recovery")
            }
            if dryRun { return try new.validateOne() }
            let (secret, label) = try new.secret()
            do {
                return try store.addUnlocker(secret, label: label ?? secret.kind.rawValue)
            } catch {
                new.discardKeyFile()
                throw error
            }
        }
        try Terminal.result(UnlockerOutput(id: id, isDryRun: dryRun), of: .addUnlocker, common) {
            print(dryRun ? "Would add an unlocker. Nothing was changed." : id)
        }
    }
}

/// An unlocker that was made or removed, as `--json` shows it.
struct UnlockerOutput: Encodable {
    let id: String
    var isDryRun = false
}
