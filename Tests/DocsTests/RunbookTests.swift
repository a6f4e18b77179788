import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// The runbook's part on keys, run as it is written.
@Suite struct RunbookTests {
    private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/operations/runbook.md")

    /// The `sh` blocks under a heading.
    fileprivate static func script(_ heading: String) throws -> String {
        let text = try String(contentsOf: path, encoding: .utf8)
        let section = try #require(text.components(separatedBy: "\n## \(heading)\n").dropFirst().first)
            .components(separatedBy: "\n## ")[0]
        let blocks = section.components(separatedBy: "```sh\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
        #expect(!blocks.isEmpty, "\(heading) has no commands")
        return blocks.joined()
    }

    /// A store of two operators, with a passphrase and a recovery key as well, a profile with rows, and a keyring backup.
    private struct Office {
        let directory: TemporaryDirectory
        var store: FilePath { directory.appending("store") }
        func file(_ name: String) -> FilePath { directory.appending(name) }

        init() async throws {
            directory = try TemporaryDirectory()
            let ann = try UnlockSecret.makeKeyFile(directory.appending("operator.key"))
            let ben = try UnlockSecret.makeKeyFile(directory.appending("ben.key"))
            let phrase = try UnlockSecret.passphrase(SecretBytes(testing: Array("a passphrase that is forgotten".utf8)))
            let store = try Store.create(
                at: directory.appending("store"), unlockers: [(ann, "Ann"), (ben, "Ben"), (phrase, "phrase")])
            let recovery = try RecoveryKey.random()
            try store.addRecoveryRecipient(publicKey: recovery.publicKey, label: "safe")
            let text = try recovery.text()
            try text.withUnsafeBytes { try TestFiles.write(Array($0), to: directory.appending("recovery.key")) }
            let profile = try store.openProfile(store.createProfile(named: "Work"))
            try await profile.database.write {
                try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
            }
            try profile.close()
            try await store.backUpKeyring(to: directory.appending("keyring-backup"))
            try store.lock()
        }

        /// - Returns: what was printed, both streams.
        @discardableResult
        func run(_ heading: String) throws -> String {
            let script = """
                set -euo pipefail
                cd '\(directory.path)'
                strongroom() { '\(ChildProcess.products.appending("strongroom"))' "$@"; }
                \(try RunbookTests.script(heading))
                """
            let outcome = try ChildProcess(
                executable: "/bin/bash", ["-c", script], environment: ["STRONGROOM_STORE": store.string], in: nil
            ).finish()
            #expect(outcome.status == 0, "\(heading):\n\(outcome.outputText)\n\(outcome.errorText)")
            return outcome.outputText + outcome.errorText
        }

        func open(_ key: String) throws -> Store { try Store.open(at: store, with: .keyFile(file(key))) }

        func rows(_ store: Store) throws -> Int {
            let profile = try store.openProfile("Work")
            defer { try? profile.close() }
            return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") ?? 0 }
        }
    }

    @Test func rotateOnSchedule() async throws {
        let office = try await Office()
        let text = try office.run("Rotate on schedule")
        #expect(text.contains("Not protected by this:"))
        let store = try office.open("operator.key")
        #expect(try office.rows(store) == 3)
        #expect(store.keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(try store.keyring.envelope(for: .global).activeDataKey?.generation == 2)
    }

    @Test(arguments: ["An operator leaves", "A laptop was stolen"])
    func whoseUnlockerIsGone(heading: String) async throws {
        let office = try await Office()
        try office.run(heading)
        #expect(code { _ = try office.open("ben.key") } == "unlock_failed")
        let store = try office.open("operator.key")
        #expect(try office.rows(store) == 3)
        #expect(store.keyring.rootKeyInfos.map(\.state) == [.destroyed, .active])
        #expect(try store.keyring.envelope(for: .profile(store.profile("Work").id)).activeDataKey?.generation == 2)
    }

    @Test func aKeyFileLeaked() async throws {
        let office = try await Office()
        let leaked = try UnlockSecret.keyFile(office.file("operator.key"))
        try office.run("A key file leaked")
        #expect(code { _ = try Store.open(at: office.store, with: leaked) } == "unlock_failed")
        #expect(try office.rows(office.open("fresh.key")) == 3)
    }

    @Test func thePassphraseIsForgotten() async throws {
        let office = try await Office()
        try office.run("The passphrase is forgotten")
        let store = try office.open("fresh.key")
        #expect(try office.rows(store) == 3)
        #expect(!store.keyring.unlockers.contains { $0.kind == .passphrase })
    }

    @Test func restoringFromAKeyringBackup() async throws {
        let office = try await Office()
        try FileManager.default.removeItem(atPath: office.store.appending("keyring").string)
        try office.run("Restoring from a keyring backup")
        #expect(try office.rows(office.open("operator.key")) == 3)
    }

    @Test func aRotationWasInterrupted() async throws {
        let office = try await Office()
        let store = try office.open("operator.key")
        let sequence = store.keyring.sequence
        _ = try store.keyring.begin(.root)
        _ = try store.keyring.begin(.data)
        try store.noteKeyringSequence(seen: sequence)
        try store.lock()
        let text = try office.run("A rotation was interrupted")
        #expect(text.contains("is not finished") && text.contains("The interrupted rotation went on"))
        let again = try office.open("operator.key")
        #expect(again.keyring.rotations.isEmpty)
        #expect(try office.rows(again) == 3)
    }

    @Test func destroyingAProfile() async throws {
        let office = try await Office()
        #expect(try office.run("Destroying a profile").contains("authentic"))
        #expect(code { _ = try office.rows(office.open("operator.key")) } == "profile_not_found")
    }

    /// The negative control: a command that fails is noticed.
    @Test func aCommandThatFailsIsNoticed() async throws {
        let office = try await Office()
        try FileManager.default.removeItem(atPath: office.file("operator.key").string)
        withKnownIssue { _ = try office.run("Rotate on schedule") }
    }
}
