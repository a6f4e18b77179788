import Foundation
import Testing

/// The package's own files, read as text.
enum Documents {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The paths of every file under a directory with this ending.
    static func files(under directory: String, ending suffix: String) throws -> [String] {
        let found = FileManager.default.enumerator(atPath: root.appending(path: directory).path)?.compactMap {
            $0 as? String
        }
        let files = (found ?? []).filter { $0.hasSuffix(suffix) && !$0.contains(".build") }.map { "\(directory)/\($0)" }
        return try #require(files.isEmpty ? nil : files.sorted())
    }

    /// Every document.
    static func all() throws -> [String] {
        try files(under: "docs", ending: ".md") + ["README.md", "CHANGELOG.md", "KeyPolicies/README.md"]
    }

    /// The headings of a document, without their marks, outside of fenced blocks.
    static func headings(of text: String) -> [String] {
        prose(of: text).split(separator: "\n").filter { $0.hasPrefix("#") }
            .map { $0.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces) }
    }

    /// The text without fenced blocks.
    static func prose(of text: String) -> String {
        text.components(separatedBy: "\n```").enumerated().filter { $0.offset % 2 == 0 }.map(\.element).joined(
            separator: "\n")
    }

    /// The `sh` blocks of a document by the heading that they stand under.
    static func scripts(in text: String) -> [(heading: String, script: String)] {
        var heading = ""
        var script: String?
        var found: [(String, String)] = []
        for line in text.components(separatedBy: "\n") {
            switch (script, line) {
            case (nil, "```sh"): script = ""
            case (nil, _):
                if line.hasPrefix("#") { heading = line.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces) }
            case (let lines?, "```"):
                found.append((heading, lines))
                script = nil
            case (let lines?, _): script = lines + line + "\n"
            }
        }
        return found
    }
}
