import DurableFiles
public import ErrorReporting
package import GRDB
public import SystemPackage

/// Why a store, a profile or an import could not be opened or done.
public struct StrongroomError: ReportableError, Equatable {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        case storeMissing
        case storeExists
        /// The policy file of the store is not the one the store was pinned to.
        case policyChanged
        case storeLocked
        case storeInUse(process: Int32?)
        case profileNotFound
        case profileExists
        case profileNameInvalid(ProfileNameProblem)
        case profileInUse(process: Int32?)
        /// Something in this process holds the database besides the profile's own connections.
        case connectionsOpen
        /// The connections of an open profile could not follow it to its new key; it must be opened again.
        case exchangeIncomplete
        /// The database is not as it should be; the condition says how.
        case database(DatabaseCondition)
        /// The SQL engine of this process is not SQLCipher, or too old a one.
        case engineIsNotSQLCipher
        /// A setting that every connection must have did not take.
        case engineSettingRefused(EngineSetting)
        /// SQL asked for something on an encrypted connection that would break a promise; nothing of it was done.
        case settingProtected(ProtectedSetting)
        /// The SQL engine refused; its result code, no text.
        case sqlite(code: Int32, SQLStage)
        /// The SQL engine found no room to write.
        case diskFull
        case importSource(ImportSourceProblem)
        /// The copy is not the same as the source; the copy was discarded.
        case copyDiffers
        /// Something in the schema of a profile cannot be made in a file; the error's `object` says what and why.
        case notExportable
        case cancelled
        case plaintextNotConfirmed
        /// What a database has of the app's migrations is no prefix of what the app has registered.
        case migrationHistoryGap(MigrationGap)
        /// A migration failed, and none of those that were pending has been applied.
        case migrationFailed(MigrationName, MigrationFailure)
        /// A migration's name breaks the rule, or was used twice.
        case migrationNameInvalid(MigrationName)
        /// The database is damaged beyond repair, and there is no good snapshot of it.
        case recoveryNoSnapshot
        /// A repair would lose something, and nobody said that it may.
        case lossNotAccepted
        /// A WAL that was found beside a closed database does not belong to it as it is now.
        case walDoesNotFit
        /// A decision about a WAL that is neither missing nor unexpected.
        case walNotInQuestion
    }

    /// What was being done when the SQL engine refused.
    public enum SQLStage: String, Sendable { case open, registry, copy, close, query }

    /// What is wrong.
    public let reason: Reason
    /// The file concerned.
    public let place: FilePath?
    /// What of a schema cannot come in. Its name is content of the database, and is in no description and no log.
    public let object: ImportObject?
    /// As what a file of SQLCipher was tried.
    private let tried: [ImportSource.CipherSettings]

    init(
        _ reason: Reason, _ place: FilePath? = nil, object: ImportObject? = nil,
        tried: [ImportSource.CipherSettings] = []
    ) {
        self.reason = Self.isAboutFullDisk(reason, place) ? .diskFull : reason
        self.place = place
        self.object = object
        self.tried = tried
    }

    /// SQLite says of most calls that find no room, such as those for its shared memory, that there was an input/output error.
    private static func isAboutFullDisk(_ reason: Reason, _ place: FilePath?) -> Bool {
        guard case .sqlite(let code, _) = reason else { return false }
        switch code & 0xff {
        case 13: return true  // SQLITE_FULL
        case 10, 14: return place.map { Room.isUsedUp(in: DurableFiles.parent(of: $0)) } ?? false  // IOERR, CANTOPEN
        default: return false
        }
    }

    /// More about it, for an operator's terminal and nowhere else.
    public var detail: String? {
        if let object { return object.detail }
        return tried.isEmpty ? nil : "tried as " + tried.map(\.summary).joined(separator: "; ")
    }

    /// The same error, about a file.
    func at(_ place: FilePath) -> StrongroomError {
        StrongroomError(reason, self.place ?? place, object: object, tried: tried)
    }

    /// What SQLite said of SQL that a person typed, without its text.
    package init(ofQuery error: DatabaseError) { self.init(error, .query, nil) }

    /// Whether it is what opening a store says of a global database that cannot be used.
    public var isAboutGlobalDatabase: Bool {
        switch reason {
        case .database, .sqlite: place?.lastComponent == "global.db"
        default: false
        }
    }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .storeMissing: "store_missing"
        case .storeExists: "store_exists"
        case .policyChanged: "policy_changed"
        case .storeLocked: "store_locked"
        case .storeInUse: "store_in_use"
        case .profileNotFound: "profile_not_found"
        case .profileExists: "profile_exists"
        case .profileNameInvalid: "profile_name_invalid"
        case .profileInUse: "profile_in_use"
        case .connectionsOpen: "connections_open"
        case .exchangeIncomplete: "exchange_incomplete"
        case .database(let condition): "database_\(condition.name)"
        case .engineIsNotSQLCipher: "engine_not_sqlcipher"
        case .engineSettingRefused: "engine_setting_refused"
        case .settingProtected: "engine_setting_protected"
        case .sqlite: "sql_engine_refused"
        case .diskFull: "disk_full"
        case .importSource(let problem): "import_source_\(problem.name)"
        case .copyDiffers: "copy_differs"
        case .notExportable: "export_unsupported"
        case .cancelled: "cancelled"
        case .plaintextNotConfirmed: "plaintext_not_confirmed"
        case .migrationHistoryGap: "migration_history_gap"
        case .migrationFailed: "migration_failed"
        case .migrationNameInvalid: "migration_name_invalid"
        case .recoveryNoSnapshot: "db_recovery_no_snapshot"
        case .lossNotAccepted: "loss_not_accepted"
        case .walDoesNotFit: "wal_does_not_fit"
        case .walNotInQuestion: "wal_not_in_question"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .storeMissing, .profileNotFound: .notFound
        case .storeExists, .profileExists, .profileNameInvalid, .plaintextNotConfirmed: .usage
        case .policyChanged: .againstPolicy
        case .storeLocked: .couldNotUnlock
        case .storeInUse, .profileInUse, .connectionsOpen: .inUse
        case .exchangeIncomplete: .incomplete
        case .database(let condition):
            switch condition {
            case .wrongKey, .unknownKey, .shredded: .couldNotUnlock
            default: .damaged
            }
        case .engineIsNotSQLCipher, .engineSettingRefused: .engine
        case .sqlite(let code, let stage): Self.category(ofSQLite: code, stage)
        case .diskFull: .system
        case .importSource(let problem):
            switch problem {
            case .inUse: .inUse
            case .damaged: .damaged
            case .wrongPassphrase: .couldNotUnlock
            case .changed: .incomplete
            case .missing: .notFound
            case .notADatabase, .unsupported, .reservedName, .unknownSkip, .plaintextHeader: .usage
            }
        case .copyDiffers: .damaged
        case .notExportable: .usage
        case .cancelled, .migrationFailed: .incomplete
        case .migrationHistoryGap, .migrationNameInvalid, .lossNotAccepted, .walNotInQuestion, .settingProtected: .usage
        case .walDoesNotFit: .damaged
        case .recoveryNoSnapshot: .noSnapshot
        }
    }

    /// SQLite's primary result codes that are not a fault of ours.
    private static func category(ofSQLite code: Int32, _ stage: SQLStage) -> ErrorCategory {
        switch code & 0xff {
        case 5, 6: .inUse  // SQLITE_BUSY, SQLITE_LOCKED
        case 8, 10, 14: .system  // SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN
        case 11, 26: .damaged  // SQLITE_CORRUPT, SQLITE_NOTADB
        default: stage == .query ? .usage : .internal
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .storeMissing: "there is no store here"
        case .storeExists: "there is a store here already, or the directory is not empty"
        case .policyChanged: "the store's policy file is not the one the store was made with"
        case .storeLocked: "the store has been locked"
        case .storeInUse(let process): "\(Self.name(of: process)) is using the store's global database"
        case .profileNotFound: "there is no such profile"
        case .profileExists: "there is a profile of this name already"
        case .profileNameInvalid(let problem): "a profile name \(problem.rule)"
        case .profileInUse(let process): "\(Self.name(of: process)) has this profile open"
        case .connectionsOpen: "a database snapshot or a connection of the app's own holds the database open"
        case .exchangeIncomplete:
            "the database is whole, and its open connections were cut off, because they could not follow it"
        case .database(let condition): condition.summary
        case .engineIsNotSQLCipher:
            "the SQL engine of this process is not SQLCipher 4.5.6 or newer; nothing was written"
        case .engineSettingRefused(let setting): "the SQL engine did not take the setting \(setting.rawValue)"
        case .settingProtected(let setting): setting.summary
        case .sqlite(let code, let stage): "the SQL engine refused (SQLite result \(code), during \(stage.rawValue))"
        case .diskFull: "the disk is full, or your quota of it"
        case .importSource(let problem): problem.summary
        case .notExportable: "the profile has something in its schema that cannot be made in a file"
        case .copyDiffers: "the copy does not hold the same rows as the source; it was discarded"
        case .cancelled: "it was cancelled; nothing was changed"
        case .plaintextNotConfirmed: "an export is a plaintext file that anybody can read"
        case .migrationHistoryGap(let gap): gap.summary
        case .migrationFailed(let name, let failure):
            "the migration \(name) failed (\(failure.summary)); the database is as it was"
        case .recoveryNoSnapshot: "the database is damaged beyond repair, and there is no good snapshot of it"
        case .lossNotAccepted: "the repair would lose something that was acknowledged; nothing was changed"
        case .walNotInQuestion: "the database's WAL is neither missing nor unexpected; nothing was changed"
        case .walDoesNotFit: "the WAL and the database beside it are not of one time; nothing was changed"
        case .migrationNameInvalid(let name): "the migration name \(name) breaks the rule, or is there twice"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .storeMissing: "check --store, or make one with 'strongroom init'"
        case .storeExists: "open it, or choose an empty directory"
        case .policyChanged:
            "put the original policy.yaml back; 'strongroom policy check' shows what the store keeps to"
        case .storeLocked: "open the store again"
        case .storeInUse: "wait a moment and try again; the global database is held only while it is read or written"
        case .profileNotFound: "'strongroom profile list' shows the profiles"
        case .profileExists: "choose another name"
        case .profileNameInvalid: "choose a name of 1 to \(ProfileName.maximumCharacters) visible characters"
        case .profileInUse: "close the application that has it open, then try again"
        case .connectionsOpen: "release it and rotate again; nothing was changed"
        case .exchangeIncomplete: "close the profile and open it again; nothing was lost"
        case .database(let condition): condition.hint
        case .engineIsNotSQLCipher: "link SQLCipher's static archive (libsqlcipher-dev), as Strongroom's package does"
        case .engineSettingRefused: "use SQLCipher as Debian builds it"
        case .settingProtected(let setting): setting.hint
        case .sqlite(let code, _): Self.hint(ofSQLite: code)
        case .diskFull:
            "free some space and try again; nothing that was acknowledged is lost, and 'strongroom gc' and 'strongroom snapshot prune' need none themselves"
        case .importSource(let problem): problem.hint
        case .notExportable: "drop it with its own app, and export again"
        case .copyDiffers: "check the health of both disks, and import again"
        case .cancelled: "run it again when you are ready"
        case .plaintextNotConfirmed: "say --plaintext if that is what you want, and destroy the file afterwards"
        case .migrationHistoryGap(let gap):
            gap.registered == nil
                ? "use the version of the app that wrote it, or a newer one; nothing was changed"
                : "the app's list of migrations was changed where it may only grow; nothing was changed"
        case .migrationFailed: "use the app's former version, and report this to its developers"
        case .migrationNameInvalid:
            "1 to 80 letters, digits, '_', '.', '-', beginning with a letter or digit; once each"
        case .recoveryNoSnapshot: "leave everything as it is; look for a copy of 'backups/' elsewhere and put it there"
        case .walNotInQuestion: "leave --with-wal and --without-wal out"
        case .walDoesNotFit: "'strongroom repair --without-wal' moves it to corrupted/, where it is kept"
        case .lossNotAccepted: "'strongroom repair --dry-run' shows what; --accept-loss goes on"
        }
    }

    private static func hint(ofSQLite code: Int32) -> String {
        switch code & 0xff {
        case 5, 6: "wait for the other transaction to end, and try again"
        case 8: "the file system, or the file, cannot be written to; mount it for writing, or check its mode"
        case 10:
            "the disk may be failing: copy the store to another disk before anything else is written to this one"
        case 1: "check the SQL"
        case 11, 26: "'strongroom verify' says what is damaged, 'strongroom repair --dry-run' what can be brought back"
        default: "look the result code up in SQLite's documentation"
        }
    }

    private static func name(of process: Int32?) -> String {
        process.map { "process \($0)" } ?? "another process"
    }
}
