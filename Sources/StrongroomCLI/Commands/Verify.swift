import ArgumentParser
import ErrorReporting
import Strongroom

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Authenticate every page of a database and its WAL; damage ends with 1.",
        discussion: "Nothing is opened and nothing is written; a profile that is open elsewhere ends with 11.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "The global database and every profile.") var all = false
    @Argument(help: "A profile's id or name.") var profile: String?

    func validate() throws {
        guard all != (profile != nil) else { throw ValidationError("Name a profile, or say --all.") }
    }

    private struct Output: Encodable {
        let databases: [VerificationReport]
        let failed: [FailedDatabase]
    }

    func run() throws {
        let bar = ProgressBar(common)
        var errors: [(scope: String, error: any ReportableError)] = []
        var reports: [VerificationReport] = []
        try unlock.withStore(common) { store in
            func verify(
                _ scope: String,
                _ body: (@escaping @Sendable (VerificationProgress) -> Void) throws -> VerificationReport
            ) throws {
                do {
                    reports.append(
                        try body { bar.show("verifying \(scope)", done: $0.pages, total: $0.totalPages, unit: "pages") }
                    )
                } catch let error as any ReportableError {
                    guard all else { throw error }
                    errors.append((scope, error))
                }
            }
            if let profile {
                let info = try store.profile(profile)
                try verify(info.id.description) { try store.verify(info, progress: $0) }
            } else {
                try verify("global") { try store.verifyGlobal(progress: $0) }
                for info in try store.profiles() {
                    try verify(info.id.description) { try store.verify(info, progress: $0) }
                }
            }
        }
        bar.finish()
        let output = Output(databases: reports, failed: errors.map { .init(scope: $0.scope, code: $0.error.code) })
        try Terminal.result(output, common) { for report in reports { show(report) } }
        for failure in errors { Terminal.error(failure.error) }
        if reports.contains(where: { !$0.isHealthy }) { throw Finding(category: .findings) }
        if !errors.isEmpty { throw Finding(category: .incomplete) }
    }

    private func show(_ report: VerificationReport) {
        print("\(report.scope): \(report.condition.name), \(report.pages) pages of \(report.pageSize) bytes")
        if let wal = report.wal {
            let damage = wal.damage.map { ", \($0) at frame \(wal.damagedFrame ?? 0)" } ?? ""
            print("  WAL: \(wal.committedFrames) frames up to the last commit\(damage)")
        }
        guard report.badPageCount > 0 else { return }
        print("  \(report.badPageCount) bad page(s):")
        for page in report.badPages.prefix(20) { print("  page \(page.number): \(page.kind)") }
        if report.badPageCount > 20 { print("  … and \(report.badPageCount - 20) more; --json lists them") }
    }
}
