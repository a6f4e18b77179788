import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// That the forger really forges: what it makes with the true keys the product takes, and what it makes without them looks right in
/// everything but what it lacks. So a refusal in the other tests of this target is not for a mistake of the forger's.
@Suite struct ForgerTests {
    private let test: TestStore
    private let forger: Forger
    private var keyring: FilePath { test.path.appending("keyring").appending("keyring.json") }
    private var global: FilePath { test.path.appending("keyring").appending("envelopes").appending("global.json") }

    init() throws {
        test = try TestStore()
        forger = try Forger.shared.get()
    }

    private func open(_ keyring: FilePath? = nil) throws -> ForgerAnswer {
        try forger("open-keyring", ["keyring": keyring ?? self.keyring, "keyFile": test.keyFile])
    }

    private func root(_ version: Int = 1) throws -> String { try open().value("roots", "\(version)") }

    /// What opening the store says now.
    private func opening() -> String? { code { try test.open().lock() } }

    private static func hex(_ bytes: borrowing SecretBytes) -> String {
        bytes.withUnsafeBytes { $0.map { String(format: "%02x", $0) }.joined() }
    }

    // MARK: Keys

    @Test func theForgerOpensWhatTheProductMade() throws {
        let store = try test.open()
        defer { try? store.lock() }
        var secrets: [String: String] = [:]
        try store.forEachSecret {
            secrets[$0] = Self.hex($1)
        } unusable: { _ in
        }
        let opened = try open()
        #expect(try opened.value("roots", as: [String: String].self) == ["1": secrets["root key 1"]])
        #expect(try opened.value("unlocker") == store.keyring.openedBy)
        #expect(try opened.value("privateKey") == secrets["private key of unlocker \(store.keyring.openedBy)"])
        let keys = try forger(
            "data-keys", ["envelope": global, "roots": opened.value("roots", as: [String: String].self)])
        #expect(try keys.value("keys", "1", "key") == secrets["data key, generation 1, of global"])
        let pageKey = try #require(secrets["page key, generation 1, of global"])
        let entry: String = try keys.value("keys", "1", "entry")
        #expect(entry.hasSuffix(pageKey) && entry.count == 96)
        // The negative controls.
        try TestFiles.write([UInt8](repeating: 7, count: 32), to: test.directory.appending("other"))
        #expect(throws: Forger.Refusal.self) {
            try forger("open-keyring", ["keyring": keyring, "keyFile": test.directory.appending("other")])
        }
        #expect(throws: Forger.Refusal.self) {
            try forger("data-keys", ["envelope": global, "roots": ["1": String(repeating: "00", count: 32)]])
        }
    }

    // MARK: Documents

    /// `sign` with the true root key is taken; with another one it is refused, and so is `resum`, both for the MAC alone.
    @Test func whatIsSignedWithTheTrueRootKeyIsTaken() throws {
        let edits = [Forger.edit(["unlockers", 0, "label"], "forged"), Forger.edit(["sequence"], 5)]
        let original = try TestFiles.read(keyring)
        func attempt(_ command: String, _ more: [String: Any]) throws -> String? {
            try TestFiles.write(original, to: keyring)
            try forger(command, more.merging(["file": keyring, "out": keyring, "edits": edits]) { $1 })
            return opening()
        }
        #expect(try attempt("sign", ["root": root()]) == nil)
        let store = try test.open()
        #expect(store.keyring.sequence == 5 && store.keyring.unlockers.map(\.label) == ["forged"])
        try store.lock()
        #expect(try attempt("sign", ["root": String(repeating: "5a", count: 32)]) == "keyring_forged")
        #expect(try attempt("resum", [:]) == "keyring_forged")
        #expect(try attempt("resum", ["line": ["algorithm": "none"]]) == "keyring_feature_unsupported")
    }

    @Test func envelopesAndTheStoreFileAreSignedLikewise() throws {
        let root = try root()
        let store = test.path.appending("store.json")
        let copies = try [global, store].map { try TestFiles.read($0) }
        let edits = [global: Forger.edit(["sequence"], 9), store: Forger.edit(["policy", "name"], "forged")]
        for (file, codes) in [(global, "envelope_forged"), (store, "store_forged")] {
            let request: [String: Any] = ["file": file, "out": file, "edits": [edits[file]].compactMap { $0 }]
            try forger("sign", request.merging(["root": root, "version": 1]) { $1 })
            #expect(opening() == nil)
            try forger(
                "resum", ["file": file, "out": file, "edits": [Forger.edit(["updated"], "2030-01-01T00:00:00Z")]])
            #expect(opening() == codes)
            for (path, bytes) in zip([global, store], copies) { try TestFiles.write(bytes, to: path) }
        }
    }

    @Test func masscheckTellsUnderWhichKeyAFileIs() throws {
        let roots = ["1": try root(), "2": String(repeating: "11", count: 32)]
        func check(_ file: FilePath) throws -> [Int] {
            try forger("masscheck", ["file": file, "roots": roots]).value("roots")
        }
        #expect(try check(keyring) == [1] && check(global) == [1])
        #expect(try check(test.path.appending("store.json")) == [1])
        let other = test.directory.appending("other.json")
        try forger("sign", ["file": global, "out": other, "root": roots["2"] ?? "", "version": 1])
        #expect(try check(other) == [2], "whatever its line claims")
        try forger("resum", ["file": global, "out": other, "edits": [Forger.edit(["epoch"], 8)]])
        #expect(try check(other) == [])
        #expect(try forger("describe", ["file": other]).value("sumFits") == true)
        #expect(try forger("describe", ["file": other]).value("json", "epoch") == 8)
    }

    /// A journal that was never there: with the root key it is one, without it is a forged one.
    @Test func aDocumentIsComposed() throws {
        let journal = test.path.appending("restore.json")
        let document: [String: Any] = [
            "format": "strongroom/restore", "version": 1, "critical": [String](), "scope": "global",
            "started": "2026-11-26T00:00:00Z", "epoch": 1, "quarantine": "restore-x",
            "firstPage": String(repeating: "0", count: 64),
        ]
        try forger("compose", ["out": journal, "document": document])
        #expect(opening() == "restore_forged")
        try forger("compose", ["out": journal, "document": document, "root": root()])
        #expect(try forger("masscheck", ["file": journal, "roots": ["1": root()]]).value("roots") == [1])
        let code = opening()
        #expect(code?.hasPrefix("restore_") == true && code != "restore_forged", "\(code ?? "")")
    }

    // MARK: The keyring

    /// The attack that rule 1 is for: who opens this file for the first time has nothing to tell it by.
    @Test(arguments: ["missing", "random", "known"]) func aTakenOverKeyringOpensWithEveryUnlocker(endorsed: String)
        throws
    {
        let before = try root()
        let known: [String: Any] = ["version": 1, "root": before]
        let taken = try forger("takeover", ["keyring": keyring, "out": keyring, "endorsed": endorsed, "known": known])
        let opened = try LockedKeyring(in: test.path.appending("keyring")).unlock(with: .keyFile(test.keyFile))
        defer { opened.lock() }
        #expect(opened.rootKeyInfos.map(\.state) == [.destroyed, .active] && opened.sequence > 1)
        let root = try opened.withRootKey(2) { Self.hex($0) }
        #expect(try taken.value("root") == root)
        // Together with an envelope and a store file of the attacker's it is a store of its own.
        let fresh = try forger(
            "envelope", ["file": global, "out": global, "root": taken.value("root", as: String.self), "version": 2])
        let envelope = try opened.envelope(for: .global)
        #expect(envelope.activeDataKey?.generation == 2)
        let key = try opened.dataKey(generation: 2, of: envelope)
        let dataKey = try #require(key.secret.withSecret { Self.hex($0) })
        #expect(try fresh.value("key") == dataKey)
    }

    /// Where the older root key stays, the product checks what the forger wrote: its endorsement with a known root key is right.
    @Test func theForgersEndorsementIsRightWithAKnownRootKeyOnly() throws {
        let original = try TestFiles.read(keyring)
        let root = try root()
        func attempt(_ endorsed: String, _ known: String) throws -> String? {
            try TestFiles.write(original, to: keyring)
            try forger(
                "takeover",
                [
                    "keyring": keyring, "out": keyring, "endorsed": endorsed, "destroys": false,
                    "known": ["version": 1, "root": known],
                ])
            return code {
                try LockedKeyring(in: test.path.appending("keyring")).unlock(with: .keyFile(test.keyFile)).lock()
            }
        }
        #expect(try attempt("known", root) == nil)
        #expect(try attempt("known", String(repeating: "00", count: 32)) == "keyring_forged")
        #expect(try attempt("random", root) == "keyring_forged")
        #expect(try attempt("missing", root) == "keyring_malformed")
    }

    // MARK: Pages

    /// Who holds a verify key makes a snapshot that another holder takes for whole; the store knows better (rule 4).
    @Test func theForgerMakesASnapshotThatAVerifyKeyTakesForWhole() async throws {
        let info = try test.makeProfile()
        let store = try test.open()
        defer { try? store.lock() }
        let scope = KeyScope.profile(info.id)
        let snapshot = try await store.createSnapshot(of: scope)
        let keyFile = test.directory.appending("verify.key")
        try await store.writeVerifyKey(of: scope, to: keyFile)
        let entry: String = try forger("verify-key", ["file": keyFile]).value("entries", "0")
        let pages = test.directoryOf(info).appending("backups").appending(snapshot.name + ".db")
        let manifest = FilePath(pages.string.dropLast(3) + ".json")
        let auditor = try VerifyKey(keyFile)
        #expect(try forger("masscheck", ["file": manifest, "entries": [entry]]).value("entries") == [0])

        let flip: [String: Any] = ["file": pages, "out": pages, "entry": entry, "number": 2, "bits": [5, 777]]
        try forger("page", flip.merging(["retag": false]) { $1 })
        #expect(try await auditor.verify(pages).condition == "snapshot_pages_damaged")
        // The same bits again put it back; then with a tag.
        try forger("page", flip.merging(["retag": false]) { $1 })
        #expect(try await auditor.verify(pages).condition == "healthy")
        try forger("page", flip)
        #expect(try await auditor.verify(pages).condition == "snapshot_pages_of_another_version")
        try forger("manifest", ["file": manifest, "pages": pages, "out": manifest, "entry": entry])
        #expect(try await auditor.verify(pages).condition == "healthy")
        #expect(await code { _ = try await store.verifySnapshot(snapshot) } == "snapshot_manifest_forged")
        // With the data key it would be the owner's.
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(scope).json")
        let key: String = try forger("data-keys", ["envelope": envelope, "roots": ["1": root()]]).value(
            "keys", "1", "key")
        try forger("sign", ["file": manifest, "out": manifest, "dataKey": key])
        #expect(try await store.verifySnapshot(snapshot).condition == "healthy")
        for file in [manifest, FilePath(pages.string.dropLast(3) + ".verified.json")] {
            let known = try forger("masscheck", ["file": file, "dataKeys": [key], "entries": [entry]])
            #expect(try known.value("dataKeys") == [0] && known.value("entries") == [0])
        }
    }

    @Test func pagesAreCutExchangedAndMoved() throws {
        let (file, out) = (test.directory.appending("pages"), test.directory.appending("out"))
        func bytes() throws -> [UInt8] {
            try TestFiles.read(out).enumerated().filter { $0.offset % 1024 == 0 }.map(\.element)
        }
        try TestFiles.write((0..<4).flatMap { [UInt8](repeating: $0, count: 1024) }, to: file)
        try TestFiles.write(
            (4..<8).flatMap { [UInt8](repeating: $0, count: 1024) }, to: test.directory.appending("older"))
        let request: [String: Any] = ["file": file, "out": out, "pageSize": 1024]
        try forger("swap", request.merging(["a": 2, "b": 4]) { $1 })
        #expect(try bytes() == [0, 3, 2, 1])
        try forger("transplant", request.merging(["source": test.directory.appending("older"), "numbers": [3]]) { $1 })
        #expect(try bytes() == [0, 1, 6, 3])
        try forger("truncate", request.merging(["pages": 2]) { $1 })
        #expect(try bytes() == [0, 1])
        try forger("garbage", ["out": out, "bytes": 99])
        #expect(try TestFiles.read(out).count == 99)
        try forger("empty", ["out": out])
        #expect(try TestFiles.read(out) == [])
    }

    // MARK: SQLite's own files

    /// Runs SQL in the stock shell, which needs no key for a plaintext database.
    private func sqlite(_ sql: String) throws -> String {
        let outcome = try ChildProcess.run(
            executable: "/usr/bin/sqlite3", [test.directory.appending("plain.db").string, sql])
        #expect(outcome.status == 0, "\(outcome.errorText)")
        return outcome.outputText.split(separator: "\n").joined(separator: " ")
    }

    private static let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"

    @Test func sqliteRollsAForgedJournalBack() throws {
        _ = try sqlite("CREATE TABLE t (a); \(Self.rows) INSERT INTO t SELECT randomblob(100) FROM n")
        let pages = try #require(Int(try sqlite("PRAGMA page_count")))
        #expect(pages > 8)
        let database = test.directory.appending("plain.db")
        let page = try Array(TestFiles.read(database)[4096..<8192])
        // With a page of its own: the check sum of a record fits as well.
        let other = test.directory.appending("other")
        try TestFiles.write([UInt8](repeating: 0, count: 4096) + page.map { $0 ^ 1 }, to: other)
        try forger(
            "journal",
            ["out": test.directory.appending("plain.db-journal"), "pages": 5, "records": [["page": 2, "file": other]]])
        // It is shortened before anything is read; page 1, which still has the old length, then shows that something is wrong.
        _ = try ChildProcess.run(executable: "/usr/bin/sqlite3", [database.string, "SELECT * FROM sqlite_schema"])
        let after = try TestFiles.read(database)
        #expect(after.count == 5 * 4096)
        #expect(Array(after[4096..<8192]) == page.map { $0 ^ 1 })
    }

    @Test func sqliteBelievesAForgedWAL() throws {
        let (database, wal) = (test.directory.appending("plain.db"), test.directory.appending("plain.db-wal"))
        let kept = test.directory.appending("kept")
        // What a crash leaves: the database and its WAL as they were before the last connection closed.
        let script = """
            PRAGMA journal_mode = WAL;
            CREATE TABLE t (a);
            \(Self.rows) INSERT INTO t SELECT randomblob(100) FROM n;
            .shell cp '\(database)' '\(kept).db'
            .shell cp '\(wal)' '\(kept).wal'
            """
        #expect(try ChildProcess.run(executable: "/usr/bin/sqlite3", [database.string], input: script).status == 0)
        func restore() throws {
            for (name, file) in [("db", database), ("wal", wal)] {
                try TestFiles.write(TestFiles.read(FilePath("\(kept).\(name)")), to: file)
            }
        }
        /// How many pages the database has after SQLite has taken what it believes of the WAL into it.
        func checkpointed() throws -> Int {
            _ = try ChildProcess.run(executable: "/usr/bin/sqlite3", [database.string, "SELECT * FROM sqlite_schema"])
            return try TestFiles.read(database).count / 4096
        }
        try restore()
        let whole = try checkpointed()
        #expect(whole > 8)
        try restore()
        let frames: Int = try forger("wal", ["file": wal, "out": wal, "edits": [[String: Int]]()]).value("frames")
        #expect(try checkpointed() == whole, "written anew as it was")
        try restore()
        try forger("wal", ["file": wal, "out": wal, "edits": [["frame": -1, "commit": whole + 2]]])
        #expect(try checkpointed() == whole + 2)
        // The negative control: without check sums SQLite does not read that far.
        try restore()
        try TestFiles.edit(wal) { $0[32 + (frames - 1) * (24 + 4096) + 7] ^= 1 }
        #expect(try checkpointed() < whole)
        // A WAL made from nothing puts one page in another one's place.
        try restore()
        _ = try checkpointed()
        try forger(
            "build-wal",
            ["out": wal, "frames": [["page": whole, "commit": whole, "file": database, "from": whole - 1]]])
        #expect(try forger("describe", ["file": wal]).value("frames", "0", "commit") == whole)
        #expect(try checkpointed() == whole)
        let bytes = try TestFiles.read(database)
        #expect(bytes.suffix(4096).elementsEqual(bytes.suffix(8192).prefix(4096)))
    }
}
