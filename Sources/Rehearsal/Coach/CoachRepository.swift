public import Foundation
public import GRDB
public import Strongroom

/// What the coach knows of a profile.
public struct CoachRepository: Repository {
    let database: any DatabaseWriter

    /// Of an open profile.
    public init(_ profile: Profile) { self.init(database: profile.database) }

    /// Of a database that has the profile's schema.
    public init(database: any DatabaseWriter) { self.database = database }

    /// How far somebody has come, all of it at one moment.
    ///
    /// - Parameters:
    ///   - now: what the clock says.
    ///   - calendar: whose days and weeks count, with its time zone.
    public func progress(at now: Date, in calendar: Calendar) async throws -> ProgressSnapshot {
        try await read { db in
            let lastBefore = try db.cachedStatement(sql: CoachQueries.lastBefore)
            let countBetween = try db.cachedStatement(sql: CoachQueries.countBetween)
            let history = AttemptHistory(
                attempts: try db.first(CoachQueries.attempts)?[0] ?? 0,
                feedbackReady: try db.first(CoachQueries.feedbackReady)?[0] ?? 0,
                lastBefore: { date in
                    try Int64.fetchOne(lastBefore, arguments: [date.seconds]).map { Date(seconds: $0) }
                },
                count: { interval in
                    try Int.fetchOne(countBetween, arguments: [interval.start.seconds, interval.end.seconds]) ?? 0
                })
            let target = Coach.weeklyTarget(from: try PreferencesRepository.value(of: Coach.weeklyTargetKey(), db))
            return try Coach.progress(history, weeklyTarget: target, at: now, in: calendar)
        }
    }

    /// What the coach says to somebody who is on a route of the app.
    ///
    /// - Parameters:
    ///   - route: where somebody is.
    ///   - locale: the language.
    ///   - now: what the clock says.
    ///   - calendar: whose days and weeks count, with its time zone.
    public func message(
        on route: CoachRoute, in locale: CoachLocale, at now: Date, _ calendar: Calendar
    ) async throws -> ContextMessage {
        Coach.message(on: route, in: locale, progress: try await progress(at: now, in: calendar))
    }

    /// What a talk needs, and how far it is.
    ///
    /// - Throws: `RehearsalError.projectNotFound`.
    public func blueprint(of project: Int64) async throws -> TalkBlueprint {
        try await read { db in
            guard let row = try db.first(CoachQueries.talk, [project]) else { throw RehearsalError(.projectNotFound) }
            return Coach.blueprint(
                TalkState(
                    projectId: project, audience: Audience(rawValue: row["audience"]) ?? .everyone,
                    plannedMinutes: row["planned_minutes"], runs: row["runs"], hasAudio: row["has_audio"],
                    hasTranscript: row["has_transcript"], hasFeedback: row["has_feedback"],
                    lastDurationSeconds: row["last_duration"]))
        }
    }
}
