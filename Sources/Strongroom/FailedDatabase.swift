/// A database with which something could not be done that was done with others.
public struct FailedDatabase: Sendable, Codable, Hashable {
    /// `global` or a profile's id; `store` where it is the store's own file, `certificate` where it is a certificate.
    public let scope: String
    /// The code of the error: see the runbook.
    public let code: String

    /// A failure of a database with the error of this code.
    public init(scope: String, code: String) {
        self.scope = scope
        self.code = code
    }
}
