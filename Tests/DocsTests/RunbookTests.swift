import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// The commands of the runbook and of the README, run as they are written.
@Suite struct RunbookTests {
    private static let path = "docs/operations/runbook.md"

    /// The `sh` blocks under a heading.
    fileprivate static func script(_ heading: String, in path: String = path) throws -> String {
        let blocks = try Documents.scripts(in: Documents.text(path)).filter { $0.heading == heading }
        #expect(!blocks.isEmpty, "\(heading) has no commands")
        return blocks.map(\.script).joined()
    }

    /// Every block stands under one of these headings, each of which has a test below.
    @Test func noBlockIsLeftOut() throws {
        let run: Set = [
            "Importing a database", "Taking snapshots", "Verifying on a backup host", "Restoring a snapshot",
            "A database is damaged", "The disk is full",
            "Looking for leaks", "Looking after a store", "Rotate on schedule", "An operator leaves",
            "A key file leaked",
            "A laptop was stolen", "The passphrase is forgotten", "Restoring from a keyring backup",
            "Going on with an older keyring", "A rotation was interrupted", "Destroying a profile",
        ]
        #expect(Set(try Documents.scripts(in: Documents.text(Self.path)).map(\.heading)) == run)
        let readme = Set(try Documents.scripts(in: Documents.text("README.md")).map(\.heading))
        #expect(readme == ["Strongroom", "On the command line"])
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
            let outcome = try RunbookTests.run(
                try RunbookTests.script(heading), in: directory, ["STRONGROOM_STORE": store.string])
            #expect(outcome.status == 0, "\(heading):\n\(outcome.outputText)\n\(outcome.errorText)")
            return outcome.outputText + outcome.errorText
        }

        /// A bit of a page that the latest snapshot has as it was.
        func damage() async throws {
            let store = try open("operator.key")
            _ = try await store.createSnapshot(of: .profile(store.profile("Work").id))
            let file = try DatabaseFiles(.profile(store.profile("Work").id), in: store.directory).main
            try store.lock()
            try TestFiles.edit(file) { $0[$0.count - 1_000] ^= 1 }
        }

        func open(_ key: String) throws -> Store { try Store.open(at: store, with: .keyFile(file(key))) }

