// What can be done about a damaged database, worked out before anything is touched: docs/decisions/0016-recovery.md.

public import Foundation
public import Keyring
public import Snapshots

/// What an app lets Strongroom do about a damaged database when it is opened. Only proven damage, under the right key, is ever
/// recovered from; what was there is kept in `corrupted/`.
public enum RecoveryMode: Sendable {
    /// What brings back most: repairs that lose nothing; the last sound state of a damaged WAL; the latest good snapshot.
    case automatic
    /// Repairs that lose nothing, and otherwise an error.
    case lossless
    /// An error.
    case never
}

/// What can be done about a database.
public struct RecoveryPlan: Sendable, Hashable, Encodable {
    /// The way.
    public enum Action: String, Sendable, Encodable, CaseIterable {
        /// Nothing is wrong.
        case none
        /// Bad pages are put back one by one, each as the exact version that was there, and what is sound in the WAL with them.
        case repair
        /// A snapshot takes the database's place.
        case restore
        /// A rollback journal that is not ours is moved away. The database itself is as it should be.
        case moveJournal
        /// It is no damage, and nothing may be moved away for it: a wrong key, a file of somebody else's, a missing disk.
        case refuse
        /// It is damage that only a snapshot could help, and there is no good one.
        case noSnapshot
    }

    /// Where bad pages were found.
    public struct FoundPages: Sendable, Hashable, Encodable {
        /// Page 1, of which only the bytes before its tag were damaged.
        public internal(set) var inHeader = 0
        /// Exchanged with each other in the same file.
        public internal(set) var exchanged = 0
        /// Not used by SQLite.
        public internal(set) var unused = 0
        /// In snapshots.
        public internal(set) var inSnapshots = 0

        var count: Int { inHeader + exchanged + unused + inSnapshots }
    }

    /// `global` or a profile's id.
    public let scope: KeyScope
    /// What is wrong.
    public let condition: DatabaseCondition
    /// The way.
    public internal(set) var action: Action
    /// How many pages are bad, those that are missing included.
    public internal(set) var badPages = 0
    /// How many of them come back, and from where.
    public internal(set) var foundPages = FoundPages()
    /// How many are nowhere.
    public internal(set) var lostPages = 0
    /// How many acknowledged transactions in the WAL cannot be kept. What a cut took from its end cannot be counted: nothing says
    /// that it was there.
    public internal(set) var lostTransactions = 0
    /// Whether a rollback journal that is not ours is moved to `corrupted/` first.
    public internal(set) var movesJournal = false
    /// What would be restored.
    public internal(set) var snapshot: Snapshot?
    /// Whether the database comes back as it was last: nothing that was acknowledged is lost.
    public internal(set) var isLossless = false
    /// How much time lies between the snapshot and the last change of the files, in seconds.
    public internal(set) var secondsLost: Int?

    init(_ scope: KeyScope, _ condition: DatabaseCondition, _ action: Action) {
        self.scope = scope
        self.condition = condition
        self.action = action
    }

    /// Nothing is wrong but a rollback journal that is not ours.
    static func movingJournal(_ scope: KeyScope) -> Self {
        var plan = Self(scope, .journalForeign, .moveJournal)
        plan.isLossless = true
        plan.movesJournal = true
        return plan
    }
}

/// What a recovery did.
public struct RecoveryEvent: Sendable, Hashable, Encodable {
    /// What was wrong, and what was done.
    public let plan: RecoveryPlan
    /// When, by the clock of then.
    public let date: Date
    /// Where in `corrupted/` everything went that was there before.
    public let quarantine: String
    /// Rows that could be read from the damaged database, and went into `salvaged.db` beside it; nil where there was no need, or
    /// none could be read.
    public let salvage: Salvage?
    /// Where in `corrupted/` a rollback journal went that is not ours; nil where there was none.
    public let journal: String?
}

extension DatabaseCondition {
    /// Whether it is damage, proven under the right key.
    var isProvenDamage: Bool {
        switch self {
        case .headerDamaged, .pagesDamaged, .truncated, .walDamaged: true
        default: false
        }
    }
}
