import CryptoPrimitives
import DurableFiles
import Foundation
package import GRDB
package import Strongroom
package import SystemPackage

/// The code of the error that `body` throws, or nil.
package func code(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch { return (error as? any ReportableError)?.code ?? "\(type(of: error))" }
}

/// The code of the error that `body` throws, or nil.
package func code(_ body: () async throws -> Void) async -> String? {
    do {
        try await body()
        return nil
    } catch { return (error as? any ReportableError)?.code ?? "\(type(of: error))" }
}

extension TestStore {
    package func databaseFile(_ info: ProfileInfo) -> FilePath { directoryOf(info).appending("profile.db") }

    package func directoryOf(_ info: ProfileInfo) -> FilePath {
        path.appending("profiles").appending(info.id.description)
    }

    /// A closed profile with a few hundred rows.
    package func makeProfile(named name: String = "sample", rows: Int = 300) throws -> ProfileInfo {
        let store = try open()
        let info = try store.createProfile(named: name)
        try fill(info, in: store, rows: rows)
        try store.lock()
        return info
    }

    package func fill(_ info: ProfileInfo, in store: Store, rows: Int) throws {
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            try db.execute(sql: "CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, filling TEXT)")
            for _ in 0..<rows {
                try db.execute(
                    sql: "INSERT INTO t (filling) VALUES (?)",
                    arguments: [Self.canary + String(repeating: "x", count: 200)])
            }
        }
        try profile.close()
    }

    /// How many rows ``fill(_:in:rows:)`` made.
    package func rows(_ info: ProfileInfo, in store: Store) throws -> Int {
        let profile = try store.openProfile(info)
        defer { try? profile.close() }
        return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") ?? 0 }
    }

    /// What must never be seen in a file.
    package static let canary = "CANARY-of-the-rows-7b1e"
}

extension DatabasePool {
    /// Leaves a WAL whose last round was longer than this one: its file holds frames of both.
    package func beginWALAnew() throws {
        try write { try $0.execute(sql: "CREATE TABLE filling AS SELECT randomblob(2000000) AS x") }
        try writeWithoutTransaction { _ = try $0.checkpoint(.restart) }
        try write { try $0.execute(sql: "CREATE TABLE began (anew)") }
    }
}

/// A lock that is held against everybody else.
package final class LockHolder {
    private let lock: FileLock

    package init(_ path: FilePath) throws { lock = try FileLock(path) }

    package func release() { lock.release() }
}

package enum TestDigest {
    /// 64 hex digits.
    package static func sha256(_ bytes: [UInt8]) -> String { (try? Hex.encode(SHA256.hash(bytes))) ?? "" }

    /// An authenticated file, edited and with a check sum that fits: what somebody would write who lacks the key.
    package static func resummed(_ text: String) -> [UInt8] { resummed(Array(text.utf8)) }

    /// The same for bytes that may be no text any more.
    package static func resummed(_ bytes: [UInt8]) -> [UInt8] {
        let summed = Array(bytes.dropLast(1 + 64 + 8))
        return summed + Array(" sha256 \(sha256(summed))\n".utf8)
    }
}
