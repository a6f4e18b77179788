// Looking at a store as a whole. Nothing is written to a database, and none is opened for it.

import DurableFiles
public import Foundation
import GRDBSQLite
import KeyPolicy
public import Keyring
import PageCipher
import Secrets
import Snapshots

extension Store {
    /// Looks at the global database and one profile: every page is authenticated, and SQLite checks what is healthy. A profile that this
    /// process has open is looked at through its connections (``Profile/diagnostics(now:)``); everything else without being opened.
    ///
    /// A profile that another process has open is looked at all the same; pages that are being written at that moment may then show as
    /// damaged, so it is looked at again before that is said.
    ///
    /// - Throws: `StrongroomError.storeLocked`. What is wrong with a database is said in the result.
    public func diagnostics(profile: ProfileID? = nil, now: Date = Date()) throws -> Diagnostics {
        if let open = profile.flatMap({ openProfile($0) }) { return try open.diagnostics(now: now) }
        return try diagnostics(profile: profile.map { DiagnosisOfOne(self, .profile($0), now).atRest() }, now)
    }

    /// The same, on a thread that is no task's: a large database takes a while.
    ///
    /// - Throws: `StrongroomError.storeLocked`. What is wrong with a database is said in the result.
    public func diagnostics(profile: ProfileID? = nil, now: Date = Date()) async throws -> Diagnostics {
        let look: @Sendable () throws -> Diagnostics = { try self.diagnostics(profile: profile, now: now) }
        return try await BlockingWork.run(look)
    }

    fileprivate func diagnostics(profile: Diagnostics.DatabaseState?, _ now: Date) throws -> Diagnostics {
        try requireUnlocked()
        let versions = try Engine.versions()
        let sqlite = LibraryVersion(reading: versions.sqlite)
        let root = keyring.rootKeyInfos.first { $0.state == .active }
        // Read without being opened: to open it is to recover it, where an app has asked for that.
        let live = registryAtRest()
        let registered = live.profiles.map { Set($0.map(\.id.description)) }
        return Diagnostics(
            engine: .init(
                sqlcipherVersion: LibraryVersion(reading: versions.sqlcipher), sqliteVersion: sqlite,
                hasWALResetFix: sqlite >= LibraryVersion(3, 51, 3), flawsKnownAt: .engineFlaws),
            global: DiagnosisOfOne(self, .global, now).atRest(),
            profile: profile,
            posture: .init(
                policy: PolicyIdentity(policy), violations: try? policyViolations(now: now),
                unlockers: keyring.unlockers.count, rootKeyVersion: root?.version ?? 0,
                rootKeyAgeDays: root.map { Self.days(from: $0.created, to: now) } ?? 0,
                unfinishedRotations: keyring.rotations.count, isMemoryLocked: MemoryLock.failure == nil,
                profiles: registered?.count,
                unregisteredProfiles: registered.flatMap(unregisteredProfiles),
                acceptedOlderStates: live.olderStates.map { $0.map(Diagnostics.AcceptedOlderState.init) }))
    }

    /// How many directories of profiles are not registered, without those of shredded profiles, which stay on purpose.
    private func unregisteredProfiles(_ registered: Set<String>) -> Int? {
        let directories = try? DurableFiles.names(in: DatabaseFiles.profilesDirectory(in: directory))
        return directories?.count { name in
            guard let text = name.text, let id = ProfileID(text) else { return true }
            return !registered.contains(text) && (try? keyring.envelope(for: .profile(id)).isShredded) != true
        }
    }

    private func registryAtRest() -> LiveRegistry {
        let lock = try? lockGlobal(files(of: .global))
        defer { lock?.release() }
        return liveRegistry()
    }
}

extension Diagnostics.AcceptedOlderState {
    fileprivate init(_ state: OlderState) {
        self.init(
            date: state.date, sequence: state.sequence, newestSequenceSeen: state.newestSequenceSeen,
            unlockers: state.unlockers.count, rootKeys: state.rootKeys.count, dataKeys: state.dataKeys.count,
            profiles: state.profiles.count)
    }
}

extension Profile {
    /// Looks at the global database and at this profile while it is open. Writers wait for one checkpoint.
    ///
    /// - Throws: `StrongroomError.storeLocked` where it was closed; `.sqlite`.
    public func diagnostics(now: Date = Date()) throws -> Diagnostics {
        let report = try verify()
        let state = try StrongroomError.wrapping(.query, nil) {
            try database.read { db in
                try DiagnosisOfOne(store, open.files.scope, now).whileOpen(report, db.sqliteConnection)
            }
        }
        return try store.diagnostics(profile: state, now)
    }
}

/// One database of a store.
private struct DiagnosisOfOne {
    private let store: Store
    private let files: DatabaseFiles
    private let envelope: Result<Envelope, any Error>
    private let now: Date

