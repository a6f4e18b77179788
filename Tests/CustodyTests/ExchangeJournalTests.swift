import Foundation
import GRDB
import GRDBSQLite
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// The rollback journal of a rotation that a crash cut as it took an open database out of WAL mode, and journals that pose as that one.
@Suite struct ExchangeJournalTests {
    private let test: TestStore
    private let info: ProfileInfo
    private var files: DatabaseFiles { DatabaseFiles(.profile(info.id), in: test.path) }

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 50)
    }

    /// Leaves the files as a crash does that comes after page 1 was written and before the journal has gone.
    private func crash(
        as session: Session, pages sql: String = "PRAGMA user_version = 7", isComplete: Bool = true
    ) throws {
        let store = try test.open()
        defer { try? store.lock() }
        let envelope = try store.keyring.envelope(for: .profile(info.id))
        let key = try store.keyring.dataKey(generation: 1, of: envelope)
        let queue = try DatabaseQueue(
            path: files.main.string, configuration: Engine.configuration(key: key, policy: store.policy))
        var kept: [FilePath: [UInt8]] = [:]
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA journal_mode = DELETE")
            try db.execute(sql: "BEGIN IMMEDIATE; \(sql)")
            #expect(sqlite3_db_cacheflush(db.sqliteConnection) == SQLITE_OK)
            for path in [files.main, files.journal] { kept[path] = try TestFiles.read(path) }
            try db.execute(sql: "ROLLBACK")
        }
        try queue.close()
        if isComplete {
            let records = (kept[files.journal, default: []].count - 512) / (4096 + 8)
            kept[files.journal]?.replaceSubrange(
                0..<12, with: [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, UInt8(records)])
        }
        for (path, bytes) in kept { try TestFiles.write(bytes, to: path) }
        try store.keyring.note(session: session, in: envelope)
    }

    private func version() throws -> Int? {
        let store = try test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        return try profile.database.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
    }

    /// SQLite writes the head of a journal last, when the rest has been synced; one without it is never rolled back.
    @Test(arguments: [true, false]) func itIsRolledBackInAnExchange(isComplete: Bool) throws {
        try crash(as: .exchanging, isComplete: isComplete)
        #expect(try version() == 0)
        #expect(try !StrictFiles.exists(files.journal))
        let store = try test.open()
        #expect(try test.rows(info, in: store) == 50)
        try store.lock()
    }

    @Test(arguments: [Session.closed, .open]) func otherwiseItIsForeign(session: Session) throws {
        try crash(as: session)
        #expect(code { _ = try version() } == "database_journal_foreign")
    }

    /// It may bring back page 1 and nothing else.
    @Test func oneWithMorePagesIsForeign() throws {
        try crash(as: .exchanging, pages: "UPDATE t SET filling = 'y'; PRAGMA user_version = 7")
        #expect(code { _ = try version() } == "database_journal_foreign")
    }

    @Test func oneThatShortensTheDatabaseIsForeign() throws {
        let store = try test.open()
        let envelope = try store.keyring.envelope(for: .profile(info.id))
        try store.keyring.note(session: .exchanging, in: envelope)
        try store.lock()
        try Forger.shared.get()("journal", ["out": files.journal, "pages": 2, "pageSize": 4096])
        #expect(code { _ = try version() } == "database_journal_foreign")
    }

    /// Each number in its head, as high and as low as it goes: nothing traps, and the database is whole whatever is decided.
    @Test func noNumberInItTraps() throws {
        try crash(as: .exchanging)
        let journal = try TestFiles.read(files.journal)
        let main = try TestFiles.read(files.main)
        for offset in stride(from: 8, to: 28, by: 4) {
            for value in [[0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 1]] as [[UInt8]] {
                var changed = journal
                changed.replaceSubrange(offset..<offset + 4, with: value)
                let copy = try TestStore(copyOf: test)
                let place = copy.directoryOf(info)
                try TestFiles.write(changed, to: place.appending("profile.db-journal"))
                try TestFiles.write(main, to: place.appending("profile.db"))
                let store = try copy.open()
                var rows = 50
                let found = code { rows = try copy.rows(info, in: store) }
                #expect(rows == 50)
                #expect([nil, "database_journal_foreign"].contains(found), "offset \(offset), \(value)")
                try store.lock()
            }
        }
    }
}
