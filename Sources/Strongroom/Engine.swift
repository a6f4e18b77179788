// Every connection that Strongroom opens is set up here, and fails closed: it is keyed through the C entry point, it
// is shown to be SQLCipher, and its settings are read back.

import CSQLCipher
import CryptoPrimitives
import GRDB
import GRDBSQLite
import KeyPolicy
import Keyring
import Secrets
import Synchronization
import SystemPackage

/// A setting that every connection must have.
public enum EngineSetting: String, Sendable {
    case key
    case pageSize = "cipher_page_size"
    case pageAuthentication = "cipher_hmac_algorithm"
    case synchronous
    case foreignKeys = "foreign_keys"
    case tempStore = "temp_store"
    case mmapSize = "mmap_size"
    case trustedSchema = "trusted_schema"
    case cacheSize = "cache_size"
    case busyTimeout = "busy_timeout"
    case journalMode = "journal_mode"
    /// What keeps the others as they are.
    case authorizer
}

enum Engine {
    /// How long a connection waits for another one of this process, in milliseconds: what GRDB gives readers of a pool.
    static let busyTimeoutMilliseconds = 10_000

    /// The configuration of a database under `key`, which only we use.
    static func configuration(key: DataKey, policy: KeyPolicy, readonly: Bool = false) -> Configuration {
        configuration(
            keys: ConnectionKey(key), policy: policy, readonly: readonly, ConnectionProtection(isOwn: true))
    }

    /// The configuration of a database whose policy is not known.
    static func configuration(key: DataKey, cacheMebibytes: Int, readonly: Bool) -> Configuration {
        configuration(
            keys: ConnectionKey(key), cacheMebibytes: cacheMebibytes, readonly: readonly,
            ConnectionProtection(isOwn: true))
    }

    /// The configuration of a database whose key may change while it is open: each new connection takes the one in force.
    ///
    /// - Parameters:
    ///   - encoding: how a database that is still to be made stores text.
    ///   - isOnlyConnection: whether there is no other one, of any process: then SQLite needs no shared memory, for which there is no
    ///     room on a full disk (docs/decisions/0026-room.md).
    static func configuration(
        keys: ConnectionKey, policy: KeyPolicy, readonly: Bool = false, encoding: TextEncoding = .utf8,
        isOnlyConnection: Bool = false, _ protection: ConnectionProtection
    ) -> Configuration {
        configuration(
            keys: keys, cacheMebibytes: policy.cacheMebibytes, readonly: readonly, encoding: encoding,
            isOnlyConnection: isOnlyConnection, protection)
    }

