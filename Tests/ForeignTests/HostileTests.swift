import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Strongroom

/// Databases that mean harm: each is refused by name, or comes in without having done anything.
@Suite struct HostileTests {
    static let vectors = (try? Menagerie.hostile.get().databases) ?? []
    static let running = vectors.filter { $0.runs != nil }

    let test: TestStore
    let store: Store

    init() throws {
        test = try TestStore()
        store = try test.open()
    }

    @Test func thereAreManyOfThem() throws {
        let vectors = try Menagerie.hostile.get().databases
        #expect(vectors.count > 120)
        #expect(vectors.count { $0.runs != nil } >= 8)
        #expect(vectors.contains { $0.refused.isEmpty } && vectors.contains { !$0.refused.isEmpty })
    }

    @Test(arguments: vectors) func itDoesNothing(vector: Foreign) throws {
        let hostile = try Menagerie.hostile.get()
        let source = hostile.path(vector)
        let before = try TestFiles.snapshot(test.directory.path)
        let found = Result { try store.importProfile(named: vector.name, from: ImportSource(source)).info }
        #expect(try FileManager.default.contentsOfDirectory(atPath: hostile.outside.string) == [])
        switch found {
        case .success(let info):
            #expect(vector.refused == [])
            let profile = try store.openProfile(info)
            #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t WHERE b > 0") } == 2)
            try profile.close()
            let target = test.directory.appending("out.db")
            try store.exportProfile(info, toPlaintext: target, confirmingPlaintext: true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: hostile.outside.string) == [])
            #expect(try Generator.zoo("compare", source.string, target.string) == "")
        case .failure(let error):
            let error = try #require(error as? StrongroomError)
            let obstacle = error.object.map { ["\($0.obstacle)"] } ?? []
            #expect(vector.refused == [error.code] + obstacle)
            // Nothing of it is in what an error tells a log.
            #expect(!error.description.contains(vector.name) && !error.description.contains("CREATE"))
            #expect(Set(try TestFiles.snapshot(test.directory.path).keys) == Set(before.keys))
            #expect(try store.profiles().isEmpty)
        }
    }

    /// The negative control: run as it stands, the same text puts a plaintext copy where it wants.
    @Test(arguments: running) func whoRunsItIsRobbed(vector: Foreign) throws {
        let hostile = try Menagerie.hostile.get()
        let leak = test.directory.appending("leak.db")
        let queue = try DatabaseQueue(path: test.directory.appending("victim.db").string)
        let sql = (vector.runs ?? "").replacing(
            hostile.outside.appending(vector.name + ".db").string, with: leak.string)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: "CREATE TABLE t (a, b); INSERT INTO t VALUES ('secret', 1); CREATE TABLE spare (x)")
            try db.execute(sql: sql)
        }
        #expect(
            try DatabaseQueue(path: leak.string).read { try String.fetchOne($0, sql: "SELECT a FROM stolen") }
                == "secret")
    }
}
