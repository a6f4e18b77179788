public import ErrorReporting

/// Why work on pages did not finish.
public enum PageCipherError: ReportableError, Equatable {
    /// A page is not what was written under this key; its number, counted from 1.
    case pageNotAuthentic(number: Int)
    /// The task was cancelled.
    case cancelled
    /// The file is not a whole number of pages.
    case notWholePages
    /// The WAL holds acknowledged changes that cannot be read.
    case walDamaged

    /// The stable name of the error.
    public var code: String {
        switch self {
        case .pageNotAuthentic: "page_not_authentic"
        case .cancelled: "cancelled"
        case .notWholePages: "not_whole_pages"
        case .walDamaged: "wal_not_authentic"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch self {
        case .pageNotAuthentic, .notWholePages, .walDamaged: .damaged
        case .cancelled: .incomplete
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch self {
        case .pageNotAuthentic(let number): "page \(number) of the database does not authenticate"
        case .cancelled: "it was cancelled; nothing was changed"
        case .notWholePages: "the database does not end where a page does"
        case .walDamaged: "the changes that wait in the WAL beside the database are damaged"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch self {
        case .pageNotAuthentic, .notWholePages, .walDamaged:
            "'strongroom verify' lists everything that is bad; leave the file as it is, and restore an earlier snapshot"
        case .cancelled: "run it again when you are ready"
        }
    }
}
