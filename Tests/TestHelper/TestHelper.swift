// A process for the tests to kill, crash, lock out and search. It is no product.

import DurableFiles
import Foundation
import GRDB
import Secrets
import Strongroom
import Synchronization

@main
struct TestHelper {
    static func main() async throws {
        // It ends by itself, whatever became of the test that started it.
        alarm(600)
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "crash": try crash(hardened: arguments.contains("hardened"))
        case "crash-open": try crashOpen(arguments)
        case "dump-core": try dumpCore()
        case "read-past-end": try readPastEnd()
        case "hold": try hold(arguments)
        case "write": try write(arguments)
        case "write-and-close": try writeAndClose(arguments)
        case "memory": try memory(arguments)
        case "snapshots": try await snapshots(arguments)
        case "restores": try await restores(arguments)
        case "memory-of-rotations": try await memoryOfRotations(arguments)
        case "rotations": try await rotations(arguments)
        case "fleets": try await fleets(arguments)
        case "migrate-slowly": try migrateSlowly(arguments)
        case "hold-sqlite": try holdSQLite(arguments)
        case "read-secret": readSecret(arguments)
        case "hardening": showHardening(arguments.contains("hardened"))
        default: exit(64)
        }
    }

    static func open(_ arguments: [String]) throws -> Store {
        try Store.open(at: FilePath(arguments[1]), with: .keyFile(FilePath(arguments[2])))
    }

    /// A line that is out when this returns.
    static func say(_ text: Any) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

    /// Reads a secret as another user, in further groups, and says how that went.
    static func readSecret(_ arguments: [String]) {
        let numbers = arguments.dropFirst(2).compactMap { UInt32($0) }
        guard let user = numbers.first, setgroups(numbers.count - 1, Array(numbers.dropFirst())) == 0,
            setgid(user) == 0, setuid(user) == 0
        else { exit(64) }
        do {
            _ = try StrictFiles.readSecret(FilePath(arguments[1]), limit: 100)
            say("read")
        } catch { say((error as? any ReportableError)?.code ?? "\(error)") }
    }

    static func waitForLine() { _ = readLine() }

    /// Runs two steps more than MigrationTests' first two, writes much in the first, and does not come to an end in the second.
    static func migrateSlowly(_ arguments: [String]) throws {
        var migrations = Migrations()
        for name in ["create-talk", "create-run"] { migrations.add(name) { _ in } }
        migrations.add("writes-much") { db in
            try db.execute(
                sql: """
                    CREATE TABLE slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                    SELECT i, hex(randomblob(500)) AS filling FROM n
                    """)
        }
        migrations.add("never-ends") { _ in
            say("migrating")
            waitForLine()
        }
        let store = try Store.open(
            at: FilePath(arguments[1]), with: .keyFile(FilePath(arguments[2])),
            options: StoreOptions(schema: StoreSchema(profile: migrations))
        )
        _ = try store.openProfile(arguments[3])
    }

    /// Crashes while a register points to a secret: 64 times the letter K.
    static func crash(hardened: Bool) throws {
        if hardened { ProcessHardening.apply() }
        let secret = try SecretBytes(count: 64) { buffer in
            for index in buffer.indices { buffer[index] = UInt8(ascii: "K") }
        }
        say("crashing")
        secret.withUnsafeBytes { bytes in
            // The second pointer leads nowhere; the first is in a register when the fault comes.
            guard let secret = bytes.baseAddress, let nowhere = UnsafeRawPointer(bitPattern: 16) else { return }
            say("compared: \(memcmp(secret, nowhere, bytes.count))")
        }
    }

    /// Leaves a core file: with 64 times the letter O on the heap, and 64 times the letter K in a secret.
    static func dumpCore() throws {
        var unlimited = rlimit(rlim_cur: .max, rlim_max: .max)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &unlimited)
        let secret = try SecretBytes(count: 64) { buffer in
            for index in buffer.indices { buffer[index] = UInt8(ascii: "K") }
        }
        let ordinary = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64)
        ordinary.initialize(repeating: UInt8(ascii: "O"))
        signal(SIGABRT, SIG_DFL)
        secret.withUnsafeBytes { bytes in
            if bytes[0] == UInt8(ascii: "K") { abort() }
        }
    }

    static func readPastEnd() throws {
        let secret = try SecretBytes(count: 100) { _ in }
        secret.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            say("in bounds: \(base.load(fromByteOffset: 99, as: UInt8.self))")
            say("past end: \(base.load(fromByteOffset: 100, as: UInt8.self))")
        }
    }

    /// crash-open STORE KEY PROFILE [hardened]: crashes with a profile open, in the middle of a transaction.
    static func crashOpen(_ arguments: [String]) throws {
        if arguments.contains("hardened") { ProcessHardening.apply() }
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        try profile.database.write { db in
            try db.execute(sql: "CREATE TABLE crash (a); INSERT INTO crash VALUES (zeroblob(100000))")
            say("crashing")
            if let nowhere = UnsafePointer<Int>(bitPattern: 16) { say("read: \(nowhere.pointee)") }
        }
    }

    static func showHardening(_ hardened: Bool) {
        if hardened { say("refused: \(ProcessHardening.apply().count)") }
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        let mask = umask(0)
        say("core: \(limit.rlim_cur), umask: \(String(mask, radix: 8))")
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        say(
            status.contains("SigCgt")
                ? "handlers: \(status.split(separator: "\n").first { $0.hasPrefix("SigCgt") } ?? "")" : "")
    }

    /// hold STORE KEY PROFILE: has a profile open until its input ends.
    static func hold(_ arguments: [String]) throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        say("open")
        waitForLine()
        try profile.close()
        try store.lock()
    }

    /// write STORE KEY PROFILE: inserts numbers from the next one on, and prints each after its commit.
    static func write(_ arguments: [String]) throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        try insertNumbers(into: profile.database) { say($0) }
    }

    /// write-and-close STORE KEY PROFILE: as write, until its input has a line; then it closes the profile and says so.
    static func writeAndClose(_ arguments: [String]) throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        _ = writeInBackground(profile.database, isQuiet: false)
        waitForLine()
        say("closing")
        do {
            try profile.close()
            say("closed")
        } catch { say("\(error)") }
    }

    /// Inserts numbers from the next one on, and calls `committed` after each commit.
    private static func insertNumbers(into database: DatabasePool, committed: (Int) -> Void) throws {
        try database.write {
            try $0.execute(sql: "CREATE TABLE IF NOT EXISTS n (i INTEGER PRIMARY KEY, filling BLOB)")
        }
        var next = try database.read { try Int.fetchOne($0, sql: "SELECT coalesce(max(i), 0) FROM n") ?? 0 }
        while next < 10_000_000 {
            next += 1
            try database.write { try $0.execute(sql: "INSERT INTO n VALUES (?, randomblob(700))", arguments: [next]) }
            committed(next)
        }
    }

    /// snapshots STORE KEY PROFILE [quiet]: writes as fast as it can, and takes one snapshot after the other meanwhile. Prints
    /// `row N` for each row that was committed (not when quiet), and `snapshot NAME N` for each snapshot with the last
    /// row that had been committed before it began.
    static func snapshots(_ arguments: [String]) async throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        let last = writeInBackground(profile.database, isQuiet: arguments.contains("quiet"))
        while true {
            let before = last.value.withLock { $0 }
            let snapshot = try await profile.snapshot()
            say("snapshot \(snapshot.name) \(before)")
        }
    }

    /// The last number that was committed.
    private final class LastCommitted: Sendable { let value = Mutex(0) }

    private static func writeInBackground(_ database: DatabasePool, isQuiet: Bool) -> LastCommitted {
        let last = LastCommitted()
        Thread {
            try? insertNumbers(into: database) { number in
                last.value.withLock { $0 = number }
                if !isQuiet { say("row \(number)") }
            }
        }.start()
        while last.value.withLock({ $0 }) == 0 { usleep(100) }
        return last
    }

    /// restores STORE KEY PROFILE OTHER: adds three rows to the profile and restores its latest snapshot, again and again, while
    /// the other profile is written as fast as it can be.
    static func restores(_ arguments: [String]) async throws {
        let store = try open(arguments)
        let other = try store.openProfile(arguments[4])
        _ = writeInBackground(other.database, isQuiet: false)
        let info = try store.profile(arguments[3])
        let snapshot = try await store.snapshot("latest", of: .profile(info.id))
        while true {
            let profile = try store.openProfile(info)
            try await profile.database.write {
                try $0.execute(sql: "INSERT INTO t (filling) VALUES ('a'), ('b'), ('c')")
            }
            try profile.close()
            say("added")
            _ = try await store.restoreSnapshot(snapshot)
            say("restored")
        }
    }

    /// rotations STORE KEY PROFILE: writes as fast as it can, and moves the open profile to one key after the other. Prints `row N` for
    /// each row that was committed, and `rotated N` for each generation.
    static func rotations(_ arguments: [String]) async throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        _ = writeInBackground(profile.database, isQuiet: false)
        while true { say("rotated \(try await profile.rotateDataKey().generation)") }
    }

    /// memory-of-rotations STORE KEY PROFILE: opens, waits; moves the open profile to another key, waits; the root key too, waits.
    static func memoryOfRotations(_ arguments: [String]) async throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        _ = try await profile.database.write { try $0.execute(sql: "CREATE TABLE memory (a)") }
        say("open")
        waitForLine()
        try await profile.rotateDataKey()
        _ = try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM memory") }
        say("rotated")
        waitForLine()
        try await store.rotateRootKey()
        say("rotated the root")
        waitForLine()
        try profile.close()
        try store.lock()
    }

    /// fleets STORE KEY PROFILE: as rotations, with every database of the store each time. Prints `fleet N FAILED`.
    static func fleets(_ arguments: [String]) async throws {
        let store = try open(arguments)
        let profile = try store.openProfile(arguments[3])
        _ = writeInBackground(profile.database, isQuiet: false)
        while true {
            let report = try await store.rotateAllDataKeys()
            say("fleet \(report.rotated.count + report.doneBefore) \(report.failed.count)")
        }
    }

    /// memory STORE PASSPHRASE-FILE PROFILE: opens, reads, waits; locks, waits. The passphrase is held for as long as the
    /// store is open. The process is not hardened, so that it can be searched.
    static func memory(_ arguments: [String]) throws {
        try useAndLock(FilePath(arguments[1]), passphraseFile: FilePath(arguments[2]), profile: arguments[3])
        say("locked")
        waitForLine()
    }

    private static func useAndLock(_ path: FilePath, passphraseFile: FilePath, profile: String) throws {
        let secret = try UnlockSecret.passphrase(
            StrictFiles.readSecret(passphraseFile, limit: UnlockSecret.maximumPassphraseBytes))
        let store = try Store.open(at: path, with: secret)
        let profile = try store.openProfile(profile)
        _ = try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") }
        say("open")
        waitForLine()
        try store.lock()
        withExtendedLifetime(secret) {}
    }

    /// hold-sqlite FILE: has a plaintext database open in WAL mode, with a change that is not written back.
    static func holdSQLite(_ arguments: [String]) throws {
        let pool = try DatabasePool(path: arguments[1])
        try pool.write { try $0.execute(sql: "CREATE TABLE IF NOT EXISTS held (a); INSERT INTO held VALUES (1)") }
        say("open")
        waitForLine()
        try pool.close()
    }
}
