public import ErrorReporting
public import SystemPackage

/// Why a snapshot could not be made, read, trusted or removed.
public struct SnapshotError: ReportableError, Equatable {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        case notFound
        /// There is no snapshot of this database at all.
        case none
        case reasonInvalid
        /// It is being made or removed at this moment.
        case inUse
        case manifestMissing
        /// The manifest's own check sum does not fit.
        case manifestDamaged
        /// The manifest is no JSON of its format, or breaks one of its rules.
        case manifestMalformed
        case versionUnsupported
        case featureUnsupported
        case ofAnotherStore
        case ofAnotherDatabase
        /// The manifest stands under the name of another snapshot.
        case manifestMisplaced
        /// The keyring has no such key for this database.
        case keyUnknown(generation: Int)
        case keyDestroyed(generation: Int)
        /// The check sum fits and the MAC does not.
        case manifestForged
        case pagesMissing
        /// The file is not as long as the manifest says.
        case lengthDiffers
        /// The file begins with another key id.
        case keyIDDiffers
        /// So many pages do not authenticate.
        case pagesDamaged(count: Int)
        /// Every page is authentic, and one at least is not the version that the manifest speaks of.
        case pagesOfAnotherVersion
        /// What was written did not hold together when it was checked by SQLite.
        case integrity(violations: Int)
        case verifyKeyMalformed
        /// The verify key has no entry for the snapshot's key.
        case verifyKeyUnknown
        /// The file to export to does not end in `.db`.
        case exportNameInvalid
        /// The pages changed while they were copied, again and again.
        case pagesChanged
    }

    /// What is wrong.
    public let reason: Reason
    /// The file concerned.
    public let place: FilePath?

    /// An error about the file at `place`.
    package init(_ reason: Reason, _ place: FilePath? = nil) {
        self.reason = reason
        self.place = place
    }

    /// A word that is no reason.
    public static let reasonInvalid = SnapshotError(.reasonInvalid)

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .notFound: "snapshot_not_found"
        case .none: "snapshot_none"
        case .reasonInvalid: "snapshot_reason_invalid"
        case .inUse: "snapshot_in_use"
        case .manifestMissing: "snapshot_manifest_missing"
        case .manifestDamaged: "snapshot_manifest_damaged"
        case .manifestMalformed: "snapshot_manifest_malformed"
        case .versionUnsupported: "snapshot_version_unsupported"
        case .featureUnsupported: "snapshot_feature_unsupported"
        case .ofAnotherStore: "snapshot_of_another_store"
        case .ofAnotherDatabase: "snapshot_of_another_database"
        case .manifestMisplaced: "snapshot_manifest_misplaced"
        case .keyUnknown: "snapshot_key_unknown"
        case .keyDestroyed: "snapshot_key_destroyed"
        case .manifestForged: "snapshot_manifest_forged"
        case .pagesMissing: "snapshot_pages_missing"
        case .lengthDiffers: "snapshot_length_differs"
        case .keyIDDiffers: "snapshot_key_id_differs"
        case .pagesDamaged: "snapshot_pages_damaged"
        case .pagesOfAnotherVersion: "snapshot_pages_of_another_version"
        case .integrity: "snapshot_integrity"
        case .verifyKeyMalformed: "verify_key_malformed"
        case .verifyKeyUnknown: "verify_key_unknown"
        case .exportNameInvalid: "export_name_invalid"
        case .pagesChanged: "snapshot_pages_changed"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .notFound: .notFound
        case .none: .noSnapshot
        case .reasonInvalid, .versionUnsupported, .featureUnsupported, .verifyKeyMalformed, .exportNameInvalid:
            .usage
        case .inUse, .pagesChanged: .inUse
        case .keyUnknown, .keyDestroyed, .verifyKeyUnknown: .couldNotUnlock
        default: .damaged
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .notFound: "there is no such snapshot of this database"
        case .none: "there is no snapshot of this database that could be used"
        case .reasonInvalid: "this is no reason for a snapshot"
        case .inUse: "the snapshot is being made or removed"
        case .manifestMissing: "the snapshot has no manifest"
        case .manifestDamaged: "the snapshot's manifest is damaged"
        case .manifestMalformed: "the snapshot's manifest does not follow its format"
        case .versionUnsupported: "the snapshot's manifest is of a newer version"
        case .featureUnsupported: "the snapshot's manifest asks for something that this version does not know"
        case .ofAnotherStore: "the snapshot is of another store"
        case .ofAnotherDatabase: "the snapshot is of another database of this store"
        case .manifestMisplaced: "the manifest is another snapshot's"
        case .keyUnknown(let generation):
            "the snapshot is under generation \(generation) of the database's key, which this keyring does not have"
        case .keyDestroyed(let generation):
            "the snapshot is under generation \(generation) of the database's key, which was destroyed"
        case .manifestForged: "the snapshot's manifest was changed by somebody who does not hold its key"
        case .pagesMissing: "the snapshot's manifest is there and its pages are not"
        case .lengthDiffers: "the snapshot is not as long as its manifest says"
        case .keyIDDiffers: "the snapshot begins with the id of another key than its manifest says"
        case .pagesDamaged(let count): "\(count) page(s) of the snapshot do not authenticate"
        case .pagesOfAnotherVersion: "a page of the snapshot is another version than its manifest speaks of"
        case .integrity(let violations): "SQLite finds \(violations) thing(s) wrong with what the snapshot holds"
        case .verifyKeyMalformed: "this is no verify key"
        case .verifyKeyUnknown: "the verify key is not the key of this snapshot"
        case .exportNameInvalid: "a snapshot is exported to a file whose name ends in .db"
        case .pagesChanged: "the database changed under the copy, again and again"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .notFound: "'strongroom snapshot list' shows what there is"
        case .none: "'strongroom snapshot list' shows what there is, and what is wrong with it"
        case .reasonInvalid:
            "use up to 80 letters, digits, '_', '.' and '-', beginning with a letter or digit and not with 'pre-'"
        case .inUse: "wait until that is done"
        case .manifestMissing, .manifestDamaged, .manifestMalformed, .manifestMisplaced, .pagesMissing:
            "put the missing file back from where snapshots are copied to, or use another snapshot"
        case .versionUnsupported, .featureUnsupported: "use a newer version of Strongroom"
        case .ofAnotherStore, .ofAnotherDatabase: "put it where it belongs"
        case .keyUnknown, .keyDestroyed: "a keyring backup from that time may still have the key"
        case .manifestForged: "find out who can write there; use another snapshot"
        case .integrity:
            "try another snapshot; 'snapshot verify --drill' tells which are sound; --accept-violations restores it as it is"
        case .lengthDiffers, .keyIDDiffers, .pagesDamaged, .pagesOfAnotherVersion:
            "use another snapshot; keep this one, parts of it may still help"
        case .verifyKeyMalformed, .verifyKeyUnknown:
            "make one with 'strongroom snapshot verify-key', again after each rotation"
        case .exportNameInvalid: "name a new file that ends in .db; its manifest is made beside it"
        case .pagesChanged: "try again when the database is less busy"
        }
    }
}
