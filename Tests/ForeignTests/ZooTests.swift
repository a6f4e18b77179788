import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Strongroom

/// Odd and honest databases: each comes in, goes out, and is the same to a SQLite that is not ours; and once more.
@Suite struct ZooTests {
    static let animals = (try? Menagerie.zoo.get().databases) ?? []

    let test: TestStore
    let store: Store

    init() throws {
        test = try TestStore()
        store = try test.open()
    }

    /// Otherwise the next test would run on nothing.
    @Test func thereAreManyOfThem() throws {
        let zoo = try Menagerie.zoo.get()
        #expect(zoo.databases.count >= 100)
        #expect(Set(zoo.databases.map(\.name)).count == zoo.databases.count)
    }

    @Test(arguments: animals) func itComesInAndGoesOutAndIsTheSame(animal: Foreign) throws {
        let zoo = try Menagerie.zoo.get()
        let source = zoo.path(animal)
        let suffixes = ["", "-wal", "-journal", "-shm"]
        func files() -> [[UInt8]?] { suffixes.map { try? TestFiles.read(FilePath(source.string + $0)) } }
        let before = files()
        if let refused = animal.refused.first {
            let error = #expect(throws: StrongroomError.self) {
                try store.importProfile(named: "refused", from: ImportSource(source))
            }
            #expect(error?.code == refused)
            #expect(error?.object.map { "\($0.obstacle)" } == animal.refused.last)
            #expect(try store.profiles().isEmpty)
        }
        let first = try comesIn(source, skipping: animal.skip, as: "first")
        #expect(files() == before)
        // A copy is compared: who opens a database with unfinished changes finishes them, and other tests need them.
        let copy = test.directory.appending("copy.db")
        for suffix in ["", "-wal", "-journal"] {
            if let bytes = try? TestFiles.read(FilePath(source.string + suffix)) {
                try TestFiles.write(bytes, to: FilePath(copy.string + suffix))
            }
        }
        #expect(try differences(copy, first, skipping: animal.skip) == "")
        let second = try comesIn(first, skipping: [], as: "second")
        #expect(try differences(first, second, skipping: []) == "")
    }

    /// The negative control: what is compared is compared.
    @Test func aDifferenceIsSeen() throws {
        let zoo = try Menagerie.zoo.get()
        let some = try #require(zoo.databases.first { $0.name == "generated_columns" })
        let changes = [
            "UPDATE t SET a = 3 WHERE a = 2", "DELETE FROM t", "DROP INDEX i", "PRAGMA user_version = 1",
            "CREATE VIEW w AS SELECT 1", "UPDATE t SET rowid = 9 WHERE rowid = 2",
        ]
        for (number, change) in changes.enumerated() {
            let copy = test.directory.appending("copy\(number).db")
            try TestFiles.write(try TestFiles.read(zoo.path(some)), to: copy)
            try DatabaseQueue(path: copy.string).writeWithoutTransaction { try $0.execute(sql: change) }
            #expect(try differences(zoo.path(some), copy, skipping: []) != "", "\(change)")
        }
    }

    private func comesIn(_ source: FilePath, skipping skipped: [String], as name: String) throws -> FilePath {
        let (info, report) = try store.importProfile(named: name, from: ImportSource(source), skipping: Set(skipped))
        #expect(skipped.allSatisfy { name in report.skipped.contains { $0.name == name } })
        let target = test.directory.appending("\(name).db")
        try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true)
        return target
    }

    private func differences(_ one: FilePath, _ other: FilePath, skipping skipped: [String]) throws -> String {
        try Generator.zoo.run(["compare", one.string, other.string] + skipped)
    }
}
