// The databases of these tests are made by programs that do not use our engine, and compared by them: zoo.py and hostile.py.

import Foundation
import SystemPackage
import TestSupport
import Testing

/// A line of what a generator prints.
struct Foreign: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let skip: [String]
    /// The error's code and the obstacle where it does not come in; empty where it does.
    let refused: [String]
    /// SQL that does harm where somebody runs it as it stands.
    let runs: String?

    var testDescription: String { name }
}

/// A program beside this file.
struct Generator: Sendable {
    let script: String

    static let zoo = Generator(script: "zoo.py")
    static let hostile = Generator(script: "hostile.py")

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    @discardableResult
    func callAsFunction(_ arguments: String...) throws -> String { try run(arguments) }

    func run(_ arguments: [String]) throws -> String {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: script).path
        let child = try ChildProcess(
            executable: "/usr/bin/python3", ["-I", path] + arguments, environment: [:], in: nil)
        let outcome = child.finish()
        guard outcome.status == 0 else { throw Failure(description: outcome.errorText) }
        return outcome.outputText
    }

    /// Makes everything it can make.
    func make(in directory: FilePath, _ more: String...) throws -> [Foreign] {
        try run(["make", directory.string] + more).split(separator: "\n").map {
            try JSONDecoder().decode(Foreign.self, from: Data($0.utf8))
        }
    }
}

/// One batch of databases for a whole run.
final class Menagerie: Sendable {
    let directory: TemporaryDirectory
    let databases: [Foreign]

    /// Where the hostile ones try to put something.
    let outside: FilePath

    static let zoo = Result { try Menagerie(.zoo) }
    static let hostile = Result { try Menagerie(.hostile) }

    private init(_ generator: Generator) throws {
        directory = try TemporaryDirectory()
        outside = directory.appending("outside")
        try FileManager.default.createDirectory(atPath: outside.string, withIntermediateDirectories: false)
        databases = try generator.make(in: directory.path, outside.string)
        // What is static never ends by itself.
        atexit {
            for menagerie in [Menagerie.zoo, Menagerie.hostile] {
                if let path = try? menagerie.get().directory.path.string {
                    try? FileManager.default.removeItem(atPath: path)
                }
            }
        }
    }

    func path(_ foreign: Foreign) -> FilePath { directory.appending(foreign.name + ".db") }
}
