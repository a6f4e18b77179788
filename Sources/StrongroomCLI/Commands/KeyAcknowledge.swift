import ArgumentParser
import Strongroom

struct KeyAcknowledge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acknowledge", abstract: "End the note that an older keyring was accepted.",
        discussion: """
            'diagnose' shows it, and exits with 1, until then. Before that, look at 'unlocker list': an unlocker that was removed \
            may open the keyring again. 'key rotate --root' puts an end to root keys that came back.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions

    private struct Output: Encodable { let acknowledged: [OlderState] }

    func run() throws {
        let states = try unlock.withStore(common) { try $0.acknowledgeOlderStates() }
        try Terminal.result(Output(acknowledged: states), common) {
            if states.isEmpty { print("There is nothing to acknowledge.") }
            for state in states {
                print("Acknowledged: sequence \(state.sequence), accepted on \(Terminal.time(state.date)) UTC.")
            }
        }
    }
}
