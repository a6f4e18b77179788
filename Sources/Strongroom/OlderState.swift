// Going on with an older keyring is an operator's decision, which is written down and shown until it is acknowledged:
// docs/security/custody.md, rule 3.

import DurableFiles
public import Foundation
import GRDB
import Keyring

/// An older keyring that was accepted, and what came back to life with it.
public struct OlderState: Sendable, Hashable, Codable {
    /// The sequence that was accepted.
    public let sequence: Int
    /// The highest sequence that had been seen; 0 where that could not be told.
    public let newestSequenceSeen: Int
    /// Ids of unlockers that open the keyring again, or cannot be told from such.
    public let unlockers: [String]
    /// Versions of root keys that are in use again, or cannot be told from such.
    public let rootKeys: [Int]
    /// Data keys that had been destroyed, `<scope>-<generation>` each.
    public let dataKeys: [String]
    /// Ids of profiles that had been shredded.
    public let profiles: [String]
    /// When it was accepted.
    public let date: Date
}

extension ProfileRegistry {
    private static let olderStates = "_strongroom_older_states"
    private static let envelopes = "_strongroom_envelopes"

    static func add(_ state: OlderState, _ db: Database) throws {
        try db.execute(
            sql: "CREATE TABLE IF NOT EXISTS \(olderStates) (number INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT")
        let record = String(decoding: try JSONEncoder().encode(state), as: UTF8.self)
        try db.execute(sql: "INSERT INTO \(olderStates) (record) VALUES (?)", arguments: [record])
    }

    /// Those that are not acknowledged.
    static func allOlderStates(_ db: Database) throws -> [OlderState] {
        guard try db.tableExists(olderStates) else { return [] }
        let records = try Row.fetchAll(db, sql: "SELECT record FROM \(olderStates) ORDER BY number")
        return records.compactMap { row in
            String.fromDatabaseValue(row[0]).flatMap {
                try? JSONDecoder().decode(OlderState.self, from: Data($0.utf8))
            }
        }
    }

    /// The same of a database that is read past GRDB.
    static func allOlderStates(_ connection: OpaquePointer) throws -> [OlderState] {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '\(olderStates)'"
        guard try RawSQL.integer(tables, on: connection) != 0 else { return [] }
        return try RawSQL.texts("SELECT record FROM \(olderStates) ORDER BY number", on: connection).compactMap { row in
            row[0].flatMap { try? JSONDecoder().decode(OlderState.self, from: Data($0.utf8)) }
        }
    }

    /// The lowest sequence that each envelope may have, of a database that is read past GRDB.
    static func envelopeSequences(_ connection: OpaquePointer) throws -> [KeyScope: Int] {
        let rows = try RawSQL.texts("SELECT scope, sequence FROM \(envelopes)", on: connection)
        return Dictionary(
            rows.compactMap { row in
                guard let scope = row[0].flatMap({ KeyScope($0) }), let sequence = row[1].flatMap({ Int($0) }),
                    Bookkeeping.numbers.contains(sequence)
                else { return nil }
                return (scope, sequence)
            }, uniquingKeysWith: max)
    }

    static func removeOlderStates(_ db: Database) throws {
        if try db.tableExists(olderStates) { try db.execute(sql: "DELETE FROM \(olderStates)") }
    }

