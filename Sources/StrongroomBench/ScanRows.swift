// The scanner, which knows 47 forms, against tools that look for the few that can be written down as fixed strings.

import CryptoPrimitives
import Foundation
import LeakageScan
import Secrets
import Strongroom

/// Eight keys, and what each tool is told of them.
private struct ScanNeedles {
    let needles: [Needle]
    let patterns: URL
    let rules: URL

    /// Hex in both cases and base64 at three alignments: forty strings.
    init(in directory: URL) throws {
        var needles: [Needle] = []
        var strings: [String] = []
        for number in 1...8 {
            let key = try Random.bytes(count: 32)
            needles.append(try Needle("key \(number)", .key, SecretBytes(count: 32) { $0.copyBytes(from: key) }))
            let hex = Hex.encode(key)
            strings += [hex, hex.uppercased()]
            for shift in 0..<3 {
                let text = Data([UInt8](repeating: 0, count: shift) + key).base64EncodedString()
                strings.append(String(text.dropFirst(shift == 0 ? 0 : 4).dropLast(4)))
            }
        }
        self.needles = needles
        patterns = directory.appending(path: "patterns")
        try strings.joined(separator: "\n").write(to: patterns, atomically: false, encoding: .utf8)
        rules = directory.appending(path: "rules.yar")
        let lines = strings.enumerated().map { "    $s\($0.offset) = \"\($0.element)\"" }.joined(separator: "\n")
        try "rule keys {\n  strings:\n\(lines)\n  condition:\n    any of them\n}\n"
            .write(to: rules, atomically: false, encoding: .utf8)
    }
}

enum ScanRows {
    private static func path(of program: String) -> URL? {
        ["/usr/bin/", "/usr/local/bin/"].map { URL(fileURLWithPath: $0 + program) }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }

    /// On the file of an encrypted database, and on a tree of the system's own files.
    static func measure(_ profile: BenchProfile, rounds: Int) async throws -> [Comparison] {
        let directory = try BenchDirectory.make()
        defer { try? FileManager.default.removeItem(at: directory) }
        let needles = try ScanNeedles(in: directory)
        let tree = FilePath("/usr/lib/x86_64-linux-gnu")
        var rows: [Comparison] = []
        for (name, target, megabytes) in [
            ("an encrypted database", profile.file, profile.megabytes),
            ("a tree of programs and libraries", tree, try size(of: tree)),
        ] {
            let scan = try Scan(needles: needles.needles)
            let ours = { @Sendable () throws -> Void in
                let result = try scan.run([.path(target)], selfTest: false)
                guard result.findings.isEmpty else { throw BenchFailure(what: "a scan that found something") }
            }
            for (tool, arguments) in [
                (
                    "rg",
                    [
                        "--text", "--no-ignore", "--hidden", "--count", "--fixed-strings", "--file",
                        needles.patterns.path, target.string,
                    ]
                ),
                ("yara", ["--recursive", needles.rules.path, target.string]),
            ] {
                guard let program = path(of: tool) else {
                    print("\(tool) is not there (apt-get install ripgrep yara); its rows are left out")
                    continue
                }
                rows.append(
                    try await Comparison.measure(
                        "scan \(name) for 8 keys in every form", theirName: "\(tool), 40 fixed strings", rounds: rounds,
                        megabytes: megabytes, ours: ours,
                        theirs: {
                            let process = Process()
                            process.executableURL = program
                            process.arguments = arguments
                            process.standardOutput = FileHandle.nullDevice
                            process.standardError = FileHandle.nullDevice
                            try process.run()
                            process.waitUntilExit()
                        }))
            }
        }
        return rows
    }

    /// In megabytes; links are not followed.
    private static func size(of tree: FilePath) throws -> Double {
        let keys: Set<URLResourceKey> = [.isRegularFileKey, .fileSizeKey]
        let files = FileManager.default.enumerator(
            at: URL(fileURLWithPath: tree.string), includingPropertiesForKeys: Array(keys))
        var bytes = 0
        while let file = files?.nextObject() as? URL {
            let values = try file.resourceValues(forKeys: keys)
            if values.isRegularFile == true { bytes += values.fileSize ?? 0 }
        }
        return Double(bytes) / 1_000_000
    }
}
