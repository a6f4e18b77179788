import ArgumentParser
import Keyring
import Strongroom

struct UnlockerList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the unlockers.",
        discussion: "Without a way to unlock, the list is read from the file as it is, and said to be unverified.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions

    private struct Output: Encodable {
        let verified: Bool
        let unlockers: [UnlockerInfo]
    }

    func run() throws {
        let isVerified = unlock.isGiven
        let unlockers =
            isVerified
            ? try unlock.withStore(common) { try $0.keyStatus().unlockers }
            : try LockedKeyring(in: common.keyringPath ?? Store.defaultKeyringDirectory(of: common.storePath()))
                .unlockers
        try Terminal.result(Output(verified: isVerified, unlockers: unlockers), common) {
            Terminal.table(
                ["id", "kind", "label", "created", "derivation"],
                unlockers.map {
                    [
                        $0.id, $0.kind.rawValue, Terminal.plain($0.label), Terminal.date($0.created),
                        $0.derivation ?? "-",
                    ]
                })
        }
        if !isVerified, !common.quiet, !common.json {
            Terminal.note("This list is not verified: give --key-file or another way to unlock to verify it.")
        }
    }
}
