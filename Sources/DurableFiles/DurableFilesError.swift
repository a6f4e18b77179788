public import ErrorReporting
public import SystemPackage

/// Why a file of ours could not be read, written, locked or trusted.
public struct DurableFilesError: ReportableError, Equatable {
    /// What was being done.
    public enum Operation: String, Sendable {
        case open, read, write, sync, rename, remove, lock, list
        case createDirectory = "create_directory"
    }

    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// The system refused; its error number says why.
        case system(Operation, Errno)
        /// What was about to be done needs more room than there is, in bytes; nothing of it was begun.
        case noRoom(needed: Int, available: Int)
        case missing
        case alreadyExists
        case isSymbolicLink
        case isHardLinked
        case isNotRegular
        case isNotDirectory
        case isOwnedByAnother
        case isOpenToOthers(mode: UInt16)
        /// A path that is not UTF-8, for what takes nothing but text.
        case isNotText
        case isEmpty
        case isLongerThan(Int)
        /// What was read back differs from what was written.
        case readBackDiffers
        /// Another process holds the lock; its number where it could be told.
        case isLocked(process: Int32?)
    }

    /// What is wrong.
    public let reason: Reason
    /// The file concerned.
    public let place: FilePath?

    package init(_ reason: Reason, _ place: FilePath) {
        self.reason = reason
        self.place = place
    }

    /// What was written does not read back the same.
    package static func readBackDiffers(_ place: FilePath) -> DurableFilesError {
        DurableFilesError(.readBackDiffers, place)
    }

    /// Something is where a new file was to be made.
    package static func alreadyExists(_ place: FilePath) -> DurableFilesError {
        DurableFilesError(.alreadyExists, place)
    }

    /// A path is not UTF-8.
    package static func isNotText(_ place: FilePath) -> DurableFilesError {
        DurableFilesError(.isNotText, place)
    }

    /// What an error number means for a file of ours.
    init(_ error: Errno, _ operation: Operation, _ place: FilePath) {
        switch error {
        case .noSuchFileOrDirectory: self.init(.missing, place)
        case .fileExists: self.init(.alreadyExists, place)
        case .tooManySymbolicLinkLevels: self.init(.isSymbolicLink, place)
        case .notDirectory: self.init(.isNotDirectory, place)
        default: self.init(.system(operation, error), place)
        }
    }

    /// Runs `body`, whose errors are `Errno` or our own, and gives them all our type.
    static func wrapping<Result>(
        _ operation: Operation, _ place: FilePath, _ body: () throws -> Result
    ) throws(DurableFilesError) -> Result {
        do {
            return try body()
        } catch let error as DurableFilesError {
            throw error
        } catch {
            throw DurableFilesError(error as? Errno ?? .ioError, operation, place)
        }
    }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .system(_, .noSpace), .system(_, .diskQuotaExceeded), .noRoom: "disk_full"
        case .system(_, .permissionDenied), .system(_, .notPermitted): "permission_denied"
        case .system(_, .readOnlyFileSystem): "disk_read_only"
        case .system(_, .ioError): "disk_error"
        case .system: "system_call_failed"
        case .missing: "file_missing"
        case .alreadyExists: "file_exists"
        case .isSymbolicLink: "file_is_symbolic_link"
        case .isHardLinked: "file_is_hard_linked"
        case .isNotRegular: "file_is_not_regular"
        case .isNotDirectory: "not_a_directory"
        case .isOwnedByAnother: "file_owned_by_another"
        case .isOpenToOthers: "file_open_to_others"
        case .isNotText: "path_not_text"
        case .isEmpty: "file_empty"
        case .isLongerThan: "file_too_long"
        case .readBackDiffers: "read_back_differs"
        case .isLocked: "in_use"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .system, .noRoom, .readBackDiffers: .system
        case .missing: .notFound
        case .isLocked: .inUse
        default: .usage
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .system(let operation, let error):
            "the system refused to \(operation.rawValue.replacing("_", with: " ")) a file (\(error))"
        case .noRoom(let needed, let available):
            "this needs about \(Room.text(needed)), and \(Room.text(available)) are free"
        case .missing: "the file does not exist"
        case .alreadyExists: "the file exists already, and is left as it is"
        case .isSymbolicLink: "the file is a symbolic link, which could be turned to another file at any time"
        case .isHardLinked: "the file has a second name (hard link), by which others may reach it"
        case .isNotRegular: "this is not a regular file"
        case .isNotDirectory: "this is not a directory"
        case .isOwnedByAnother: "it belongs to another user"
        case .isOpenToOthers(let mode): "others can reach it (mode \(String(mode, radix: 8)))"
        case .isNotText: "the path is not UTF-8, and SQLite takes no other"
        case .isEmpty: "the file is empty"
        case .isLongerThan(let limit): "the file is longer than \(limit) bytes"
        case .readBackDiffers: "what was written did not read back the same; the old file was kept"
        case .isLocked(.some(let process)): "process \(process) is using it"
        case .isLocked(nil): "another process is using it"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .system(_, .noSpace), .system(_, .diskQuotaExceeded), .noRoom:
            "free some space and try again; 'strongroom gc' and 'strongroom snapshot prune' need none themselves"
        case .system(_, .ioError), .readBackDiffers:
            "the disk may be failing: copy the store to another disk before anything else is written to this one"
        case .system(_, .readOnlyFileSystem):
            "mount the file system for writing; after an input/output error, check the disk first"
        case .system(_, .permissionDenied), .system(_, .notPermitted):
            "run as the user that the files belong to, or check their modes"
        case .system: "check the path and the disk"
        case .missing: "check the path"
        case .alreadyExists: "choose another path, or move the file away yourself"
        case .isSymbolicLink: "give the path of the file itself"
        case .isHardLinked: "copy it to a new file, and remove the other names"
        case .isNotRegular, .isNotDirectory: "check the path"
        case .isOwnedByAnother: "run as the owner, or make a store of your own"
        case .isOpenToOthers: "run chmod go= on it; if others may have read it, replace the key"
        case .isNotText: "give the directory a name in UTF-8, and the directories above it"
        case .isEmpty, .isLongerThan: "check that this is the file you meant"
        case .isLocked: "close the application that has it open, or wait for it to finish, and try again"
        }
    }
}