    /// Notes that an envelope has lost keys: an older one has them still.
    static func note(sequence: Int, of scope: KeyScope, _ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS \(envelopes) (scope TEXT PRIMARY KEY, sequence INTEGER NOT NULL)
                STRICT, WITHOUT ROWID
                """)
        try db.execute(
            sql: """
                INSERT INTO \(envelopes) VALUES (?, ?)
                ON CONFLICT (scope) DO UPDATE SET sequence = max(sequence, excluded.sequence)
                """, arguments: [scope.description, sequence])
    }

    /// The lowest sequence that each envelope may have.
    static func envelopeSequences(_ db: Database) throws -> [KeyScope: Int] {
        guard try db.tableExists(envelopes) else { return [:] }
        var sequences: [KeyScope: Int] = [:]
        for row in try Row.fetchAll(db, sql: "SELECT scope, sequence FROM \(envelopes)") {
            guard let scope = String.fromDatabaseValue(row[0]).flatMap({ KeyScope($0) }),
                let sequence = Int.fromDatabaseValue(row[1]), Bookkeeping.numbers.contains(sequence)
            else { continue }
            sequences[scope] = sequence
        }
        return sequences
    }
}

extension Store {
    /// Older keyrings that were accepted, and that are shown by diagnostics until they are acknowledged.
    ///
    /// - Throws: `StrongroomError` where the global database cannot be read.
    public func olderStates() throws -> [OlderState] { try readGlobal { try ProfileRegistry.allOlderStates($0) } }

    /// Ends the record of older keyrings that were accepted.
    ///
    /// - Returns: what was acknowledged.
    /// - Throws: `StrongroomError` where the global database cannot be written.
    @discardableResult
    public func acknowledgeOlderStates() throws -> [OlderState] {
        try writeGlobal { db in
            let states = try ProfileRegistry.allOlderStates(db)
            try ProfileRegistry.removeOlderStates(db)
            return states
        }
    }

    /// Notes in the global database that envelopes have lost keys.
    func noteDestroyedKeys(of envelopes: [Envelope]) throws {
        guard !envelopes.isEmpty else { return }
        try writeGlobal { db in
            for envelope in envelopes {
                // The global database's own envelope is written once more when this is done.
                try ProfileRegistry.note(sequence: envelope.sequence, of: envelope.scope, db)
            }
        }
    }

    /// Raises the keyring's sequence in the global database, never lowers it.
    func raiseKeyringSequence(_ db: Database) throws {
        let stored = (try? ProfileRegistry.keyringSequence(db)) ?? 0
        let sequence = max(stored, keyring.sequence, try keyring.witnessedSequence())
        try ProfileRegistry.setKeyringSequence(sequence, db)
    }

    /// Goes on with this keyring although it is older than one seen before, or may be: for the restore of a global database that cannot
    /// be read, which writes it down. Nothing is changed by this alone.
    ///
    /// - Parameter sequence: that of the keyring, as the operator names it.
    /// - Returns: what comes back to life; nil where nothing says that the keyring is an older one.
    /// - Throws: `KeyringError` with `.sequenceLower` or `.sequenceUnproven` where the keyring has another sequence.
    @discardableResult
    public func acceptOlderKeyring(sequence: Int) throws -> OlderState? {
        try requireUnlocked()
        guard let found = try olderKeyring(stored: nil) else { return nil }
        guard sequence == found.state.sequence else { throw found.error }
        keyring.accept(witnessedSequence: found.state.newestSequenceSeen)
        acceptedOlderState.withLock { $0 = found.state }
        return found.state
    }

    /// That the keyring is the newest one, as far as anything that can be read tells, or has been accepted.
    ///
    /// - Parameter stored: the sequence in the global database; nil where that cannot be read.
    /// - Returns: what was accepted; nil where the keyring is no older than anything says.
    func requireNewestKeyring(stored: Int?) throws -> OlderState? {
        guard let found = try olderKeyring(stored: stored) else { return nil }
        let accepted = acceptedOlderState.withLock { $0 }
        guard let accepted, accepted.sequence == found.state.sequence else { throw found.error }
        // What was accepted is all that has been seen until now.
        return OlderState(
            accepted, newestSequenceSeen: max(accepted.newestSequenceSeen, found.state.newestSequenceSeen))
    }

    private func hasKnownGlobalKey() throws -> Bool {
        // One that is not to be read is a witness against this keyring.
        guard let envelope = try? keyring.envelope(for: .global) else { return true }
        return try Diagnosis(files: DatabaseFiles(.global, in: directory), envelope: envelope, keyring: keyring)
            .hasKnownKey()
    }

    /// What would be accepted; nil where the keyring is no older than anything says.
    private func olderKeyring(stored: Int?) throws -> (state: OlderState, error: KeyringError)? {
        let live = stored ?? liveRegistry().keyringSequence
        let seen = max(live ?? 0, try keyring.witnessedSequence())
        // The global database's envelope is written whenever the sequence in there is. It is no witness where it does not know the key
        // that the database is under.
        let isProven = try live != nil || keyring.witnessedSequence(of: .global) != nil && hasKnownGlobalKey()
        let sequence = keyring.sequence
        if isProven, sequence >= seen || CustodyCheck.sequence.isSkipped { return nil }
        let state = OlderState(
            sequence: sequence, newestSequenceSeen: seen, unlockers: keyring.unlockers.map(\.id),
            rootKeys: keyring.rootKeyInfos.filter { $0.state != .destroyed }.map(\.version), dataKeys: [], profiles: [],
            date: Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down)))
        let reason: KeyringError.Reason =
            isProven ? .sequenceLower(sequence: sequence, seen: seen) : .sequenceUnproven(sequence: sequence)
        return (state, KeyringError(reason, keyring.directory))
    }
}

extension OlderState {
    fileprivate init(_ other: OlderState, newestSequenceSeen seen: Int) {
        self.init(
            sequence: other.sequence, newestSequenceSeen: seen, unlockers: other.unlockers, rootKeys: other.rootKeys,
            dataKeys: other.dataKeys, profiles: other.profiles, date: other.date)
    }
}
