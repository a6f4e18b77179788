public import Strongroom

/// Why the app could not do what was asked. No content, no name and no value is in it.
public struct RehearsalError: ReportableError, Equatable {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        case profileNotOpen
        case projectNotFound
        case runNotFound
        case artifactNotFound
        /// There is an artifact of this kind already, and nobody said that it is to be replaced.
        case artifactExists
        case artifactInvalid(ArtifactRule)
        case titleInvalid
        case dateInvalid
        case durationInvalid
        case feedbackInvalid
        case pageSizeInvalid
        case preferenceKeyInvalid
        case preferenceKeySensitive
        case preferenceValueTooLarge
        case preferenceValueSensitive
        case routeUnknown
        case timeZoneUnknown
        /// The SQL engine refused; its result code, no text.
        case sqlite(code: Int32)
    }

    /// What is wrong.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The stable name of the error.
    public var code: String {
        switch reason {
        case .profileNotOpen: "profile_not_open"
        case .projectNotFound: "project_not_found"
        case .runNotFound: "run_not_found"
        case .artifactNotFound: "artifact_not_found"
        case .artifactExists: "artifact_exists"
        case .artifactInvalid: "artifact_invalid"
        case .titleInvalid: "title_invalid"
        case .dateInvalid: "date_invalid"
        case .durationInvalid: "duration_invalid"
        case .feedbackInvalid: "feedback_invalid"
        case .pageSizeInvalid: "page_size_invalid"
        case .preferenceKeyInvalid: "preference_key_invalid"
        case .preferenceKeySensitive: "preference_key_sensitive_forbidden"
        case .preferenceValueTooLarge: "preference_value_too_large"
        case .preferenceValueSensitive: "preference_value_sensitive_forbidden"
        case .routeUnknown: "coach_route_unknown"
        case .timeZoneUnknown: "time_zone_unknown"
        case .sqlite: "profile_database_refused"
        }
    }

    /// What kind of trouble it is.
    public var category: ErrorCategory {
        switch reason {
        case .projectNotFound, .runNotFound, .artifactNotFound: .notFound
        case .sqlite(let code):
            switch code & 0xff {
            case 5, 6: .inUse  // SQLITE_BUSY, SQLITE_LOCKED
            case 10, 13, 14: .system  // SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
            case 11, 26: .damaged  // SQLITE_CORRUPT, SQLITE_NOTADB
            default: .internal
            }
        default: .usage
        }
    }

    /// What happened, in one clause.
    public var summary: String {
        switch reason {
        case .profileNotOpen: "no profile is open"
        case .projectNotFound: "there is no such project in this profile"
        case .runNotFound: "there is no such run in this profile"
        case .artifactNotFound: "the run has no artifact of this kind"
        case .artifactExists: "the run has an artifact of this kind already"
        case .artifactInvalid(let rule): "an artifact \(rule.text)"
        case .titleInvalid: "this is no title"
        case .dateInvalid: "this date is outside of the years 1970 to 9999"
        case .durationInvalid: "this duration is out of range"
        case .feedbackInvalid: "this is no feedback"
        case .pageSizeInvalid: "a page has 1 to \(RunPage.maximumSize) runs"
        case .preferenceKeyInvalid: "this is no key of a preference"
        case .preferenceKeySensitive:
            "a preference of this key would hold a secret, and secrets do not belong in the database"
        case .preferenceValueTooLarge: "the value has more than \(Preference.maximumValueBytes) bytes"
        case .preferenceValueSensitive:
            "the value looks like key material or a credential, and secrets do not belong in the database"
        case .routeUnknown: "the coach has nothing to say on this route"
        case .timeZoneUnknown: "there is no time zone of this name"
        case .sqlite(let code): "the profile's database refused (SQLite result \(code))"
        }
    }

    /// What to do next, in one clause.
    public var hint: String {
        switch reason {
        case .profileNotOpen: "switch to a profile first"
        case .projectNotFound: "list the projects"
        case .runNotFound: "list the project's runs"
        case .artifactNotFound: "attach one first"
        case .artifactExists: "say that it is to be replaced"
        case .artifactInvalid: "attach something else"
        case .titleInvalid: "a title has 1 to \(Project.maximumTitleCharacters) characters, and no control characters"
        case .dateInvalid: "write it as 2026-11-24T12:00:00Z"
        case .durationInvalid: "a talk takes 1 to \(Project.maximumMinutes) minutes, and a run at most a day"
        case .feedbackInvalid:
            "a score is 0 to 100, and comments have at most \(Feedback.maximumCommentBytes) bytes"
        case .pageSizeInvalid: "ask for fewer at a time"
        case .preferenceKeyInvalid:
            "a key has 1 to \(Preference.maximumKeyCharacters) of the characters A-Z a-z 0-9 . _ : -"
        case .preferenceKeySensitive, .preferenceValueSensitive: "keep secrets in the system's own keyring"
        case .preferenceValueTooLarge: "keep it in a file or a table of its own"
        case .routeUnknown: "ask for home, project, record, review or settings"
        case .timeZoneUnknown: "name it as in Europe/Paris"
        case .sqlite: "ask for the diagnostics of the profile's database"
        }
    }
}
