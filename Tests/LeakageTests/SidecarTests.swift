// The sidecar: what it writes besides its replies, what its replies say, and what is left in its memory.

import Foundation
import Keyring
import LeakageScan
import Strongroom
import SystemPackage
import TestSupport
import Testing

@Suite struct SidecarTests {
    private static let hasTracer = FileManager.default.isExecutableFile(atPath: "/usr/bin/strace")

    private let directory: TemporaryDirectory
    private var store: FilePath { directory.appending("store") }
    private var passphrase: FilePath { directory.appending("passphrase") }

    init() throws {
        directory = try TemporaryDirectory()
        try TestFiles.write(Array(Canary.passphrase.utf8), to: passphrase)
        let secret = try UnlockSecret.passphrase(.init(testing: Array(Canary.passphrase.utf8)))
        try Store.create(at: store, unlockers: [(secret, "passphrase")]).lock()
    }

    private static func request(_ method: String, _ parameters: String = "{}", id: Int? = 1) -> String {
        let number = id.map { ",\"id\":\($0)" } ?? ""
        return "{\"jsonrpc\":\"2.0\",\"method\":\"\(method)\",\"params\":\(parameters)\(number)}"
    }

    /// What may show content in its reply: it was asked for.
    private static let shown = [
        request("profile_create", "{\"name\":\"\(Canary.name)\"}"), request("profile_create", "{\"name\":\"Other\"}"),
        request("profile_switch", "{\"profile\":\"\(Canary.name)\"}"),
        request("project_create", "{\"title\":\"\(Canary.row)\"}"),
        request("run_create", "{\"projectId\":1,\"title\":\"\(Canary.row)\"}"),
        request("run_attach_transcript", "{\"runId\":1,\"text\":\"\(Canary.row)\"}"),
        request(
            "run_attach_audio",
            "{\"runId\":1,\"mediaType\":\"audio/ogg\",\"content\":\"\(Data(Canary.row.utf8).base64EncodedString())\"}"),
        request("run_analyse", "{\"runId\":1,\"score\":5,\"comments\":\"\(Canary.row)\"}"),
        request("preference_global_set", "{\"key\":\"ui.note\",\"value\":\"\(Canary.row)\"}"),
        request("preference_profile_set", "{\"key\":\"ui.note\",\"value\":\"\(Canary.row)\"}"),
        request("run_list", "{\"projectId\":1}"), request("run_transcript", "{\"runId\":1}"),
        request("run_audio", "{\"runId\":1}"),
        request("profile_list"), request("preference_global_get", "{\"key\":\"ui.note\"}"),
    ]

    /// What may not: numbers, errors, diagnostics. Each is numbered 2.
    private static let silent = [
        request("progress_get_snapshot", id: 2), request("talks_get_blueprint", "{\"projectId\":1}", id: 2),
        request("mascot_get_context_message", "{\"route\":\"home\"}", id: 2), request("profile_db_diagnostics", id: 2),
        request("profile_db_diagnostics", "{\"profile\":\"\(Canary.name)\"}", id: 2),
        request("profile_db_diagnostics", "{\"profile\":\"Other\"}", id: 2),
        request("profile_create", "{\"name\":\"\(Canary.name)\"}", id: 2),
        request("run_attach_transcript", "{\"runId\":1,\"text\":\"\(Canary.row) again\"}", id: 2),
        request("run_analyse", "{\"runId\":99,\"score\":5,\"comments\":\"\(Canary.row)\"}", id: 2),
        request("preference_profile_set", "{\"key\":\"my.token\",\"value\":\"\(Canary.row)\"}", id: 2),
        request("preference_profile_set", "{\"key\":\"x\",\"value\":\"password=\(Canary.row)\"}", id: 2),
        request("run_list", "{\"projectId\":\"\(Canary.row)\"}", id: 2), request(Canary.row, id: 2),
        request("profile_switch", "{\"profile\":\"\(Canary.row)\"}", id: 2),
        request("run_get", "{\"\(Canary.row)\":1}", id: 2),
    ]

    private func lines(_ text: String, id: Int) -> [Substring] {
        text.split(separator: "\n").filter { $0.contains("\"id\":\(id),\"jsonrpc\"") }
    }

    /// Runs a conversation under strace: what is written, in full, and what the program is started with.
    private func traced(_ messages: [String]) throws -> (outcome: ChildProcess.Outcome, log: FilePath) {
        let input = directory.appending("input")
        let log = directory.appending("trace")
        try TestFiles.write(Array((messages.joined(separator: "\n") + "\n").utf8), to: input)
        let outcome = try ChildProcess.shell(
            """
            exec /usr/bin/strace -f -qq -xx -v -s 100000000 -e signal=none \
              -e trace=execve,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,copy_file_range,sendfile,splice -o '\(log)' \
              '\(ChildProcess.products.appending("rehearsal"))' --store '\(store)' --passphrase-fd 3 3< '\(passphrase)' < '\(input)'
            """)
        return (outcome, log)
    }

