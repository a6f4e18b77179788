// Every module has its own error type; this is what they share, so that an app, a shell and an operator are told
// the same things about each: a stable code, what happened, what to do next. Nothing secret and no content of a
// database may ever be put into one.

public import SystemPackage

/// What kind of trouble an error is. The raw value is the exit code of the command line tool.
public enum ErrorCategory: Int32, Sendable, CaseIterable {
    /// A check was made and found something wrong.
    case findings = 1
    /// The call itself is wrong: an argument, a name, a file that is not what it should be.
    case usage = 2
    /// The work could not be finished, or could not be finished for all that was asked.
    case incomplete = 3
    /// There is no such store, profile or snapshot.
    case notFound = 10
    /// Another process holds what is needed.
    case inUse = 11
    /// No key opens this: a wrong passphrase or key file, or the wrong key for a database.
    case couldNotUnlock = 12
    /// A file is damaged, forged or older than it should be.
    case damaged = 13
    /// There is no snapshot to recover from.
    case noSnapshot = 14
    /// The key policy forbids it.
    case againstPolicy = 15
    /// The SQL engine is not SQLCipher; going on would write plaintext.
    case engine = 16
    /// A fault in Strongroom itself.
    case `internal` = 70
    /// The operating system refused: disk full, input/output error, no permission.
    case system = 74
}

/// An error that can be shown to a person and matched by a program.
public protocol ReportableError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The stable name of the error, such as `unlock_failed`. Never reused for another meaning.
    var code: String { get }
    /// What kind of trouble it is.
    var category: ErrorCategory { get }
    /// What happened: one clause, without a full stop.
    var summary: String { get }
    /// What to do next: one clause, without a full stop.
    var hint: String { get }
    /// The file concerned, for an operator's terminal. It is not part of `description`, so it does not reach logs.
    var place: FilePath? { get }
    /// More about it, for an operator's terminal and nowhere else: it may hold a name out of a database.
    var detail: String? { get }
}

extension ReportableError {
    /// None, unless the error says otherwise.
    public var place: FilePath? { nil }

    /// None, unless the error says otherwise.
    public var detail: String? { nil }

    /// `error[code]: what happened. hint: what to do next.`
    public var description: String { "error[\(code)]: \(summary). hint: \(hint)." }

    /// The same as `description`, so that no debugger or log prints the stored context.
    public var debugDescription: String { description }
}
