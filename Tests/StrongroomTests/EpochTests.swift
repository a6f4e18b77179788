import GRDB
import Keyring
import TestSupport
import Testing

@testable import Strongroom

/// The epoch says whether anything was changed since a snapshot was taken, so it must not miss a change.
@Suite struct EpochTests {
    private func epoch(_ test: TestStore, _ info: ProfileInfo) throws -> Int {
        let store = try test.open()
        defer { try? store.lock() }
        return try store.keyring.envelope(for: .profile(info.id)).epoch
    }

    @Test func readingCountsNothingUp() throws {
        let test = try TestStore()
        let info = try test.makeProfile(named: "sample", rows: 3)
        let before = try epoch(test, info)
        let store = try test.open()
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") } != nil)
        try profile.close()
        try store.lock()
        #expect(try epoch(test, info) == before)
    }

    /// The app may empty the WAL itself, after which it does not show that anything was written.
    @Test(arguments: [Database.CheckpointMode.passive, .full, .restart, .truncate])
    func aChangeCountsUpWhateverBecameOfTheWAL(mode: Database.CheckpointMode) throws {
        let test = try TestStore()
        let info = try test.makeProfile(named: "sample", rows: 3)
        let before = try epoch(test, info)
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.write { try $0.execute(sql: "CREATE TABLE another (a)") }
        _ = try profile.database.writeWithoutTransaction { try $0.checkpoint(mode) }
        try profile.close()
        try store.lock()
        #expect(try epoch(test, info) == before + 1)
    }
}
