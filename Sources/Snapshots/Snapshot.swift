public import Foundation
import Keyring

/// A snapshot whose manifest is authentic; whether its pages are is for ``SnapshotReport`` to say.
public struct Snapshot: Sendable, Hashable, Codable {
    /// `snap_` and 16 base32 digits.
    public let id: String
    /// `global` or a profile's id.
    public let scope: String
    /// The name of its files.
    public let name: String
    /// Why it was taken: `manual`, `pre-<migration>`, or a word of the operator's.
    public let reason: String
    /// The set that it was frozen with, `set-<timestamp>`; nil where it is alone.
    public let set: String?
    /// Counted from 1: the order in which the snapshots of a database were made, whatever the clock said.
    public let ordinal: Int
    /// When it was made, by the clock of then.
    public let created: Date
    /// In bytes.
    public let size: Int
    /// How many pages it has.
    public let pages: Int
    /// The page size, in bytes.
    public let pageSize: Int
    /// The generation of the data key that it is under.
    public let keyGeneration: Int
    /// How many migrations the database had; nil where it had none.
    public let appliedMigrations: Int?
    /// The name of the last one.
    public let latestMigration: String?
    /// How often the database had been closed after a change.
    public let epoch: Int
    /// When every page was last shown to be authentic; nil where it never was since it was made.
    public let verified: Date?

    init(_ manifest: SnapshotManifest, verified: Date?) {
        id = manifest.snapshotId
        scope = manifest.scope
        name = manifest.name
        reason = manifest.reason
        set = manifest.set
        ordinal = manifest.ordinal
        created = manifest.created
        size = manifest.length
        pages = manifest.pageCount
        pageSize = manifest.pageSize
        keyGeneration = manifest.keyGeneration
        appliedMigrations = manifest.migrations?.applied
        latestMigration = manifest.migrations?.latest
        epoch = manifest.epoch
        self.verified = verified
    }

    /// Whether it was taken before a migration.
    public var isPreMigration: Bool { SnapshotReason(parsing: reason)?.isPreMigration ?? false }
}

/// A snapshot that cannot be used as it stands there.
public struct UnusableSnapshot: Sendable, Hashable, Codable {
    /// The name of its files.
    public let name: String
    /// The code of the error: see the runbook.
    public let code: String
}

/// The snapshots of one database.
public struct SnapshotList: Sendable, Codable {
    /// `global` or a profile's id.
    public let scope: String
    /// Those with an authentic manifest, in the order in which they were made.
    public let snapshots: [Snapshot]
    /// The others, by name.
    public let unusable: [UnusableSnapshot]
}

/// What a verification of a snapshot found.
public struct SnapshotReport: Sendable, Codable {
    /// A page that is not what was written.
    public struct Page: Sendable, Codable, Hashable {
        /// Counted from 1.
        public let number: Int
        /// `wrong_tag`, `zeroed`, `torn`, `beyond_end`.
        public let kind: String
    }

    /// `global` or a profile's id.
    public let scope: String
    /// The name of its files.
    public let name: String
    /// `healthy`, or the code of what is wrong: see the runbook.
    public let condition: String
    /// Whole pages in the file.
    public let pages: Int
    /// Pages that are bad, those that are missing included.
    public let badPageCount: Int
    /// The first of these by number, ten thousand at most.
    public let badPages: [Page]

    /// Whether anything is wrong.
    public var isHealthy: Bool { condition == Self.healthy }

    static let healthy = "healthy"
}

/// How far work on the pages of a database is.
public struct SnapshotProgress: Sendable, Hashable {
    /// Pages done.
    public let pages: Int
    /// Pages in all.
    public let totalPages: Int

    package init(pages: Int, totalPages: Int) {
        self.pages = pages
        self.totalPages = totalPages
    }
}
