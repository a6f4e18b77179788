// The attacker of these tests is forger.py, a program that is written from docs/formats and shares no code with the product. This is the
// way to talk to it.

import Foundation
import Synchronization
import SystemPackage
import TestSupport

/// A running forger. Its commands are the functions of forger.py below `# Commands`.
final class Forger: Sendable {
    /// One for all tests: it remembers nothing between two requests.
    static let shared = Result { try Forger() }

    private let process: Mutex<ChildProcess>

    init() throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "forger.py").path
        // Debian's own Python has the package `cryptography`, which setup installs; another one in the path may not.
        process = Mutex(
            try ChildProcess(executable: "/usr/bin/python3", ["-u", script], environment: [:], in: nil))
    }

    /// What the forger refused, or could not read.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// Asks for one forgery.
    ///
    /// - Parameters:
    ///   - command: its name, `open-keyring` for one.
    ///   - request: its parameters, which JSON can hold; paths as `FilePath`.
    @discardableResult
    func callAsFunction(_ command: String, _ request: [String: Any] = [:]) throws -> ForgerAnswer {
        var request = request.mapValues(Self.plain)
        request["do"] = command
        let line = String(decoding: try JSONSerialization.data(withJSONObject: request), as: UTF8.self)
        let reply = process.withLock { process in
            process.send(line)
            return process.line()
        }
        let answer = try JSONSerialization.jsonObject(with: Data(reply.utf8)) as? [String: Any] ?? [:]
        guard answer["ok"] as? Bool == true else {
            throw Refusal(description: "\(command): \(answer["error"] ?? "no answer")")
        }
        return ForgerAnswer(json: answer)
    }

    private static func plain(_ value: Any) -> Any {
        switch value {
        case let path as FilePath: path.string
        case let list as [Any]: list.map(plain)
        case let object as [String: Any]: object.mapValues(plain)
        default: value
        }
    }

    /// One change of a document: `edit(["keys", 0, "state"], "active")`; without a value what is there goes.
    static func edit(_ path: [Any], _ value: Any? = nil) -> [String: Any] {
        value.map { ["path": path, "value": $0] } ?? ["path": path]
    }
}

/// What the forger answered.
struct ForgerAnswer {
    let json: [String: Any]

    /// What stands at a place, where it is of that type.
    func value<Value>(_ path: String..., as type: Value.Type = Value.self) throws -> Value {
        var place: Any? = json
        for step in path {
            if let object = place as? [String: Any] {
                place = object[step]
            } else if let list = place as? [Any], let index = Int(step), list.indices.contains(index) {
                place = list[index]
            } else {
                place = nil
            }
        }
        guard let value = place as? Value else {
            throw Forger.Refusal(description: "the answer has no \(path.joined(separator: "."))")
        }
        return value
    }
}
