// Verification and re-encryption, against what SQLCipher does itself; and what this machine's libcrypto could do at most.

import CSQLCipher
import CryptoPrimitives
import DurableFiles
import Foundation
import GRDB
import PageCipher
import Secrets
import Strongroom

/// A database of SQLCipher's own making, with keys that protect nothing.
struct BenchDatabase {
    let directory: URL
    let path: FilePath
    let megabytes: Double
    static let layout = PageLayout(size: 4096, hash: .sha512)

    /// - Parameter megabytes: about how large the file is to be.
    init(megabytes: Int) throws {
        directory = try BenchDirectory.make()
        path = FilePath(directory.path).appending("bench.db")
        let queue = try Self.open(path, .old)
        let rows = megabytes * 1_000_000 / 460
        try queue.writeWithoutTransaction { db in
            try db.execute(
                sql:
                    "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, filling BLOB)"
            )
            try db.execute(
                sql: """
                    INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                    SELECT i, randomblob(400) FROM n
                    """, arguments: [rows])
        }
        try queue.close()
        self.megabytes = Double(try DataFile(path).length()) / 1_000_000
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    enum Key {
        case old, new

        var byte: UInt8 { self == .old ? 0x11 : 0x22 }

        func pageKey() throws -> PageKey {
            let secret = try SecretBytes(count: 32) { buffer in for index in buffer.indices { buffer[index] = byte } }
            return try PageKey(dataKey: secret, salt: [UInt8](repeating: byte, count: 16), layout: BenchDatabase.layout)
        }

        func pageAuthenticator() throws -> PageAuthenticator {
            let secret = try SecretBytes(count: 32) { buffer in for index in buffer.indices { buffer[index] = byte } }
            let pageKey = try PageAuthenticator.pageKey(of: secret, salt: [UInt8](repeating: byte, count: 16))
            return try PageAuthenticator(pageKey: pageKey, layout: BenchDatabase.layout)
        }

        /// SQLCipher's raw form.
        var literal: String { "x'" + String(repeating: Hex.encode([byte]), count: 48) + "'" }
    }

    static func open(_ path: FilePath, _ key: Key) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            let literal = key.literal
            guard sqlite3_key_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count)) == 0 else {
                throw DatabaseError(message: "sqlite3_key_v2")
            }
        }
        return try DatabaseQueue(path: path.string, configuration: configuration)
    }
}

enum BenchDirectory {
    static func make() throws -> URL {
        let work = FileManager.default.temporaryDirectory.appending(path: "strongroom-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: work, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        return work
    }
}

struct BenchFailure: Error { let what: String }

enum PageRows {
    /// Every page authenticated, against `PRAGMA cipher_integrity_check`.
    static func verify(_ database: BenchDatabase, limit: CryptoLimits, rounds: Int) async throws -> Comparison {
        try await Comparison.measure(
            "verify all pages", theirName: "PRAGMA cipher_integrity_check", rounds: rounds,
            megabytes: database.megabytes,
            limit: limit.verifying,
            ours: {
                let scan = try PageScan(of: DataFile(database.path), layout: BenchDatabase.layout) {
                    try BenchDatabase.Key.old.pageAuthenticator()
                }
                guard scan.badPageCount == 0, scan.pageCount > 1 else { throw BenchFailure(what: "verify") }
            },
            theirs: {
                let queue = try BenchDatabase.open(database.path, .old)
                let problems = try queue.read { try String.fetchAll($0, sql: "PRAGMA cipher_integrity_check") }
                guard problems.isEmpty else { throw BenchFailure(what: "cipher_integrity_check") }
                try queue.close()
            })
    }

    /// Another key for every page, durable, against what SQLCipher does (`rekeyName`) to a copy. Both end with an fsync.
    static func reencrypt(_ database: BenchDatabase, limit: CryptoLimits, rounds: Int) async throws -> Comparison {
        let target = database.path.removingLastComponent().appending("target.db")
        return try await Comparison.measure(
            "re-encrypt to another key, fsynced", theirName: BenchDatabase.rekeyName,
            rounds: rounds, megabytes: database.megabytes, limit: limit.reencrypting,
            ours: {
                let file = try NewDataFile(target)
                try PageRewriter.rewrite(
                    PageSource(DataFile(database.path), pageSize: BenchDatabase.layout.size), into: file,
                    layout: BenchDatabase.layout,
                    makeOldKey: { try BenchDatabase.Key.old.pageKey() },
                    makeNewKey: { try BenchDatabase.Key.new.pageKey() })
                try file.sync()
            },
            afterOurs: {
                let scan = try PageScan(of: DataFile(target), layout: BenchDatabase.layout) {
                    try BenchDatabase.Key.new.pageAuthenticator()
                }
                guard scan.badPageCount == 0 else { throw BenchFailure(what: "re-encrypt") }
                try FileManager.default.removeItem(atPath: target.string)
            },
            beforeTheirs: { try database.makeCopy() }, theirs: { try database.rekeyCopy() })
    }

    /// What libcrypto does on this machine with the same keys and pages, in GB/s a core: the limit of the rows above.
    static func limits() throws -> CryptoLimits {
        let key = try BenchDatabase.Key.old.pageKey()
        let size = BenchDatabase.layout.size
        let plaintext = [UInt8](repeating: 0x5a, count: size)
        let iv = [UInt8](repeating: 3, count: PageLayout.ivLength)
        var sealed = [UInt8](repeating: 0, count: size)
        var opened = [UInt8](repeating: 0, count: size)
        let pages = 50_000
        func rate(_ body: () throws -> Void) rethrows -> Double {
            let time = try ContinuousClock().measure { for _ in 0..<pages { try body() } }
            return Double(pages * size) / (time / .seconds(1)) / 1e9
        }
        let seal = try plaintext.withUnsafeBytes { plaintext in
            try iv.withUnsafeBytes { iv in
                try sealed.withUnsafeMutableBytes { sealed in
                    try rate { try key.seal(plaintext, number: 2, iv: iv, into: sealed) }
                }
            }
        }
        return try sealed.withUnsafeBytes { sealed in
            var authentic: AuthenticPage?
            let authenticate = rate { authentic = key.authenticate(SealedPage(sealed, number: 2)) }
            guard let authentic else { throw BenchFailure(what: "authenticate") }
            let open = try opened.withUnsafeMutableBytes { opened in try rate { try key.open(authentic, into: opened) }
            }
            return CryptoLimits(
                cores: ProcessInfo.processInfo.activeProcessorCount, authenticate: authenticate, open: open, seal: seal)
        }
    }
}

/// What libcrypto does with pages that lie in memory, in GB/s a core.
struct CryptoLimits: Encodable {
    let cores: Int
    /// HMAC-SHA512.
    let authenticate: Double
    /// AES-256-CBC decryption.
    let open: Double
    /// AES-256-CBC encryption and HMAC-SHA512.
    let seal: Double

    /// What verifying, on every core, cannot exceed.
    var verifying: Double { authenticate * Double(cores) }
    /// What re-encrypting, on every core, cannot exceed.
    var reencrypting: Double { Double(cores) / (1 / authenticate + 1 / open + 1 / seal) }

    func show() {
        print("libcrypto on pages of 4096 bytes in memory, a core (\(cores) cores)")
        for (name, rate) in [
            ("HMAC-SHA512", authenticate), ("AES-256-CBC decryption", open),
            ("AES-256-CBC encryption and HMAC-SHA512", seal),
        ] {
            print("  \(name)".padding(toLength: 54, withPad: " ", startingAt: 0) + String(format: "%5.2f GB/s", rate))
        }
    }
}
