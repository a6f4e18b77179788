public import ErrorReporting
import Glibc

/// Why secret memory could not be had.
public enum SecretsError: ReportableError, Equatable {
    /// A count below zero or above ``SecretBytes/maximumCount``.
    case countOutOfRange
    /// The system gave no memory; the context is its error number.
    case memoryUnavailable(CInt)

    /// The stable name of the error.
    public var code: String {
        switch self {
        case .countOutOfRange: "secret_size_out_of_range"
        case .memoryUnavailable: "secret_memory_unavailable"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch self {
        case .countOutOfRange: .usage
        case .memoryUnavailable: .system
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch self {
        case .countOutOfRange: "a secret must have 0 to \(SecretBytes.maximumCount) bytes"
        case .memoryUnavailable(let code): "the system gave no memory for a secret (error number \(code))"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch self {
        case .countOutOfRange: "check that this is the key file or passphrase you meant"
        case .memoryUnavailable: "free some memory, or raise the limit on mapped memory, and try again"
        }
    }
}
