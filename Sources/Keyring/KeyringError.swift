public import ErrorReporting
public import SystemPackage

/// Why a keyring, an envelope or another authenticated file could not be used.
public struct KeyringError: ReportableError, Equatable {
    /// Which of the authenticated files is meant.
    public enum File: String, Sendable, CaseIterable { case keyring, envelope, store, restore, certificate, backup }

    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// The file is not there.
        case missing(File)
        /// The file's own check sum does not fit: it was cut, extended or changed by accident.
        case damaged(File)
        /// The check sum fits and the MAC does not: it was changed by somebody who does not know the root key.
        case forged(File)
        /// The file is whole and authentic, and still breaks a rule of its format.
        case malformed(File)
        /// A later version than this program reads.
        case unsupportedVersion(File)
        /// An algorithm, or a field marked critical, that this program does not know.
        case unsupportedFeature(File)
        /// A cost outside its bounds; nothing was allocated for it.
        case costOutOfRange(File)
        /// The file belongs to another keyring.
        case belongsToAnotherKeyring(File)
        /// An envelope that stands under another scope's name.
        case envelopeOfAnotherScope
        /// An older file than one seen before.
        case rolledBack(File)
        /// The newest keyring at hand is older than one that was seen before.
        case sequenceLower(sequence: Int, seen: Int)
        /// What would tell whether the keyring is the newest one cannot be read.
        case sequenceUnproven(sequence: Int)
        /// Envelopes of the backup have keys that were destroyed since.
        case destroyedKeysReturn(sequence: Int)
        /// The store's own file can be verified under no key at hand.
        case storeUnverifiable
        /// No root key of the keyring file is one that this process holds, or endorsed by one that it holds.
        case continuityBroken
        /// No unlocker of this keyring is opened by this secret.
        case unlockFailed
        /// The secret opened none of the unlockers that were tried; to try so many more would cost too much.
        case unlockCostExceeded(untried: Int)
        /// The keyring has been locked; its keys are no longer in memory.
        case locked
        /// There is a keyring here already.
        case alreadyExists
        /// A passphrase shorter than the policy allows.
        case passphraseTooShort(minimumBytes: Int)
        /// A key file, credential or recovery key of the wrong length.
        case keyLength(minimumBytes: Int)
        case unlockerKindForbidden
        case unlockerNotFound
        case unlockerExists
        case tooManyUnlockers
        /// The policy wants at least so many.
        case tooFewUnlockers(required: Int)
        case labelInvalid
        /// There is no data key of this generation, or it has been destroyed.
        case dataKeyUnavailable(generation: Int)
        /// What was written did not open again; the old state was kept.
        case verificationFailed
        /// The unlocker that opened the keyring is no longer in it, and the root key has been rotated since.
        case unlockerRemoved
        /// Snapshots, restores or another rotation are under way.
        case rotationBlocked
        /// There have been as many keys as a file can hold.
        case tooManyKeys
        /// A recovery key or recipient in text form that is mistyped or cut.
        case recoveryTextInvalid
        /// The task was cancelled.
        case cancelled
    }

    /// What is wrong.
    public let reason: Reason
    /// The file concerned.
    public let place: FilePath?

    /// An error about the file at `place`.
    public init(_ reason: Reason, _ place: FilePath? = nil) {
        self.reason = reason
        self.place = place
    }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .missing(let file): "\(file.rawValue)_missing"
        case .damaged(let file): "\(file.rawValue)_damaged"
        case .forged(let file): "\(file.rawValue)_forged"
        case .malformed(let file): "\(file.rawValue)_malformed"
        case .unsupportedVersion(let file): "\(file.rawValue)_version_unsupported"
        case .unsupportedFeature(let file): "\(file.rawValue)_feature_unsupported"
        case .costOutOfRange(let file): "\(file.rawValue)_cost_out_of_range"
        case .belongsToAnotherKeyring(let file): "\(file.rawValue)_of_another_keyring"
        case .envelopeOfAnotherScope: "envelope_of_another_scope"
        case .rolledBack(let file): "\(file.rawValue)_rolled_back"
        case .sequenceLower, .destroyedKeysReturn: "keyring_rolled_back"
        case .sequenceUnproven: "keyring_sequence_unproven"
        case .storeUnverifiable: "store_unverifiable"
        case .continuityBroken: "keyring_continuity_broken"
        case .unlockFailed: "unlock_failed"
        case .unlockCostExceeded: "unlock_cost_exceeded"
        case .locked: "keyring_locked"
        case .alreadyExists: "keyring_exists"
        case .passphraseTooShort: "passphrase_too_short"
        case .keyLength: "key_length_invalid"
        case .unlockerKindForbidden: "unlocker_kind_forbidden"
        case .unlockerNotFound: "unlocker_not_found"
        case .unlockerExists: "unlocker_exists"
        case .tooManyUnlockers: "too_many_unlockers"
        case .tooFewUnlockers: "too_few_unlockers"
        case .labelInvalid: "unlocker_label_invalid"
        case .dataKeyUnavailable: "data_key_unavailable"
        case .verificationFailed: "keyring_verification_failed"
        case .unlockerRemoved: "unlocker_removed"
        case .rotationBlocked: "rotation_blocked"
        case .tooManyKeys: "too_many_keys"
        case .recoveryTextInvalid: "recovery_text_invalid"
        case .cancelled: "cancelled"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .missing(.envelope), .missing(.keyring), .unlockFailed, .unlockCostExceeded, .locked, .dataKeyUnavailable,
            .unlockerRemoved:
            .couldNotUnlock
        case .missing, .unlockerNotFound: .notFound
        case .rotationBlocked: .inUse
        case .damaged, .forged, .malformed, .belongsToAnotherKeyring, .envelopeOfAnotherScope, .rolledBack,
            .continuityBroken, .sequenceLower, .sequenceUnproven, .destroyedKeysReturn, .storeUnverifiable,
            .costOutOfRange:
            .damaged
        case .unsupportedVersion, .unsupportedFeature, .alreadyExists, .keyLength, .unlockerExists, .tooManyUnlockers,
            .labelInvalid, .tooManyKeys, .recoveryTextInvalid:
            .usage
        case .passphraseTooShort, .unlockerKindForbidden, .tooFewUnlockers: .againstPolicy
        case .verificationFailed: .system
        case .cancelled: .incomplete
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .missing(let file): "there is no \(file.rawValue) file"
        case .damaged(let file): "the \(file.rawValue) file is damaged: its check sum does not fit"
        case .forged(let file):
            "the \(file.rawValue) file was changed by somebody who does not hold the root key: its MAC does not fit"
        case .malformed(let file): "the \(file.rawValue) file does not follow its format"
        case .unsupportedVersion(let file): "the \(file.rawValue) file was written by a newer version"
        case .unsupportedFeature(let file): "the \(file.rawValue) file needs a feature that this version does not know"
        case .costOutOfRange(let file): "the \(file.rawValue) file asks for a derivation cost that is out of range"
        case .belongsToAnotherKeyring(let file): "the \(file.rawValue) file belongs to another keyring"
        case .envelopeOfAnotherScope: "the envelope of another database was put in this one's place"
        case .rolledBack(let file): "the \(file.rawValue) file is older than one that was seen before"
        case .sequenceLower(let sequence, let seen):
            "the newest keyring at hand has the sequence \(sequence), and \(seen) was seen before: it is older"
        case .sequenceUnproven(let sequence):
            "the global database that knows the newest sequence cannot be read; the keyring at hand has the sequence \(sequence)"
        case .destroyedKeysReturn(let sequence):
            "with the keyring at hand, of the sequence \(sequence), keys come back that were destroyed since"
        case .storeUnverifiable: "no key at hand verifies store.json, and the backup has no copy of it"
        case .continuityBroken:
            "the root keys of the keyring file are none that this program holds, and none that those vouch for"
        case .unlockFailed: "no unlocker of this keyring is opened by this secret"
        case .unlockCostExceeded(let untried):
            "none of the unlockers that were tried is opened by this secret, and to try the other \(untried) would take too long"
        case .locked: "the keyring is locked"
        case .alreadyExists: "there is a keyring here already"
        case .passphraseTooShort(let minimum): "the passphrase is shorter than \(minimum) bytes"
        case .keyLength(let minimum):
            "a key file or credential must hold \(minimum) to \(UnlockSecret.maximumKeyBytes) random bytes"
        case .unlockerKindForbidden: "the policy does not allow this kind of unlocker"
        case .unlockerNotFound: "there is no such unlocker"
        case .unlockerExists: "this secret opens an unlocker of the keyring already"
        case .tooManyUnlockers: "a keyring has at most \(KeyringDocument.maximumUnlockers) unlockers"
        case .tooFewUnlockers(let required): "the policy requires at least \(required) unlocker(s)"
        case .labelInvalid: "a label has up to 100 characters, without control characters"
        case .dataKeyUnavailable(let generation):
            "data key generation \(generation) is not in the envelope or was destroyed"
        case .verificationFailed: "what was written did not open again, and the old state was kept"
        case .unlockerRemoved:
            "the unlocker that opened this keyring was removed, and the root key was rotated since"
        case .rotationBlocked: "a snapshot, a restore or another rotation is under way"
        case .tooManyKeys: "this keyring or envelope has held as many keys as its file can list"
        case .recoveryTextInvalid: "this is no recovery key or recipient, or it is mistyped: its check sum does not fit"
        case .cancelled: "it was cancelled; nothing was changed"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .missing(.keyring):
            "check --keyring, or that the disk with the keyring is mounted; without it nothing can be opened"
        case .missing(.envelope):
            "restore the envelopes directory from a keyring backup; without it this database cannot be opened"
        case .missing(.store): "check --store, or make one with 'strongroom init'"
        case .missing(.restore): "nothing needs to be done"
        case .missing(.certificate), .missing(.backup): "check the path"
        case .damaged(.restore), .forged(.restore), .malformed(.restore), .rolledBack(.restore),
            .belongsToAnotherKeyring(.restore):
            "'strongroom repair' moves it to corrupted/ and goes on with the database that is there; nothing was changed"
        case .damaged: "restore the file from a backup of the keyring; nothing was changed"
        case .forged, .belongsToAnotherKeyring, .envelopeOfAnotherScope, .malformed, .costOutOfRange:
            "find out who can write to this directory, then restore the file from a backup; nothing was changed"
        case .rolledBack(.envelope):
            "put the newest copy of the file back, or let 'strongroom key restore' take it from a backup; nothing was changed"
        case .rolledBack: "put the newest copy of the file back; nothing was changed"
        case .sequenceLower(let sequence, _), .sequenceUnproven(let sequence), .destroyedKeysReturn(let sequence):
            "find a newer keyring or backup; otherwise --accept-sequence \(sequence) goes on with this one, and says what comes back to life"
        case .storeUnverifiable:
            "find a newer backup; otherwise read policy.yaml and say --accept-policy with its SHA-256 ('sha256sum policy.yaml')"
        case .continuityBroken:
            "open the store again if the root key was rotated twice meanwhile; otherwise find out who can write to the keyring"
        case .unsupportedVersion, .unsupportedFeature: "use a newer version of Strongroom"
        case .unlockFailed:
            "check the key file or passphrase; 'strongroom unlocker list' shows what this keyring accepts"
        case .unlockCostExceeded:
            "name yours with --unlocker ID; 'strongroom unlocker list' shows them; where some are not yours, the file was changed"
        case .locked: "open the store again"
        case .alreadyExists: "open it, or choose another directory"
        case .passphraseTooShort: "use a longer passphrase: several random words are easy to keep"
        case .keyLength: "make one with 'head -c 32 /dev/urandom > FILE; chmod 600 FILE'"
        case .unlockerKindForbidden: "'strongroom policy show' lists the kinds that are allowed"
        case .unlockerNotFound: "'strongroom unlocker list' shows the ids"
        case .unlockerExists: "nothing needs to be done"
        case .tooManyUnlockers: "remove one that is no longer used"
        case .tooFewUnlockers: "add another unlocker first"
        case .labelInvalid: "choose a shorter, plain label"
        case .dataKeyUnavailable: "a keyring backup from before may still have it"
        case .verificationFailed: "check the disk's health, and try again"
        case .unlockerRemoved: "open the store again with an unlocker that is still there"
        case .rotationBlocked: "wait until it is done, and try again; nothing was changed"
        case .tooManyKeys: "make a new store, and restore snapshots into it"
        case .recoveryTextInvalid: "compare it with the paper, letter by letter"
        case .cancelled: "start it again"
        }
    }
}
