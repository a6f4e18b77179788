import ArgumentParser
import ErrorReporting
import Strongroom

struct SnapshotVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Authenticate every page of snapshots, without opening a database; damage ends with 1.",
        usage: """
            strongroom snapshot verify DATABASE [SNAPSHOT] [--drill]
            strongroom snapshot verify --all [--drill]
            strongroom snapshot verify --verify-only-key FILE SNAPSHOT-FILE …
            """,
        discussion: """
            Without SNAPSHOT, all of the database. --drill restores each to a temporary place as well, runs SQLite's own \
            checks, and says how long a restore takes. --verify-only-key needs no store and no keyring: a key from \
            'snapshot verify-key' and the snapshots' files are enough.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Every snapshot of every database.") var all = false
    @Flag(help: "Rehearse the restore.") var drill = false
    @Option(help: ArgumentHelp("Verify files with this key alone.", valueName: "file"), completion: .file())
    var verifyOnlyKey: String?
    @Argument(help: "A database and a snapshot; with --verify-only-key the snapshots' .db files.")
    var arguments: [String] = []

    func validate() throws {
        if verifyOnlyKey != nil {
            guard !all, !drill, !arguments.isEmpty else {
                throw ValidationError("With --verify-only-key, name the .db files of snapshots and nothing else.")
            }
        } else if all ? !arguments.isEmpty : !(1...2).contains(arguments.count) {
            throw ValidationError("Name a database, and a snapshot if only one is meant; or say --all.")
        }
    }

    private struct Output: Encodable {
        var snapshots: [SnapshotReport] = []
        var drills: [RestoreReport] = []
        var failed: [Failure] = []
        /// Whether there is a database whose snapshots could not be listed.
        var isIncomplete = false

        struct Failure: Encodable {
            let name: String
            let code: String
        }
    }

    func run() async throws {
        let bar = ProgressBar(common)
        var output = Output()
        if let verifyOnlyKey {
            let key = try VerifyKey(FilePath(verifyOnlyKey))
            for path in arguments {
                await attempt(path, &output) {
                    $0.snapshots.append(try await key.verify(FilePath(path)) { bar.show($0, path) })
                }
            }
        } else {
            try await unlock.withStoreForSnapshots(common) { store in
                for (snapshot, name) in try await snapshots(in: store, &output) {
                    await attempt(name, &output) {
                        let report = try await store.verifySnapshot(snapshot) { bar.show($0, name) }
                        $0.snapshots.append(report)
                        guard drill, report.isHealthy else { return }
                        $0.drills.append(
                            try await store.drillSnapshot(snapshot) {
                                bar.show("drill: \($0.phase)", done: $0.pages, total: $0.totalPages, unit: "pages")
                            })
                    }
                }
            }
        }
        bar.finish()
        try Terminal.result(output, common) { show(output) }
        if output.snapshots.contains(where: { !$0.isHealthy })
            || output.drills.contains(where: { $0.integrityViolations ?? 0 > 0 }) || !output.failed.isEmpty
        {
            throw Finding(category: .findings)
        }
        if output.isIncomplete { throw Finding(category: .incomplete) }
    }

    private func snapshots(in store: Store, _ output: inout Output) async throws -> [(Snapshot, name: String)] {
        if arguments.count == 2 {
            let snapshot = try await store.snapshot(arguments[1], of: DatabaseArgument.scope(arguments[0], in: store))
            return [(snapshot, snapshot.name)]
        }
        let (lists, hasFailures) = try await store.forEachDatabase(arguments.first) {
            try await store.snapshots(of: $0)
        }
        output.failed += lists.flatMap(\.unusable).map { .init(name: $0.name, code: $0.code) }
        output.isIncomplete = hasFailures
        return lists.flatMap(\.snapshots).map { ($0, $0.name) }
    }

    private func attempt(
        _ name: String, _ output: inout Output, _ body: (inout Output) async throws -> Void
    ) async {
        do {
            try await body(&output)
        } catch {
            guard let error = error as? any ReportableError else {
                return output.failed.append(.init(name: name, code: "internal"))
            }
            Terminal.error(error)
            output.failed.append(.init(name: name, code: error.code))
        }
    }

    private func show(_ output: Output) {
        for report in output.snapshots {
            print("\(report.name): \(report.condition), \(report.pages) pages")
            for page in report.badPages.prefix(20) { print("  page \(page.number): \(page.kind)") }
            if report.badPageCount > 20 { print("  … and \(report.badPageCount - 20) more; --json lists them") }
        }
        for drill in output.drills {
            let integrity =
                drill.integrityViolations.map { $0 == 0 ? "sound" : "\($0) violations" } ?? "not checkable here"
            print(
                "\(drill.snapshot.name): a restore would take \(drill.milliseconds) ms; integrity \(integrity), "
                    + "\(drill.foreignKeyViolations) foreign key violation(s)")
        }
        for failure in output.failed { print("\(failure.name): \(failure.code)") }
        if output.snapshots.isEmpty, output.failed.isEmpty { print("There are no snapshots.") }
    }
}

extension ProgressBar {
    func show(_ progress: SnapshotProgress, _ name: String) {
        show("verifying \(name)", done: progress.pages, total: progress.totalPages, unit: "pages")
    }
}
