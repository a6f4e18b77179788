import DurableFiles
import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// Rule 6: a rollback journal beside a database, which SQLite would roll back without a key.
@Suite struct JournalTests {
    private static let sample = Result { try DrillStore(rows: 40) }
    private let drill: DrillStore
    private let contents: [String]

    init() throws {
        drill = try Self.sample.get().copy()
        contents = try drill.contents()
    }

    private enum Kind: CaseIterable { case hot, oneByte, directory, pipe, link }

    private func plant(_ kind: Kind = .hot, beside file: FilePath? = nil) throws {
        let file = file ?? drill.files.main
        let path = DatabaseFiles.sibling(of: file, suffix: "-journal")
        switch kind {
        case .hot: try TestFiles.write(JournalForgery.cutting(drill.files.main, to: 2), to: path)
        case .oneByte: try TestFiles.write([0], to: path)
        case .directory: try DurableFiles.createDirectory(path)
        case .pipe: #expect(mkfifo(path.string, 0o600) == 0)
        case .link:
            try FileManager.default.createSymbolicLink(
                atPath: path.string, withDestinationPath: drill.test.keyFile.string)
        }
    }

    /// The negative control: this is what the journal does to a database that SQLite is given with it.
    @Test func sqliteRollsItBackWithoutAKey() throws {
        let store = try drill.test.open()
        let key = try store.keyring.dataKey(generation: 1, of: store.keyring.envelope(for: drill.scope))
        try plant()
        // It rolls back before it finds that what is left is no database.
        _ = try? DatabaseQueue(
            path: drill.files.main.string, configuration: Engine.configuration(key: key, policy: store.policy))
        try store.lock()
        #expect(try TestFiles.read(drill.files.main).count == 2 * DrillStore.pageSize)
    }

    @Test(arguments: Kind.allCases) private func itIsToldBeforeSQLiteIsAsked(kind: Kind) async throws {
        try await drill.takeSnapshot()
        try plant(kind)
        // A pipe cannot be read.
        func bytes() throws -> [String: [UInt8]] {
            try TestFiles.snapshot(drill.files.directory, ignoring: ["-shm", ".lock", "-journal"])
        }
        let before = try bytes()
        let store = try drill.test.open()
        let expected = "database_journal_foreign"
        #expect(code { try store.openProfile(drill.info).close() } == expected)
        let report = try store.verify(drill.info)
        #expect(report.condition == .journalForeign && report.badPageCount == 0 && report.pages > 2)
        let diagnosed = try await store.diagnostics(profile: drill.info.id)
        #expect(diagnosed.profile?.condition == .condition(.journalForeign))
        #expect(await code { _ = try await store.createSnapshot(of: drill.scope) } == expected)
        #expect(await code { _ = try await store.rotateDataKey(of: drill.scope) } == expected)
        #expect(await code { try await store.settleWAL(of: drill.scope, .without) } == expected)
        #expect(try await store.createSnapshotSet().failed.map(\.code) == [expected])
        let plan = try await store.recoveryPlan(of: drill.scope)
        #expect(
            plan.action == .moveJournal && plan.movesJournal && plan.isLossless && plan.condition == .journalForeign)
        #expect(try bytes() == before)
        #expect(try StrictFiles.exists(drill.files.journal))

