// A connection keeps the format, the key and the settings that it was given, whatever SQL it runs: what would change them is refused
// before SQLite or SQLCipher does it. docs/decisions/0023-a-keyed-connection-keeps-its-format.md says how and what else was tried.

import CSQLCipher
import GRDB
import GRDBSQLite
import Glibc
import Synchronization

/// What a connection is kept to.
struct ConnectionProtection: Sendable {
    /// Whether a database file without a key may be attached.
    var allowsPlaintextAttach = false
    /// Whether only our own code uses the connection, which makes and repairs databases.
    var isOwn = false
    /// Where the last refusal is noted.
    var refusals: RefusalLog?
}

/// The last thing that was refused on any connection of a database: of some, SQLite only says that they are not authorized.
final class RefusalLog: Sendable {
    private let setting = Mutex<ProtectedSetting?>(nil)

    var last: ProtectedSetting? { setting.withLock { $0 } }

    func note(_ refused: ProtectedSetting) { setting.withLock { $0 = refused } }
}

/// Stands before GRDB's authorizer on one connection. It lives as long as the connection, and is used by one thread at a time.
final class ConnectionGuard {
    enum Phase {
        /// GRDB is still setting its pool up, and makes `synchronous` NORMAL meanwhile.
        case opening
        case inForce
        /// Only our own code uses the connection.
        case own
        /// A rotation takes the connection out of WAL mode for a moment.
        case exchanging
    }

    private var phase: Phase
    private var effects = Effects()
    private let protection: ConnectionProtection
    private let connection: OpaquePointer
    private let next: (call: Authorizer, context: UnsafeMutableRawPointer?)

    private static let name = "strongroom-guard"

    private init(
        _ connection: OpaquePointer, before next: (call: Authorizer, context: UnsafeMutableRawPointer?), phase: Phase,
        _ protection: ConnectionProtection
    ) {
        self.connection = connection
        self.next = next
        self.phase = phase
        self.protection = protection
    }

    // MARK: On a connection

    /// Puts a guard on a connection, and shows that it holds.
    static func install(on db: Database, _ protection: ConnectionProtection) throws {
        let connection = try ConnectionExchange.handle(db)
        guard let next = AuthorizerSlot.current(of: connection) else {
            throw StrongroomError(.engineSettingRefused(.authorizer))
        }
        let phase: Phase = protection.isOwn ? .own : db.configuration.readonly ? .inForce : .opening
        let held = Unmanaged.passRetained(ConnectionGuard(connection, before: next, phase: phase, protection))
        // Where this fails, SQLite has called the destructor.
        let noted = sqlite3_set_clientdata(connection, name, held.toOpaque()) {
            guard let pointer = $0 else { return }
            Unmanaged<ConnectionGuard>.fromOpaque(pointer).release()
        }
        guard noted == SQLITE_OK else { throw StrongroomError(.engineSettingRefused(.authorizer)) }
        let call: Authorizer = { context, action, first, second, schema, trigger in
            guard let context else { return SQLITE_DENY }
            return Unmanaged<ConnectionGuard>.fromOpaque(context)._withUnsafeGuaranteedRef {
                $0.authorize(action, first, second, schema, trigger)
            }
        }
        guard sqlite3_set_authorizer(connection, call, held.toOpaque()) == SQLITE_OK,
            AuthorizerSlot.current(of: connection)?.context == held.toOpaque()
        else { throw StrongroomError(.engineSettingRefused(.authorizer)) }
        try settled(db)
    }

    /// Called when the connection has its file, and again when it has another one in its place: refusals get their text, and it is
    /// shown that what destroys a database is refused.
    static func settled(_ db: Database) throws {
        let connection = try ConnectionExchange.handle(db)
        RefusalText.install(on: try OpenFile(of: connection).file)
        // Nothing has been read or written yet that either could destroy, should it not be refused.
        for pragma in ["page_size", "cipher_page_size"] {
            var statement: OpaquePointer?
            let result = sqlite3_prepare_v2(connection, "PRAGMA \(pragma) = 1024", -1, &statement, nil)
            sqlite3_finalize(statement)
            guard result == SQLITE_AUTH else { throw StrongroomError(.engineSettingRefused(.authorizer)) }
        }
    }

    /// GRDB has set its pool up.
    static func begin(_ db: Database) throws {
        guard let found = try found(on: db), found.phase == .opening else { return }
        found.phase = .inForce
    }

    /// Lets a rotation take the connection out of WAL mode in `body`.
    static func exchanging<Result>(_ db: Database, _ body: () throws -> Result) throws -> Result {
        guard let found = try found(on: db) else { return try body() }
        let before = found.phase
        found.phase = .exchanging
        defer { found.phase = before }
        return try body()
    }

    /// What a statement would do beside reading and writing rows, however it is spelt.
    struct Effects {
        /// It begins or ends a transaction; a savepoint is none.
        var isTransaction = false
        /// It makes or drops a virtual table, whose own rows are nobody's.
        var isVirtualTable = false
    }

