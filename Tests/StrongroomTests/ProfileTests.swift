import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

@Suite struct ProfileTests {
    @Test func aProfileIsMadeListedOpenedAndClosed() throws {
        let test = try TestStore()
        let info = try test.makeProfile(named: "Work")
        let store = try test.open()
        #expect(try store.profiles() == [info])
        #expect(try store.profile("work") == info)
        #expect(try store.profile(info.id.description) == info)
        let profile = try store.openProfile("WORK")
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 300)
        #expect(profile.dataKey.generation == 1)
        try profile.close()
        try profile.close()
        // The file names its key, and shows nothing else.
        let bytes = try TestFiles.read(test.databaseFile(info))
        #expect(Array(bytes.prefix(16)) == profile.dataKey.keyID.bytes)
        #expect(ByteSearch.count(Array(TestStore.canary.utf8), in: bytes) == 0)
        #expect(ByteSearch.count(Array("SQLite format 3".utf8), in: bytes) == 0)
    }

    /// Readers, who cannot remove a WAL, are not the last to go.
    @Test func aCloseLeavesTheMainFileOnly() throws {
        let test = try TestStore()
        let info = try test.makeProfile()
        let store = try test.open()
        let profile = try store.openProfile(info)
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 300)
        try profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('last')") }
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 301)
        try profile.close()
        #expect(
            try DurableFiles.names(in: test.directoryOf(info)).filter { $0.hasPrefix("profile.db") }.map(\.shown)
                == ["profile.db"])
    }

    @Test func lockingClosesOpenProfiles() throws {
        let test = try TestStore()
        let info = try test.makeProfile()
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('last')") }
        try store.lock()
        #expect(throws: DatabaseError.self) { try profile.database.read { try Int.fetchOne($0, sql: "SELECT 1") } }
        #expect(code { _ = try store.openProfile(info) } == "store_locked")
        let again = try test.open().openProfile("sample")
        #expect(try again.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 301)
    }

    @Test(arguments: [
        ("", "empty"), (String(repeating: "n", count: 10_000), "tooLong"),
        (String(repeating: "n", count: 129), "tooLong"),
        ("a/b", "pathSeparator"), ("a\\b", "pathSeparator"), ("..", "dots"), (".", "dots"),
        ("../../etc", "pathSeparator"),
        ("a\0b", "controlCharacter"), ("a\nb", "controlCharacter"), ("a\u{1b}[31m", "controlCharacter"),
        (" a", "surroundingSpace"), ("a\u{a0}", "surroundingSpace"), ("prof_abc", "looksLikeID"),
    ])
    func badNamesAreRefused(name: String, problem: String) throws {
        let test = try TestStore()
        let store = try test.open()
        let before = try TestFiles.snapshot(test.path)
        do {
            try store.createProfile(named: name)
            Issue.record("it was taken")
        } catch let error as StrongroomError {
            #expect(error.reason == .profileNameInvalid(try #require(ProfileNameProblem(rawValue: problem))))
            #expect(!error.description.contains("\0") && error.description.count < 300)
        }
        #expect(try TestFiles.snapshot(test.path) == before)
    }

    @Test(arguments: ["🦊 Füchse", "Zoë", "名前", "a.b", "it's \"quoted\"; DROP TABLE x", "👩‍👩‍👧‍👦", "..a"])
    func goodNamesAreKept(name: String) throws {
        let test = try TestStore()
        let store = try test.open()
        let info = try store.createProfile(named: name)
        #expect(try store.profiles().map(\.name) == [name])
        #expect(try store.profile(name) == info)
        // The same name with its accents taken apart, and in capitals.
        #expect(
            code { try store.createProfile(named: name.decomposedStringWithCanonicalMapping.uppercased()) }
                == "profile_exists")
        #expect(try TestFiles.tree(test.path.appending("profiles")).allSatisfy { $0.string.contains("prof_") })
    }

    @Test func aProfileIsRenamedWhileItIsOpen() throws {
        let test = try TestStore()
        let info = try test.makeProfile(named: "Work")
        let store = try test.open()
        let other = try store.createProfile(named: "Home")
        let profile = try store.openProfile(info)
        #expect(try store.renameProfile(info.id, to: "Büro").name == "Büro")
        #expect(try store.profile("büro").id == info.id)
        #expect(code { _ = try store.profile("Work") } == "profile_not_found")
        #expect(try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 300)
        // Its own name in another case is no other profile's.
        #expect(try store.renameProfile(info.id, to: "BÜRO").name == "BÜRO")
        #expect(code { try store.renameProfile(info.id, to: "hOME") } == "profile_exists")
        #expect(code { try store.renameProfile(info.id, to: "a/b") } == "profile_name_invalid")
        #expect(code { try store.renameProfile(ProfileID.random(), to: "New") } == "profile_not_found")
        #expect(try store.profiles().map(\.name) == ["BÜRO", "Home"])
        #expect(try store.profile("Home") == other)
        try store.lock()
        #expect(code { try store.renameProfile(info.id, to: "Late") } == "store_locked")
    }

    @Test func whatIsNotThereIsNotFound() throws {
        let test = try TestStore()
        let store = try test.open()
        for text in ["nobody", "prof_aaaaaaaaaaaaaaaa", "../x", ""] {
            #expect(code { _ = try store.openProfile(text) } == "profile_not_found")
        }
    }

    @Test func aProfileIsOpenOnceAtATime() throws {
        let test = try TestStore()
        let info = try test.makeProfile()
        let store = try test.open()
        let first = try store.openProfile(info)
        #expect(
            throws: StrongroomError(
                .profileInUse(process: getpid()),
                test.databaseFile(info).removingLastComponent().appending("profile.lock"))
        ) {
            _ = try store.openProfile(info)
        }
        try first.close()
        try store.openProfile(info).close()
    }

    @Test func anotherProcessIsToldWhoHasIt() throws {
        let test = try TestStore()
        let info = try test.makeProfile()
        let other = try ChildProcess("TestHelper", ["hold", test.path.string, test.keyFile.string, info.name])
        #expect(other.line() == "open")
        let store = try test.open()
        do {
            _ = try store.openProfile(info)
            Issue.record("it opened")
        } catch let error as StrongroomError {
            #expect(error.reason == .profileInUse(process: other.processIdentifier))
            #expect(error.category.rawValue == 11)
            #expect(error.hint.contains("close the application"))
        }
        // Another profile of the same store is nobody's business but ours.
        try store.openProfile(store.createProfile(named: "another")).close()
        #expect(other.finish().status == 0)
        try store.openProfile(info).close()
    }

    @Test func aKilledHolderHoldsNothing() throws {
        let test = try TestStore()
        let info = try test.makeProfile()
        let other = try ChildProcess("TestHelper", ["hold", test.path.string, test.keyFile.string, info.name])
        #expect(other.line() == "open")
        other.kill()
        #expect(other.finish().wasSignalled)
        try test.open().openProfile(info).close()
    }

    @Test func everyConnectionHasItsSettings() throws {
        let test = try TestStore()
        let profile = try test.open().openProfile(test.makeProfile())
        let expected: [(String, String)] = [
            ("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("temp_store", "2"),
            ("trusted_schema", "0"), ("cache_size", "-16384"), ("busy_timeout", "10000"), ("cipher_page_size", "4096"),
            ("cipher_hmac_algorithm", "HMAC_SHA512"),
        ]
        for (pragma, value) in expected {
            #expect(
                try profile.database.read { try String.fetchOne($0, sql: "PRAGMA \(pragma)") } == value,
                "reader: \(pragma)")
            #expect(
                try profile.database.write { try String.fetchOne($0, sql: "PRAGMA \(pragma)") } == value,
                "writer: \(pragma)")
        }
        #expect(
            try profile.database.read { try String.fetchAll($0, sql: "PRAGMA compile_options") }.contains(
                "TEMP_STORE=2"))
    }

    /// 32 readers at once while one writes: nobody sees half a transaction.
    @Test func manyReadersAndAWriter() async throws {
        let test = try TestStore()
        let profile = try test.open().openProfile(test.makeProfile(rows: 10))
        let database = profile.database
        try await database.write {
            try $0.execute(sql: "CREATE TABLE pair (a INTEGER, b INTEGER); INSERT INTO pair VALUES (0, 0)")
        }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    var reads = 0
                    for _ in 0..<50 {
                        let pair: [Int] = try await database.read { db in
                            try Row.fetchOne(db, sql: "SELECT a, b FROM pair").map { [$0["a"], $0["b"]] } ?? []
                        }
                        #expect(pair.count == 2 && pair.first == pair.last)
                        reads += 1
                    }
                    return reads
                }
            }
            group.addTask {
                for number in 1...200 {
                    try await database.write { db in
                        try db.execute(sql: "UPDATE pair SET a = ?", arguments: [number])
                        try db.execute(sql: "UPDATE pair SET b = ?", arguments: [number])
                    }
                }
                return 0
            }
            var reads = 0
            for try await count in group { reads += count }
            #expect(reads == 32 * 50)
        }
        #expect(try await database.read { try Int.fetchOne($0, sql: "SELECT a FROM pair") } == 200)
        try profile.close()
    }

    @Test func aStoreIsSharedBetweenThreads() async throws {
        let test = try TestStore()
        let store = try test.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
                group.addTask {
                    let info = try store.createProfile(named: "profile \(number)")
                    let profile = try store.openProfile(info)
                    try await profile.database.write { try $0.execute(sql: "CREATE TABLE t (a)") }
                    try profile.close()
                }
            }
            try await group.waitForAll()
        }
        #expect(try store.profiles().count == 6)
        try store.lock()
    }

    /// Every system call of making a profile failing in turn: it is registered and opens, or nothing of it is left.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFailsWhileAProfileIsMade(error: Errno) throws {
        let test = try TestStore()
        let store = try test.open()
        var number = 0
        let failed = try withEachCallFailing(error) { probe in
            number += 1
            let name = "profile \(number)"
            let outcome = SystemCalls.$probe.withValue(probe) { Result { try store.createProfile(named: name) } }
            let registered = try store.profiles().first { $0.name == name }
            if case .success(let info) = outcome { #expect(registered == info) }
            if let registered { try store.openProfile(registered).close() }
        }
        print("faults, profile create: \(failed) system calls failed with \(error)")
        #expect(failed > 60)
        try store.lock()
    }
}
