import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

@Suite struct RestoreTests {
    let sample: SnapshotStore
    var store: Store { sample.store }
    var scope: KeyScope { sample.scope }
    init() throws { sample = try SnapshotStore(rows: 60) }

    @Test func whatWasThereIsKeptWithItsWAL() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        // An application that was killed: its last changes stand in the WAL alone.
        let writer = try ChildProcess(
            "TestHelper", ["write", sample.test.path.string, sample.test.keyFile.string, "sample"])
        while Int(writer.line()) ?? 0 < 20 {}
        writer.kill()
        _ = writer.finish()
        try TestFiles.edit(sample.test.databaseFile(sample.info)) { $0[5000] ^= 1 }
        let main = sample.test.databaseFile(sample.info)
        let wal = FilePath(main.string + "-wal")
        let before = (try TestFiles.read(main), try TestFiles.read(wal))
        #expect(before.1.count > 20 * 4096)

        let report = try await store.restoreSnapshot(snapshot)
        #expect(try sample.rows() == 60)
        let quarantine = sample.test.directoryOf(sample.info).appending("corrupted").appending(
            try #require(report.quarantine))
        #expect(try TestFiles.read(quarantine.appending("profile.db")) == before.0)
        #expect(try TestFiles.read(quarantine.appending("profile.db-wal")) == before.1)
        #expect(FileManager.default.fileExists(atPath: quarantine.appending("restore.json").string))
        #expect(!report.isReencrypted && report.integrityViolations == 0 && report.milliseconds >= 0)
    }

