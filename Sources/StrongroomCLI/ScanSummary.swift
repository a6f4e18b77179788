// A scan's result as a person reads it on a terminal.

import Foundation
import LeakageScan

enum ScanSummary {
    /// How many findings and gaps are listed.
    private static let limit = 50

    static func text(_ result: ScanResult) -> String {
        var lines: [String] = []
        for finding in result.findings.prefix(limit) {
            lines.append("\(finding.rule.rawValue): \(ScanText.short(finding))")
            lines.append("    \(finding.place.text), \(finding.place.length) bytes  [\(finding.fingerprint)]")
        }
        if result.findings.count > limit {
            lines.append("… and \(result.findings.count - limit) more; --json has all.")
        }
        if !result.accepted.isEmpty {
            lines.append("\(result.accepted.count) finding(s) are accepted by the baseline.")
        }
        for gap in result.gaps.prefix(limit) {
            lines.append("not looked at: \(gap.place) \(ScanText.advice(gap.reason))")
        }
        if result.gapCount > limit { lines.append("… and \(result.gapCount - limit) more not looked at.") }
        let coverage = result.coverage
        var parts = ["\(coverage.files) file(s)"]
        if coverage.archives > 0 {
            parts.append("\(coverage.archives) archive(s) with \(coverage.archiveEntries) entries")
        }
        if coverage.memoryRegions > 0 { parts.append("\(coverage.memoryRegions) regions of memory") }
        if coverage.ciphertextFiles > 0 {
            parts.append(
                "\(coverage.ciphertextPages) pages of \(coverage.ciphertextFiles) file(s) held to being ciphertext")
        }
        lines.append(
            "\(Terminal.size(coverage.bytes)) in \(parts.joined(separator: ", ")); \(result.needles) secret(s) looked for."
        )
        if let recall = result.recall {
            lines.append(
                "Self-test: \(recall.found) of \(recall.planted) throwaway keys found, in \(recall.rows.count) forms and \(recall.artifacts.count) kinds of artifact."
            )
        } else {
            lines.append("No self-test: without it nothing is proven.")
        }
        switch result.outcome {
        case .clean: lines.append("Clean.")
        case .findings: lines.append("\(result.findings.count) finding(s).")
        case .incomplete: lines.append("Incomplete: nothing was found, and this is no all-clear.")
        }
        return lines.joined(separator: "\n")
    }
}
