import ArgumentParser
import Strongroom

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Look after keys.", subcommands: [KeyStatusCommand.self])
}

struct KeyStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show every key's generation, state and age, and what is due.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions

    func run() throws {
        let status = try unlock.withStore(common) { try $0.keyStatus() }
        try Terminal.result(status, common) {
            print(
                "keyring \(status.keyringId), sequence \(status.keyringSequence), \(status.unlockers.count) unlocker(s)"
            )
            print("")
            Terminal.table(
                ["key", "generation", "state", "age", "due", "key id"],
                status.rootKeys.map { key in
                    ["root", "\(key.version)", key.state.rawValue, "\(key.ageDays) d", key.isDue ? "yes" : "no", "-"]
                }
                    + status.dataKeys.map { key in
                        [
                            key.scope, "\(key.generation)", key.state.rawValue, "\(key.ageDays) d",
                            key.isDue ? "yes" : "no", key.keyId,
                        ]
                    })
            for envelope in status.unusableEnvelopes { print("\(envelope.scope): \(envelope.code)") }
        }
        if !status.unusableEnvelopes.isEmpty { throw Finding(category: .findings) }
    }
}