    /// The restored database is newer than what was in force, as far as rollback goes: that one, put back, is noticed.
    @Test func theEpochGoesOn() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        try sample.test.fill(sample.info, in: store, rows: 1)
        let live = try TestFiles.read(sample.test.databaseFile(sample.info))
        _ = try await store.restoreSnapshot(snapshot)
        #expect(try sample.rows() == 60)
        #expect(try store.verify(sample.info).isHealthy)
        try TestFiles.write(live, to: sample.test.databaseFile(sample.info))
        #expect(code { _ = try store.openProfile(sample.info) } == "database_rolled_back")
        // And so is the snapshot itself, put in place by hand.
        try TestFiles.write(try TestFiles.read(sample.file(snapshot)), to: sample.test.databaseFile(sample.info))
        #expect(code { _ = try store.openProfile(sample.info) } == "database_rolled_back")
        _ = try await store.restoreSnapshot(snapshot)
        #expect(try sample.rows() == 60)
    }

    @Test func aDatabaseThatIsGoneAltogetherComesBack() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        try FileManager.default.removeItem(atPath: sample.test.databaseFile(sample.info).string)
        let report = try await store.restoreSnapshot(snapshot)
        #expect(report.quarantine == nil)
        #expect(try sample.rows() == 60)
    }

    @Test func aProfileThatIsOpenIsInUse() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        let profile = try store.openProfile(sample.info)
        #expect(await code { _ = try await store.restoreSnapshot(snapshot) } == "profile_in_use")
        // A drill needs nothing that is in force.
        let drill = try await store.drillSnapshot(snapshot)
        #expect(drill.integrityViolations == 0 && drill.quarantine == nil)
        try profile.close()
        #expect(try TestFiles.tree(sample.backups()).count == 2, "a drill leaves nothing")
    }

    /// At whatever moment it is cancelled: it is as before, or it is done.
    @Test func cancellingChangesNothing() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        try sample.test.fill(sample.info, in: store, rows: 5)
        for phase in [RestoreProgress.Phase.copying, .checking, .committing] {
            let task = Task {
                try await store.restoreSnapshot(snapshot) { progress in
                    if progress.phase == phase { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            // The copy reports from threads of its own, which are no task: there it is cancelled from outside.
            if phase == .copying { task.cancel() }
            let result = await task.result
            #expect((try? result.get()) == nil, "\(phase)")
            #expect(try sample.rows() == 65)
            let names = try FileManager.default.contentsOfDirectory(atPath: sample.test.directoryOf(sample.info).string)
            #expect(!names.contains { $0.contains("restor") || $0 == "corrupted" }, "\(names)")
        }
    }

    @Test func asANewProfileUnderAKeyOfItsOwn() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        let (info, report) = try await store.restoreSnapshot(snapshot, asProfileNamed: "Copy")
        #expect(report.isReencrypted && info.id != sample.info.id)
        #expect(try sample.test.rows(info, in: store) == 60)
        #expect(try store.verify(info).isHealthy && store.verify(sample.info).isHealthy)
        let keys = try store.keyStatus().dataKeys.map(\.keyId)
        #expect(Set(keys).count == 3)
        // What is written there is not lost to rollback checks.
        try sample.test.fill(info, in: store, rows: 1)
        #expect(try sample.test.rows(info, in: store) == 61)
        for name in ["", "a/b", "../x", "..", "Copy", "global", "prof_abcdefghijklmnop"] {
            let found = await code { _ = try await store.restoreSnapshot(snapshot, asProfileNamed: name) }
            #expect(found == (name == "Copy" ? "profile_exists" : "profile_name_invalid"))
        }
        let global = try await store.createSnapshot(of: .global)
        #expect(
            await code { _ = try await store.restoreSnapshot(global, asProfileNamed: "g") }
                == "snapshot_of_another_database")
        #expect(try store.profiles().count == 2)
    }

    @Test func otherPageFormatsToo() async throws {
        let other = try SnapshotStore(
            rows: 60,
            policy: [("size: 4096", "size: 16384"), ("authentication: hmac-sha512", "authentication: hmac-sha256")])
        let snapshot = try await other.store.createSnapshot(of: other.scope)
        #expect(snapshot.pageSize == 16384)
        _ = try await other.store.restoreSnapshot(snapshot)
        #expect(try other.rows() == 60)
        let copy = try await other.store.restoreSnapshot(snapshot, asProfileNamed: "Copy").info
        #expect(try other.test.rows(copy, in: other.store) == 60)
    }

    /// SQLite finds rows that break a rule of their table; every page is authentic.
    @Test func violationsAreFoundBeforeAnythingIsTouched() async throws {
        let profile = try store.openProfile(sample.info)
        try await profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")
            try db.execute(sql: "PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1), (2); PRAGMA foreign_keys = ON")
            try db.execute(sql: "CREATE TABLE s (a CHECK (a > 0)); PRAGMA ignore_check_constraints = ON")
            try db.execute(sql: "INSERT INTO s VALUES (-1); PRAGMA ignore_check_constraints = OFF")
        }
        try profile.close()
        let snapshot = try await store.createSnapshot(of: scope)
        let before = try TestFiles.read(sample.test.databaseFile(sample.info))
        #expect(await code { _ = try await store.restoreSnapshot(snapshot) } == "snapshot_integrity")
        #expect(
            await code { _ = try await store.restoreSnapshot(snapshot, asProfileNamed: "c") } == "snapshot_integrity")
        #expect(try TestFiles.read(sample.test.databaseFile(sample.info)) == before)
        let drill = try await store.drillSnapshot(snapshot)
        #expect((drill.integrityViolations ?? 0) > 0 && drill.foreignKeyViolations == 2)
        let report = try await store.restoreSnapshot(snapshot, acceptingViolations: true)
        #expect(report.integrityViolations == drill.integrityViolations && report.foreignKeyViolations == 2)
        #expect(try sample.rows() == 60)
    }

    @Test func anAppsOwnCollationIsSaidNotToBeCheckable() async throws {
        let profile = try store.openProfile(sample.info)
        try await profile.database.write { db in
            db.add(collation: DatabaseCollation("OWN") { $0.compare($1) })
            try db.execute(
                sql: "CREATE TABLE o (a TEXT COLLATE OWN); CREATE INDEX oi ON o (a); INSERT INTO o VALUES ('x')")
        }
        try profile.close()
        let snapshot = try await store.createSnapshot(of: scope)
        let report = try await store.restoreSnapshot(snapshot)
        #expect(report.integrityViolations == nil)
        #expect(try sample.rows() == 60)
    }

    // MARK: The global database

    @Test func profilesThatAreNewerThanTheRegistryAreNotLost() async throws {
        let snapshot = try await store.createSnapshot(of: .global)
        let later = try store.createProfile(named: "Later")
        let report = try await store.restoreSnapshot(snapshot)
        #expect(report.registeredProfiles == ["\(later.id)"] && report.missingProfiles == [])
        #expect(Set(try store.profiles().map(\.name)) == ["sample", "Later"])
        try store.openProfile("Later").close()
        try store.lock()
        // The keyring's sequence is in there, too.
        #expect(try sample.test.open().profiles().count == 2)
    }

    @Test func aGlobalDatabaseThatNobodyCanReadIsRestored() async throws {
        let snapshot = try await store.createSnapshot(of: .global)
        let later = try store.createProfile(named: "Later")
        try store.lock()
        let path = sample.test.path.appending("global.db")
        try TestFiles.edit(path) { $0[100] ^= 1 }
        let opened = #expect(throws: StrongroomError.self) { try sample.test.open() }
        #expect(opened?.isAboutGlobalDatabase == true)

        let without = try Store.openWithoutGlobal(at: sample.test.path, with: .keyFile(sample.test.keyFile))
        #expect(try without.snapshotScopes().count == 3)
        let report = try await without.restoreSnapshot(without.snapshot("latest", of: .global))
        #expect(report.snapshot.id == snapshot.id && report.registeredProfiles == ["\(later.id)"])
        try without.lock()
        let again = try sample.test.open()
        #expect(Set(try again.profiles().map(\.name)) == ["sample", "Recovered \(later.id)"])
        try again.lock()
    }

    // MARK: The journal of a restore

    private func interrupted() async throws -> (journal: FilePath, snapshot: Snapshot) {
        let snapshot = try await store.createSnapshot(of: scope)
        try sample.test.fill(sample.info, in: store, rows: 5)
        // The system refuses to give the live file a second name: everything after the journal is left undone.
        let probe = FailingProbe(failing: 1, with: .ioError, calls: [.link])
        let failed = await SystemCalls.$probe.withValue(probe) {
            await code { _ = try await store.restoreSnapshot(snapshot) }
        }
        #expect(failed == "disk_error")
        return (sample.test.directoryOf(sample.info).appending("restore.json"), snapshot)
    }

    @Test func whatWasDecidedIsFinishedByTheNextOneToOpen() async throws {
        let (journal, _) = try await interrupted()
        #expect(FileManager.default.fileExists(atPath: journal.string))
        #expect(try sample.rows() == 60)
        #expect(!FileManager.default.fileExists(atPath: journal.string))
        #expect(try sample.test.open().verify(sample.info).isHealthy)
    }

    @Test func aForgedOrMisplacedJournalIsRefused() async throws {
        let (journal, snapshot) = try await interrupted()
        let bytes = try TestFiles.read(journal)
        let live = try TestFiles.read(sample.test.databaseFile(sample.info))
        func open() -> String? { code { try store.openProfile(sample.info).close() } }
        try TestFiles.edit(journal) { $0[40] ^= 1 }
        #expect(open() == "restore_damaged")
        let text = String(decoding: bytes, as: UTF8.self)
        try UntrustedSnapshotTests.forge(
            journalFrom: text, replacing: "\"epoch\" : ", with: "\"epoch\" : 9", at: journal)
        #expect(open() == "restore_forged")
        // An honest journal, and something else standing ready.
        try TestFiles.write(bytes, to: journal)
        let ready = sample.test.directoryOf(sample.info).appending("profile.db.restoring")
        let staged = try TestFiles.read(ready)
        try TestFiles.write(try TestFiles.read(sample.file(snapshot)), to: ready)
        #expect(open() == "restore_malformed")
        // Of another database.
        let other = try store.createProfile(named: "other")
        try TestFiles.write(bytes, to: sample.test.directoryOf(other).appending("restore.json"))
        #expect(code { try store.openProfile(other).close() } == "restore_malformed")
        #expect(try TestFiles.read(sample.test.databaseFile(sample.info)) == live)
        try TestFiles.write(staged, to: ready)
        #expect(try sample.rows() == 60)
    }

    @Test func whatWasNeverDecidedIsClearedAway() async throws {
        let ready = sample.test.directoryOf(sample.info).appending("profile.db.restoring")
        try TestFiles.write([1, 2, 3], to: ready)
        #expect(try sample.rows() == 60)
        #expect(!FileManager.default.fileExists(atPath: ready.string))
    }
}

