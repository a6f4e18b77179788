// The same work under two keys: what is logged, diagnosed and written in the clear must be the same, byte for byte, but for what is
// random and meant to be seen. A key that got out in whatever encoding would make a difference.

import Foundation
import GRDB
import Keyring
import LeakageScan
import Logging
import Strongroom
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct TwoKeyTests {
    /// What a run says.
    private struct Said: Equatable {
        var log: [String] = []
        var diagnostics = ""
        var manifests: [String] = []
        var status = ""
    }

    /// Keeps what is logged.
    private final class Log: Sendable {
        let lines = Mutex<[String]>([])
    }

    private struct Handler: LogHandler {
        let log: Log
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            log.lines.withLock { $0.append("\(event.level) \(event.message) \(metadata.joined(separator: " "))") }
        }
    }

    /// Ids, dates and MACs: random or of the moment, and public.
    private static func withoutWhatIsPublic(_ text: String) throws -> String {
        var text = text
        for (pattern, replacement) in [
            (#"(store|prof|kr|ulk|snap|set)_[a-z2-7]{16}"#, "$1_ID"),
            (#"\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\d(\.\d+)?Z"#, "DATE"),
            (#""(keyId|tagRoot|root|salt|policyDigest|digest)" ?: ?"[0-9a-f]+""#, #""$1":"PUBLIC""#),
            (#"(mac|verify) hmac-sha256 [^\n]*"#, "MAC"),
            (#"sha256 [0-9a-f]{64}"#, "SUM"),
        ] {
            text = try text.replacing(Regex(pattern)) { match in
                var made = replacement
                if match.output.count > 1, let group = match.output[1].substring {
                    made = made.replacing("$1", with: group)
                }
                return made
            }
        }
        return text
    }

    private func run(leaking: ((Store, ProfileInfo) throws -> String)? = nil) async throws -> Said {
        let directory = try TemporaryDirectory()
        let log = Log()
        let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
        let logger = Logger(label: "two keys") { _ in Handler(log: log) }
        let store = try Store.create(at: directory.appending("store"), unlockers: [(secret, "key")], logger: logger)
        let info = try store.createProfile(named: "Work")
        let profile = try store.openProfile(info)
        try await profile.database.write { db in
            try db.execute(sql: "CREATE TABLE t (i INTEGER PRIMARY KEY, a TEXT)")
            for number in 0..<200 { try db.execute(sql: "INSERT INTO t (a) VALUES (?)", arguments: ["row \(number)"]) }
        }
        _ = try await profile.snapshot()
        try await profile.rotateDataKey()
        try profile.close()
        try await store.rotateRootKey()
        _ = try await store.createSnapshot(of: .profile(info.id))
        if let leak = try leaking?(store, info) { logger.notice("leak", metadata: ["value": "\(leak)"]) }

        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        encoder.dateEncodingStrategy = .iso8601
        func text(_ value: some Encodable) throws -> String {
            try Self.withoutWhatIsPublic(String(decoding: encoder.encode(value), as: UTF8.self))
        }
        var said = Said()
        said.diagnostics = try await text(store.diagnostics(profile: info.id))
        said.status = try text(store.keyStatus())
        try store.lock()
        said.log = try log.lines.withLock { try $0.map(Self.withoutWhatIsPublic) }
        for file in try TestFiles.tree(directory.appending("store"))
        where file.string.contains("/backups/") && file.extension == "json" {
            said.manifests.append(try Self.withoutWhatIsPublic(String(decoding: TestFiles.read(file), as: UTF8.self)))
        }
        return said
    }

    @Test func twoKeysMakeNoDifferenceToWhatIsSaid() async throws {
        let first = try await run()
        let second = try await run()
        #expect(first.log == second.log)
        #expect(first.diagnostics == second.diagnostics)
        #expect(first.status == second.status)
        for (one, other) in zip(first.manifests, second.manifests) {
            for (line, otherLine) in zip(one.split(separator: "\n"), other.split(separator: "\n")) {
                #expect(line == otherLine)
            }
        }
        #expect(first.manifests == second.manifests)
        #expect(
            first.log.count >= 3 && first.manifests.count == 2 && first.diagnostics.count > 500
                && first.status.count > 200)
    }

    /// The negative control: one byte of a key, in an encoding that no search knows, makes a difference.
    @Test func oneByteOfAKeyMakesADifference() async throws {
        let said = try await [run(leaking: Self.parity), run(leaking: Self.parity), run(leaking: Self.parity)]
        #expect(Set(said.map { $0.log.joined() }).count > 1)
    }

    private static func parity(_ store: Store, _ info: ProfileInfo) throws -> String {
        var sum = 0
        try store.forEachSecret { _, bytes in
            bytes.withUnsafeBytes { for (index, byte) in $0.enumerated() { sum += index * Int(byte) } }
        } unusable: { _ in
        }
        return "\(sum)"
    }
}
