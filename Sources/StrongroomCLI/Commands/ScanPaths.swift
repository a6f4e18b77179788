import ArgumentParser
import DurableFiles
import ErrorReporting
import Foundation
import LeakageScan
import Strongroom

struct ScanPaths: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "paths",
        abstract: "Look for keys in every form, and for plaintext where ciphertext is expected.",
        usage: """
            strongroom scan --key-file KEY [--expect-ciphertext] PATH …
            strongroom scan --kit FILE PATH …
            strongroom scan --needle-file FILE [--process PID] [PATH …]
            command | strongroom scan --needle-file FILE -
            """,
        discussion: """
            What is looked for: every key of the store, where a way to unlock it is given; what --needle-file and --needle-passphrase-… say; \
            the keys of a --kit. Schedules of AES-256 keys are looked for in any case. PATH may be - for standard input. Symbolic links \
            are not followed; archives are opened. Findings say rule, place and length; nothing that was found is ever quoted. Exit codes: 0 \
            clean, and the self-test found all that it had planted; 1 findings; 3 not everything was looked at.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var needles: NeedleOptions
    @Option(help: ArgumentHelp("Look for the keys of a blind kit.", valueName: "file"), completion: .file()) var kit:
        String?
    @Option(help: ArgumentHelp("Look through the memory of a process of your own.", valueName: "pid")) var process:
        [Int32] = []
    @Flag(help: "Databases, WALs and journals, and files that are named, must be ciphertext.") var expectCiphertext =
        false
    @Flag(help: "Plant no throwaway keys first; the result is at best incomplete.") var noSelfTest = false
    @Option(help: ArgumentHelp("Leave out files that are longer, as incomplete.", valueName: "n")) var maximumFileBytes:
        Int?
    @Option(help: ArgumentHelp("Accepted findings.", valueName: "file"), completion: .file()) var baseline: String?
    @Option(help: ArgumentHelp("Write a SARIF 2.1.0 log to a new file.", valueName: "file"), completion: .file())
    var sarif: String?
    @Option(help: ArgumentHelp("Write a page for people to a new file.", valueName: "file"), completion: .file())
    var html: String?
    @Argument(help: "Files and directories; - is standard input.", completion: .file()) var paths: [String] = []

    func validate() throws {
        guard !paths.isEmpty || !process.isEmpty else {
            throw ValidationError("Name files or directories, - or --process.")
        }
        guard maximumFileBytes ?? 1 > 0 else { throw ValidationError("--maximum-file-bytes is 1 at least.") }
    }

    func run() throws {
        // Before an hour's work.
        for report in [sarif, html].compactMap({ $0 }) where try StrictFiles.exists(FilePath(report)) {
            throw DurableFilesError(.alreadyExists, FilePath(report))
        }
        var needles = try needles.needles()
        if unlock.isGiven {
            let found = try StoreNeedles.read(common, unlock)
            needles += found.needles
            for scope in found.unusable { Terminal.note("The keys of \(scope) cannot be read and are not looked for.") }
        }
        let kit = try kit.map { try BlindKit(FilePath($0)) }
        if needles.isEmpty, kit == nil, !expectCiphertext {
            Terminal.note("No secrets are given: only schedules of AES-256 keys are looked for.")
        }
        var options = ScanOptions()
        options.expectsCiphertext = expectCiphertext
        options.maximumFileBytes = maximumFileBytes
        let scan = try Scan(needles: needles, kit: kit, options: options)
        let bar = ProgressBar(common)
        let targets =
            paths.map { $0 == "-" ? ScanTarget.descriptor(0, name: "standard input") : .path(FilePath($0)) }
            + process.map { .process($0) }
        var result = try scan.run(targets, selfTest: !noSelfTest) { coverage in
            bar.show("\(coverage.files) file(s), \(Terminal.size(coverage.bytes))", done: 0, total: 0)
        }
        bar.finish()
        if let baseline {
            for entry in try Baseline(FilePath(baseline)).apply(to: &result) {
                Terminal.note(
                    "The baseline accepts nothing any more with \(entry.fingerprint) (until \(entry.expires)).")
            }
        }
        try write(result, scan, kit)
        switch result.outcome {
        case .clean: break
        case .findings: throw Finding(category: .findings)
        case .incomplete: throw Finding(category: .incomplete)
        }
    }

    /// Every report is looked through before it leaves memory.
    private func write(_ result: ScanResult, _ scan: Scan, _ kit: BlindKit?) throws {
        let report = ScanReport(result, kit: kit)
        let text = ScanSummary.text(result)
        let json = try Terminal.json(report)
        for output in [text, json] { try scan.requireClean(Array(output.utf8)) }
        if let sarif {
            let log = Array(try Terminal.json(SARIFLog(result, version: StrongroomCommand.configuration.version)).utf8)
            try scan.requireClean(log)
            try DurableFiles.createReport(FilePath(sarif), log)
        }
        if let html {
            let title = (paths + process.map { "process \($0)" }).joined(separator: ", ")
            let page = Array(
                HTMLReport(result, title: result.findings.contains { $0.rule == .secretInName } ? "scan" : title).text()
                    .utf8)
            try scan.requireClean(page)
            try DurableFiles.createReport(FilePath(html), page)
        }
        print(common.json ? json : text)
    }
}

extension DurableFiles {
    /// A new file for a report (0600).
    fileprivate static func createReport(_ path: FilePath, _ bytes: [UInt8]) throws {
        guard try !StrictFiles.exists(path) else { throw DurableFilesError(.alreadyExists, path) }
        try replace(path, with: bytes)
    }
}
