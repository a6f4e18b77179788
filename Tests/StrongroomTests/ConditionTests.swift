import Foundation
import GRDB
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// What is wrong with a database is told exactly, and the file is left as it is.
@Suite struct ConditionTests {
    let test: TestStore
    let info: ProfileInfo
    let file: FilePath

    init() throws {
        test = try TestStore()
        info = try test.makeProfile()
        file = test.databaseFile(info)
    }

    /// What opening the profile says of its file.
    private func condition() throws -> DatabaseCondition? {
        let before = try? TestFiles.read(file)
        let store = try test.open()
        defer { try? store.lock() }
        do {
            try store.openProfile(info).close()
            return nil
        } catch let error as StrongroomError {
            guard case .database(let condition) = error.reason else { throw error }
            let after = try? TestFiles.read(file)
            #expect(before == nil || after == before, "the file is left as it is")
            #expect(error.code == "database_\(condition.name)")
            return condition
        }
    }

    @Test func healthy() throws { #expect(try condition() == nil) }

    @Test func missing() throws {
        try FileManager.default.removeItem(atPath: file.string)
        #expect(try condition() == .missing)
        #expect(try !StrictFiles.exists(file), "no new, empty database is made")
        try FileManager.default.removeItem(atPath: file.removingLastComponent().string)
        #expect(try condition() == .missing)
    }

    @Test(arguments: [0, 1, 15, 16, 4095])
    func cutToLessThanAPage(count: Int) throws {
        try TestFiles.edit(file) { $0 = Array($0.prefix(count)) }
        #expect(try condition() == .truncated)
    }

    @Test(arguments: [1, 100, 4096, 8192])
    func cutAtTheEnd(count: Int) throws {
        try TestFiles.edit(file) { $0.removeLast(count) }
        #expect(try condition() == .truncated)
    }

    @Test func theFirstSixteenBytesDamaged() throws {
        for index in [0, 7, 15] {
            let original = try TestFiles.read(file)
            try TestFiles.edit(file) { $0[index] ^= 0x10 }
            #expect(try condition() == .headerDamaged)
            try TestFiles.write(original, to: file)
        }
        try TestFiles.edit(file) { $0.replaceSubrange(0..<16, with: [UInt8](repeating: 0, count: 16)) }
        #expect(try condition() == .headerDamaged)
    }

    @Test(arguments: [16, 24, 100, 2000, 4016, 4040, 4095])
    func pageOneDamaged(offset: Int) throws {
        try TestFiles.edit(file) { $0[offset] ^= 0x10 }
        #expect(try condition() == .pagesDamaged(count: 1))
    }

    @Test func headerAndPageOneDamaged() throws {
        try TestFiles.edit(file) {
            $0.replaceSubrange(0..<4096, with: (0..<4096).map { UInt8(truncatingIfNeeded: $0) })
        }
        #expect(try condition() == .pagesDamaged(count: 1))
    }

    /// A later page costs a scan to see: at every open where the policy says so, after a crash where it does not.
    @Test func aLaterPageDamaged() throws {
        try TestFiles.edit(file) { $0[4096 * 5 + 17] ^= 1 }
        let store = try test.open()
        #expect(try store.diagnostics(profile: info.id).profile?.condition == .condition(.pagesDamaged(count: 1)))
        #expect(try store.diagnostics(profile: info.id).profile?.damagedPages == 1)
        let profile = try store.openProfile(info)
        #expect(throws: DatabaseError.self) {
            try profile.database.read { try Row.fetchAll($0, sql: "SELECT * FROM t") }
        }
        try profile.close()
        try store.lock()

        let strict = try TestStore(policy: [("integrityCheck: afterCrash", "integrityCheck: always")])
        let other = try strict.makeProfile()
        try TestFiles.edit(strict.databaseFile(other)) { $0[4096 * 5 + 17] ^= 1 }
        #expect(code { _ = try strict.open().openProfile(other) } == "database_pages_damaged")
    }

    @Test func aPageDamagedBeforeACrashIsFoundAfterIt() throws {
        let writer = try ChildProcess("TestHelper", ["write", test.path.string, test.keyFile.string, info.name])
        for _ in 0..<20 { _ = writer.line() }
        writer.kill()
        _ = writer.finish()
        try TestFiles.edit(file) { $0[4096 * 5 + 17] ^= 1 }
        let store = try test.open()
        #expect(code { _ = try store.openProfile(info) } == "database_pages_damaged")
    }

