public import ErrorReporting
import Glibc

/// Why a secret could not be had.
public enum SecretsError: ReportableError, Equatable {
    /// A count below zero or above ``SecretBytes/maximumCount``.
    case countOutOfRange
    /// The system gave no memory; the context is its error number.
    case memoryUnavailable(CInt)
    /// A file descriptor that a secret was to come from cannot be read.
    case descriptorUnreadable

    /// The stable name of the error.
    public var code: String {
        switch self {
        case .countOutOfRange: "secret_size_out_of_range"
        case .memoryUnavailable: "secret_memory_unavailable"
        case .descriptorUnreadable: "passphrase_descriptor_unreadable"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch self {
        case .countOutOfRange, .descriptorUnreadable: .usage
        case .memoryUnavailable: .system
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch self {
        case .countOutOfRange: "a secret must have 0 to \(SecretBytes.maximumCount) bytes"
        case .memoryUnavailable(let code): "the system gave no memory for a secret (error number \(code))"
        case .descriptorUnreadable: "the passphrase could not be read from the file descriptor"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch self {
        case .countOutOfRange: "check that this is the key file or passphrase you meant"
        case .memoryUnavailable: "free some memory, or raise the limit on mapped memory, and try again"
        case .descriptorUnreadable: "open it in the shell, as in --passphrase-fd 3 3< FILE"
        }
    }
}
