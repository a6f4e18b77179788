public import ErrorReporting

/// Why a cryptographic operation did not happen. It never says more than the caller already knew.
public enum CryptoError: ReportableError, Equatable {
    /// An operation of libcrypto, for the report.
    public enum Operation: String, Sendable {
        case random, encrypt, decrypt, hash, hmac, hkdf, scrypt, pbkdf2, keyAgreement = "key_agreement"
    }

    /// A parameter with bounds.
    public enum Parameter: String, Sendable {
        case keyLength = "key_length"
        case outputLength = "output_length"
        case inputLength = "input_length"
        case saltLength = "salt_length"
        case scryptCost = "scrypt_cost"
        case iterations
    }

    /// The tag does not fit: another key, other associated data, or changed bytes.
    case authenticationFailed
    /// A parameter lies outside its bounds; nothing was allocated or computed.
    case parameterOutOfRange(Parameter)
    /// libcrypto refused; with a FIPS provider this is how a forbidden algorithm shows.
    case libcryptoRefused(Operation)

    /// The stable name of the error.
    public var code: String {
        switch self {
        case .authenticationFailed: "authentication_failed"
        case .parameterOutOfRange: "crypto_parameter_out_of_range"
        case .libcryptoRefused: "libcrypto_refused"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch self {
        case .authenticationFailed: .damaged
        case .parameterOutOfRange: .usage
        case .libcryptoRefused: .internal
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch self {
        case .authenticationFailed: "sealed data does not authenticate under this key"
        case .parameterOutOfRange(let parameter): "the parameter \(parameter.rawValue) is out of range"
        case .libcryptoRefused(let operation): "libcrypto refused the operation \(operation.rawValue)"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch self {
        case .authenticationFailed: "check that this is the right key for this file, and that the file is whole"
        case .parameterOutOfRange: "use a value within the documented bounds"
        case .libcryptoRefused: "check the OpenSSL configuration of this machine, its FIPS mode above all"
        }
    }
}