    private func search(_ era: String) throws -> LeakSearch {
        var search = LeakSearch()
        try search.add(text: Canary.passphrase, as: "passphrase")
        let secret = try UnlockSecret.passphrase(.init(testing: Array(Canary.passphrase.utf8)))
        try search.addKeys(of: store, unlockedWith: secret, era: era)
        return search
    }

    private func contentSearch() throws -> LeakSearch {
        var search = LeakSearch()
        try search.add(text: Canary.row, as: "row")
        try search.add(text: Canary.name, as: "name")
        return search
    }

    /// How a reply begins in a trace.
    private static let replyStart = "{\"".utf8.map { String(format: "\\x%02x", $0) }.joined()

    @Test(.enabled(if: hasTracer, "strace is not there; make setup installs it"))
    func nothingIsWrittenBesidesReplies() throws {
        let malformed = ["{\"\(Canary.row)", "[\"\(Canary.row)\"]"]
        let deletion = [Self.request("profile_delete", "{\"profile\":\"Other\"}")]
        let (outcome, log) = try traced(Self.shown + Self.silent + malformed + deletion)
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errorText)")
        let replies = outcome.outputText
        #expect(lines(replies, id: 1).count == Self.shown.count + 1)
        #expect(lines(replies, id: 2).count == Self.silent.count)
        #expect(lines(replies, id: 1).allSatisfy { $0.contains("\"result\"") }, "\(replies)")

        // No key in anything: files, replies, logs, arguments, environment.
        let keys = try search("now")
        #expect(try keys.found(in: [.path(log), .path(store)]) == [])
        #expect(try keys.found(in: replies) == [])
        // Content in the replies that were asked for it, and nowhere else.
        let content = try contentSearch()
        let others = replies.split(separator: "\n").filter { !$0.contains("\"id\":1,\"jsonrpc\"") }.joined(
            separator: "\n")
        #expect(try content.found(in: others) == [])
        let trace = String(decoding: try TestFiles.read(log), as: UTF8.self).split(separator: "\n")
        let besides = trace.filter { !($0.contains(" write(") && $0.contains(", \"\(Self.replyStart)")) }
        #expect(besides.count < trace.count && !besides.isEmpty)
        let rest = directory.appending("trace-besides-replies")
        try TestFiles.write(Array(besides.joined(separator: "\n").utf8), to: rest)
        #expect(try content.found(in: [.path(rest), .path(store)]) == [])
        // The negative controls: where it was asked for it is seen.
        #expect(try Set(content.found(in: replies)).isSuperset(of: ["name as raw", "row as raw"]))
        #expect(try content.found(in: [.path(log)]).contains { $0.hasPrefix("row as ") })
        #expect(try keys.found(in: [.path(passphrase)]).count == 1)
    }

    private static let canLookIntoHardened = geteuid() == 0

    /// The key of a profile that was left is not in memory any more; the one that is open is there to be seen.
    @Test(.enabled(if: canLookIntoHardened, "this is not root, who alone sees a hardened process"))
    func theKeyOfAProfileThatWasLeftIsGone() throws {
        let secret = try UnlockSecret.passphrase(.init(testing: Array(Canary.passphrase.utf8)))
        let made = try Store.open(at: store, with: secret)
        let ids = try ["First", "Second"].map { try made.createProfile(named: $0).id }
        try made.lock()
        let search = try search("now")
        func key(_ id: ProfileID) -> String { "data key, generation 1, of \(id) (now)" }

        let process = try ChildProcess(
            executable: "/bin/bash",
            [
                "-c",
                "exec '\(ChildProcess.products.appending("rehearsal"))' --store '\(store)' --passphrase-fd 3 3< '\(passphrase)'",
            ], environment: [:], in: nil)
        func switched(to name: String) {
            process.send(Self.request("profile_switch", "{\"profile\":\"\(name)\"}"))
            #expect(process.line().contains("\"isOpen\":true"))
        }
        switched(to: "First")
        #expect(try search.found(inMemoryOf: process.processIdentifier).contains(key(ids[0])), "negative control")
        switched(to: "Second")
        let found = try search.found(inMemoryOf: process.processIdentifier)
        #expect(found.contains(key(ids[1])) && !found.contains(key(ids[0])), "\(found)")
        process.send(Self.request("profile_delete", "{\"profile\":\"Second\"}"))
        #expect(process.line().contains("\"isOpen\":false"))
        let names = Set(ids.map(key))
        #expect(try search.found(inMemoryOf: process.processIdentifier).isDisjoint(with: names))
        #expect(process.finish().status == 0)
    }
}
