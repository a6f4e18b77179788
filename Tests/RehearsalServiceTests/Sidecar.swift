import Foundation
import SystemPackage
import TestSupport
import Testing

/// The service as a shell starts it, on a store of its own.
struct Sidecar {
    let test: TestStore
    /// A profile is there, and is called Me.
    init() throws {
        test = try TestStore()
        let store = try test.open()
        try store.createProfile(named: "Me")
        try store.lock()
    }

    var arguments: [String] { ["--store", test.path.string, "--key-file", test.keyFile.string] }

    func start() throws -> ChildProcess { try ChildProcess("rehearsal", arguments) }

    static func request(_ method: String, _ parameters: String? = nil, id: String? = "1") -> String {
        var parts = ["\"jsonrpc\":\"2.0\"", "\"method\":\"\(method)\""]
        if let parameters { parts.append("\"params\":\(parameters)") }
        if let id { parts.append("\"id\":\(id)") }
        return "{" + parts.joined(separator: ",") + "}"
    }

    static let switching = request("profile_switch", #"{"profile":"Me"}"#, id: "\"switch\"")

    /// Sends this to a new process, closes its input, and answers all it says.
    func converse(_ input: String) throws -> ChildProcess.Outcome { try converse(Data(input.utf8)) }

    func converse(_ input: Data) throws -> ChildProcess.Outcome {
        let file = test.directory.appending("input")
        try TestFiles.write(Array(input), to: file)
        return try ChildProcess.shell(
            "exec \(ChildProcess.products)/rehearsal \(arguments.joined(separator: " ")) < \(file)")
    }

    /// The replies to lines after the profile was opened, without the one to that.
    func replies(to lines: [String]) throws -> [Reply] {
        let outcome = try converse(([Self.switching] + lines).joined(separator: "\n") + "\n")
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errorText)")
        return try Reply.all(outcome).filter { $0.id != "\"switch\"" }
    }
}

/// A reply, as far as tests look into it. Of a batch each is one.
struct Reply: Equatable {
    /// As it was written.
    let id: String
    let code: Int?
    let name: String?
    let text: String

    static func all(_ outcome: ChildProcess.Outcome) throws -> [Reply] {
        let lines = outcome.output.split(separator: UInt8(ascii: "\n"))
        return try lines.flatMap { line -> [Reply] in
            let value = try JSONSerialization.jsonObject(with: Data(line))
            let objects = try #require(value as? [[String: Any]] ?? (value as? [String: Any]).map { [$0] })
            return try objects.map { object in
                #expect(object["jsonrpc"] as? String == "2.0")
                #expect((object["result"] == nil) != (object["error"] == nil))
                let error = object["error"] as? [String: Any]
                let id = try JSONSerialization.data(withJSONObject: [#require(object["id"])])
                return Reply(
                    id: String(String(decoding: id, as: UTF8.self).dropFirst().dropLast()),
                    code: error?["code"] as? Int,
                    name: (error?["data"] as? [String: Any])?["code"] as? String,
                    text: String(decoding: line, as: UTF8.self))
            }
        }
    }
}
