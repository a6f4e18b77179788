import ErrorReporting
import Foundation
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// What the documents must have, compared with what there is.
@Suite struct DocumentationTests {
    // MARK: Error codes

    /// Documents of which no error of this kind can be made: nobody throws it.
    private static let impossible: Set<String> = [
        // Only unlockers have costs, and they stand in the keyring.
        "envelope_cost_out_of_range", "store_cost_out_of_range", "restore_cost_out_of_range",
        "certificate_cost_out_of_range", "backup_cost_out_of_range",
        // A missing store is `store_missing` of the store itself; a missing journal is no error; a backup is a keyring
        // and envelopes, and what is wrong with it is said of these.
        "restore_missing", "backup_missing", "backup_damaged", "backup_forged", "backup_malformed",
        "backup_version_unsupported", "backup_feature_unsupported", "backup_rolled_back",
        // The condition of a database of which nothing is wrong.
        "database_healthy",
    ]

    /// The literals that the `code` and `name` of the error types answer.
    private static func codes(under directory: String) throws -> Set<String> {
        let literal = try Regex(
            #""([a-z0-9_]*(?:\\\([a-z]+\.(?:rawValue|name)\))?[a-z0-9_]*)""#, as: (Substring, Substring).self)
        var codes: Set<String> = []
        for path in try Documents.files(under: directory, ending: ".swift") {
            let text = try Documents.text(path)
            guard text.contains(": ReportableError") else { continue }
            for body in text.components(separatedBy: "var code: String {").dropFirst() {
                // The end of the property, or of the file's one-line property.
                let end = body.range(of: "\n    }")?.lowerBound ?? body.endIndex
                let property = body.hasPrefix(" \"") ? body.prefix { $0 != "\n" } : body[..<end]
                for match in property.matches(of: literal) { codes.formUnion(expand(String(match.output.1))) }
            }
        }
        return codes.subtracting(impossible)
    }

    /// A code with a part that an enumeration of ours fills in, as often as it has cases.
    private static func expand(_ code: String) -> [String] {
        guard let start = code.range(of: #"\("#), let end = code.range(of: ")") else { return [code] }
        let values: [String] =
            switch String(code[start.upperBound..<end.lowerBound]) {
            case "file.rawValue": KeyringError.File.allCases.map(\.rawValue)
            case "condition.name": DatabaseCondition.examples.map(\.name)
            case "problem.name": ImportSourceProblem.allCases.map(\.name)
            default: []
            }
        #expect(!values.isEmpty, "\(code) is filled in by something that this test does not know")
        return values.map { String(code[..<start.lowerBound]) + $0 + String(code[end.upperBound...]) }
    }

    /// The codes that a document has an entry for: in the first column of its tables.
    private static func documented(in path: String) throws -> Set<String> {
        let rows = try Documents.text(path).split(separator: "\n")
            .filter { $0.hasPrefix("| `") }
        let code = try Regex("`([a-z0-9_]+)`", as: (Substring, Substring).self)
        return Set(rows.flatMap { $0.split(separator: "|")[0].matches(of: code).map { String($0.output.1) } })
    }

    @Test func everyErrorCodeHasAnEntryInTheRunbookAndNoneIsMadeUp() throws {
        // The reference application's are its own document's.
        let codes = try Self.codes(under: "Sources").subtracting(Self.codes(under: "Sources/Rehearsal"))
        let documented = try Self.documented(in: "docs/operations/runbook.md")
        // Each error type at least is seen.
        for known in [
            "unlock_failed", "envelope_rolled_back", "database_rolled_back", "import_source_damaged", "disk_full",
            "policy_unknown_key", "snapshot_none", "page_not_authentic", "libcrypto_refused", "no_terminal",
            "sql_error", "secret_memory_unavailable", "output_unwritable",
        ] {
            #expect(codes.contains(known), "the search does not see \(known)")
        }
        #expect(codes.subtracting(documented).sorted() == [])
        #expect(documented.subtracting(codes).subtracting(["internal"]).sorted() == [])
    }

    @Test func everyErrorCodeOfTheSidecarIsInItsDocument() throws {
        let faults = try Regex(#"-32_\d+, "([a-z_]+)""#, as: (Substring, Substring).self)
        let own = try Documents.text("Sources/RehearsalService/Fault.swift").matches(of: faults).map {
            String($0.output.1)
        }
        let codes = try Self.codes(under: "Sources/Rehearsal").union(own)
        #expect(
            codes.isSuperset(of: ["run_not_found", "parse_error", "preference_key_sensitive_forbidden", "internal"]))
        let documented = try Self.documented(in: "docs/formats/rehearsal.md").filter { code in
            // Fields of results stand in a table of their own.
            !["fit_the_time", "framework", "credits"].contains(code)
        }
        #expect(codes.subtracting(documented).sorted() == [])
        #expect(documented.subtracting(codes).sorted() == [])
    }

    /// Each category of an error is an exit code, and each is in the table.
    @Test func everyExitCodeIsDocumented() throws {
        let runbook = try Documents.text("docs/operations/runbook.md")
        for category in ErrorCategory.allCases {
            #expect(runbook.contains("| \(category.rawValue) | "), "\(category)")
        }
    }

    // MARK: Verbs and options

    private struct Command: Decodable {
        let commandName: String
        var subcommands: [Command]?
        var defaultSubcommand: String?
        var arguments: [Argument]?

        struct Argument: Decodable {
            var names: [Name]?
            struct Name: Decodable { let kind, name: String }
        }

        /// The words of each verb that does something.
        func verbs(_ path: [String] = []) -> [[String]] {
            let words = path + [commandName]
            let below = (subcommands ?? []).filter { $0.commandName != "help" }
            // The one that is meant where none is named goes by its parent's name.
            return below.isEmpty
                ? [words] : below.flatMap { $0.commandName == defaultSubcommand ? [words] : $0.verbs(words) }
        }

        func options() -> Set<String> {
            Set((arguments ?? []).flatMap { $0.names ?? [] }.filter { $0.kind == "long" }.map(\.name))
                .union((subcommands ?? []).flatMap { $0.options() })
        }
    }

    private static func program() throws -> Command {
        struct Dump: Decodable { let command: Command }
        let dump = try ChildProcess.run("strongroom", ["--experimental-dump-help"])
        return try JSONDecoder().decode(Dump.self, from: Data(dump.output)).command
    }

    @Test func everyVerbIsShownSomewhere() throws {
        let text = try ["README.md", "docs/operations/runbook.md"].map(Documents.text).joined()
        let verbs = try Self.program().verbs()
        #expect(verbs.count > 25)
        for verb in verbs {
            let isShown =
                text.contains(verb.joined(separator: " "))
                || text.contains("`\(verb.dropFirst().joined(separator: " "))")
            #expect(isShown, "\(verb.joined(separator: " "))")
        }
    }

    /// An option that a document writes is one that some verb takes.
    @Test func everyOptionThatADocumentNamesExists() throws {
        let options = try Self.program().options().union(["help", "version", "generate-completion-script"])
        let option = try Regex("(?:^|[ `])--([a-z][a-z-]+[a-z])", as: (Substring, Substring).self)
        for path in ["README.md", "docs/operations/runbook.md"] {
            for line in try Documents.text(path).split(separator: "\n") where line.contains("strongroom ") {
                for match in line.matches(of: option) {
                    #expect(
                        options.contains(String(match.output.1)) || line.contains("swift build"),
                        "\(path): --\(match.output.1)")
                }
            }
        }
    }

    // MARK: Policy keys

    /// The comments in the default policy are the reference: each key has one above it, or above the keys of which it is one.
    @Test func everyPolicyKeyIsExplained() throws {
        var isExplained = false
        var keys = 0
        for line in try Documents.text("KeyPolicies/default.yaml").split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.isEmpty {
                isExplained = false
            } else if text.hasPrefix("#") {
                isExplained = true
            } else if let colon = text.firstIndex(of: ":") {
                keys += 1
                let isGroup = text[text.index(after: colon)...].allSatisfy(\.isWhitespace)
                let isIdentity = ["format", "version", "name"].contains(text[..<colon])
                #expect(isExplained || isGroup || isIdentity, "\(text[..<colon])")
            }
        }
        #expect(keys >= 25)
    }