    @Test func plaintextInItsPlace() throws {
        let plain = test.directory.appending("plain.db")
        try DatabaseQueue(path: plain.string).write {
            try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        }
        try TestFiles.write(try TestFiles.read(plain), to: file)
        #expect(try condition() == .plaintext)
    }

    @Test func anotherProfilesFileInItsPlace() throws {
        let store = try test.open()
        let other = try store.createProfile(named: "other")
        try test.fill(other, in: store, rows: 10)
        try store.lock()
        try TestFiles.write(try TestFiles.read(test.databaseFile(other)), to: file)
        #expect(try condition() == .keyOfAnotherDatabase)
    }

    @Test func aFileOfAnotherStoreInItsPlace() throws {
        let stranger = try TestStore()
        let other = try stranger.makeProfile()
        try TestFiles.write(try TestFiles.read(stranger.databaseFile(other)), to: file)
        #expect(try condition() == .unknownKey)
        #expect(StrongroomError(.database(.unknownKey)).category.rawValue == 12)
    }

    @Test func randomBytesInItsPlace() throws {
        var generator = SplitMix64(state: 7)
        try TestFiles.edit(file) { bytes in
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: generator.next()) }
        }
        #expect(try condition() == .unknownKey)
    }

    @Test func yesterdaysFileInItsPlace() throws {
        let yesterday = try TestFiles.read(file)
        let store = try test.open()
        try test.fill(info, in: store, rows: 1)
        try store.lock()
        try TestFiles.write(yesterday, to: file)
        #expect(try condition() == .rolledBack)
    }

    @Test func yesterdaysEnvelopeInItsPlace() throws {
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(info.id).json")
        let yesterday = try TestFiles.read(envelope)
        for _ in 0..<2 {
            let store = try test.open()
            try test.fill(info, in: store, rows: 1)
            try store.lock()
        }
        try TestFiles.write(yesterday, to: envelope)
        #expect(code { _ = try test.open().openProfile(info) } == "envelope_rolled_back")
    }

    /// A close that ended between the database and its envelope is not taken for anything worse.
    @Test func oneEpochBehindIsBroughtUpToDate() throws {
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(info.id).json")
        var store = try test.open()
        let profile = try store.openProfile(info)
        let during = try TestFiles.read(envelope)
        try profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('x')") }
        try profile.close()
        try store.lock()
        try TestFiles.write(during, to: envelope)
        try TestFiles.write([], to: FilePath(file.string + "-wal"))
        store = try test.open()
        try store.openProfile(info).close()
        #expect(try TestFiles.read(envelope) != during)
        try store.openProfile(info).close()
        try store.lock()
    }

    /// An envelope that says that the database was closed properly, one change ago, is an older envelope.
    @Test func oneEpochBehindAProperCloseIsOlder() throws {
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(info.id).json")
        let before = try TestFiles.read(envelope)
        let store = try test.open()
        try test.fill(info, in: store, rows: 1)
        try TestFiles.write(before, to: envelope)
        #expect(code { _ = try store.openProfile(info) } == "envelope_rolled_back", "it was seen by this process")
        try store.lock()
        #expect(code { _ = try test.open().openProfile(info) } == "envelope_rolled_back", "its database is newer")
        #expect(code { _ = try test.open().verify(info) } == "envelope_rolled_back")
    }

    @Test func itsEnvelopeMissing() throws {
        let envelope = test.path.appending("keyring").appending("envelopes").appending("\(info.id).json")
        try FileManager.default.removeItem(atPath: envelope.string)
        #expect(code { _ = try test.open().openProfile(info) } == "envelope_missing")
    }

    /// Nothing of the database may change: GRDB finds no WAL that it would fill. The envelope says that it was in use.
    @Test func openingWithoutAChangeIsNoChange() throws {
        let store = try test.open()
        let before = try TestFiles.snapshot(test.path)
        let profile = try store.openProfile(info)
        _ = try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
        try profile.close()
        try store.lock()
        let after = try TestFiles.snapshot(test.path)
        let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
        let surprising = changed.filter { !$0.hasSuffix("/envelopes/\(info.id).json") }
        #expect(surprising.isEmpty)
    }
}