        let event = try #require(try await store.repair(drill.scope))
        #expect(event.plan == plan && event.journal == event.quarantine)
        #expect(try await store.repair(drill.scope) == nil)
        try store.lock()
        let kept = try #require(try drill.files.quarantines().last)
        #expect(kept.kind == .journal && kept.name == event.quarantine)
        let names = try DurableFiles.names(in: drill.files.corrupted.appending(kept.name)).map(\.shown)
        #expect(names == ["profile.db-journal"])
        #expect(try !StrictFiles.exists(drill.files.journal))
        #expect(try drill.contents() == contents)
    }

    /// SQLite takes an empty one for none.
    @Test func anEmptyOneIsNone() throws {
        try TestFiles.write([], to: drill.files.journal)
        #expect(try drill.contents() == contents)
    }

    @Test func anAppThatMayMovesItAndGoesOn() throws {
        for mode in [RecoveryMode.automatic, .lossless] {
            try plant()
            let events = Events()
            _ = try drill.laterRows(recovery: mode, events)
            #expect(events.all.map(\.plan.action) == [.moveJournal] && events.all.map(\.plan.isLossless) == [true])
            #expect(try drill.contents() == contents)
        }
        try plant()
        #expect(code { _ = try drill.laterRows(recovery: .never) } == "database_journal_foreign")
    }

    /// The one does not hide the other.
    @Test(arguments: [false, true]) func whatIsBehindItIsRepairedAsWell(byItself: Bool) async throws {
        try await drill.takeSnapshot()
        let page = try PageMap(drill).leaves[2]
        try TestFiles.edit(drill.files.main) { $0[(page - 1) * DrillStore.pageSize + 300] ^= 1 }
        try plant()
        if byItself {
            // After an unclean close every page is looked at.
            try drill.leaveOpen()
            let events = Events()
            _ = try drill.laterRows(recovery: .automatic, events)
            #expect(events.all.map(\.plan.action) == [.moveJournal, .repair] && events.all.last?.journal != nil)
        } else {
            let store = try drill.test.open()
            let plan = try await store.recoveryPlan(of: drill.scope)
            #expect(plan.action == .repair && plan.movesJournal && plan.condition == .pagesDamaged(count: 1))
            let event = try #require(try await store.repair(drill.scope))
            #expect(event.plan.action == .repair && event.journal != nil && event.journal != event.quarantine)
            try store.lock()
        }
        #expect(try drill.contents() == contents)
    }

    /// A file that is none of this database's is not parted from what came with it.
    @Test func besideAForeignFileItStays() async throws {
        try TestFiles.edit(drill.files.main) { $0.replaceSubrange(..<16, with: PageLayout.plaintextMagic) }
        try plant()
        let before = try drill.bytes()
        let store = try drill.test.open()
        #expect(code { _ = try store.openProfile(drill.info) } == "database_plaintext")
        #expect(await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "database_plaintext")
        try store.lock()
        #expect(try drill.bytes() == before)
    }

    @Test func besideTheGlobalDatabase() async throws {
        let global = DatabaseFiles(.global, in: drill.test.path)
        let before = try TestFiles.read(global.main)
        try TestFiles.write(JournalForgery.cutting(global.main, to: 2), to: global.journal)
        #expect(code { _ = try drill.test.open() } == "database_journal_foreign")
        #expect(try TestFiles.read(global.main) == before)
        let store = try Store.openWithoutGlobal(at: drill.test.path, with: .keyFile(drill.test.keyFile))
        #expect(try store.verifyGlobal().condition == .journalForeign)
        #expect(try await store.recoveryPlan(of: .global).action == .moveJournal)
        #expect(try await store.repair(.global)?.plan.action == .moveJournal)
        try store.lock()
        #expect(try global.quarantines().map(\.kind) == [.journal])
        #expect(try drill.contents() == contents)
        // An app does it when it opens the store.
        try TestFiles.write(JournalForgery.cutting(global.main, to: 2), to: global.journal)
        let events = Events()
        _ = try drill.laterRows(events)
        #expect(events.all.map(\.plan.action) == [.moveJournal] && events.all.map(\.plan.scope) == [.global])
    }

    // MARK: Beside what a restore makes

    /// A journal, a WAL and an index for the file that is to stand ready: none of them comes into it.
    @Test func besideAFileThatIsBeingRestored() async throws {
        try await drill.takeSnapshot()
        for suffix in ["-journal", "-wal", "-shm"] {
            try plant(.hot, beside: drill.files.restoring)
            try TestFiles.write([1, 2, 3], to: DatabaseFiles.sibling(of: drill.files.restoring, suffix: suffix))
            if suffix == "-journal" { try plant(.hot, beside: drill.files.restoring) }
            let store = try drill.test.open()
            _ = try await store.restoreSnapshot(store.snapshot("latest", of: drill.scope))
            try store.lock()
            #expect(try drill.contents() == contents)
        }
    }

    /// What stands beside the database goes to `corrupted/` with it.
    @Test func aRestoreMovesItAway() async throws {
        try await drill.takeSnapshot()
        try plant()
        let journal = try TestFiles.read(drill.files.journal)
        let store = try drill.test.open()
        let report = try await store.restoreSnapshot(store.snapshot("latest", of: drill.scope))
        try store.lock()
        let kept = drill.files.corrupted.appending(try #require(report.quarantine)).appending("profile.db-journal")
        #expect(try TestFiles.read(kept) == journal)
        #expect(try drill.contents() == contents)
    }

    /// A restore of the global database asks the one that is there for names: without its journal.
    @Test func aRestoreOfTheGlobalDatabaseKeepsNames() async throws {
        let global = DatabaseFiles(.global, in: drill.test.path)
        let store = try drill.test.open()
        let taken = try await store.createSnapshot(of: .global)
        let later = try store.createProfile(named: "later")
        try TestFiles.write(JournalForgery.cutting(global.main, to: 2), to: global.journal)
        #expect(try await store.restoreSnapshot(taken).registeredProfiles == [later.id.description])
        #expect(try store.profiles().map(\.name) == ["later", "sample"])
        try store.lock()
    }

    /// While a profile is open its journal is not looked at; but when the file is exchanged for one under another key it would be.
    @Test func duringTheRotationOfAnOpenProfile() async throws {
        let store = try drill.test.open()
        let profile = try store.openProfile(drill.info)
        try await profile.database.write { try $0.execute(sql: "INSERT INTO later (filling) VALUES ('a')") }
        try plant()
        let pages = try TestFiles.read(drill.files.main).count
        #expect(await code { _ = try await profile.rotateDataKey() } != nil)
        try DurableFiles.remove(drill.files.journal)
        // At the last moment, when every connection is open that is needed.
        let cutting = try JournalForgery.cutting(drill.files.main, to: 2)
        let found = await code {
            try await profile.rotateDataKey { [drill] progress in
                if progress.phase == .exchanging { try? TestFiles.write(cutting, to: drill.files.journal) }
            }
        }
        #expect(found == "database_journal_foreign")
        #expect(try TestFiles.read(drill.files.journal) == cutting, "SQLite has not taken it")
        try await profile.database.write { try $0.execute(sql: "INSERT INTO later (filling) VALUES ('b')") }
        try? profile.close()
        try store.lock()
        #expect(try TestFiles.read(drill.files.main).count >= pages)
        let events = Events()
        #expect(try drill.laterRows(events) == 2)
        #expect(events.all.map(\.plan.action) == [.moveJournal])
    }

    /// A snapshot of what another process has open takes a connection of its own.
    @Test func besideAProfileThatIsOpenElsewhere() async throws {
        let holder = try ChildProcess(
            "TestHelper", ["hold", drill.test.path.string, drill.test.keyFile.string, drill.info.name])
        #expect(holder.line() == "open")
        try plant()
        let store = try drill.test.open()
        #expect(await code { _ = try await store.createSnapshot(of: drill.scope) } == "database_journal_foreign")
        try DurableFiles.remove(drill.files.journal)
        // The negative control.
        #expect(await code { _ = try await store.createSnapshot(of: drill.scope) } == nil)
        try store.lock()
        holder.send("close")
        #expect(holder.finish().status == 0)
        #expect(try drill.contents() == contents)
    }

    @Test func aPlaintextExportTakesNoFileThatIsThere() throws {
        let target = drill.test.directory.appending("out.db")
        try plant(.hot, beside: target)
        let before = try TestFiles.read(DatabaseFiles.sibling(of: target, suffix: "-journal"))
        let store = try drill.test.open()
        #expect(
            code { _ = try store.exportProfile(drill.info, toPlaintext: target, confirmingPlaintext: true) }
                == "file_exists")
        try store.lock()
        #expect(try TestFiles.read(DatabaseFiles.sibling(of: target, suffix: "-journal")) == before)
    }
}
