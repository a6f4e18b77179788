import ArgumentParser
import Strongroom

struct SnapshotRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a snapshot in the place of its database, or make a new profile of it.",
        discussion: """
            Everything is proven before anything is touched: the manifest, every page, SQLite's integrity and foreign keys. \
            What was there goes to corrupted/ and is kept; what was written since the snapshot was taken is only there then. \
            An error changes nothing.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(name: .customLong("as"), help: ArgumentHelp("Make a new profile of this name instead.", valueName: "name"))
    var newName: String?
    @Flag(help: "Go on where SQLite finds something wrong that was wrong already when the snapshot was taken.")
    var acceptViolations = false
    @OptionGroup var accept: AcceptSequenceOption
    @OptionGroup var database: DatabaseArgument
    @Argument(help: "An id, a name, the name of a set, or 'latest'.") var snapshot: String

    private struct Output: Encodable {
        let restored: RestoreReport
        let profile: ProfileOutput?
    }

    func run() async throws {
        let bar = ProgressBar(common)
        let progress: @Sendable (RestoreProgress) -> Void = {
            bar.show($0.phase.rawValue, done: $0.pages, total: $0.totalPages, unit: "pages")
        }
        let output = try await unlock.withStoreForSnapshots(common) { store in
            if let sequence = accept.acceptSequence { try store.acceptOlderKeyring(sequence: sequence) }
            let found = try await store.snapshot(snapshot, of: database.scope(in: store))
            if let newName {
                let (info, report) = try await store.restoreSnapshot(
                    found, asProfileNamed: newName, acceptingViolations: acceptViolations, progress: progress)
                return Output(restored: report, profile: ProfileOutput(info))
            }
            return Output(
                restored: try await store.restoreSnapshot(
                    found, acceptingViolations: acceptViolations, progress: progress), profile: nil)
        }
        bar.finish()
        try Terminal.result(output, common) { show(output.restored) }
    }

    private func show(_ report: RestoreReport) {
        let snapshot = report.snapshot
        print("\(newName ?? database.database) is now what it was on \(Terminal.time(snapshot.created)) UTC.")
        print(
            "\(snapshot.pages) pages authenticated\(report.isReencrypted ? " and re-encrypted" : ""), "
                + "\(report.milliseconds) ms; "
                + (report.integrityViolations.map { "integrity violations: \($0), " }
                    ?? "integrity not checked: it needs a collation or function that only the app has; ")
                + "foreign key violations: \(report.foreignKeyViolations)")
        if let quarantine = report.quarantine { print("What was there before is in corrupted/\(quarantine), kept.") }
        report.acceptedOlderState?.show(isPlan: false)
        for id in report.registeredProfiles { print("registered again: \(id), which is newer than the snapshot") }
        for id in report.missingProfiles { print("in the registry and not on disk: \(id)") }
    }
}
