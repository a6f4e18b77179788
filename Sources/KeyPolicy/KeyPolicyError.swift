public import ErrorReporting

/// What is wrong with a policy file: which file, which line, which key.
public struct KeyPolicyError: ReportableError, Equatable {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        case notYAML
        case notUTF8
        case isLongerThan(Int)
        case unknownKey
        case missingKey
        case duplicateKey
        case wrongType(expected: String)
        case outOfRange(allowed: String)
        case unknownPolicyName
    }

    /// What is wrong.
    public let reason: Reason
    /// The name of the policy or of its file.
    public let file: String
    /// The line, counted from 1; nil where the whole file is meant.
    public let line: Int?
    /// The key with its sections, such as `page.size`; nil where no key is meant.
    public let key: String?

    init(_ reason: Reason, file: String, line: Int? = nil, key: String? = nil) {
        self.reason = reason
        self.file = file
        self.line = line
        self.key = key
    }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .notYAML: "policy_not_yaml"
        case .notUTF8: "policy_not_utf8"
        case .isLongerThan: "policy_too_long"
        case .unknownKey: "policy_unknown_key"
        case .missingKey: "policy_missing_key"
        case .duplicateKey: "policy_duplicate_key"
        case .wrongType: "policy_wrong_type"
        case .outOfRange: "policy_out_of_range"
        case .unknownPolicyName: "policy_unknown"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory { .usage }

    /// What happened, in one clause.
    public var summary: String {
        let position = [file, line.map { "line \($0)" }].compactMap { $0 }.joined(separator: ", ")
        let subject = key.map { "\(position): key \($0)" } ?? position
        return switch reason {
        case .notYAML: "\(subject): this is not a YAML mapping"
        case .notUTF8: "\(subject): this is not UTF-8 text"
        case .isLongerThan(let limit): "\(subject): a policy has at most \(limit) bytes"
        case .unknownKey: "\(subject) is not known"
        case .missingKey: "\(subject) is missing"
        case .duplicateKey: "\(subject) stands there twice"
        case .wrongType(let expected): "\(subject) must be \(expected)"
        case .outOfRange(let allowed): "\(subject) must be \(allowed)"
        case .unknownPolicyName: "\(subject): there is no policy of this name"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .unknownPolicyName: "use default, strict or fips, or the path of a policy file"
        default: "compare with 'strongroom policy show default', which explains every key"
        }
    }
}
