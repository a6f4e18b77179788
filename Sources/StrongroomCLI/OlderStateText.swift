// How an older keyring is told that is to be accepted, or was.

import ArgumentParser
import Strongroom

/// The one way to go on with an older keyring.
struct AcceptSequenceOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Go on with the keyring of this sequence, although a newer one was seen. It is recorded.", valueName: "n"))
    var acceptSequence: Int?
}

extension OlderState {
    /// What came back to life, a line each.
    func show(isPlan: Bool) {
        let seen = newestSequenceSeen > 0 ? "\(newestSequenceSeen) was seen before" : "the newest one is not known"
        print(
            isPlan
                ? "OLDER: the keyring of sequence \(sequence) would be accepted, and \(seen): say --accept-sequence \(sequence)."
                : "OLDER: the keyring of sequence \(sequence) was accepted, and \(seen).")
        print("This comes back to life, or cannot be told from what does:")
        print("  unlockers:  \(text(unlockers))")
        print("  root keys:  \(text(rootKeys.map(String.init)))")
        print("  data keys:  \(text(dataKeys))")
        print("  profiles:   \(text(profiles))")
        if !isPlan { print("'diagnose' shows it until 'key acknowledge' ends it.") }
    }

    private func text(_ items: [String]) -> String { items.isEmpty ? "none" : items.joined(separator: ", ") }
}
