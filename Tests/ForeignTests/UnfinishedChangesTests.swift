import DurableFiles
import Foundation
import GRDB
import PageCipher
import SystemPackage
import TestSupport
import Testing

@testable import Strongroom

/// What a WAL or a journal says, against what SQLite itself makes of it: whatever somebody did to its bytes.
@Suite struct UnfinishedChangesTests {
    private static let companions = [
        "changes_in_a_wal": "-wal", "a_wal_with_an_unfinished_transaction": "-wal", "everything_in_a_wal": "-wal",
        "a_wal_that_shrinks_the_database": "-wal", "a_hot_journal": "-journal",
        "a_hot_journal_of_512_byte_pages": "-journal", "a_persistent_journal_with_a_zeroed_header": "-journal",
    ]

    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// What a database holds, or that it is damaged.
    private func contents(_ database: () throws -> [String]) -> [String] {
        do { return try database() } catch { return ["damaged"] }
    }

    private static let query = "SELECT rowid || '|' || quote(a) FROM t"

    private func ours(_ path: FilePath) -> [String] {
        contents {
            let source = try OpenImportSource(ImportSource(path))
            let check = try RawSQL.texts("PRAGMA quick_check", on: source.connection.handle)
            return try [check.joined().map { $0 ?? "" }.joined()]
                + RawSQL.texts(Self.query, on: source.connection.handle).map { $0[0] ?? "" }
        }
    }

    /// SQLite applies the changes when it opens a copy.
    private func theirs(_ path: FilePath, _ suffix: String) throws -> [String] {
        let copy = directory.appending("copy-\(UInt64.random(in: 0...UInt64.max)).db")
        for part in ["", suffix] {
            try TestFiles.write(try TestFiles.read(FilePath(path.string + part)), to: FilePath(copy.string + part))
        }
        defer {
            for part in ["", "-wal", "-shm", "-journal"] {
                try? FileManager.default.removeItem(atPath: copy.string + part)
            }
        }
        return contents {
            try DatabaseQueue(path: copy.string).writeWithoutTransaction { db in
                try [String.fetchAll(db, sql: "PRAGMA quick_check").joined()] + String.fetchAll(db, sql: Self.query)
            }
        }
    }

    @Test(arguments: companions.keys.sorted()) func itIsWhatSQLiteMakesOfIt(name: String) throws {
        let zoo = try Menagerie.zoo.get()
        let original = FilePath(zoo.directory.appending("\(name).db").string)
        let suffix = try #require(Self.companions[name])
        let path = directory.appending("source.db")
        let companion = FilePath(path.string + suffix)
        try TestFiles.write(try TestFiles.read(original), to: path)
        let sound = try TestFiles.read(FilePath(original.string + suffix))
        try TestFiles.write(sound, to: companion)
        let whole = try theirs(path, suffix)
        #expect(ours(path) == whole && whole.first == "ok" && whole.count > 1)
        // The negative control: without it, the database is another one, unless there is nothing to be done.
        if name != "a_persistent_journal_with_a_zeroed_header" {
            try FileManager.default.removeItem(atPath: companion.string)
            #expect(ours(path) != whole)
        }
        var generator = SeededGenerator(seed: 20)
        var differing = 0
        var refused = 0
        for _ in 0..<120 {
            var bytes = sound
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
            case 1:
                bytes[Int.random(in: 0..<min(600, bytes.count), using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            case 2:
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            default:
                let start = Int.random(in: 0..<max(1, min(64, bytes.count - 4)), using: &generator)
                bytes.replaceSubrange(
                    start..<min(bytes.count, start + 4),
                    with: [UInt8](
                        repeating: UInt8.random(in: 0...255, using: &generator), count: min(4, bytes.count - start)))
            }
            try TestFiles.write(bytes, to: companion)
            let expected = try theirs(path, suffix)
            let found = ours(path)
            // A database that is damaged either way may be damaged in another way.
            if found == expected || (found.first != "ok" && expected.first != "ok") {
                if expected != whole { differing += 1 }
                continue
            }
            // A number of pages that do not stand anywhere is refused; where page 1 says another one, SQLite goes by that.
            #expect(found == ["damaged"], "\(found.prefix(2)) instead of \(expected.prefix(2))")
            refused += 1
        }
        #expect(differing > 5 || name.contains("zeroed"), "the changes changed something")
        #expect(refused <= 6)
    }
}

/// The same numbers each time.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
