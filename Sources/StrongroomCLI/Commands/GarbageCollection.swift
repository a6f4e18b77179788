import ArgumentParser
import ErrorReporting
import Strongroom

struct GarbageCollection: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Remove what interrupted work left behind.",
        discussion: """
            Works on a full disk. It removes profiles that were never finished, databases that never came into force, snapshots \
            without a manifest, and files that were being written beside their place. A profile that has snapshots or quarantined \
            files stays, and so does everything that is in use. Exit code 3 where something could not be looked at or removed.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Say what would be removed, and remove nothing.") var dryRun = false
    @Flag(
        help:
            "Remove the files of shredded profiles too. With a backup of the keyring from before, they could still be opened."
    )
    var shredded = false

    func run() async throws {
        let report = try await unlock.withStore(common) { store in
            try await store.removeLeftovers(includingShredded: shredded, isDryRun: dryRun)
        }
        try Terminal.result(report, common) {
            for leftover in report.leftovers {
                print(
                    "\(Self.text(leftover.outcome, leftover.code)): \(leftover.name), \(Terminal.size(leftover.bytes))")
                print("  \(Self.text(leftover.kind)); last changed \(Terminal.time(leftover.changed)) UTC")
            }
            let count = report.leftovers.count { $0.outcome == .removed || $0.outcome == .wouldRemove }
            print("\(dryRun ? "Would remove" : "Removed") \(count), \(Terminal.size(report.bytes)).")
        }
        if report.leftovers.contains(where: { $0.outcome == .failed }) { throw Finding(category: .incomplete) }
    }

    private static func text(_ outcome: Leftover.Outcome, _ code: String?) -> String {
        switch outcome {
        case .removed: "removed"
        case .wouldRemove: "would remove"
        case .hasHistory: "stays, it has snapshots or quarantined files"
        case .inUse: "stays, in use"
        case .notAsked: "stays without --shredded"
        case .failed: "stays, error \(code ?? "internal")"
        }
    }

    private static func text(_ kind: Leftover.Kind) -> String {
        switch kind {
        case .unfinishedProfile: "a profile that was never finished: the list of profiles never had it"
        case .shreddedProfile: "a shredded profile: its keys are destroyed"
        case .unfinishedRotation: "a database under a new key that never came into force"
        case .unfinishedRestore: "a database that was being restored or repaired, and never came into force"
        case .unfinishedSnapshot: "a snapshot that was never finished: it has no manifest"
        case .unfinishedDrill: "the database of a drill that was interrupted"
        case .temporaryFile: "a file that was being written beside its place"
        }
    }
}
