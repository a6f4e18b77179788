import Foundation

/// What is wrong with a profile name.
public enum ProfileNameProblem: String, Sendable, Equatable {
    case empty, tooLong, controlCharacter, pathSeparator, dots, surroundingSpace, looksLikeID, reserved

    var rule: String {
        switch self {
        case .empty: "must not be empty"
        case .tooLong: "has at most \(ProfileName.maximumCharacters) characters"
        case .controlCharacter: "has no control characters, NUL included"
        case .pathSeparator: "has no / and no \\"
        case .dots: "is not made of dots alone"
        case .surroundingSpace: "does not begin or end with a space"
        case .looksLikeID: "does not begin with prof_, as ids do"
        case .reserved: "is not 'global', which names the global database"
        }
    }
}

/// A name that people give a profile. It lives inside the encrypted global database only, and never becomes a path.
///
/// Letters of every script and emoji are welcome. Two names that look the same are the same: they are compared
/// without regard to case and to the way accents are encoded.
public struct ProfileName: Sendable, Hashable, CustomStringConvertible {
    /// The longest name, in characters as people count them.
    public static let maximumCharacters = 128
    private static let maximumBytes = 1_024

    /// The name, as it is shown.
    public let description: String
    /// What two equal names have in common.
    let key: String

    /// Checks a name.
    ///
    /// - Throws: `StrongroomError` with `.profileNameInvalid`.
    public init(_ text: String) throws(StrongroomError) {
        func refuse(_ problem: ProfileNameProblem) -> StrongroomError { StrongroomError(.profileNameInvalid(problem)) }
        guard !text.isEmpty else { throw refuse(.empty) }
        guard text.utf8.count <= Self.maximumBytes, text.count <= Self.maximumCharacters else { throw refuse(.tooLong) }
        let categories = text.unicodeScalars.map(\.properties.generalCategory)
        guard !categories.contains(.control), !categories.contains(.lineSeparator),
            !categories.contains(.paragraphSeparator)
        else { throw refuse(.controlCharacter) }
        guard !text.contains("/"), !text.contains("\\") else { throw refuse(.pathSeparator) }
        guard !text.allSatisfy({ $0 == "." }) else { throw refuse(.dots) }
        guard text.first?.isWhitespace == false, text.last?.isWhitespace == false else {
            throw refuse(.surroundingSpace)
        }
        guard !text.lowercased().hasPrefix("prof_") else { throw refuse(.looksLikeID) }
        guard text.lowercased() != "global" else { throw refuse(.reserved) }
        description = text.precomposedStringWithCanonicalMapping
        key = text.lowercased().precomposedStringWithCompatibilityMapping
    }
}