    init(_ store: Store, _ scope: KeyScope, _ now: Date) {
        self.store = store
        self.now = now
        files = DatabaseFiles(scope, in: store.directory)
        envelope = Result { try store.keyring.envelope(for: scope) }
    }

    /// What SQLite says of it.
    private struct Schema {
        var version: Int?
        var history: [String]?
        var integrity = Diagnostics.IntegrityCheck.notRun
        var foreignKeyViolations: Int?

        static let unknown = Schema()

        private init() {}

        init(_ findings: IntegrityFindings, _ connection: OpaquePointer) throws {
            integrity =
                switch findings.integrityViolations {
                case nil: .needsApp
                case 0: .ok
                default: .failed
                }
            foreignKeyViolations = findings.integrityViolations == nil ? nil : findings.foreignKeyViolations
            version = try RawSQL.integer("PRAGMA user_version", on: connection).map { Int($0) }
            history = try MigrationHistory(connection).applied
        }
    }

    func atRest() -> Diagnostics.DatabaseState {
        do {
            try files.requireOwnDirectories()
            // Nobody else changes it while it is looked at. Where somebody has it open, less can be said.
            let lock = try? store.lock(files)
            defer { lock?.release() }
            let envelope = try envelope.get()
            let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: store.keyring)
            var found = try diagnosis.ofAllPages()
            if case .pagesDamaged = found { found = try diagnosis.ofAllPages() }
            let isSettled = try found == .healthy && lock != nil && !files.hasPendingWAL()
            return state(.condition(found), isSettled ? (try? schema(under: envelope)) ?? .unknown : .unknown)
        } catch { return state(.error(ErrorCode(error)), .unknown) }
    }

    func whileOpen(_ report: VerificationReport, _ connection: OpaquePointer?) throws -> Diagnostics.DatabaseState {
        guard let connection else { throw StrongroomError(.storeLocked) }
        let schema = try Schema(IntegrityFindings(of: connection), connection)
        return state(.condition(report.condition), schema)
    }

    private func schema(under envelope: Envelope) throws -> Schema {
        guard let info = try files.keyInForce(envelope) else { return .unknown }
        let key = try store.keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let sealed = try SealedDatabase(DataFile(files.main), key: key.makePageKey())
        return try Schema(sealed.check(), sealed.connection.handle)
    }

    private func state(_ condition: Diagnostics.State, _ schema: Schema) -> Diagnostics.DatabaseState {
        let envelope = try? envelope.get()
        let registered = files.scope == .global ? store.schema.global : store.schema.profile
        let gap = schema.history.flatMap { history in
            registered.map { MigrationHistory(applied: history).gap(in: $0.names) }
        }
        var damagedPages: Int?
        if case .condition(.pagesDamaged(let count)) = condition { damagedPages = count }
        return Diagnostics.DatabaseState(
            scope: files.scope, condition: condition, damagedPages: damagedPages,
            hasPendingChanges: (try? files.hasPendingWAL()) ?? false,
            schemaVersion: schema.version, latestMigration: schema.history?.last.map { MigrationName(showing: $0) },
            appliedMigrationCount: schema.history?.count, expectedMigrationCount: registered?.names.count,
            continuityOk: gap.map { $0 == nil }, continuityError: gap ?? nil,
            integrityCheck: schema.integrity, foreignKeyViolations: schema.foreignKeyViolations,
            cipher: envelope?.activeDataKey.map { cipher(under: $0) }, epoch: envelope?.epoch,
            snapshots: snapshots(), lastRecovery: lastRecovery())
    }

    private func cipher(under key: DataKeyInfo) -> Diagnostics.Cipher {
        let age = Store.days(from: key.created, to: now)
        return Diagnostics.Cipher(
            pageSize: key.pageFormat.size, pageAuthentication: key.pageFormat.authentication,
            keyGeneration: key.generation,
            keyAgeDays: age, isKeyDue: age > store.policy.maximumDataKeyAgeDays)
    }

    private func snapshots() -> Diagnostics.Snapshots? {
        guard let list = try? store.snapshotDirectory(of: files.scope).list() else { return nil }
        let dates = list.snapshots.map(\.created)
        return Diagnostics.Snapshots(
            count: list.snapshots.count, unusable: list.unusable.count, newest: dates.max(), oldest: dates.min(),
            lastVerified: list.snapshots.compactMap(\.verified).max(),
            neverVerified: list.snapshots.count { $0.verified == nil })
    }

    private func lastRecovery() -> Diagnostics.Recovery? {
        (try? files.quarantines().last).flatMap { $0.map { Diagnostics.Recovery(kind: $0.kind, date: $0.date) } }
    }
}