        func rows(_ store: Store) throws -> Int {
            let profile = try store.openProfile("Work")
            defer { try? profile.close() }
            return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") ?? 0 }
        }
    }

    private static func run(
        _ commands: String, in directory: TemporaryDirectory, _ environment: [String: String]
    ) throws -> ChildProcess.Outcome {
        let script = """
            set -euo pipefail
            cd '\(directory.path)'
            strongroom() { '\(ChildProcess.products.appending("strongroom"))' "$@"; }
            \(commands)
            """
        return try ChildProcess(executable: "/bin/bash", ["-c", script], environment: environment, in: nil).finish()
    }

    /// The keyring is lost, and the backup is from before an unlocker was added and removed.
    @Test func goingOnWithAnOlderKeyring() async throws {
        let office = try await Office()
        let store = try office.open("operator.key")
        let id = try store.addUnlocker(.key(.init(testing: Array(repeating: 9, count: 32))), label: "later")
        try store.removeUnlocker(id)
        try store.lock()
        try FileManager.default.removeItem(atPath: Store.defaultKeyringDirectory(of: office.store).string)
        let text = try office.run("Going on with an older keyring")
        #expect(text.contains("say --accept-sequence 2") && text.contains("was accepted"))
        let again = try office.open("operator.key")
        #expect(try office.rows(again) == 3)
        #expect(try again.olderStates().isEmpty)
    }

    /// With something of each kind in the way.
    @Test func theDiskIsFull() async throws {
        let office = try await Office()
        try await office.damage()
        let store = try office.open("operator.key")
        let files = DatabaseFiles(.profile(try store.profile("Work").id), in: store.directory)
        _ = try await store.repair(files.scope, acceptingLoss: false)
        let other = try store.createProfile(named: "shredded")
        _ = try await store.shredProfile(other.id)
        try store.lock()
        try TestFiles.write([1, 2, 3], to: files.rotating)
        let text = try office.run("The disk is full")
        #expect(
            text.contains("would remove: profiles/\(files.directory.lastComponent?.string ?? "")/profile.db.rotating"))
        #expect(text.contains("Removed 1,") && text.contains("  repair-") && text.contains("stays, not old enough"))
        #expect(text.contains("would remove: profiles/\(other.id)"))
        let again = try office.open("operator.key")
        #expect(try office.rows(again) == 3)
        #expect(try again.profiles().map(\.name) == ["Work"])
    }

    // MARK: Data

    @Test func importingADatabase() async throws {
        let office = try await Office()
        func make(_ name: String, _ settings: String, _ sql: String) throws {
            var configuration = Configuration()
            configuration.prepareDatabase { db in
                if !settings.isEmpty { try db.execute(sql: settings) }
                db.add(collation: DatabaseCollation("LOCALIZED") { $0 < $1 ? .orderedAscending : .orderedDescending })
            }
            try DatabaseQueue(path: office.file(name).string, configuration: configuration)
                .writeWithoutTransaction { try $0.execute(sql: sql) }
        }
        let rows = "CREATE TABLE n (a); INSERT INTO n VALUES (1), (2);"
        try make("notes.sqlite", "", rows)
        try make(
            "phone.sqlite", "",
            rows
                + "CREATE TABLE people (a TEXT COLLATE LOCALIZED UNIQUE); CREATE VIEW people_names AS SELECT a FROM people"
        )
        try make("mail.db", "PRAGMA key = 'mail'; PRAGMA cipher_compatibility = 2", rows)
        try make(
            "tablet.db",
            """
            PRAGMA key = 'tablet'; PRAGMA cipher_compatibility = 4; PRAGMA cipher_page_size = 1024; PRAGMA kdf_iter = 10000;
            PRAGMA cipher_hmac_algorithm = HMAC_SHA1
            """, rows)
        for name in ["mail", "tablet"] { try TestFiles.write(Array(name.utf8), to: office.file("\(name).phrase")) }
        let text = try office.run("Importing a database")
        #expect(text.contains("Left out: table people\n") && text.contains("Left out: view people_names\n"))
        let store = try office.open("operator.key")
        for name in ["Notes", "Phone", "Mail", "Tablet"] {
            let profile = try store.openProfile(name)
            #expect(try await profile.database.read { try Int.fetchOne($0, sql: "SELECT sum(a) FROM n") } == 3)
            try profile.close()
        }
    }

    @Test func takingSnapshots() async throws {
        let office = try await Office()
        try office.run("Taking snapshots")
        let store = try office.open("operator.key")
        for scope in try [KeyScope.global, .profile(store.profile("Work").id)] {
            let snapshots = try store.snapshotDirectory(of: scope).list().snapshots
            #expect(snapshots.count == 1 && snapshots[0].verified != nil)
        }
    }

    @Test func verifyingOnABackupHost() async throws {
        let office = try await Office()
        try office.run("Taking snapshots")
        try office.run("Verifying on a backup host")
    }

    @Test func restoringASnapshot() async throws {
        let office = try await Office()
        try office.run("Taking snapshots")
        try office.run("Restoring a snapshot")
        let store = try office.open("operator.key")
        #expect(try office.rows(store) == 3)
        #expect(try store.profiles().map(\.name) == ["Work", "Work as of Monday"])
    }

    @Test func aDatabaseIsDamaged() async throws {
        let office = try await Office()
        try await office.damage()
        let text = try office.run("A database is damaged")
        #expect(text.contains("1 bad page(s); come back: 1 from snapshots, the exact version; gone: 0"))
        #expect(try office.rows(office.open("operator.key")) == 3)
    }

    @Test func lookingForLeaks() async throws {
        let office = try await Office()
        let text = try office.run("Looking for leaks")
        #expect(text.contains("Clean.") && text.contains("517 of 517 found."))
    }

    @Test func lookingAfterAStore() async throws {
        let office = try await Office()
        #expect(try office.run("Looking after a store").contains("healthy"))
    }

    // MARK: README

    @Test func theCommandsOfTheReadme() throws {
        let directory = try TemporaryDirectory()
        try DatabaseQueue(path: directory.appending("old.sqlite").string).write {
            try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
        }
        let commands = try Self.script("On the command line", in: "README.md")
        let outcome = try Self.run(commands, in: directory, ["HOME": directory.path.string])
        #expect(outcome.status == 0, "\(outcome.outputText)\n\(outcome.errorText)")
        #expect(outcome.outputText.contains("healthy"))
    }

    /// What a newcomer types is there to be made; making it here would be this test again.
    @Test func theTwoCommandsExist() throws {
        for line in try Self.script("Strongroom", in: "README.md").split(separator: "\n") {
            let words = line.split(separator: " ").prefix { $0 != "#" }
            #expect(words.count == 2 && words[0] == "make")
            let outcome = try ChildProcess.shell(
                "cd '\(Documents.root.path)' && \(words.joined(separator: " ")) --dry-run")
            #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(line)")
        }
    }

    // MARK: Keys

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