extension UntrustedSnapshotTests {
    static func forge(journalFrom text: String, replacing old: String, with new: String, at path: FilePath) throws {
        try TestFiles.write(Array(text.utf8), to: path)
        try forge(path) { $0 = $0.replacing(old, with: new) }
    }
}

/// What is handed to somebody else: exports and verify keys.
@Suite struct HandOverTests {
    let sample: SnapshotStore
    var store: Store { sample.store }
    var scope: KeyScope { sample.scope }
    init() throws { sample = try SnapshotStore(rows: 60) }

    private func path(_ name: String) -> FilePath { sample.test.directory.appending(name) }

    private func rawKey(_ file: FilePath) throws -> String {
        try TestFiles.read(file).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Runs SQL in the stock shell.
    private func stockShell(_ database: FilePath, key: String, _ settings: String = "") throws -> ChildProcess.Outcome {
        let sql = """
            PRAGMA key = "x'\(key)'"; \(settings)
            SELECT 'rows', count(*) FROM t; PRAGMA cipher_integrity_check; PRAGMA integrity_check;
            """
        return try ChildProcess.run(
            executable: "/usr/bin/sqlcipher", ["-batch", "-readonly", "file:\(database.string)?immutable=1"], input: sql
        )
    }

    @Test func theStockShellOpensAnExportWithItsKeyAndNoOther() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        let target = path("out.db")
        let export = try await store.exportSnapshot(snapshot, to: target, newKeyFile: path("out.key"))
        #expect(export.pages == snapshot.pages)
        let good = try stockShell(target, key: rawKey(path("out.key")))
        #expect(good.outputText.contains("rows|60") && good.outputText.hasSuffix("ok\n"), "\(good.errorText)")
        let wrong = try stockShell(target, key: String(repeating: "ab", count: 32))
        #expect(!wrong.outputText.contains("rows") && wrong.errorText.contains("not a database"))
        // The snapshot itself opens with the profile's own key, which no export holds.
        #expect(!(try stockShell(sample.file(snapshot), key: rawKey(path("out.key")))).outputText.contains("rows"))
        let own = try store.keyring.dataKey(generation: 1, of: store.keyring.envelope(for: scope))
        let hex = own.secret.withSecret {
            $0.withUnsafeBytes { $0.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) } }
        }
        let opened = try stockShell(sample.file(snapshot), key: try #require(hex).joined())
        #expect(opened.outputText.contains("rows|60"))
        for file in [target, path("out.key"), path("out.json")] {
            let mode = try FileManager.default.attributesOfItem(atPath: file.string)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
        // Nothing is overwritten.
        let before = try TestFiles.snapshot(sample.test.directory.path, ignoring: ["/store"])
        #expect(
            await code { _ = try await store.exportSnapshot(snapshot, to: target, newKeyFile: path("k2")) }
                == "file_exists")
        #expect(
            await code { _ = try await store.exportSnapshot(snapshot, to: path("o2.db"), newKeyFile: path("out.key")) }
                == "file_exists")
        #expect(
            await code { _ = try await store.exportSnapshot(snapshot, to: path("o2"), newKeyFile: path("k2")) }
                == "export_name_invalid")
        #expect(try TestFiles.snapshot(sample.test.directory.path, ignoring: ["/store"]) == before)
    }

    @Test func aVerifyKeyVerifiesReadsNothingAndForgesNothing() async throws {
        let snapshot = try await store.createSnapshot(of: scope)
        try await store.writeVerifyKey(of: scope, to: path("verify.key"))
        // On another machine: the two files, the key, and nothing else.
        let elsewhere = try TemporaryDirectory()
        for suffix in [".db", ".json"] {
            try TestFiles.write(
                try TestFiles.read(sample.file(snapshot, suffix)), to: elsewhere.appending(snapshot.name + suffix),
                mode: 0o644)
        }
        let copy = elsewhere.appending(snapshot.name + ".db")
        let key = try VerifyKey(path("verify.key"))
        #expect(try await key.verify(copy).isHealthy)
        #expect(try await key.verify(elsewhere.appending(snapshot.name + ".json")).isHealthy)
        try TestFiles.edit(copy) { $0[4096 + 1] ^= 1 }
        #expect(try await key.verify(copy).badPages == [.init(number: 2, kind: "wrong_tag")])

        // It holds the page key, and neither the data key nor anything that opens a page.
        let data = try store.keyring.dataKey(generation: 1, of: store.keyring.envelope(for: scope))
        let dataKey = data.secret.withSecret { $0.withUnsafeBytes { Array($0) } } ?? []
        let file = try TestFiles.read(path("verify.key"))
        #expect(dataKey.count == 32 && !(ByteSearch.count(dataKey, in: file) > 0))
        let pageKey = try data.pageKey().withUnsafeBytes { Array($0) }
        #expect(ByteSearch.count(pageKey, in: file) == 1, "the search can find something")

        // Another profile's snapshots are none of its business; nor is what is no key.
        let other = try store.createProfile(named: "other")
        let foreign = try await store.createSnapshot(of: .profile(other.id))
        let foreignPath = sample.test.directoryOf(other).appending("backups").appending(foreign.name + ".db")
        #expect(await code { _ = try await key.verify(foreignPath) } == "verify_key_unknown")
        for length in [0, 1, 24, 25, 26, 72] {
            try TestFiles.write(file.prefix(length), to: path("cut.key"))
            #expect(
                code { _ = try VerifyKey(path("cut.key")) } == (length == 0 ? "file_empty" : "verify_key_malformed"))
        }
        try TestFiles.write([UInt8](repeating: 65, count: 73), to: path("cut.key"))
        #expect(code { _ = try VerifyKey(path("cut.key")) } == "verify_key_malformed")
        #expect(await code { _ = try await key.verify(path("nothing.db")) } == "snapshot_manifest_missing")
    }
}
