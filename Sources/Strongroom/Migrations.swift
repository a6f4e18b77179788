// The steps by which an app's schema grew: docs/decisions/0014-migrations-in-one-transaction.md.

public import GRDB

/// The migrations of one kind of database, in the order in which they were written. Steps are only ever added at the end: what a
/// database has must be a prefix of what is here.
///
/// ```swift
/// var migrations = Migrations()
/// migrations.add("create-note") { db in
///     try db.create(table: "note") { $0.primaryKey("id", .integer); $0.column("body", .text).notNull() }
/// }
/// ```
public struct Migrations: Sendable {
    struct Step: Sendable {
        let name: String
        let migrate: @Sendable (Database) throws -> Void
    }

    private(set) var steps: [Step] = []

    /// No migrations yet.
    public init() {}

    /// Adds the next step.
    ///
    /// Foreign keys are not enforced while steps run, so that tables can be exchanged; all are checked at the end.
    ///
    /// - Parameters:
    ///   - name: 1 to 80 letters, digits, `_`, `.` and `-`, beginning with a letter or digit; never used twice, never changed later.
    ///     It is public: names of snapshots hold it.
    ///   - migrate: brings the database to the next step. It runs within a transaction and must not end it.
    public mutating func add(_ name: String, migrate: @escaping @Sendable (Database) throws -> Void) {
        steps.append(Step(name: name, migrate: migrate))
    }

    /// The names, in order.
    public var names: [String] { steps.map(\.name) }
}

/// What an app expects of the databases of a store. A part that is nil is not looked at.
public struct StoreSchema: Sendable {
    /// Of the global database.
    public var global: Migrations?
    /// Of every profile.
    public var profile: Migrations?

    /// - Parameters:
    ///   - global: of the global database.
    ///   - profile: of every profile.
    public init(global: Migrations? = nil, profile: Migrations? = nil) {
        self.global = global
        self.profile = profile
    }
}

/// The name of a migration, as it may be shown: no content can be in it.
public struct MigrationName: Sendable, Hashable, Codable, CustomStringConvertible {
    /// 1 to 80 letters, digits, `_`, `.` and `-`.
    public let description: String

    private static let maximumLength = 80

    /// Characters that no name may have become `_`, and what is too long is cut.
    init(showing text: String) {
        let word = text.utf8.prefix(Self.maximumLength).map { Self.isAllowed($0) ? $0 : UInt8(ascii: "_") }
        description = word.isEmpty ? "_" : String(decoding: word, as: UTF8.self)
    }

    /// Reads the name back.
    public init(from decoder: any Decoder) throws {
        self.init(showing: try decoder.singleValueContainer().decode(String.self))
    }

    /// Writes the name as a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    static func isValid(_ text: String) -> Bool {
        guard let first = text.utf8.first, !"_.-".utf8.contains(first) else { return false }
        return MigrationName(showing: text).description == text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// Where what a database has is not what the app has registered.
public struct MigrationGap: Sendable, Hashable, Codable {
    /// Which step, counted from 1.
    public let position: Int
    /// What the app has registered there; nil where it has nothing: the database is of a newer app.
    public let registered: MigrationName?
    /// What the database has there.
    public let applied: MigrationName

    var summary: String {
        let here = "the database has the migration \(applied) as its step \(position)"
        return registered.map { "\(here), and the app has \($0) there" } ?? "\(here), and the app has no such step"
    }
}

/// Why a migration failed.
public enum MigrationFailure: Sendable, Hashable {
    /// The SQL engine refused; its result code, no text.
    case sqlite(code: Int32)
    /// So many rows would have a foreign key that leads nowhere.
    case foreignKeys(count: Int)
    /// An error of the app's own; the name of its type.
    case application(type: MigrationName)

    init(_ error: any Error) {
        self =
            switch error {
            case let error as DatabaseError: .sqlite(code: error.extendedResultCode.rawValue)
            case let error as ForeignKeysViolated: .foreignKeys(count: error.count)
            default: .application(type: MigrationName(showing: "\(type(of: error))"))
            }
    }

    var summary: String {
        switch self {
        case .sqlite(let code): "SQLite result \(code)"
        case .foreignKeys(let count): "\(count) row(s) would have a foreign key that leads nowhere"
        case .application(let type): "an error of the app's type \(type)"
        }
    }
}

/// What a database has of the app's migrations.
struct MigrationHistory: Sendable {
    /// In the order in which they were applied.
    let applied: [String]

    init(applied: [String]) { self.applied = applied }

    /// The same of a connection that is not GRDB's.
    init(_ connection: OpaquePointer) throws(StrongroomError) {
        let isThere = try RawSQL.integer(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'grdb_migrations'", on: connection)
        applied =
            try isThere ?? 0 > 0
            ? RawSQL.texts("SELECT identifier FROM grdb_migrations ORDER BY rowid", on: connection).compactMap {
                $0.first ?? nil
            }
            : []
    }

    /// GRDB's table of them, which has no column for the order: rows are in the order in which they were added.
    init(_ db: Database) throws {
        applied =
            try db.tableExists("grdb_migrations")
            ? String.fetchAll(db, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid") : []
    }

    /// The first place where it is not a prefix of what is registered.
    func gap(in registered: [String]) -> MigrationGap? {
        for (index, name) in applied.enumerated() {
            let expected = index < registered.count ? registered[index] : nil
            guard name != expected else { continue }
            return MigrationGap(
                position: index + 1, registered: expected.map { MigrationName(showing: $0) },
                applied: MigrationName(showing: name))
        }
        return nil
    }
}
