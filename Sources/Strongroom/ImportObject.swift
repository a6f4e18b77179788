// What of a schema cannot come in, and why. Names in a schema are content: they are for the program's own terminal and for the app
// that asked, and are in no log and no description of an error.

/// Something in the schema of a database from outside.
public struct ImportObject: Sendable, Hashable {
    /// What it is.
    public enum Kind: String, Sendable, Hashable, Encodable {
        case table, index, view, trigger, virtualTable = "virtual table"
    }

    /// Why it cannot come in.
    public enum Obstacle: Sendable, Hashable, CaseIterable {
        /// Its schema row is more than one statement.
        case notOneStatement
        /// Its schema row makes something else than the row says.
        case otherObject
        /// Its schema row asks for something that no schema needs.
        case forbidden
        /// It calls a function that only its own app has, or that no schema may call.
        case unknownFunction
        /// It is sorted by a collation that only its own app has.
        case unknownCollation
        /// SQLite cannot read its schema row here.
        case notReadable
        /// Its name or SQL has a NUL or is no text.
        case notText
        /// Its SQL is longer than a schema's may be.
        case tooLong
        /// It has, or mentions, a name that Strongroom keeps for itself.
        case reservedName
        /// Its full-text index has pages that FTS5 never wrote.
        case damagedIndex
        /// Its rows break a rule of its own schema, and cannot be kept as they are.
        case rowsBreakRules

        var summary: String {
            switch self {
            case .notOneStatement: "its schema row is not one statement"
            case .otherObject: "its schema row makes something else than it says"
            case .forbidden: "its schema row asks for something that no schema needs"
            case .unknownFunction: "it calls a function that only its own app has, or that no schema may call"
            case .unknownCollation: "it is sorted by a collation that only its own app has"
            case .notReadable: "SQLite cannot read its schema row"
            case .notText: "its name or SQL is no text"
            case .tooLong: "its SQL is too long"
            case .reservedName: "it has or mentions a name of Strongroom's own"
            case .damagedIndex: "its full-text index is damaged"
            case .rowsBreakRules: "its rows break a rule of its own schema"
            }
        }
    }

    /// What it is.
    public let kind: Kind
    /// Its name: content of the database, and not for logs.
    public let name: String
    /// Why it cannot come in.
    public let obstacle: Obstacle

    var detail: String { "\(kind.rawValue) \"\(name)\": \(obstacle.summary)" }
}

/// Something that was left out of an import, because the caller said so.
public struct SkippedObject: Sendable, Hashable {
    /// What it is.
    public let kind: ImportObject.Kind
    /// Its name: content of the database, and not for logs.
    public let name: String
}
