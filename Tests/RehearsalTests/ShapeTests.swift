import Foundation
import Testing

/// Each domain has the same shape, so that somebody new finds the place for a change: records in Types, SQL in Queries and nowhere else,
/// GRDB in the repository and nowhere else, judgement in the file that has the domain's name.
@Suite struct ShapeTests {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    private static func sources(_ module: String) throws -> [(name: String, text: String)] {
        let found = FileManager.default.enumerator(atPath: directory.appending(path: module).path)?
            .compactMap { $0 as? String }
        let names = (found ?? []).filter { $0.hasSuffix(".swift") }.sorted()
        return try names.map {
            ($0, try String(contentsOf: directory.appending(path: "\(module)/\($0)"), encoding: .utf8))
        }
    }

    /// Whether some string of a source is SQL.
    private static func hasSQL(_ text: String) throws -> Bool {
        let sql = try Regex(
            #"\b(SELECT\b.*\bFROM|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|(CREATE|DROP|ALTER) (TEMP )?(UNIQUE )?(TABLE|INDEX|VIEW|TRIGGER)|PRAGMA \w+|SELECT count)\b"#
        ).ignoresCase().dotMatchesNewlines()
        // Within literals only: comments may talk about it.
        let code = text.split(separator: "\n").filter { !$0.trimmingCharacters(in: .whitespaces).hasPrefix("//") }
            .joined(separator: "\n")
        return code.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .contains { !$0.offset.isMultiple(of: 2) && $0.element.contains(sql) }
    }

    @Test(arguments: ["Run", "Preferences", "Coach"])
    func aDomainHasItsFourFiles(domain: String) throws {
        let names = try Self.sources("Rehearsal/\(domain)").map(\.name)
        #expect(
            names == ["\(domain).swift", "\(domain)Queries.swift", "\(domain)Repository.swift", "\(domain)Types.swift"])
    }

    @Test func sqlIsInQueriesOnly() throws {
        for module in ["Rehearsal", "RehearsalService"] {
            for source in try Self.sources(module) {
                #expect(try Self.hasSQL(source.text) == source.name.hasSuffix("Queries.swift"), "\(source.name)")
            }
        }
        // The negative control.
        #expect(try Self.hasSQL("try db.execute(sql: \"delete from run\")"))
        #expect(try Self.hasSQL("let sql = \"\"\"\n    SELECT *\n    FROM run\n    \"\"\""))
        #expect(try !Self.hasSQL("// SELECT a FROM b\nlet text = \"choose a run from the list\".count"))
    }

    /// A file of queries declares texts, and does nothing.
    @Test func queriesAreTextsOnly() throws {
        for source in try Self.sources("Rehearsal") where source.name.hasSuffix("Queries.swift") {
            let code = source.text.components(separatedBy: "\"\"\"").enumerated()
                .filter { $0.offset.isMultiple(of: 2) }.map(\.element).joined()
            for line in code.split(separator: "\n").map({ $0.trimmingCharacters(in: .whitespaces) }) {
                let isDeclaration = line.hasPrefix("static let ") && line.hasSuffix("=")
                #expect(
                    isDeclaration || line.isEmpty || line.hasPrefix("//") || line == "}" || line.hasPrefix("enum "),
                    "\(source.name): \(line)")
            }
        }
    }

    @Test func grdbIsInRepositoriesOnly() throws {
        for source in try Self.sources("Rehearsal") {
            let isRepository = source.name.hasSuffix("Repository.swift")
            #expect(source.text.contains("import GRDB") == isRepository, "\(source.name)")
        }
        for source in try Self.sources("RehearsalService") {
            #expect(!source.text.contains("import GRDB"), "\(source.name)")
        }
    }

    /// It is an app like any other: of our rooms it sees what a package outside would.
    @Test func onlyThePublicAPIIsUsed() throws {
        let allowed: Set<String> = ["Foundation", "GRDB", "Logging", "Strongroom"]
        for source in try Self.sources("Rehearsal") {
            let imports = source.text.split(separator: "\n").filter {
                $0.contains("import ") && !$0.hasPrefix("//") && !$0.hasPrefix(" ")
            }
            for line in imports {
                let module = String(line.split(separator: " ").last ?? "")
                #expect(allowed.contains(module), "\(source.name): \(line)")
                #expect(!line.contains("@testable"), "\(source.name)")
            }
        }
    }

    // MARK: The sidecar's commands

    /// What a command would be more than a wrapper with.
    private static func logic(in text: String) throws -> [String] {
        let word = try Regex(
            #"\b(if|guard|switch|for|while|repeat|let|var|return|throw|do|catch|defer|func)\b| \? | && | \|\| "#
        )
        return text.components(separatedBy: "extension Command {").dropFirst()
            .flatMap { $0.split(separator: "\n") }
            .filter { !$0.contains("static let ") && $0.contains(word) }
            .map { String($0) }
    }

    /// A command is the name of a method and one call of the app's.
    @Test func commandsAreWrappersOnly() throws {
        let sources = try Self.sources("RehearsalService/Commands")
        #expect(sources.count >= 5)
        for source in sources {
            #expect(try Self.logic(in: source.text) == [], "\(source.name)")
            // Parameters are declared, and nothing is done with them but being decoded.
            let body = source.text.components(separatedBy: "extension Command {")
            #expect(body.count == 2, "\(source.name)")
            let calls = body[1].components(separatedBy: "Command(\"").count - 1
            #expect(calls >= 1)
            #expect(
                body[1].components(separatedBy: "try await app.").count - 1 == calls, "\(source.name): one call each")
        }
        // The negative control.
        let bad = [
            "if given.limit > 5 { throw Fault.invalidParams }", "let runs = try await app.runs()",
            "given.a > 1 ? 1 : 2",
            "for run in runs { print(run) }", "given.isNew && given.isOld",
        ]
        for line in bad { #expect(try Self.logic(in: "extension Command {\n    \(line)\n}").count == 1, "\(line)") }
    }
}
