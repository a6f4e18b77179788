// A store's whole life through the command line, with every byte that any of its processes ever writes, or is started with, recorded: files
// that are removed again and temporary ones among them.

import Foundation
import GRDB
import Keyring
import LeakageScan
import Strongroom
import SystemPackage
import TestSupport
import Testing

@Suite struct LifeCycleTests {
    private static let hasTracer = FileManager.default.isExecutableFile(atPath: "/usr/bin/strace")

    private struct Traced {
        let outcome: ChildProcess.Outcome
        let log: FilePath
    }

    private let directory: TemporaryDirectory
    private var store: FilePath { directory.appending("store") }
    private var key: FilePath { directory.appending("key") }

    init() throws { directory = try TemporaryDirectory() }

    /// Runs commands under strace: what is written (in full, and escaped), and what each program is started with.
    private func traced(_ name: String, _ script: String) throws -> Traced {
        let log = directory.appending("trace-\(name)")
        let commands = """
            set -euo pipefail
            cd '\(directory.path)'
            strongroom() { '\(ChildProcess.products.appending("strongroom"))' "$@"; }
            \(script)
            """
        let outcome = try ChildProcess(
            executable: "/usr/bin/strace",
            [
                "-f", "-qq", "-xx", "-v", "-s", "100000000", "-e", "signal=none", "-e",
                "trace=execve,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,copy_file_range,sendfile,splice",
                "-o", log.string, "/bin/bash", "-c", commands,
            ],
            environment: ["STRONGROOM_STORE": store.string], in: nil
        ).finish()
        #expect(outcome.status == 0, "\(name): \(outcome.outputText)\n\(outcome.errorText)")
        return Traced(outcome: outcome, log: log)
    }

    /// The trace without what went to standard output, where names of profiles belong.
    private func files(_ trace: Traced) throws -> FilePath {
        let text = String(decoding: try TestFiles.read(trace.log), as: UTF8.self)
        let lines = text.split(separator: "\n").filter { !$0.contains(" write(1, ") && !$0.contains("execve(") }
        let path = FilePath(trace.log.string + ".files")
        try TestFiles.write(Array(lines.joined(separator: "\n").utf8), to: path)
        return path
    }

    private func prepare() throws -> LeakSearch {
        try DatabaseQueue(path: directory.appending("source.db").string).write { db in
            try db.execute(sql: "CREATE TABLE t (i INTEGER PRIMARY KEY, a)")
            for _ in 0..<400 { try db.execute(sql: "INSERT INTO t (a) VALUES (?)", arguments: [Canary.row]) }
        }
        try TestFiles.write(Array(Canary.passphrase.utf8), to: directory.appending("passphrase"))
        try TestFiles.write(Array(Canary.newPassphrase.utf8), to: directory.appending("new-passphrase"))
        // Made here, so that no traced process writes it.
        let secret = try UnlockSecret.makeKeyFile(key)
        try Store.create(at: store, unlockers: [(secret, "key")]).lock()
        var search = LeakSearch()
        try search.add(text: Canary.row, as: "row")
        try search.add(text: Canary.passphrase, as: "passphrase")
        try search.add(text: Canary.newPassphrase, as: "new passphrase")
        try search.add(key: TestFiles.read(key), as: "key file")
        return search
    }

