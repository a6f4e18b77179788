public import Foundation
import GRDB
public import Strongroom

/// The preferences of everybody, or of a profile.
public struct PreferencesRepository: Sendable {
    private enum Place: Sendable {
        case global(Store)
        case profile(any DatabaseWriter)
    }

    private let place: Place

    /// The preferences that every profile shares.
    public init(_ store: Store) { place = .global(store) }

    /// The preferences of an open profile.
    public init(_ profile: Profile) { place = .profile(profile.database) }

    /// What is kept under a key.
    public func preference(_ key: PreferenceKey) async throws -> Preference {
        Preference(key: key, value: try await read { db in try Self.value(of: key, db) })
    }

    /// Keeps a value under a key, in place of what was there; nil takes it away.
    ///
    /// - Returns: what is kept from now on.
    public func set(_ key: PreferenceKey, to value: PreferenceValue?, at date: Date) async throws -> Preference {
        try await write { db in
            if let value {
                let date = try date.wholeSecond()
                try db.execute(
                    sql: PreferencesQueries.set, arguments: [key.description, value.text, date.seconds])
            } else {
                try db.execute(sql: PreferencesQueries.delete, arguments: [key.description])
            }
        }
        return Preference(key: key, value: value?.text)
    }

    static func value(of key: PreferenceKey, _ db: Database) throws -> String? {
        try db.first(PreferencesQueries.value, [key.description])?["value"]
    }

    // The global database is open for a call only, and waits its turn for that.

    private func read<Result: Sendable>(_ body: @Sendable @escaping (Database) throws -> Result) async throws -> Result
    {
        try await refusing {
            switch place {
            case .global(let store): try await store.readGlobal(body)
            case .profile(let database): try await database.read(body)
            }
        }
    }

    private func write<Result: Sendable>(_ body: @Sendable @escaping (Database) throws -> Result) async throws -> Result
    {
        try await refusing {
            switch place {
            case .global(let store): try await store.writeGlobal(body)
            case .profile(let database): try await database.write(body)
            }
        }
    }
}
