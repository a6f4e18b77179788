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

    private func rows() throws -> Int {
        let store = try test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM n") ?? 0 }
    }

    private func isFoundDamaged() throws -> Bool {
        let before = try (TestFiles.read(file), TestFiles.read(wal))
        let code = code { _ = try rows() }
        guard code != nil else { return false }
        #expect(code == "database_wal_damaged")
        let after = try (TestFiles.read(file), TestFiles.read(wal))
        #expect(before == after, "the files are left as they are")
        return true
    }

    @Test func aWholeWALIsReadToItsEnd() throws {
        #expect(try TestFiles.read(wal).count > 12 * Self.frame)
        #expect(try rows() >= acknowledged)
    }

    /// A bit in each part of an early frame, and of the header: what SQLite would drop is not dropped.
    @Test(arguments: [0, 4, 8, 16, 24, 32, 35, 40, 48, 56, 32 + 24 + 100, 32 + 24 + 4095])
    func aDamagedFrameBeforeAcknowledgedOnesIsDamage(offset: Int) throws {
        try TestFiles.edit(wal) { $0[offset] ^= 1 }
        #expect(try isFoundDamaged())
    }

    @Test func everyFrameButTheLastTransactionsIsGuarded() throws {
        let whole = try TestFiles.read(wal)
        let main = try TestFiles.read(file)
        let frames = (whole.count - 32) / Self.frame
        var damaged = 0
        for frame in stride(from: 0, to: frames, by: 3) {
            try TestFiles.edit(wal) { $0[32 + frame * Self.frame + 24 + 50] ^= 4 }
            if try isFoundDamaged() { damaged += 1 }
            try TestFiles.write(main, to: file)
            try TestFiles.write(whole, to: wal)
        }
        // At most the last transaction's few frames can be taken for a torn tail.
        #expect(damaged >= frames / 3 - 2)
    }

    /// What a power loss leaves of a transaction that nobody was told of: opened without a word, all else there.
    @Test func aTornTailIsNoDamage() throws {
        let whole = try TestFiles.read(wal)
        let main = try TestFiles.read(file)
        for cut in [1, 23, 24, 500, 4095] {
            try TestFiles.write(whole + [UInt8](repeating: 0x55, count: cut), to: wal)
            #expect(try !isFoundDamaged())
            try TestFiles.write(main, to: file)
        }
        // Half of the last frame: the last transaction is gone, the ones before it are there.
        try TestFiles.write(Array(whole.dropLast(2_000)), to: wal)
        #expect(try rows() >= acknowledged - 1)
    }

    @Test func aWALOfAnotherDatabaseIsDamage() throws {
        let other = try TestStore()
        let theirs = try other.makeProfile(rows: 1)
        let writer = try ChildProcess("TestHelper", ["write", other.path.string, other.keyFile.string, theirs.name])
        for _ in 0..<5 { _ = writer.line() }
        writer.kill()
        _ = writer.finish()
        try TestFiles.write(try TestFiles.read(FilePath(other.databaseFile(theirs).string + "-wal")), to: wal)
        #expect(try isFoundDamaged())
    }

    @Test func whatIsNoWALIsNotTakenForDamage() throws {
        var generator = SplitMix64(state: 3)
        for count in [0, 1, 31, 32, 100, 32 + Self.frame] {
            let main = try TestFiles.read(file)
            try TestFiles.write((0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }, to: wal)
            #expect(code { _ = try test.open().openProfile(info) } != "database_wal_damaged")
            try TestFiles.write(main, to: file)
        }
    }
}
