// A process for the tests to kill, crash, lock out and search. It is no product.

import DurableFiles
import Foundation
import GRDB
import Secrets
import Strongroom

@main
struct TestHelper {
    static func main() throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "crash": try crash(hardened: arguments.contains("hardened"))
        case "dump-core": try dumpCore()
        case "read-past-end": try readPastEnd()
        case "hold": try hold(arguments)
        case "write": try write(arguments)
        case "memory": try memory(arguments)
        case "hold-sqlite": try holdSQLite(arguments)
        case "hardening": showHardening(arguments.contains("hardened"))
        default: exit(64)
        }
    }

    static func open(_ arguments: [String]) throws -> Store {
        try Store.open(at: FilePath(arguments[1]), with: .keyFile(FilePath(arguments[2])))
    }

    /// A line that is out when this returns.
    static func say(_ text: Any) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

    static func waitForLine() { _ = readLine() }

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
        try profile.database.write {
            try $0.execute(sql: "CREATE TABLE IF NOT EXISTS n (i INTEGER PRIMARY KEY, filling BLOB)")
        }
        var next = try profile.database.read { try Int.fetchOne($0, sql: "SELECT coalesce(max(i), 0) FROM n") ?? 0 }
        while next < 1_000_000 {
            next += 1
            try profile.database.write {
                try $0.execute(sql: "INSERT INTO n VALUES (?, randomblob(700))", arguments: [next])
            }
            say(next)
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
