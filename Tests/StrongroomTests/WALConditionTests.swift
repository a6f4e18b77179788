import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// A WAL that a killed process left behind, whole and in every way broken.
@Suite struct WALConditionTests {
    let test: TestStore
    let info: ProfileInfo
    let file: FilePath
    let wal: FilePath
    /// The rows that were acknowledged, one a transaction.
    let acknowledged: Int
    private static let frame = 24 + 4096

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 1)
        file = test.databaseFile(info)
        wal = FilePath(file.string + "-wal")
        let writer = try ChildProcess("TestHelper", ["write", test.path.string, test.keyFile.string, info.name])
        var last = 0
        while last < 12 { last = Int(writer.line()) ?? last }
        writer.kill()
        last = max(last, writer.finish().outputText.split(separator: "\n").compactMap { Int($0) }.max() ?? 0)
        acknowledged = last
    }

    private func rows(in test: TestStore) throws -> Int {
        let store = try test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        // The table is in the WAL as well.
        return try profile.database.read { db in
            try db.tableExists("n") ? try Int.fetchOne(db, sql: "SELECT count(*) FROM n") ?? 0 : 0
        }
    }

    /// Opens a copy of the store with a changed WAL.
    ///
    /// - Returns: how many rows there are, or nil where the WAL is found damaged.
    private func rows(_ edit: (inout [UInt8]) -> Void) throws -> Int? {
        let copy = try TestStore(copyOf: test)
        let files = [copy.databaseFile(info), FilePath(copy.databaseFile(info).string + "-wal")]
        try TestFiles.edit(files[1], edit)
        let before = try files.map { try TestFiles.read($0) }
        var found: Int?
        guard let code = code({ found = try rows(in: copy) }) else { return found }
        #expect(code == "database_wal_damaged")
        #expect(try files.map { try TestFiles.read($0) } == before, "the files are left as they are")
        return nil
    }

    @Test func aWholeWALIsReadToItsEnd() throws {
        #expect(try TestFiles.read(wal).count > 12 * Self.frame)
        #expect(try #require(try rows { _ in }) >= acknowledged)
    }

    /// A bit in each part of an early frame, and of the header: what SQLite would drop is not dropped.
    @Test(arguments: [0, 4, 8, 16, 24, 32, 35, 40, 48, 56, 32 + 24 + 100, 32 + 24 + 4095])
    func aDamagedFrameBeforeAcknowledgedOnesIsDamage(offset: Int) throws {
        #expect(try rows { $0[offset] ^= 1 } == nil)
    }

    @Test func everyFrameButTheLastTransactionsIsGuarded() throws {
        let whole = try TestFiles.read(wal)
        let frames = (whole.count - 32) / Self.frame
        let commits = (0..<frames).filter {
            whole[(32 + $0 * Self.frame + 4)..<(32 + $0 * Self.frame + 8)].contains { $0 > 0 }
        }
        // What the helper was writing when it was killed may follow the last commit.
        let guarded = try #require(commits.dropLast().last)
        for frame in stride(from: 0, through: guarded, by: 3) {
            #expect(try rows { $0[32 + frame * Self.frame + 24 + 50] ^= 4 } == nil, "frame \(frame + 1)")
        }
    }

    /// What a power loss leaves of a transaction that nobody was told of: opened without a word, all else there.
    @Test(arguments: [1, 23, 24, 500, 4095]) func aTornTailIsNoDamage(cut: Int) throws {
        #expect(try #require(try rows { $0 += [UInt8](repeating: 0x55, count: cut) }) >= acknowledged)
    }

    /// The last transaction is gone, the ones before it are there.
    @Test func halfOfTheLastFrameIsNoDamage() throws {
        #expect(try #require(try rows { $0.removeLast(2_000) }) >= acknowledged - 1)
    }

    @Test func aWALOfAnotherDatabaseIsDamage() throws {
        let other = try TestStore()
        let theirs = try other.makeProfile(rows: 1)
        let writer = try ChildProcess("TestHelper", ["write", other.path.string, other.keyFile.string, theirs.name])
        for _ in 0..<5 { _ = writer.line() }
        writer.kill()
        _ = writer.finish()
        let foreign = try TestFiles.read(FilePath(other.databaseFile(theirs).string + "-wal"))
        #expect(try rows { $0 = foreign } == nil)
    }

    @Test(arguments: [0, 1, 31, 32, 100, 32 + frame]) func whatIsNoWALIsNotTakenForDamage(count: Int) throws {
        var generator = SplitMix64(state: 3)
        #expect(try rows { $0 = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) } } != nil)
    }
}
