// What an operator, or an app's support, may be shown: docs/formats/diagnostics.md. Numbers, enums, dates, ids and the closed
// values of DiagnosticValues.swift: no field can hold a path, SQL, content or a key.

public import Foundation
public import KeyPolicy
public import Keyring

/// The condition of a store and, where one is asked about, of a profile.
public struct Diagnostics: Sendable, Hashable, Encodable {
    /// The SQL engine of this process.
    public struct Engine: Sendable, Hashable, Encodable {
        /// SQLCipher's version.
        public let sqlcipherVersion: LibraryVersion
        /// SQLite's version.
        public let sqliteVersion: LibraryVersion
        /// Whether SQLite's fix for damage by two writers of a WAL (3.51.3) is in. Where it is not, Strongroom's rule
        /// of one process and one writing connection is what keeps the data safe.
        public let hasWALResetFix: Bool
        /// The day up to which docs/security/engine.md says of every published flaw of the engine whether it can be reached here.
        public let flawsKnownAt: CalendarDay
    }

    /// What SQLite's own check says.
    public enum IntegrityCheck: String, Sendable, Hashable, Encodable {
        case ok
        case failed
        /// There is something that only the app's own functions or collations could check.
        case needsApp = "needs_app"
        /// The database is not healthy, is open in another process, or was not closed properly.
        case notRun = "not_run"
    }

    /// The condition of a database, or the error that keeps it from being told.
    public enum State: Sendable, Hashable, Encodable {
        case condition(DatabaseCondition)
        case error(ErrorCode)

        /// Writes the name of the condition, or the code of the error.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .condition(let condition): try container.encode(condition)
            case .error(let code): try container.encode(code)
            }
        }
    }

    /// How a database is encrypted.
    public struct Cipher: Sendable, Hashable, Encodable {
        /// The page size, in bytes.
        public let pageSize: Int
        /// How a page is authenticated. Each is encrypted with AES-256-CBC.
        public let pageAuthentication: PageFormat.Authentication
        /// The generation of the active data key.
        public let keyGeneration: Int
        /// Its age in whole days.
        public let keyAgeDays: Int
        /// Whether the policy wants it rotated.
        public let isKeyDue: Bool
    }

    /// The snapshots of a database.
    public struct Snapshots: Sendable, Hashable, Encodable {
        /// How many there are.
        public let count: Int
        /// How many there are beside these of which the manifest cannot be used.
        public let unusable: Int
        /// When the newest was taken.
        public let newest: Date?
        /// When the oldest was taken.
        public let oldest: Date?
        /// When every page of one was last shown to be authentic.
        public let lastVerified: Date?
        /// How many were never verified since they were made.
        public let neverVerified: Int
    }

    /// The last time something was moved to `corrupted/`.
    public struct Recovery: Sendable, Hashable, Encodable {
        /// What moved it there.
        public let kind: Quarantine.Kind
        /// When.
        public let date: Date
    }

    /// One database.
    public struct DatabaseState: Sendable, Hashable, Encodable {
        /// `global` or a profile's id.
        public let scope: KeyScope
        /// `healthy`, or what is wrong: see the runbook.
        public let condition: State
        /// Pages that do not authenticate, where the condition is about pages.
        public let damagedPages: Int?
        /// Whether changes wait in the WAL: the last close was not clean, or the database is open now.
        public let hasPendingChanges: Bool
        /// The number that the app keeps in `PRAGMA user_version`; nil where the database was not read.
        public let schemaVersion: Int?
        /// The last of the app's migrations that the database has.
        public let latestMigration: MigrationName?
        /// How many it has.
        public let appliedMigrationCount: Int?
        /// How many the app has registered; nil where it has not said.
        public let expectedMigrationCount: Int?
        /// Whether what the database has is a prefix of what the app has registered; nil where one of them is not known.
        public let continuityOk: Bool?
        /// Where it is not.
        public let continuityError: MigrationGap?
        /// What SQLite's own check says.
        public let integrityCheck: IntegrityCheck
        /// Rows whose foreign key leads nowhere; nil where it was not looked.
        public let foreignKeyViolations: Int?
        /// How it is encrypted; nil where its envelope cannot be used, or its keys have been destroyed.
        public let cipher: Cipher?
        /// How often it was closed after a change.
        public let epoch: Int?
        /// Its snapshots; nil where its envelope cannot be used.
        public let snapshots: Snapshots?
        /// The last restore or repair; nil where there was none.
        public let lastRecovery: Recovery?

        /// Whether something is to be done.
        public var hasFindings: Bool {
            condition != .condition(.healthy) || integrityCheck == .failed || continuityOk == false
                || foreignKeyViolations ?? 0 > 0
        }
    }

    /// An older keyring that was accepted.
    public struct AcceptedOlderState: Sendable, Hashable, Encodable {
        /// When.
        public let date: Date
        /// The sequence that was accepted.
        public let sequence: Int
        /// The highest sequence that had been seen; 0 where that could not be told.
        public let newestSequenceSeen: Int
        /// How many unlockers, root keys, data keys and profiles came back to life, or cannot be told from such.
        public let unlockers, rootKeys, dataKeys, profiles: Int
    }

    /// The store's keys and policy.
    public struct Posture: Sendable, Hashable, Encodable {
        /// The policy that the store is pinned to.
        public let policy: PolicyIdentity
        /// In what the keys do not follow it; nil where the global database cannot be read.
        public let violations: [PolicyViolation]?
        /// How many unlockers there are.
        public let unlockers: Int
        /// The version of the active root key.
        public let rootKeyVersion: Int
        /// Its age in whole days.
        public let rootKeyAgeDays: Int
        /// Rotations that were begun and are not finished.
        public let unfinishedRotations: Int
        /// Whether every secret of this process is locked in memory.
        public let isMemoryLocked: Bool
        /// How many profiles there are; nil where the global database cannot be read.
        public let profiles: Int?
        /// Directories of profiles that are not registered, left by something that was interrupted.
        public let unregisteredProfiles: Int?
        /// Older keyrings that were accepted and not acknowledged; nil where the global database cannot be read.
        public let acceptedOlderStates: [AcceptedOlderState]?
    }

    /// The SQL engine of this process.
    public let engine: Engine
    /// The global database.
    public let global: DatabaseState
    /// The profile that was asked about.
    public let profile: DatabaseState?
    /// The store's keys and policy.
    public let posture: Posture

    /// Whether anything is wrong with a database, or an older keyring was accepted and not acknowledged.
    public var hasFindings: Bool {
        global.hasFindings || profile?.hasFindings ?? false || !(posture.acceptedOlderStates ?? []).isEmpty
    }
}
