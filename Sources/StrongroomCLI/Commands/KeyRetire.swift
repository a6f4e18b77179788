import ArgumentParser
import ErrorReporting
import Strongroom

struct KeyRetire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire",
        abstract: "Look for files under old data keys; with --destroy, destroy keys that none is under.",
        discussion: """
            Every file of each database is looked at: databases, snapshots, quarantined files. A key that a file is under is kept (exit \
            code 1), one whose days of grace are not over too (15), and every one where a file could not be looked at (3). A certificate \
            is written to the keyring for each key that is found unused or destroyed.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Destroy what is unused.") var destroy = false
    @Flag(help: "The global database and every profile; so it is where none is named.") var all = false
    @Flag(help: "Say what would be done, and write nothing.") var dryRun = false
    @Argument(help: "Profiles' ids or names; or 'global'.") var databases: [String] = []

    func validate() throws {
        guard !all || databases.isEmpty else { throw ValidationError("Name databases, or say --all.") }
    }

    func run() async throws {
        let report = try await unlock.withStore(common) { store in
            try await store.retireDataKeys(
                of: databases.isEmpty ? nil : databases.map { try DatabaseArgument.scope($0, in: store) },
                destroying: destroy, isDryRun: dryRun)
        }
        try Terminal.result(report, of: .retire, common) { show(report) }
        for (outcome, category) in [
            (RetirementReport.Outcome.undetermined, ErrorCategory.incomplete), (.inUse, .findings),
            (.inGrace, .againstPolicy),
        ] where report.keys.contains(where: { $0.outcome == outcome }) { throw Finding(category: category) }
        if !report.failed.isEmpty { throw Finding(category: .incomplete) }
    }

    private func show(_ report: RetirementReport) {
        if report.keys.isEmpty { print("There are no old data keys.") }
        for key in report.keys {
            print("\(key.scope), generation \(key.generation): \(text(key, report)).")
        }
        for failure in report.failed { print("\(failure.scope): \(failure.code) (see the runbook)") }
        if report.isDryRun { print("Nothing was changed.") }
    }

    private func text(_ key: RetirementReport.Key, _ report: RetirementReport) -> String {
        let would = report.isDryRun ? "would be " : ""
        switch key.outcome {
        case .unused: return "no file of \(key.filesExamined) is under it; --destroy destroys it"
        case .destroyed: return "\(would)destroyed; no file of \(key.filesExamined) is under it"
        case .inUse:
            let holders = [
                (key.databases, "database"), (key.snapshots, "snapshot"), (key.quarantined, "quarantined file"),
                (key.others, "other file"),
            ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)(s)" }.joined(separator: ", ")
            return "kept, because \(holders) are under it; rotate the database, prune or remove these first"
        case .inGrace:
            return
                "kept: retired for \(key.retiredDays) days, and the policy asks for \(report.graceDays); no file is under it"
        case .undetermined: return "kept: \(key.filesUnreadable) file(s) could not be looked at"
        }
    }
}

struct KeyCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificate",
        abstract: "Show a certificate that 'key retire' or 'profile shred' wrote, and that it is authentic.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(completion: .file()) var file: String

    func run() throws {
        let certificate = try unlock.withStore(common) { try $0.certificate(at: FilePath(file)) }
        try Terminal.result(certificate, common) {
            print(
                "authentic: \(certificate.scope), generation \(certificate.generation), key id \(certificate.keyId): \(certificate.outcome.rawValue) on \(Terminal.time(certificate.date)) UTC"
            )
            print("\(certificate.filesExamined) file(s) looked at, \(certificate.filesUnderKey) under the key")
        }
    }
}
