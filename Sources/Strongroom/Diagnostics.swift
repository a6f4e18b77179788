// What an operator, or an app's support, may be shown: closed structs of numbers, enums, dates and ids. No field can
// hold a path, SQL, content or a key.

import DurableFiles
public import Foundation
import KeyPolicy
import Keyring
import Secrets

/// The condition of a store and, where one is asked about, of a profile.
public struct Diagnostics: Sendable, Codable {
    /// The SQL engine of this process.
    public struct Engine: Sendable, Codable {
        /// Such as `4.6.1`.
        public let sqlcipherVersion: String
        /// Such as `3.46.1`.
        public let sqliteVersion: String
        /// Whether SQLite's fix for damage by two writers of a WAL (3.51.3) is in. Where it is not, Strongroom's rule
        /// of one process and one writing connection is what keeps the data safe.
        public let hasWALResetFix: Bool
    }

    /// One database.
    public struct DatabaseState: Sendable, Codable {
        /// `global` or a profile's id.
        public let scope: String
        /// `healthy`, or what is wrong: see the runbook.
        public let condition: String
        /// Pages that do not authenticate, where the condition is about pages.
        public let damagedPages: Int?
        /// The generation of the active data key.
        public let keyGeneration: Int?
        /// Its age in whole days.
        public let keyAgeDays: Int?
        /// Whether the policy wants it rotated.
        public let isKeyDue: Bool?
        /// The page size, in bytes.
        public let pageSize: Int?
        /// `hmac-sha512` or `hmac-sha256`.
        public let pageAuthentication: String?
        /// Whether changes wait in the WAL: the last close was not clean, or the database is open now.
        public let hasPendingChanges: Bool
        /// How often it was closed after a change.
        public let epoch: Int?
    }

    /// The store's keys and policy.
    public struct Posture: Sendable, Codable {
        /// The policy's name.
        public let policy: String
        /// 64 hex digits.
        public let policyDigest: String
        /// The codes of the violations.
        public let violations: [String]
        /// How many unlockers there are.
        public let unlockers: Int
        /// The version of the active root key.
        public let rootKeyVersion: Int
        /// Its age in whole days.
        public let rootKeyAgeDays: Int
        /// Whether every secret of this process is locked in memory.
        public let isMemoryLocked: Bool
        /// How many profiles there are.
        public let profiles: Int
        /// Directories of profiles that are not registered, left by something that was interrupted.
        public let unregisteredProfiles: Int
    }

    /// The SQL engine of this process.
    public let engine: Engine
    /// The global database.
    public let global: DatabaseState
    /// The profile that was asked about.
    public let profile: DatabaseState?
    /// The store's keys and policy.
    public let posture: Posture

    /// Whether anything is wrong with a database.
    public var hasFindings: Bool {
        global.condition != DatabaseCondition.healthy.name
            || profile.map { $0.condition != DatabaseCondition.healthy.name } ?? false
    }
}

extension Store {
    /// Looks at the global database and one profile without opening either: every page is authenticated.
    ///
    /// A profile that is open elsewhere is looked at all the same; pages that are being written at that moment may
    /// then show as damaged, so it is looked at again before that is said.
    public func diagnostics(profile: ProfileInfo? = nil, now: Date = Date()) throws -> Diagnostics {
        let versions = try Engine.versions()
        let status = try keyStatus(now: now, countingFiles: false)
        let registered = Set(try profiles().map(\.id.description))
        let directories = try DurableFiles.names(in: DatabaseFiles.profilesDirectory(in: directory))
        let root = status.rootKeys.first { $0.state == .active }
        return Diagnostics(
            engine: .init(
                sqlcipherVersion: versions.sqlcipher, sqliteVersion: versions.sqlite,
                hasWALResetFix: Self.hasWALResetFix(versions.sqlite)),
            global: try state(of: .global, status),
            profile: try profile.map { try state(of: .profile($0.id), status) },
            posture: .init(
                policy: policy.name, policyDigest: policy.digest,
                violations: try policyViolations(now: now).map(\.code),
                unlockers: status.unlockers.count, rootKeyVersion: root?.version ?? 0,
                rootKeyAgeDays: root?.ageDays ?? 0, isMemoryLocked: MemoryLock.failure == nil,
                profiles: registered.count,
                unregisteredProfiles: directories.filter { !registered.contains($0) }.count))
    }

    private func state(of scope: KeyScope, _ status: KeyStatus) throws -> Diagnostics.DatabaseState {
        let files = DatabaseFiles(scope, in: directory)
        let key = status.dataKeys.last { $0.scope == scope.description && $0.state == .active }
        var format: PageFormat?
        var epoch: Int?
        var condition: String
        var damaged: Int?
        do {
            let envelope = try keyring.envelope(for: scope)
            format = envelope.activeDataKey?.pageFormat
            epoch = envelope.epoch
            let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: keyring)
            var found = try diagnosis.ofAllPages()
            if case .pagesDamaged = found { found = try diagnosis.ofAllPages() }
            condition = found.name
            if case .pagesDamaged(let count) = found { damaged = count }
        } catch let error as any ReportableError {
            condition = error.code
        }
        return .init(
            scope: scope.description, condition: condition, damagedPages: damaged, keyGeneration: key?.generation,
            keyAgeDays: key?.ageDays, isKeyDue: key?.isDue, pageSize: format?.size,
            pageAuthentication: format?.authentication.rawValue,
            hasPendingChanges: (try? files.hasPendingWAL()) ?? false, epoch: epoch)
    }

    private static func hasWALResetFix(_ version: String) -> Bool {
        let parts = version.split(separator: ".").compactMap { Int($0) }
        return parts.count == 3 && (parts[0], parts[1], parts[2]) >= (3, 51, 3)
    }
}