    /// The effects of what `prepare` prepares.
    static func effects(_ db: Database, _ prepare: () -> Void) throws -> Effects {
        guard let found = try found(on: db) else { throw StrongroomError(.engineSettingRefused(.authorizer)) }
        found.effects = Effects()
        prepare()
        return found.effects
    }

    private static func found(on db: Database) throws -> ConnectionGuard? {
        sqlite3_get_clientdata(try ConnectionExchange.handle(db), name).map {
            Unmanaged<ConnectionGuard>.fromOpaque($0).takeUnretainedValue()
        }
    }

    // MARK: What is refused

    private func authorize(
        _ action: CInt, _ first: UnsafePointer<CChar>?, _ second: UnsafePointer<CChar>?,
        _ schema: UnsafePointer<CChar>?, _ trigger: UnsafePointer<CChar>?
    ) -> CInt {
        var used = schema
        switch action {
        case SQLITE_PRAGMA:
            if let setting = refusal(ofPragma: first, second, schema) { return refuse(setting, schema, hasText: true) }
        case SQLITE_FUNCTION:
            if let second, strcmp(second, "load_extension") == 0 { return refuse(.loadExtension, nil) }
        case SQLITE_ALTER_TABLE: used = first
        case SQLITE_CREATE_TEMP_TABLE, SQLITE_CREATE_TEMP_VIEW, SQLITE_CREATE_TEMP_TRIGGER:
            // It would stand before our own table of that name, or act when that is written to.
            if Self.isOurs(first) || Self.isOurs(second) { return refuse(.ownName, schema) }
        case SQLITE_TRANSACTION: effects.isTransaction = true
        case SQLITE_CREATE_VTABLE, SQLITE_DROP_VTABLE: effects.isVirtualTable = true
        default: break
        }
        // SQLite does not tell an authorizer of the key in an ATTACH: so the file is attached, and none of it may be used.
        if let used, strcmp(used, "main") != 0, strcmp(used, "temp") != 0, !protection.allowsPlaintextAttach,
            !Self.isInMemoryOrEncrypted(used, on: connection)
        {
            return refuse(.plaintextAttach, used)
        }
        return next.call(next.context, action, first, second, schema, trigger)
    }

    private static func isOurs(_ name: UnsafePointer<CChar>?) -> Bool {
        name.map { strncasecmp($0, Bookkeeping.table, Bookkeeping.table.utf8.count) == 0 } ?? false
    }

    private func refusal(
        ofPragma name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?, _ schema: UnsafePointer<CChar>?
    ) -> ProtectedSetting? {
        guard let name else { return nil }
        let isAttached = schema.map { self.isAttached($0) } ?? false
        let value = value.map { String(cString: $0) }
        guard
            let refused = PragmaTable.refusal(of: String(cString: name), value: value, isAttached: isAttached),
            !phase.permits(refused.name, value?.lowercased())
        else { return nil }
        return refused
    }

    /// Whether a name is that of another file: a database can be attached to itself.
    private func isAttached(_ schema: UnsafePointer<CChar>) -> Bool {
        guard strcmp(schema, "main") != 0, strcmp(schema, "temp") != 0 else { return false }
        guard let file = sqlite3_db_filename(connection, schema), let main = sqlite3_db_filename(connection, "main")
        else { return true }
        return strcmp(file, main) != 0
    }

    /// - Parameter hasText: whether SQLite asks the database's file next, which can answer with a text.
    private func refuse(
        _ setting: ProtectedSetting, _ schema: UnsafePointer<CChar>?, hasText: Bool = false
    ) -> CInt {
        protection.refusals?.note(setting)
        if hasText, schema.map({ strcmp($0, "main") == 0 }) ?? true, let file = try? OpenFile(of: connection).file,
            RefusalText.post(setting.message, on: file)
        {
            return SQLITE_OK
        }
        return SQLITE_DENY
    }

    /// Whether an attached database has a key or no file. The copy that VACUUM makes has the key of the database.
    static func isInMemoryOrEncrypted(_ schema: UnsafePointer<CChar>, on connection: OpaquePointer) -> Bool {
        guard let file = sqlite3_db_filename(connection, schema), file.pointee != 0 else { return true }
        var index: CInt = 2
        while let name = sqlite3_db_name(connection, index) {
            if strcmp(name, schema) == 0 { return strongroom_has_key(connection, index) != 0 }
            index += 1
        }
        return false
    }
}

extension ConnectionGuard.Phase {
    fileprivate func permits(_ name: String, _ value: String?) -> Bool {
        switch self {
        case .opening: name == "synchronous" && value == "normal"
        case .inForce: false
        case .own: ["journal_mode", "synchronous", "writable_schema", "schema_version"].contains(name)
        case .exchanging: name == "journal_mode" && (value == "delete" || value == "memory")
        }
    }
}
