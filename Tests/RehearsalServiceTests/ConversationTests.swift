import Foundation
import GRDB
import Rehearsal
import Strongroom
import SystemPackage
import TestSupport
import Testing

@testable import RehearsalService

/// JSON-RPC 2.0 over pipes: what the specification says of each case, and that nothing is lost in any.
@Suite struct ConversationTests {
    private let sidecar: Sidecar

    init() throws { sidecar = try Sidecar() }

    // MARK: One message

    /// What is no request, and what is told.
    @Test(arguments: [
        ("{", -32_700), ("nonsense", -32_700),
        ("\"\\ud800\"", -32_600), (String(repeating: "[", count: 100_000), -32_700), ("{} {}", -32_700),
        ("\u{0}", -32_700),
        ("1", -32_600), ("\"text\"", -32_600), ("null", -32_600), ("{}", -32_600), ("[]", -32_600),
        ("{\"method\":\"profile_list\"}", -32_600), ("{\"jsonrpc\":\"1.0\",\"method\":\"profile_list\"}", -32_600),
        ("{\"jsonrpc\":2.0,\"method\":\"profile_list\"}", -32_600), ("{\"jsonrpc\":\"2.0\",\"method\":1}", -32_600),
        ("{\"jsonrpc\":\"2.0\",\"method\":\"profile_list\",\"id\":true}", -32_600),
        ("{\"jsonrpc\":\"2.0\",\"method\":\"profile_list\",\"id\":[1]}", -32_600),
        ("{\"jsonrpc\":\"2.0\",\"method\":\"profile_list\",\"id\":{}}", -32_600),
    ])
    func whatIsNoRequestIsAnsweredWithoutAnID(line: String, code: Int) throws {
        let replies = try sidecar.replies(to: [line, Sidecar.request("profile_list", id: "7")])
        #expect(replies.map(\.id).sorted() == ["7", "null"])
        #expect(replies.first { $0.id == "null" }?.code == code)
        #expect(replies.first { $0.id == "7" }?.code == nil, "and the next one is answered")
    }

    @Test func bytesThatAreNoTextAreRefused() throws {
        let line = Data([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d, 0x0a])
        #expect(try Reply.all(sidecar.converse(line)).map(\.code) == [-32_700])
    }

    @Test(arguments: ["1", "0", "-5", "\"text\"", "\"\"", "null", "12345678901234567890123", "\"\\u0000\\n\"", "3.25"])
    func anIDComesBackAsItWas(id: String) throws {
        let outcome = try sidecar.converse(Sidecar.request("profile_list", id: id) + "\n")
        let written = id.replacing("\\u0000", with: "\\u0000")
        #expect(outcome.outputText.contains("\"id\":\(written),"), "\(outcome.outputText)")
    }

