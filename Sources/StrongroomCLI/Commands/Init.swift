import ArgumentParser
import Strongroom

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a store and its keyring.")

    @OptionGroup var common: CommonOptions
    @Option(help: ArgumentHelp("default, strict, fips, or the path of a policy file.", valueName: "name|file"))
    var policy = "default"
    @OptionGroup var new: NewUnlockerOptions

    private struct Output: Encodable {
        let storeId: String
        let policy: String
        let unlockers: [String]
    }

    func run() throws {
        let path = try common.storePath()
        let source: Store.PolicySource =
            KeyPolicy.shippedNames.contains(policy) ? .shipped(policy) : .file(FilePath(policy))
        let secrets = try new.secrets()
        guard !secrets.isEmpty else {
            throw ValidationError(
                "Say what shall open the store: --new-key-file PATH, --new-passphrase, --new-passphrase-fd N or --new-passphrase-command CMD."
            )
        }
        let store: Store
        do {
            store = try Store.create(at: path, keyring: common.keyringPath, policy: source, unlockers: secrets)
        } catch {
            new.discardKeyFile()
            throw error
        }
        let output = Output(
            storeId: store.id, policy: store.policy.name,
            unlockers: try store.keyStatus().unlockers.map(\.kind.rawValue))
        try store.lock()
        try Terminal.result(output, common) {
            print("Made the store \(output.storeId) under the policy \(output.policy).")
            print("It is opened by: \(output.unlockers.joined(separator: ", ")).")
        }
        if !common.quiet, !common.json {
            Terminal.note(
                "Without its unlockers nothing in this store can ever be read. Keep a copy of them elsewhere.")
        }
    }
}
