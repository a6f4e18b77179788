public import Foundation

/// How far somebody has come.
public struct ProgressSnapshot: Sendable, Hashable, Codable {
    /// Every run.
    public let attempts: Int
    /// The runs that have feedback.
    public let feedbackReady: Int
    /// The days in a row with a run, until today or yesterday.
    public let streakDays: Int
    /// The runs that are wanted each week.
    public let weeklyTarget: Int
    /// The runs of this week.
    public let weeklyDone: Int
    /// One for each run, two more for one that has feedback.
    public let credits: Int
    /// The next number of runs that is worth a word.
    public let nextMilestone: Int
    /// When the last run was; nil where there is none.
    public let lastAttempt: Date?
}

/// What the progress is made of: questions about the runs, each of which is cheap to answer.
public struct AttemptHistory {
    let attempts: Int
    let feedbackReady: Int
    /// The last run before an instant.
    let lastBefore: (Date) throws -> Date?
    /// How many runs there are from an instant up to another.
    let count: (DateInterval) throws -> Int

    /// - Parameters:
    ///   - attempts: every run.
    ///   - feedbackReady: the runs that have feedback.
    ///   - lastBefore: the last run before an instant.
    ///   - count: how many runs there are from an instant up to another, the end not included.
    public init(
        attempts: Int, feedbackReady: Int, lastBefore: @escaping (Date) throws -> Date?,
        count: @escaping (DateInterval) throws -> Int
    ) {
        self.attempts = attempts
        self.feedbackReady = feedbackReady
        self.lastBefore = lastBefore
        self.count = count
    }
}

/// How a talk is built.
public enum Framework: String, Sendable, Codable, CaseIterable {
    /// Hook, problem, answer, request: for five minutes.
    case pitch
    /// The answer first, then what it stands on: for those who decide.
    case pyramid
    /// From how it was to how it is now: for those who listen.
    case story
    /// In rounds of showing and trying: for those who learn.
    case workshop
}

/// A part of a talk.
public struct BlueprintSection: Sendable, Hashable, Codable {
    /// Its stable name.
    public let id: String
    /// How long it is to take.
    public let seconds: Int
}

/// Something to be done for a talk.
public struct BlueprintStep: Sendable, Hashable, Codable {
    /// What it is.
    public enum ID: String, Sendable, Codable, CaseIterable {
        case rehearseOnce = "rehearse_once"
        case recordAudio = "record_audio"
        case transcribe
        case reviewFeedback = "review_feedback"
        case rehearseThreeTimes = "rehearse_three_times"
        case fitTheTime = "fit_the_time"
    }

    /// What it is.
    public let id: ID
    /// Whether it is done.
    public let isDone: Bool
}

/// What a talk needs, and how far it is.
public struct TalkBlueprint: Sendable, Hashable, Codable {
    /// The project.
    public let projectId: Int64
    /// How it is built.
    public let framework: Framework
    /// Its parts, whose times add up to what is planned.
    public let sections: [BlueprintSection]
    /// What there is to do.
    public let steps: [BlueprintStep]
    /// How much of that is done, 0 to 100.
    public let percent: Int
    /// What comes next; nil where everything is done.
    public let nextStep: BlueprintStep.ID?
}

/// What is known of a talk.
public struct TalkState: Sendable, Hashable {
    let projectId: Int64
    let audience: Audience
    let plannedMinutes: Int
    let runs: Int
    let hasAudio: Bool
    let hasTranscript: Bool
    let hasFeedback: Bool
    let lastDurationSeconds: Int?
}

/// Where in the app somebody is.
public enum CoachRoute: String, Sendable, Codable, CaseIterable {
    case home, project, record, review, settings
}

/// The languages that the coach speaks.
public enum CoachLocale: String, Sendable, Codable, CaseIterable {
    case en, fr
}

/// What the coach says.
public struct ContextMessage: Sendable, Hashable, Codable {
    /// The stable name of what is said.
    public let id: String
    /// The language that it is said in.
    public let locale: CoachLocale
    /// What is said.
    public let text: String
}