    @Test(
        arguments: [
            ("unheard_of", nil, -32_601), ("rpc.discover", nil, -32_601), ("", nil, -32_601),
            ("PROFILE_LIST", nil, -32_601),
            ("run_get", nil, -32_602), ("run_get", "[1]", -32_602), ("run_get", "1", -32_602),
            ("run_get", "null", -32_602),
            ("run_get", "{}", -32_602), ("run_get", #"{"runId":"1"}"#, -32_602),
            ("run_get", #"{"runId":1.5}"#, -32_602),
            ("run_get", #"{"runId":1e400}"#, -32_602), ("run_get", #"{"runId":99999999999999999999}"#, -32_602),
            ("run_get", #"{"runId":null}"#, -32_602), ("run_get", #"{"runId":1,"x":1}"#, -32_602),
            ("profile_list", #"{"x":1}"#, -32_602),
            ("run_attach_audio", #"{"runId":1,"mediaType":"audio/ogg","content":"=="}"#, -32_602),
            ("run_create", #"{"projectId":1,"recordedAt":"yesterday"}"#, -32_602),
            ("project_create", #"{"title":"x","audience":"nobody"}"#, -32_602), ("run_get", #"{"runId":1}"#, -32_000),
            ("profile_list", "{}", nil),
        ] as [(String, String?, Int?)])
    func whatCannotBeDoneHasItsCode(method: String, parameters: String?, code: Int?) throws {
        #expect(try sidecar.replies(to: [Sidecar.request(method, parameters)]).map(\.code) == [code])
    }

    /// A parameter of ours is named; what else came in is not repeated.
    @Test func noErrorRepeatsWhatCameIn() throws {
        let canary = TestStore.canary
        let lines = [
            "{\"\(canary)", Sidecar.request(canary), Sidecar.request("run_get", "{\"\(canary)\":1}"),
            Sidecar.request("run_get", "{\"runId\":\"\(canary)\"}"),
            Sidecar.request("profile_switch", "{\"profile\":\"\(canary)\"}"),
            Sidecar.request("profile_create", "{\"name\":\"\(canary)/\"}"),
            Sidecar.request("project_create", "{\"title\":\"\(canary)\\u0007\"}"),
            Sidecar.request("preference_profile_set", "{\"key\":\"\(canary) \",\"value\":null}"),
            Sidecar.request("preference_profile_set", "{\"key\":\"secret.\",\"value\":\"\(canary)\"}"),
            Sidecar.request("preference_profile_set", "{\"key\":\"a\",\"value\":\"password=\(canary)\"}"),
            Sidecar.request("mascot_get_context_message", "{\"route\":\"\(canary)\"}"),
            Sidecar.request("progress_get_snapshot", "{\"timeZone\":\"\(canary)\"}"),
            Sidecar.request("run_attach_audio", "{\"runId\":1,\"mediaType\":\"\(canary)\",\"content\":\"AA==\"}"),
        ]
        let replies = try sidecar.replies(to: lines)
        #expect(replies.count == lines.count)
        for reply in replies {
            #expect(reply.code != nil, "\(reply.text)")
            #expect(!reply.text.contains(canary), "\(reply.text)")
        }
        #expect(replies.contains { $0.text.contains(#""parameter":"runId""#) })
    }

    // MARK: Notifications and batches

    @Test func aNotificationIsDoneAndNotAnswered() throws {
        let replies = try sidecar.replies(to: [
            Sidecar.request("project_create", #"{"title":"Silent"}"#, id: nil), Sidecar.request("unheard_of", id: nil),
            Sidecar.request("run_get", #"{"runId":99}"#, id: nil), Sidecar.request("project_list", id: "5"),
        ])
        #expect(replies.map(\.id) == ["5"])
        #expect(replies[0].text.contains("Silent"))
    }

    @Test func aBatchIsAnsweredAsOne() throws {
        let calls = [
            Sidecar.request("project_create", #"{"title":"A"}"#, id: "1"),
            Sidecar.request("project_create", #"{"title":"B"}"#, id: nil),
            "1", "{\"foo\":\"boo\"}", Sidecar.request("unheard_of", id: "\"x\""),
            Sidecar.request("project_list", id: "2"),
            Sidecar.request("unheard_of", id: nil),
        ]
        let outcome = try sidecar.converse(Sidecar.switching + "\n[" + calls.joined(separator: ",") + "]\n")
        let lines = outcome.outputText.split(separator: "\n")
        #expect(lines.count == 2, "one line for the whole")
        let replies = try Reply.all(outcome).dropFirst()
        #expect(replies.map(\.id) == ["1", "null", "null", "\"x\"", "2"], "in the order of the calls")
        #expect(replies.map(\.code) == [nil, -32_600, -32_600, -32_601, nil])
        #expect(lines[1].contains("\"B\""), "what stood before the list is in it")
    }

    @Test func aBatchOfNotificationsIsNotAnswered() throws {
        let silent = Sidecar.request("project_create", #"{"title":"A"}"#, id: nil)
        #expect(try sidecar.replies(to: ["[\(silent),\(silent)]"]).isEmpty)
        #expect(
            try sidecar.replies(to: [Sidecar.request("project_list")])[0].text.components(separatedBy: "\"title\"")
                .count == 3)
    }

    @Test func aBatchHasABound() throws {
        let call = Sidecar.request("profile_list")
        func batch(_ count: Int) -> String { "[" + Array(repeating: call, count: count).joined(separator: ",") + "]" }
        #expect(try sidecar.replies(to: [batch(1_000)]).count == 1_000)
        let replies = try sidecar.replies(to: [batch(1_001)])
        #expect(replies.map(\.code) == [-32_600] && replies.map(\.id) == ["null"])
    }

    // MARK: Lines

    @Test func emptyLinesAndOtherLineEndsAreNoMessages() throws {
        let outcome = try sidecar.converse("\n\r\n  \n" + Sidecar.request("profile_list") + "\r\n\n")
        #expect(try Reply.all(outcome).map(\.code) == [nil])
    }

    @Test func aWholeMessageAtTheEndNeedsNoLineEnd() throws {
        let replies = try Reply.all(
            sidecar.converse(Sidecar.switching + "\n" + Sidecar.request("project_create", #"{"title":"Last"}"#)))
        #expect(replies.map(\.code) == [nil, nil])
        #expect(try sidecar.replies(to: [Sidecar.request("project_list")])[0].text.contains("Last"))
    }

    /// A message cut at the end of the input: what was whole is answered and kept, and the half is told.
    @Test func halfAMessageAtTheEndCostsOnlyItself() throws {
        let whole = Sidecar.request("project_create", #"{"title":"Kept"}"#, id: "1")
        let half = Sidecar.request("project_create", #"{"title":"Half"}"#, id: "2")
        let cuts = [1, half.count / 2, half.count - 1]
        for cut in cuts {
            let outcome = try sidecar.converse(
                [Sidecar.switching, whole, String(half.prefix(cut))].joined(separator: "\n"))
            #expect(outcome.status == 0)
            #expect(try Reply.all(outcome).map(\.code) == [nil, nil, -32_700])
        }
        let kept = try sidecar.replies(to: [Sidecar.request("project_list")])[0].text
        #expect(kept.components(separatedBy: "Kept").count - 1 == cuts.count && !kept.contains("Half"))
        try expectClosedCleanly()
    }

    /// However the bytes come in, the lines are the same.
    @Test func linesDoNotDependOnHowTheyArrive() async throws {
        for _ in 0..<200 {
            let lines = (0..<Int.random(in: 0...8)).map { _ in
                Data((0..<Int.random(in: 0...300)).map { _ in UInt8.random(in: 11...255) })
            }
            let whole = Data(lines.joined(separator: [UInt8(ascii: "\n")]))
            let pipe = Pipe()
            let input = MessageLines(from: pipe.fileHandleForReading.fileDescriptor)
            let writer = Thread {
                var rest = whole[...]
                while !rest.isEmpty {
                    let count = min(rest.count, Int.random(in: 1...200))
                    try? pipe.fileHandleForWriting.write(contentsOf: Data(rest.prefix(count)))
                    rest = rest.dropFirst(count)
                }
                try? pipe.fileHandleForWriting.close()
            }
            writer.start()
            var seen: [Data] = []
            while let line = await input.next() {
                guard case .message(let bytes) = line else { throw CancellationError() }
                seen.append(bytes)
            }
            // The last has no end, and where nothing stands on it it is none.
            #expect(seen == (lines.last?.isEmpty ?? true ? Array(lines.dropLast()) : lines))
            #expect(await input.next() == nil)
        }
    }

    @Test func aStoppedInputGivesOutNoMore() async throws {
        let pipe = Pipe()
        let input = MessageLines(from: pipe.fileHandleForReading.fileDescriptor)
        try pipe.fileHandleForWriting.write(contentsOf: Data("one\ntwo\nthr".utf8))
        guard case .message(let first) = await input.next() else { throw CancellationError() }
        #expect(first == Data("one".utf8))
        input.stop()
        #expect(await input.next() == nil)
        // One that waits is woken.
        let waiting = MessageLines(from: pipe.fileHandleForReading.fileDescriptor)
        Thread.detachNewThread {
            usleep(50_000)
            waiting.stop()
        }
        #expect(await waiting.next() == nil)
        withExtendedLifetime(pipe) {}
    }

    /// 64 MB of audio in a line, there and back; one byte more than a line may have is refused, and the next message is answered.
    @Test func longLinesAreTaken() throws {
        let base =
            #"{"jsonrpc":"2.0","method":"run_attach_audio","id":3,"params":{"runId":1,"mediaType":"audio/ogg","content":""#
        let content = Data(count: 47 << 20).base64EncodedString()
        var input = Data()
        for line in [
            Sidecar.switching, Sidecar.request("project_create", #"{"title":"Long"}"#, id: "1"),
            Sidecar.request("run_create", #"{"projectId":1}"#, id: "2"), base + content + "\"}}",
        ] { input.append(Data((line + "\n").utf8)) }
        input.append(Data(repeating: UInt8(ascii: " "), count: MessageLines.maximumBytes + 1))
        input.append(Data("\n".utf8))
        input.append(Data((Sidecar.request("run_audio", #"{"runId":1}"#, id: "4") + "\n").utf8))
        let outcome = try sidecar.converse(input)
        #expect(outcome.status == 0, "\(outcome.errorText)")
        let lines = outcome.output.split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == 6)
        #expect(lines.count { ByteSearch.count(Array("message_too_long".utf8), in: Array($0.prefix(300))) == 1 } == 1)
        #expect((lines.map(\.count).max() ?? 0) > 65_000_000)
        #expect(lines.count { ByteSearch.count(Array("\"bytes\":49283072".utf8), in: Array($0.prefix(400))) == 1 } == 2)
    }

    // MARK: The end

    /// Whether an envelope says that its database is in use.
    private func isSomethingOpen() throws -> Bool {
        try TestFiles.tree(sidecar.test.path.appending("keyring").appending("envelopes")).contains {
            try ByteSearch.count(Array("\"session\" : \"open\"".utf8), in: TestFiles.read($0)) > 0
        }
    }

    private func expectClosedCleanly() throws {
        #expect(try !TestFiles.tree(sidecar.test.path).contains { $0.string.hasSuffix("-wal") })
        #expect(try !isSomethingOpen())
    }

    private func project() throws -> String { try sidecar.replies(to: [Sidecar.request("project_list")])[0].text }

    /// A shell that wants it gone: what is under way is finished, the profile is closed.
    @Test(arguments: [SIGTERM, SIGINT])
    func aSignalEndsItCleanly(signal: Int32) throws {
        let process = try sidecar.start()
        process.send(Sidecar.switching)
        #expect(process.line().contains("\"isOpen\":true"))
        process.send(Sidecar.request("project_create", #"{"title":"Before"}"#))
        #expect(process.line().contains("Before"))
        #expect(try isSomethingOpen())
        kill(process.processIdentifier, signal)
        process.process.waitUntilExit()
        #expect(process.process.terminationReason == .exit && process.process.terminationStatus == 0)
        try expectClosedCleanly()
        #expect(try project().contains("Before"))
    }

    @Test func aReaderThatIsGoneEndsIt() throws {
        // Its output is closed after the first line; it goes on being asked.
        let lines =
            [Sidecar.switching]
            + (1...2_000).map { Sidecar.request("project_create", "{\"title\":\"T\($0)\"}", id: "\($0)") }
        let file = sidecar.test.directory.appending("input")
        try TestFiles.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: file)
        let outcome = try ChildProcess.shell(
            "\(ChildProcess.products)/rehearsal \(sidecar.arguments.joined(separator: " ")) < \(file) | head -n 1; echo ${PIPESTATUS[0]}"
        )
        #expect(outcome.outputText.hasSuffix("\n0\n"), "\(outcome.outputText) \(outcome.errorText)")
        try expectClosedCleanly()
    }

    /// Killed again and again while a shell writes: every run that was answered is there.
    @Test func killedAtAnyMomentNothingAnsweredIsLost() throws {
        _ = try sidecar.replies(to: [Sidecar.request("project_create", #"{"title":"Kill"}"#)])
        var answered = Set<Int>()
        for round in 0..<10 {
            let process = try sidecar.start()
            process.send(Sidecar.switching)
            _ = process.line()
            for _ in 0..<400 { process.send(Sidecar.request("run_create", #"{"projectId":1}"#)) }
            let wanted = 5 + round * 11
            for _ in 0..<wanted {
                let line = process.line()
                answered.insert(try #require(Int(line.split(separator: "\"id\":").last?.prefix { $0.isNumber } ?? "")))
            }
            process.kill()
            for words in process.finish().outputText.split(separator: "\n").dropLast()
            where words.contains("recordedAt") {
                if let id = Int(words.split(separator: "\"id\":").last?.prefix(while: \.isNumber) ?? "") {
                    answered.insert(id)
                }
            }
        }
        let store = try sidecar.test.open()
        let profile = try store.openProfile("Me")
        let kept = try profile.database.read { try Int.fetchSet($0, sql: "SELECT id FROM run") }
        #expect(answered.count >= 500, "\(answered.count)")
        #expect(answered.subtracting(kept).isEmpty)
        try store.lock()
    }

    // MARK: The beginning

    @Test func whatKeepsItFromStartingHasAnExitCodeAndNoReply() throws {
        let wrong = sidecar.test.directory.appending("wrong")
        try TestFiles.write((0..<32).map { UInt8($0 * 7) }, to: wrong)
        let store = sidecar.test.path.string
        for (arguments, status, text) in [
            (["--store", store, "--key-file", wrong.string], 12, "error[unlock_failed]"),
            (["--store", "/nonexistent", "--key-file", sidecar.test.keyFile.string], 10, "error[store_missing]"),
            (["--store", store], 2, "--key-file"),
            (["--store", store, "--passphrase-fd", "0"], 2, "another file descriptor"),
            (["--store", store, "--passphrase-fd", "999999"], 2, "error[passphrase_descriptor_unreadable]"),
            (["--key-file", sidecar.test.keyFile.string], 2, "--store"),
            (["--key-file", sidecar.test.keyFile.string, "--frobnicate"], 2, "frobnicate"),
        ] {
            let outcome = try ChildProcess.run("rehearsal", arguments)
            #expect(outcome.status == Int32(status) && outcome.output.isEmpty, "\(arguments): \(outcome.status)")
            #expect(outcome.errorText.contains(text), "\(outcome.errorText)")
        }
    }

    @Test func aPassphraseComesFromADescriptor() throws {
        let directory = try TemporaryDirectory()
        let passphrase = directory.appending("passphrase")
        try TestFiles.write(Array("correct horse battery staple 7\n".utf8), to: passphrase)
        let store = directory.appending("store")
        let made = try ChildProcess.shell(
            "exec \(ChildProcess.products)/strongroom init --store \(store) --new-passphrase-fd 3 3< \(passphrase)")
        #expect(made.status == 0, "\(made.errorText)")
        let outcome = try ChildProcess.shell(
            "echo '\(Sidecar.request("profile_list"))' | \(ChildProcess.products)/rehearsal --store \(store) --passphrase-fd 3 3< \(passphrase)"
        )
        #expect(try Reply.all(outcome).map(\.code) == [nil], "\(outcome.errorText)")
    }

    /// A profile that another process has open is told, and the one that is open stays.
    @Test func aSwitchThatFailsLeavesTheProfileOpen() throws {
        let store = try sidecar.test.open()
        let held = try store.openProfile(store.createProfile(named: "Held"))
        let replies = try sidecar.replies(to: [
            Sidecar.request("profile_switch", #"{"profile":"Held"}"#, id: "1"),
            Sidecar.request("project_list", id: "2"),
            Sidecar.request("profile_delete", #"{"profile":"Held"}"#, id: "3"),
            Sidecar.request("profile_list", id: "4"),
        ])
        #expect(replies.map(\.name) == ["profile_in_use", nil, "profile_in_use", nil])
        #expect(replies[3].text.contains("Held"))
        try held.close()
        try store.lock()
    }

    /// What is damaged beyond repair is told by its code, and nothing is opened.
    @Test func whatCannotBeRecoveredHasItsCode() throws {
        let other = try sidecar.test.makeProfile(named: "Broken")
        try TestFiles.edit(sidecar.test.databaseFile(other)) { bytes in
            for index in 0..<4_096 { bytes[index + 16] ^= 0x5a }
        }
        let replies = try Reply.all(
            sidecar.converse(Sidecar.request("profile_switch", #"{"profile":"Broken"}"#, id: "1") + "\n"))
        #expect(replies.map(\.name) == ["db_recovery_no_snapshot"], "\(replies)")
    }

    /// Damage is mended when the profile is opened, and the shell is told how: a page that is the same in the snapshot is put back, and for
    /// one that is not the snapshot is.
    @Test func aRecoveryIsTold() async throws {
        _ = try sidecar.replies(to: [Sidecar.request("project_create", #"{"title":"Kept"}"#)])
        let store = try sidecar.test.open()
        let info = try store.profile("Me")
        _ = try await store.createSnapshot(of: .profile(info.id))
        try store.lock()
        for (page, action) in [(1, "repair"), (0, "restore")] {
            // No snapshot has this version of page 1.
            if page == 0 {
                let later = try sidecar.test.open()
                let profile = try later.openProfile(info)
                try await profile.database.write { try $0.execute(sql: "CREATE TABLE later (a); DROP TABLE later") }
                try profile.close()
                try later.lock()
            }
            try TestFiles.edit(sidecar.test.databaseFile(info)) { $0[page * 4_096 + 500] ^= 1 }
            let replies = try Reply.all(
                sidecar.converse(
                    Sidecar.switching + "\n" + Sidecar.request("project_list", id: "1") + "\n"
                        + Sidecar.request("profile_db_diagnostics", id: "2") + "\n"))
            #expect(replies.first?.text.contains("\"recovery\":\"\(action)\"") == true, "\(replies)")
            #expect(replies.contains { $0.id == "1" && $0.text.contains("Kept") })
            #expect(replies.contains { $0.id == "2" && $0.text.contains("\"lastRecovery\"") })
        }
        // The next time nothing is wrong, and nothing is said.
        let again = try Reply.all(sidecar.converse(Sidecar.switching + "\n"))
        #expect(again.first?.text.contains("recovery") == false)
    }

    // MARK: The schema

    private static let formats = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/formats")

    /// The schema names every method with exactly its parameters, and none that there is not.
    @Test func theSchemaHasEveryMethod() throws {
        let data = try Data(contentsOf: Self.formats.appending(path: "rehearsal.schema.json"))
        let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let definitions = try #require(document["definitions"] as? [String: Any])
        let methods = try #require(definitions["methods"] as? [String: [String: Any]])
        #expect(Set(methods.keys) == Set(Command.all.map(\.method)))
        #expect(Set(Command.all.map(\.method)).count == Command.all.count)
        for command in Command.all {
            let parameters = methods[command.method]?["params"] as? [String: Any]
            let properties = parameters?["properties"] as? [String: Any]
            #expect(Set((properties ?? [:]).keys) == Set(command.parameters), "\(command.method)")
        }
    }

    /// A shell in another language: 10,000 requests, many at once, each held to the schema by a validator that is not ours.
    @Test func aShellInAnotherLanguageConverses() throws {
        let test = try TestStore()
        let client = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "client.py").path
        let outcome = try ChildProcess(
            executable: "/usr/bin/python3",
            [
                client, "\(ChildProcess.products)/rehearsal", test.path.string, test.keyFile.string,
                Self.formats.appending(path: "rehearsal.schema.json").path, "10000",
            ], environment: [:], in: nil
        ).finish()
        struct Summary: Decodable {
            let requests, replies, runs, methods: Int
            let problems: [String]
        }
        let last = outcome.outputText.split(separator: "\n").last ?? ""
        let summary = try #require(
            try? JSONDecoder().decode(Summary.self, from: Data(last.utf8)), "\(outcome.outputText) \(outcome.errorText)"
        )
        #expect(summary.problems == [])
        #expect(outcome.status == 0 && summary.requests >= 10_000 && summary.replies >= 9_700)
        #expect(summary.methods == Command.all.count && summary.runs >= 3_000)
    }
}
