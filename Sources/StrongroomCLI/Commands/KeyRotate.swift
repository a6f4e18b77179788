import ArgumentParser
import ErrorReporting
import Strongroom

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Make a new root key, or put databases under new data keys.",
        discussion: """
            --root: a new root key, sealed to every unlocker there is; all envelopes are put under it, and the old one is destroyed. \
            Any one unlocker is enough, and databases may be open meanwhile. --data: every page of the named databases, of 'global', or \
            with --all of every one, is encrypted anew; no other process may have them open. What was interrupted goes on when the same \
            command is given again. A database that fails is reported and does not stop the others (exit code 3).
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "The root key.") var root = false
    @Flag(help: "Data keys.") var data = false
    @Flag(help: "The global database and every profile.") var all = false
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Argument(help: "Profiles' ids or names; or 'global'.") var databases: [String] = []

    func validate() throws {
        guard root != data else { throw ValidationError("Say --root or --data.") }
        guard data || (!all && databases.isEmpty) else {
            throw ValidationError("The root key is one for all databases: name none with --root.")
        }
        guard !data || all != !databases.isEmpty else { throw ValidationError("Name databases, or say --all.") }
    }

    func run() async throws {
        if root { return dryRun ? try planRoot() : try await rotateRoot() }
        if dryRun { return try planData() }
        if all { return try await rotateAll() }
        try await rotateSome()
    }

    // MARK: The root key

    private func planRoot() throws {
        let plan = try unlock.withStore(common) { try $0.planRootKeyRotation() }
        try Terminal.result(plan, of: .rotateRoot, common) {
            print(
                plan.isResumed
                    ? "Would go on with an interrupted rotation to root key \(plan.version): \(plan.envelopes) envelope(s) are left."
                    : "Would make root key \(plan.nextVersion), seal it to \(plan.unlockers) unlocker(s), and put \(plan.envelopes) envelope(s) under it. Nothing was changed."
            )
        }
    }

    private func rotateRoot() async throws {
        let bar = ProgressBar(common)
        let report = try await unlock.withStore(common) { store in
            try await store.rotateRootKey {
                bar.show("rewrapping", done: $0.envelopes, total: $0.totalEnvelopes, unit: "envelopes")
            }
        }
        bar.finish()
        try Terminal.result(report, of: .rotateRoot, common) {
            print(
                "\(report.isResumed ? "The interrupted rotation went on. " : "")Root key \(report.version), sealed to \(report.unlockers) unlocker(s); \(report.envelopes) envelope(s) are under it."
            )
            if report.failed.isEmpty {
                let gone = report.destroyedVersions.map { "\($0)" }.joined(separator: ", ")
                if !gone.isEmpty { print("Destroyed: root key \(gone).") }
            } else {
                print("The older root key stays, because these are under it still:")
                for failure in report.failed { print("  \(failure.scope): \(failure.code) (see the runbook)") }
            }
        }
        if !report.failed.isEmpty { throw Finding(category: .incomplete) }
    }

    // MARK: Data keys

    private struct Plans: Encodable { let databases: [DataKeyRotationPlan] }
    private struct Reports: Encodable {
        let rotated: [DataKeyRotationReport]
        let failed: [FailedDatabase]
    }

    private func planData() throws {
        let plans = try unlock.withStore(common) { store in
            try store.planDataKeyRotation(of: all ? nil : databases.map { try DatabaseArgument.scope($0, in: store) })
        }
        try Terminal.result(Plans(databases: plans), of: .rotateData, common) {
            Terminal.table(
                ["database", "generation", "size", "condition"],
                plans.map { plan in
                    [
                        plan.scope, plan.generation.map { "\($0), would be \($0 + 1) or higher" } ?? "-",
                        plan.bytes.map(Terminal.size) ?? "-", plan.condition,
                    ]
                })
            print("Nothing was changed.")
        }
        if plans.contains(where: { $0.condition != "healthy" }) { throw Finding(category: .incomplete) }
    }

    private func rotateSome() async throws {
        let bar = ProgressBar(common)
        var errors: [(scope: String, error: any ReportableError)] = []
        var reports: [DataKeyRotationReport] = []
        try await unlock.withStore(common) { store in
            for scope in try databases.map({ try DatabaseArgument.scope($0, in: store) }) {
                do {
                    reports.append(try await store.rotateDataKey(of: scope) { show($0, scope, bar) })
                } catch let error as any ReportableError {
                    guard databases.count > 1 else { throw error }
                    errors.append((scope.description, error))
                }
            }
        }
        bar.finish()
        let output = Reports(rotated: reports, failed: errors.map { .init(scope: $0.scope, code: $0.error.code) })
        try Terminal.result(output, of: .rotateData, common) { reports.forEach(show) }
        for failure in errors {
            Terminal.note("\(failure.scope):")
            Terminal.error(failure.error)
        }
        if !errors.isEmpty { throw Finding(category: .incomplete) }
    }

    private func rotateAll() async throws {
        let bar = ProgressBar(common)
        let report = try await unlock.withStore(common) { store in
            try await store.rotateAllDataKeys { show($1, $0, bar) }
        }
        bar.finish()
        try Terminal.result(report, of: .rotateData, common) {
            if report.isResumed {
                print("The interrupted rotation went on: \(report.doneBefore) database(s) were done.")
            }
            report.rotated.forEach(show)
            for failure in report.failed { print("\(failure.scope): not rotated, \(failure.code) (see the runbook)") }
        }
        if !report.failed.isEmpty { throw Finding(category: .incomplete) }
    }

    private func show(_ progress: RotationProgress, _ scope: KeyScope, _ bar: ProgressBar) {
        bar.show("\(progress.phase.rawValue) \(scope)", done: progress.pages, total: progress.totalPages, unit: "pages")
    }

    private func show(_ report: DataKeyRotationReport) {
        print(
            "\(report.scope): generation \(report.previousGeneration) to \(report.generation), \(report.pages) pages in \(report.milliseconds) ms, read back"
        )
    }
}
