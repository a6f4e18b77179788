// What is written of a scan for programs: one JSON object. The other reports say the same.

public import Foundation

/// A scan as its JSON report has it.
public struct ScanReport: Sendable, Encodable {
    /// `strongroom/scan-report`.
    public let format = "strongroom/scan-report"
    /// 1.
    public let version = 1
    /// When the scan was over.
    public let date: Date
    /// What it comes to.
    public let outcome: ScanResult.Outcome
    /// How many secrets were looked for.
    public let needles: Int
    /// What was found.
    public let findings: [Finding]
    /// What was found and is accepted by the baseline.
    public let accepted: [Finding]
    /// What was not looked at.
    public let gaps: [ScanGap]
    /// How many gaps there are; no more than a thousand are listed.
    public let gapCount: Int
    /// How much was looked at.
    public let coverage: ScanCoverage
    /// What the self-test found of what it planted.
    public let recall: RecallCertificate?
    /// What a blind kit tells of each of its keys.
    public let kit: [BlindKit.Key]?

    /// - Parameter kit: the kit that was used.
    public init(_ result: ScanResult, kit: BlindKit? = nil, at date: Date = Date()) {
        self.date = Date(timeIntervalSince1970: date.timeIntervalSince1970.rounded(.down))
        outcome = result.outcome
        needles = result.needles
        findings = result.findings
        accepted = result.accepted
        gaps = result.gaps
        gapCount = result.gapCount
        coverage = result.coverage
        recall = result.recall
        self.kit = kit?.keys
    }
}

extension Scan {
    /// Looks through a report for what it reports, in every form. Nothing that holds a secret is written.
    ///
    /// - Throws: `ScanError.reportWouldLeak`.
    public func requireClean(_ report: [UInt8]) throws {
        let scanner = ByteScanner(detectors.matchers, minimumBytes: detectors.minimumBytes)
        var isClean = true
        report.withUnsafeBytes { scanner.scan($0) { _ in isClean = false } }
        guard isClean else { throw ScanError(.reportWouldLeak) }
    }
}
