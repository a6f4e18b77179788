import Foundation
import SystemPackage
import TestSupport
import Testing

/// A store with one profile, `Work`, of three rows, made and used by the program alone.
struct CommandLineStore {
    let directory: TemporaryDirectory
    let path: FilePath
    /// The profile's id.
    let id: String

    var database: FilePath { path.appending("profiles").appending(id).appending("profile.db") }
    var backups: FilePath { path.appending("profiles").appending(id).appending("backups") }

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.appending("store")
        let key = directory.appending("key")
        for arguments in [
            ["init", "--new-key-file", key.string], ["profile", "create", "--key-file", key.string, "Work"],
            [
                "profile", "sql", "--write", "--key-file", key.string, "Work",
                "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)",
            ],
        ] {
            let outcome = try ChildProcess.run("strongroom", arguments, environment: ["STRONGROOM_STORE": path.string])
            #expect(outcome.status == 0, "\(outcome.errorText)")
        }
        id = try #require(try FileManager.default.contentsOfDirectory(atPath: path.appending("profiles").string).first)
    }

    /// Runs the program with a way to unlock.
    func run(_ arguments: String..., key: String? = nil) throws -> ChildProcess.Outcome {
        try bare(arguments + ["--key-file", key ?? directory.appending("key").string])
    }

    /// Runs the program without one.
    func bare(_ arguments: [String]) throws -> ChildProcess.Outcome {
        try ChildProcess.run("strongroom", arguments, environment: ["STRONGROOM_STORE": path.string])
    }

    func rows() throws -> String { try run("profile", "sql", "Work", "SELECT 'n=' || count(*) FROM t").outputText }
}

/// What `--json` printed.
func json(_ outcome: ChildProcess.Outcome) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [String: Any])
}