    // MARK: Links

    /// What a heading is called in a link.
    private static func anchor(_ heading: String) -> String {
        heading.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
            .replacing(" ", with: "-")
    }

    /// What is wrong with the links of a text that stands at `path`.
    private static func deadLinks(in text: String, at path: String) throws -> [String] {
        let link = try Regex(#"\]\(([^)\s]+)\)"#, as: (Substring, Substring).self)
        let directory = Documents.root.appending(path: path).deletingLastPathComponent()
        return Documents.prose(of: text).matches(of: link).map { String($0.output.1) }.filter { target in
            if target.hasPrefix("https://") { return false }
            let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let file = parts[0].isEmpty ? Documents.root.appending(path: path) : directory.appending(path: parts[0])
            guard FileManager.default.fileExists(atPath: file.path) else { return true }
            guard parts.count == 2 else { return false }
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            return !Documents.headings(of: text).map(anchor).contains(parts[1])
        }
    }

    @Test func everyLinkLeadsSomewhere() throws {
        for path in try Documents.all() {
            #expect(try Self.deadLinks(in: Documents.text(path), at: path) == [], "\(path)")
        }
        // The negative control.
        let dead = "[a](docs/nowhere.md) [b](README.md#no-such-heading) [c](docs/STATUS.md#status) [d](#what-it-does)"
        #expect(try Self.deadLinks(in: dead, at: "README.md") == ["docs/nowhere.md", "README.md#no-such-heading"])
    }
}

extension DatabaseCondition {
    /// One of each; the switch makes a new one a compile error here.
    fileprivate static let examples: [Self] = {
        let all: [Self] = [
            .healthy, .wrongKey(generation: 1), .keyOfAnotherDatabase, .unknownKey, .plaintext, .headerDamaged,
            .pagesDamaged(count: 1), .truncated, .walDamaged, .walMissing, .walUnexpected, .journalForeign, .missing,
            .shredded, .rolledBack, .metadataDamaged,
        ]
        for condition in all {
            switch condition {
            case .healthy, .wrongKey, .keyOfAnotherDatabase, .unknownKey, .plaintext, .headerDamaged, .pagesDamaged,
                .truncated, .walDamaged, .walMissing, .walUnexpected, .journalForeign, .missing, .shredded,
                .rolledBack, .metadataDamaged:
                continue
            }
        }
        return all
    }()
}
