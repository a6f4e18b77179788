// What the threads of a scan find, in one place.

import DurableFiles
import Synchronization

final class Collector: Sendable {
    private struct State {
        var findings: [Finding] = []
        var filesWithFindings: Set<String> = []
        var gaps: [ScanGap] = []
        var gapCount = 0
        var coverage = ScanCoverage()
        var entropy: [EntropyMap] = []
        var isFull = false
    }

    let detectors: Detectors
    private let state = Mutex(State())
    private let progress: (@Sendable (ScanCoverage) -> Void)?

    init(_ detectors: Detectors, progress: (@Sendable (ScanCoverage) -> Void)?) {
        self.detectors = detectors
        self.progress = progress
    }

    /// Something that was found.
    func add(
        _ rule: ScanRule, needle: Int? = nil, form: [String] = [], secretBytes: Int? = nil, isWhole: Bool? = nil,
        isMasked: Bool? = nil, _ artifact: Artifact, offset: Int, length: Int
    ) throws {
        let finding = Finding(
            rule: rule, needle: needle.map { detectors.names[$0] }, form: form, secretBytes: secretBytes,
            isWhole: isWhole,
            isMasked: isMasked,
            place: ScanPlace(file: artifact.file, entries: artifact.entries, offset: offset, length: length),
            fingerprint: try detectors.fingerprint(rule, needle: needle, artifact.file, artifact.entries, offset))
        state.withLock { state in
            if state.findings.count < ScanOptions.maximumFindings {
                state.findings.append(finding)
                state.filesWithFindings.insert(artifact.file)
            } else if !state.isFull {
                state.isFull = true
                Self.add(ScanGap(place: artifact.file, reason: .tooManyFindings), to: &state)
            }
        }
    }

    /// Whether anything was found in a file.
    func hasFindings(in artifact: Artifact) -> Bool {
        state.withLock { $0.isFull || $0.filesWithFindings.contains(artifact.file) }
    }

    /// Something that could not be looked at.
    func add(_ reason: ScanGapReason, _ artifact: Artifact) {
        state.withLock { Self.add(ScanGap(place: artifact.name, reason: reason), to: &$0) }
    }

    func add(_ map: EntropyMap) { state.withLock { $0.entropy.append(map) } }

    func count(_ change: (inout ScanCoverage) -> Void) {
        let coverage = state.withLock { state in
            change(&state.coverage)
            return state.coverage
        }
        progress?(coverage)
    }

    private static func add(_ gap: ScanGap, to state: inout State) {
        state.gapCount += 1
        if state.gaps.count < ScanOptions.maximumGaps { state.gaps.append(gap) }
    }

    /// Everything, in the order of places.
    func result() -> ScanResult {
        state.withLock { state in
            ScanResult(
                findings: state.findings.sorted { left, right in
                    (left.place.file, left.place.entries.joined(separator: "!"), left.place.offset, left.rule.rawValue)
                        < (
                            right.place.file, right.place.entries.joined(separator: "!"), right.place.offset,
                            right.rule.rawValue
                        )
                },
                gaps: state.gaps.sorted { ($0.place, $0.reason.rawValue) < ($1.place, $1.reason.rawValue) },
                gapCount: state.gapCount, coverage: state.coverage, entropy: state.entropy.sorted { $0.file < $1.file },
                needles: detectors.names.count)
        }
    }
}

/// A file, an entry of an archive, or an address space.
struct Artifact: Sendable {
    let file: String
    var entries: [String] = []

    var name: String { ([file] + entries).joined(separator: "!") }

    func entry(_ name: String) -> Artifact { Artifact(file: file, entries: entries + [name]) }
}

/// Takes what stands in a name out of it where it holds a secret.
struct NameCheck {
    private let scanner: ByteScanner
    private let collector: Collector

    init(_ scanner: ByteScanner, _ collector: Collector) {
        self.scanner = scanner
        self.collector = collector
    }

    /// The name as it may be shown. One that holds a secret is a finding, and is withheld from reports.
    func shown(_ name: FileName, in parent: String) throws -> String {
        guard name.bytes.count >= collector.detectors.minimumBytes else { return name.shown }
        var found: (needle: Int, length: Int)?
        name.bytes.withUnsafeBytes {
            scanner.scan($0) { hit in found = (hit.match.needle, hit.match.range.count) }
        }
        guard let found else { return name.shown }
        let withheld = "(name withheld)"
        let place = parent.isEmpty ? withheld : parent + "/" + withheld
        try collector.add(
            .secretInName, needle: found.needle, secretBytes: found.length, Artifact(file: place), offset: 0,
            length: name.bytes.count)
        return withheld
    }
}