    private static func configuration(
        keys: ConnectionKey, cacheMebibytes: Int, readonly: Bool, encoding: TextEncoding = .utf8,
        isOnlyConnection: Bool = false, _ protection: ConnectionProtection
    ) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = readonly
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(Double(busyTimeoutMilliseconds) / 1000)
        let cacheKibibytes = cacheMebibytes * 1024
        configuration.prepareDatabase { db in
            try prepare(
                db, key: keys.current, cacheKibibytes: cacheKibibytes, isOnlyConnection: isOnlyConnection)
            if encoding != .utf8 { try db.execute(sql: encoding.pragma) }
            try ConnectionGuard.install(on: db, protection)
        }
        return configuration
    }

    private static func prepare(
        _ db: Database, key: DataKey, cacheKibibytes: Int, isOnlyConnection: Bool
    ) throws {
        guard try EngineCheck.acceptedVersion(db) != nil else { throw StrongroomError(.engineIsNotSQLCipher) }
        // SQLCipher would write to standard error by itself; what is wrong is told by our own errors.
        try db.execute(sql: "PRAGMA cipher_log_level = NONE")
        try apply(key, to: db)
        guard try EngineCheck.isKeyed(db) else { throw StrongroomError(.engineIsNotSQLCipher) }
        try applyPageFormat(key.info.pageFormat, to: db)
        // Before anything reads the database, which some of the settings do: by then SQLite has its shared memory.
        if isOnlyConnection { try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE") }
        try applySettings(to: db, cacheKibibytes: cacheKibibytes)
        if let connection = db.sqliteConnection { try SafeFunctions.register(on: connection) }
    }

    /// A connection past GRDB, whose authorizer is GRDB's own: for a schema that a file brought.
    static func connect(_ path: FilePath, key: DataKey, readonly: Bool) throws -> RawConnection {
        let connection = try RawConnection(
            uri: RawConnection.uri(path, parameters: readonly ? "mode=ro" : "mode=rw"),
            flags: readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, place: path)
        try RawSQL.execute("PRAGMA cipher_log_level = NONE", on: connection.handle)
        let result = try key.secret.withSecret { secret in
            let literal = try rawKeyLiteral(secret, salt: key.info.keyID.bytes)
            return literal.withUnsafeBytes {
                sqlite3_key_v2(connection.handle, "main", $0.baseAddress, Int32($0.count))
            }
        }
        guard let result else { throw StrongroomError(.storeLocked) }
        guard result == 0 else { throw StrongroomError(.engineSettingRefused(.key)) }
        guard try !RawSQL.texts("PRAGMA cipher_settings", on: connection.handle).isEmpty else {
            throw StrongroomError(.engineIsNotSQLCipher)
        }
        let format = key.info.pageFormat
        let algorithm = format.authentication == .hmacSHA512 ? "HMAC_SHA512" : "HMAC_SHA256"
        try RawSQL.execute(
            """
            PRAGMA cipher_page_size = \(format.size); PRAGMA cipher_hmac_algorithm = \(algorithm);
            PRAGMA synchronous = 2; PRAGMA temp_store = 2; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;
            """, on: connection.handle)
        sqlite3_busy_timeout(connection.handle, CInt(busyTimeoutMilliseconds))
        guard try RawSQL.texts("PRAGMA cipher_hmac_algorithm", on: connection.handle) == [[algorithm]],
            try RawSQL.integer("PRAGMA temp_store", on: connection.handle) == 2
        else { throw StrongroomError(.engineSettingRefused(.pageAuthentication)) }
        return connection
    }

    /// Hands the key over as SQLCipher's raw form, `x'<64 hex of the key><32 hex of the salt>'`, which skips its own
    /// derivation and sets the first 16 bytes of the file. The text is made in secret memory and wiped after the call.
    static func apply(_ key: DataKey, to db: Database) throws {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        let result = try key.secret.withSecret { secret in
            let literal = try rawKeyLiteral(secret, salt: key.info.keyID.bytes)
            return literal.withUnsafeBytes { sqlite3_key_v2(connection, "main", $0.baseAddress, Int32($0.count)) }
        }
        guard let result else { throw StrongroomError(.storeLocked) }
        guard result == 0 else { throw StrongroomError(.engineSettingRefused(.key)) }
    }

    static func rawKeyLiteral(_ key: borrowing SecretBytes, salt: [UInt8]) throws -> SecretBytes {
        let keyDigits = 2 * key.count
        let length = 2 + keyDigits + 2 * salt.count + 1
        return try key.withUnsafeBytes { key in
            try SecretBytes(count: length) { output in
                output[0] = UInt8(ascii: "x")
                output[1] = UInt8(ascii: "'")
                Hex.encode(key, into: UnsafeMutableRawBufferPointer(rebasing: output[2..<(2 + keyDigits)]))
                salt.withUnsafeBytes {
                    Hex.encode(
                        $0, into: UnsafeMutableRawBufferPointer(rebasing: output[(2 + keyDigits)..<(length - 1)]))
                }
                output[length - 1] = UInt8(ascii: "'")
            }
        }
    }

    static func applyPageFormat(_ format: PageFormat, to db: Database) throws {
        let algorithm = format.authentication == .hmacSHA512 ? "HMAC_SHA512" : "HMAC_SHA256"
        try db.execute(sql: "PRAGMA cipher_page_size = \(format.size)")
        try db.execute(sql: "PRAGMA cipher_hmac_algorithm = \(algorithm)")
        guard try Int.fetchOne(db, sql: "PRAGMA cipher_page_size") == format.size else {
            throw StrongroomError(.engineSettingRefused(.pageSize))
        }
        guard try String.fetchOne(db, sql: "PRAGMA cipher_hmac_algorithm") == algorithm else {
            throw StrongroomError(.engineSettingRefused(.pageAuthentication))
        }
    }

    private static func applySettings(to db: Database, cacheKibibytes: Int) throws {
        // FULL: a transaction that was acknowledged survives a power loss. MEMORY: what SQLite spills stays in memory,
        // for a temporary file would be plaintext. No mmap: one page cache, ours.
        let settings: [(EngineSetting, value: Int, expected: Int)] = [
            (.synchronous, 2, 2), (.tempStore, 2, 2), (.mmapSize, 0, 0), (.trustedSchema, 0, 0),
            (.cacheSize, -cacheKibibytes, -cacheKibibytes),
        ]
        for (setting, value, expected) in settings {
            try db.execute(sql: "PRAGMA \(setting.rawValue) = \(value)")
            try require(setting, toBe: expected, on: db)
        }
        try require(.foreignKeys, toBe: 1, on: db)
        try require(.busyTimeout, toBe: busyTimeoutMilliseconds, on: db)
    }

    private static func require(_ setting: EngineSetting, toBe expected: Int, on db: Database) throws {
        // mmap_size answers nothing at all where the library was built without it.
        guard try Int.fetchOne(db, sql: "PRAGMA \(setting.rawValue)") ?? 0 == expected else {
            throw StrongroomError(.engineSettingRefused(setting))
        }
    }

    /// The last settings of the connection that writes: GRDB, when it has switched a pool to WAL, sets `synchronous` to NORMAL,
    /// under which a power loss takes the last acknowledged transactions with it.
    static func settle(_ db: Database) throws {
        guard try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL") == "wal" else {
            throw StrongroomError(.engineSettingRefused(.journalMode))
        }
        try db.execute(sql: "PRAGMA synchronous = 2")
        try require(.synchronous, toBe: 2, on: db)
        try ConnectionGuard.begin(db)
    }

    /// Takes back what an app may have set for itself on its connection and what would keep our own last writes away.
    static func letWrite(_ db: Database) throws {
        try db.execute(sql: "PRAGMA query_only = 0; PRAGMA max_page_count = \(UInt32.max - 1)")
    }

    /// A number that is another one after each commit, of this connection or of any other (`SQLITE_FCNTL_DATA_VERSION`).
    static func dataVersion(_ db: Database) throws -> UInt32 {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        var version: UInt32 = 0
        let result = sqlite3_file_control(connection, "main", SQLITE_FCNTL_DATA_VERSION, &version)
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
        return version
    }

    /// Whether SQLite leaves the WAL where it is when the last connection is closed.
    static func keepWAL(_ isKept: Bool, _ db: Database) throws {
        guard let connection = db.sqliteConnection else { throw StrongroomError(.storeLocked) }
        var flag: CInt = isKept ? 1 : 0
        let result = sqlite3_file_control(connection, "main", SQLITE_FCNTL_PERSIST_WAL, &flag)
        guard result == SQLITE_OK else { throw StrongroomError(.sqlite(code: result, .open)) }
    }

    /// The version of the SQLCipher in this process, such as `4.6.1`, and of SQLite, such as `3.46.1`.
    static func versions() throws -> (sqlcipher: String, sqlite: String) {
        try DatabaseQueue().read { db in
            guard let sqlcipher = try EngineCheck.acceptedVersion(db) else {
                throw StrongroomError(.engineIsNotSQLCipher)
            }
            return (sqlcipher, try String.fetchOne(db, sql: "SELECT sqlite_version()") ?? "")
        }
    }
}

/// The key in force of an open database.
final class ConnectionKey: Sendable {
    private let key: Mutex<DataKey>

    init(_ key: DataKey) { self.key = Mutex(key) }

    var current: DataKey { key.withLock { $0 } }

    /// Puts another key in force, and wipes the one before it.
    func replace(with new: DataKey) {
        key.withLock { key in
            key.secret.wipe()
            key = new
        }
    }
}
