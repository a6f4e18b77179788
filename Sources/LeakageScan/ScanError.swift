public import ErrorReporting
public import SystemPackage

/// Why a scan could not be made. What a scan finds, or could not look at, is in its report and is no error.
public struct ScanError: ReportableError, Equatable {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// A secret that is too short to be looked for.
        case needleTooShort(minimumBytes: Int)
        /// A secret of so few different bytes that it would be found everywhere.
        case needleTooSimple
        /// What a secret is called breaks the rule.
        case needleNameInvalid
        /// A line of a needle file that is neither `hex:` nor `text:`.
        case needleFileMalformed(line: Int)
        case tooManyNeedles(limit: Int)
        /// A blind kit that breaks its format.
        case kitMalformed
        /// Written by a newer program.
        case kitVersionUnsupported
        /// Every needle is of a kind of which no fingerprint is made.
        case kitWouldBeEmpty
        /// A baseline that breaks its format.
        case baselineMalformed
        /// There is no such process.
        case processMissing
        /// The process belongs to somebody else, or is this one.
        case processNotOwn
        /// A report would have held what it reports; it was not written.
        case reportWouldLeak
        case cancelled
    }

    /// What is wrong.
    public let reason: Reason
    /// The file concerned.
    public let place: FilePath?

    package init(_ reason: Reason, _ place: FilePath? = nil) {
        self.reason = reason
        self.place = place
    }

    /// Reads a file's content; what is wrong with it is told with its path.
    static func at<Result>(_ path: FilePath, _ read: () throws -> Result) throws -> Result {
        do {
            return try read()
        } catch let error as ScanError {
            throw ScanError(error.reason, path)
        }
    }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .needleTooShort: "needle_too_short"
        case .needleTooSimple: "needle_too_simple"
        case .needleNameInvalid: "needle_name_invalid"
        case .needleFileMalformed: "needle_file_malformed"
        case .tooManyNeedles: "too_many_needles"
        case .kitMalformed: "kit_malformed"
        case .kitVersionUnsupported: "kit_version_unsupported"
        case .kitWouldBeEmpty: "kit_would_be_empty"
        case .baselineMalformed: "baseline_malformed"
        case .processMissing: "process_missing"
        case .processNotOwn: "process_not_own"
        case .reportWouldLeak: "report_would_leak"
        case .cancelled: "cancelled"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .cancelled: .incomplete
        case .processMissing: .notFound
        case .reportWouldLeak: .internal
        default: .usage
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .needleTooShort(let minimum): "a secret of fewer than \(minimum) bytes cannot be looked for"
        case .needleTooSimple: "a secret of so few different bytes would be found everywhere"
        case .needleNameInvalid: "the name of a secret has a character that is not allowed, or is too long"
        case .needleFileMalformed(let line): "line \(line) of the needle file is not one of a needle file"
        case .tooManyNeedles(let limit): "there are more than \(limit) secrets to look for"
        case .kitMalformed: "the kit breaks its format"
        case .kitVersionUnsupported: "the kit was written by a newer program"
        case .kitWouldBeEmpty: "no fingerprint can be made of any of these secrets"
        case .baselineMalformed: "the baseline breaks its format"
        case .processMissing: "there is no such process"
        case .processNotOwn: "the process belongs to another user, or is this one"
        case .reportWouldLeak: "the report would have held a secret; it was not written"
        case .cancelled: "it was cancelled"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .needleTooShort, .needleTooSimple: "leave it out; a search for it would say nothing"
        case .needleNameInvalid: "use letters, digits, spaces and _ . , : # ( ) -, 120 characters at most"
        case .needleFileMalformed:
            "write one secret a line, as hex:DIGITS or text:WORDS; a file of raw bytes is one secret"
        case .tooManyNeedles: "scan for the keys of fewer profiles at a time"
        case .kitMalformed: "copy it again, or make another one with 'strongroom scan kit'"
        case .kitVersionUnsupported: "use that program"
        case .kitWouldBeEmpty:
            "a kit has only keys that Strongroom made at random: name a store and a way to unlock it; what was given could be guessed from one"
        case .baselineMalformed: "see docs/leakage.md for what it must look like"
        case .processMissing: "check the number with 'ps'"
        case .processNotOwn: "scan a process of your own"
        case .reportWouldLeak: "report it, with the version and the command"
        case .cancelled: "start it again"
        }
    }
}
