import ArgumentParser
import Strongroom

struct UnlockerAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Let another passphrase or key file open the keyring.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var new: NewUnlockerOptions

    func run() throws {
        let id = try unlock.withStore(common) { store in
            let (secret, label) = try new.secret()
            do {
                return try store.addUnlocker(secret, label: label ?? secret.kind.rawValue)
            } catch {
                new.discardKeyFile()
                throw error
            }
        }
        try Terminal.result(UnlockerOutput(id: id), common) { print(id) }
    }
}

/// An unlocker that was made, as `--json` shows it.
struct UnlockerOutput: Encodable { let id: String }