    @Test(.enabled(if: hasTracer, "strace is not there; make setup installs it"))
    func nothingIsEverWritten() throws {
        var search = try prepare()
        let name = "--key-file key '\(Canary.name)'"
        let first = try traced(
            "first",
            """
            strongroom unlocker add --key-file key --new-passphrase-fd 3 3< passphrase
            strongroom profile import --key-file key '\(Canary.name)' source.db
            strongroom profile create --passphrase-fd 3 Home 3< passphrase
            strongroom profile sql --write --key-file key Home "CREATE TABLE w AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n"
            strongroom profile sql \(name) "SELECT count(*), max(i) FROM (SELECT * FROM t ORDER BY a, i DESC)"
            strongroom profile list --key-file key --json
            strongroom unlocker list --key-file key --json
            strongroom key status --key-file key --json
            strongroom snapshot create --key-file key --all --reason leak-test
            strongroom snapshot verify --key-file key --all --drill
            strongroom diagnose \(name.replacing("key '", with: "key --profile '")) --json
            strongroom verify --key-file key --all --json
            """)
        let fileSecret = try UnlockSecret.keyFile(key)
        try search.addKeys(of: store, unlockedWith: fileSecret, era: "first")
        let id = try #require(try profileID(Canary.name, fileSecret))
        try TestFiles.edit(store.appending("profiles").appending(id).appending("profile.db")) {
            $0[$0.count - 2_000] ^= 1
        }
        let second = try traced(
            "second",
            """
            strongroom repair \(name) --json
            strongroom snapshot restore --key-file key '\(Canary.name)' latest --json
            strongroom snapshot restore --key-file key '\(Canary.name)' latest --as Copy
            strongroom key rotate --key-file key --root --json
            strongroom key rotate --key-file key --data --all --json
            strongroom key backup --key-file key backup
            strongroom key rehearse --key-file key --backup backup --json
            strongroom key retire --key-file key --json || test $? -eq 1
            strongroom unlocker change "$(strongroom unlocker list --key-file key | awk '$2 == "passphrase" { print $1 }')" --key-file key --new-passphrase-fd 3 3< new-passphrase
            strongroom snapshot prune --key-file key --all --keep-last 1
            strongroom scan --key-file key --expect-ciphertext --json --html scan.html --sarif scan.sarif store backup
            strongroom policy check --key-file key --json || test $? -eq 15
            """)
        try search.addKeys(of: store, unlockedWith: fileSecret, era: "second")
        let third = try traced(
            "third",
            """
            strongroom profile shred --key-file key Copy --confirm Copy --json
            strongroom profile list --passphrase-command 'echo not it, but long enough' || test $? -eq 12
            strongroom profile sql \(name) "SELECT nothing FROM nowhere" || test $? -eq 2
            strongroom profile list --key-file source.db || test $? -ne 0
            """)
        #expect(search.needles.count > 40)

        // What was written, to files and streams, and what programs were started with.
        for trace in [first, second, third] {
            #expect(try search.found(in: [.path(trace.log)]) == [])
            // What is copied within the kernel does not show in a trace; nothing of ours is.
            let text = String(decoding: try TestFiles.read(trace.log), as: UTF8.self)
            #expect(!["copy_file_range(", "sendfile(", "splice("].contains { text.contains(" " + $0) })
            var named = LeakSearch()
            try named.add(text: Canary.name, as: "name")
            #expect(try named.found(in: [.path(files(trace))]) == [])
            #expect(try search.found(in: trace.outcome.outputText + trace.outcome.errorText) == [])
        }
        // What is there now: the store with its keyring, the backup, the reports.
        try search.add(text: Canary.name, as: "name")
        let there = ["store", "backup", "scan.html", "scan.sarif"].map { ScanTarget.path(directory.appending($0)) }
        #expect(try search.found(in: there) == [])
        // The negative controls: each of these is seen where it is meant to be.
        #expect(try search.found(in: [.path(key)]).count == 1)
        #expect(try search.found(in: [.path(directory.appending("source.db"))]).contains { $0.hasPrefix("row as raw") })
    }

    private func profileID(_ name: String, _ secret: UnlockSecret) throws -> String? {
        let open = try Store.open(at: store, with: secret)
        defer { try? open.lock() }
        return try open.profile(name).id.description
    }

    /// The negative control: a key that is written to a file that is gone at once, to standard error, and to an argument.
    @Test(
        .enabled(if: hasTracer, "strace is not there; make setup installs it"),
        arguments: [
            "head -c 32 key > gone; rm gone", "base64 key >&2", "/bin/true \"$(od -A n -v -t x1 key | tr -d ' \\n')\"",
        ])
    func whatIsWrittenForAMomentIsSeen(leak: String) throws {
        let search = try prepare()
        let trace = try traced("leak", leak)
        let found = try search.found(in: [.path(trace.log)])
        #expect(!found.isEmpty && found.allSatisfy { $0.hasPrefix("key file as ") }, "\(found)")
    }
}
