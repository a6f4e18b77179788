import DurableFiles
import Foundation
import GRDB
import Secrets
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// A store with a profile that has every kind of page, to be damaged. Small pages, so that it has many of them.
struct DrillStore {
    static let pageSize = 1024
    static let rows = 400

    let test: TestStore
    let info: ProfileInfo

    var directory: FilePath { test.directory.path }
    var scope: KeyScope { .profile(info.id) }
    var files: DatabaseFiles { DatabaseFiles(scope, in: test.path) }

    init(rows: Int = rows) throws {
        test = try TestStore(policy: [("size: 4096", "size: 1024")])
        let store = try test.open()
        info = try store.createProfile(named: "sample")
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            try db.execute(
                sql: """
                    CREATE TABLE t (i INTEGER PRIMARY KEY, filling TEXT NOT NULL);
                    CREATE INDEX t_filling ON t (filling);
                    CREATE TABLE big (i INTEGER PRIMARY KEY, blob BLOB);
                    CREATE TABLE later (i INTEGER PRIMARY KEY, filling TEXT);
                    CREATE TABLE gone (i INTEGER PRIMARY KEY, filling BLOB)
                    """)
            for number in 0..<rows {
                try db.execute(
                    sql: "INSERT INTO t (filling) VALUES (?)",
                    arguments: ["\(number)" + String(repeating: "x", count: 60)])
            }
            for _ in 0..<4 { try db.execute(sql: "INSERT INTO big (blob) VALUES (randomblob(9000))") }
            for _ in 0..<300 { try db.execute(sql: "INSERT INTO gone (filling) VALUES (randomblob(800))") }
            try db.execute(sql: "DELETE FROM gone")
        }
        try profile.close()
        try store.lock()
    }

    /// Another place with the same files.
    private init(copyOf original: DrillStore) throws {
        test = try TestStore(copyOf: original.test)
        info = original.info
    }

    func copy() throws -> DrillStore { try DrillStore(copyOf: self) }

    func takeSnapshot() async throws {
        let store = try test.open()
        _ = try await store.createSnapshot(of: scope)
        try store.lock()
    }

    /// Changes what no snapshot has: rows of one table, on pages of its own.
    func write(rows: Int = 30) throws {
        let store = try test.open()
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            for _ in 0..<rows {
                try db.execute(
                    sql: "INSERT INTO later (filling) VALUES (?)", arguments: [String(repeating: "y", count: 90)])
            }
        }
        try profile.close()
        try store.lock()
    }

    /// Rows of every table, and a sum over what is in them.
    static func contents(of store: Store, _ info: ProfileInfo) throws -> [String] {
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        return try profile.database.read { db in
            #expect(try String.fetchAll(db, sql: "PRAGMA integrity_check") == ["ok"])
            return try ["t", "big", "later", "gone"].map { table in
                let column = table == "big" ? "hex(blob)" : "filling"
                let row = try Row.fetchOne(
                    db, sql: "SELECT count(*), coalesce(sum(length(\(column)) * i), 0) FROM \(table)")
                return "\(table): \(row.map(\.description) ?? "")"
            }
        }
    }

    func contents(recovery: RecoveryMode = .never) throws -> [String] {
        let store = try test.open(recovery: recovery)
        defer { try? store.lock() }
        return try Self.contents(of: store, info)
    }

    /// Leaves the profile as if it had not been closed properly.
    func leaveOpen() throws {
        let store = try test.open()
        defer { try? store.lock() }
        _ = try files.beginSession(store.keyring.envelope(for: scope), store.keyring)
    }

    /// Leaves the envelope as a former version wrote it, which said nothing of sessions.
    func forgetSession() throws {
        let store = try test.open()
        defer { try? store.lock() }
        _ = try store.keyring.change(store.keyring.envelope(for: scope)) { document, _ in document.session = nil }
    }

    /// Every byte below the profile's directory, but for what SQLite may leave.
    func bytes() throws -> [String: [UInt8]] {
        try TestFiles.snapshot(test.directoryOf(info), ignoring: ["-shm", ".lock"])
    }
}

/// What an app is told.
final class Events: Sendable {
    private let list = Mutex<[RecoveryEvent]>([])
    var all: [RecoveryEvent] { list.withLock { $0 } }
    func note(_ event: RecoveryEvent) { list.withLock { $0.append(event) } }
}

extension DrillStore {
    /// Opens the profile as an app does, and counts the rows of the table that the drills change.
    func laterRows(recovery: RecoveryMode = .automatic, _ events: Events? = nil) throws -> Int {
        let store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(recovery: recovery, onRecovery: { events?.note($0) }))
        defer { try? store.lock() }
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        return try profile.database.read { db in
            #expect(try String.fetchAll(db, sql: "PRAGMA integrity_check") == ["ok"])
            return try Int.fetchOne(db, sql: "SELECT count(*) FROM later") ?? 0
        }
    }
}

/// Which page of a database is what.
struct PageMap {
    private(set) var interior: [Int] = []
    private(set) var leaves: [Int] = []
    private(set) var overflow: [Int] = []
    private(set) var freeTrunks: [Int] = []
    private(set) var freeLeaves: [Int] = []
    /// The leaves of the table `later`, which the drills change.
    private(set) var laterLeaves: [Int] = []

    init(_ drill: DrillStore) throws {
        let store = try drill.test.open()
        defer { try? store.lock() }
        let profile = try store.openProfile(drill.info)
        let laterRoot = try profile.database.read {
            try Int.fetchOne($0, sql: "SELECT rootpage FROM sqlite_schema WHERE name = 'later'") ?? 0
        }
        try profile.close()
        let envelope = try store.keyring.envelope(for: drill.scope)
        let key = try store.keyring.dataKey(generation: 1, of: envelope).makePageKey()
        let file = try DataFile(drill.files.main)
        let size = DrillStore.pageSize
        var plain: [[UInt8]] = [[]]
        for number in 1...(try file.length() / size) {
            let sealed = try file.bytes(at: (number - 1) * size, count: size)
            var opened = [UInt8](repeating: 0, count: size)
            try sealed.withUnsafeBytes { sealed in
                let page = AuthenticPage(alreadyAuthenticated: SealedPage(sealed, number: number))
                try opened.withUnsafeMutableBytes { try key.open(page, into: $0) }
            }
            plain.append(opened)
        }
        func number(_ page: Int, _ offset: Int) -> Int {
            plain[page][offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        var trunk = number(1, 32)
        while trunk != 0 {
            freeTrunks.append(trunk)
            freeLeaves += (0..<number(trunk, 4)).map { number(trunk, 8 + 4 * $0) }
            trunk = number(trunk, 0)
        }
        let free = Set(freeTrunks + freeLeaves)
        for page in 2..<plain.count where !free.contains(page) {
            switch plain[page][0] {
            case 2, 5: interior.append(page)
            case 10, 13: leaves.append(page)
            default: overflow.append(page)
            }
        }
        if plain[laterRoot][0] == 5 {
            let cells = Int(plain[laterRoot][3]) << 8 | Int(plain[laterRoot][4])
            laterLeaves =
                (0..<cells).map { cell in
                    let pointer = Int(plain[laterRoot][12 + 2 * cell]) << 8 | Int(plain[laterRoot][13 + 2 * cell])
                    return number(laterRoot, pointer)
                } + [number(laterRoot, 8)]
        }
    }
}
