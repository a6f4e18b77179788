// The coach's judgement: pure functions. What time it is and whose calendar counts is passed in, and so is what is known.

public import Foundation

/// The coach.
public enum Coach {
    private static let usualWeeklyTarget = 3
    private static let milestones = [1, 5, 10, 25, 50, 100, 250, 500, 1_000]

    // MARK: Progress

    /// Under which preference of a profile its weekly target is kept.
    static func weeklyTargetKey() throws(RehearsalError) -> PreferenceKey { try PreferenceKey("coach.weekly_target") }

    /// The runs that are wanted each week: what the preference says, where it is a number from 1 to 50.
    static func weeklyTarget(from preference: String?) -> Int {
        guard let preference, let target = Int(preference), (1...50).contains(target) else { return usualWeeklyTarget }
        return target
    }

    /// How far somebody has come.
    ///
    /// - Parameters:
    ///   - history: what is asked about the runs.
    ///   - weeklyTarget: the runs that are wanted each week.
    ///   - now: what the clock says.
    ///   - calendar: whose days and weeks count, with its time zone.
    public static func progress(
        _ history: AttemptHistory, weeklyTarget: Int, at now: Date, in calendar: Calendar
    ) throws -> ProgressSnapshot {
        let week = calendar.dateInterval(of: .weekOfYear, for: now)
        return ProgressSnapshot(
            attempts: history.attempts, feedbackReady: history.feedbackReady,
            streakDays: try streak(history, at: now, in: calendar), weeklyTarget: weeklyTarget,
            weeklyDone: try week.map(history.count) ?? 0, credits: history.attempts + 2 * history.feedbackReady,
            nextMilestone: nextMilestone(after: history.attempts), lastAttempt: try history.lastBefore(.distantFuture))
    }

    /// The days in a row with a run. Today counts where there was one, and does not break the row where there was none yet.
    ///
    /// A day is from one start of a day to the next in this calendar, however many hours lie between: the day before ends in the
    /// instant before a day begins. So no day is lost or counted twice where clocks change, or a country skips a date.
    private static func streak(_ history: AttemptHistory, at now: Date, in calendar: Calendar) throws -> Int {
        guard let today = calendar.dateInterval(of: .day, for: now) else { return 0 }
        func startOfDayBefore(_ start: Date) -> Date { calendar.startOfDay(for: start.addingTimeInterval(-1)) }

        var days = 0
        var start = today.start
        var end = today.end
        while let last = try history.lastBefore(end) {
            if last < start {
                // Nothing on this day: the end, unless it is today, which is not over.
                guard days == 0, start == today.start else { break }
            } else {
                days += 1
            }
            end = start
            start = startOfDayBefore(start)
        }
        return days
    }

    /// The next number of runs that is worth a word: after the first thousand, each thousand.
    private static func nextMilestone(after attempts: Int) -> Int {
        milestones.first { $0 > attempts } ?? (attempts / 1_000 + 1) * 1_000
    }

    /// A calendar of weeks that begin on Monday, in the time zone of this name.
    ///
    /// - Parameter timeZone: such as `Europe/Paris`; the system's unless another is named.
    /// - Throws: `RehearsalError.timeZoneUnknown`.
    public static func calendar(timeZone: String? = nil) throws(RehearsalError) -> Calendar {
        var calendar = Calendar(identifier: .iso8601)
        if let timeZone {
            // Foundation finds some names by what stands before a NUL.
            guard !timeZone.utf8.contains(0), let zone = TimeZone(identifier: timeZone) else {
                throw RehearsalError(.timeZoneUnknown)
            }
            calendar.timeZone = zone
        }
        return calendar
    }

    // MARK: Blueprints

    /// What a talk needs, and how far it is.
    public static func blueprint(_ talk: TalkState) -> TalkBlueprint {
        let framework = framework(minutes: talk.plannedMinutes, audience: talk.audience)
        let steps = BlueprintStep.ID.allCases.map { BlueprintStep(id: $0, isDone: isDone($0, talk)) }
        let done = steps.count(where: \.isDone)
        return TalkBlueprint(
            projectId: talk.projectId, framework: framework,
            sections: sections(of: framework, seconds: talk.plannedMinutes * 60), steps: steps,
            percent: 100 * done / steps.count, nextStep: steps.first { !$0.isDone }?.id)
    }

    /// Five minutes are a pitch for everybody; after that, it depends on who listens, and an hour of teaching is a workshop.
    static func framework(minutes: Int, audience: Audience) -> Framework {
        switch (minutes, audience) {
        case (...5, _): .pitch
        case (_, .executives): .pyramid
        case (45..., .students), (90..., _): .workshop
        default: .story
        }
    }

    /// The parts of a framework and the share of the time of each, in hundredths.
    private static func shares(of framework: Framework) -> [(id: String, share: Int)] {
        switch framework {
        case .pitch: [("hook", 15), ("problem", 30), ("answer", 40), ("request", 15)]
        case .pyramid: [("answer", 20), ("arguments", 45), ("evidence", 25), ("decision", 10)]
        case .story: [("hook", 10), ("how_it_was", 25), ("what_happened", 40), ("how_it_is", 15), ("take_away", 10)]
        case .workshop: [("aim", 5), ("show", 25), ("try", 50), ("discuss", 15), ("take_away", 5)]
        }
    }

    /// The last part takes what rounding left over.
    private static func sections(of framework: Framework, seconds: Int) -> [BlueprintSection] {
        var sections = shares(of: framework).map { BlueprintSection(id: $0.id, seconds: seconds * $0.share / 100) }
        if let last = sections.popLast() {
            let before = sections.reduce(0) { $0 + $1.seconds }
            sections.append(BlueprintSection(id: last.id, seconds: seconds - before))
        }
        return sections
    }

    private static func isDone(_ step: BlueprintStep.ID, _ talk: TalkState) -> Bool {
        switch step {
        case .rehearseOnce: talk.runs >= 1
        case .recordAudio: talk.hasAudio
        case .transcribe: talk.hasTranscript
        case .reviewFeedback: talk.hasFeedback
        case .rehearseThreeTimes: talk.runs >= 3
        // Within a tenth of what is planned.
        case .fitTheTime:
            talk.lastDurationSeconds.map { abs($0 - talk.plannedMinutes * 60) <= talk.plannedMinutes * 6 } ?? false
        }
    }

    // MARK: Context messages

    /// The language for a locale such as `fr-CA`; English where the coach does not speak it.
    public static func locale(_ identifier: String?) -> CoachLocale {
        let language = (identifier ?? "").lowercased().prefix { $0 != "-" && $0 != "_" }
        return CoachLocale(rawValue: String(language)) ?? .en
    }

    /// The route of this name.
    ///
    /// - Throws: `RehearsalError.routeUnknown`.
    public static func route(_ name: String) throws(RehearsalError) -> CoachRoute {
        guard let route = CoachRoute(rawValue: name) else { throw RehearsalError(.routeUnknown) }
        return route
    }

    /// What the coach says to somebody who is there, and has come so far.
    public static func message(
        on route: CoachRoute, in locale: CoachLocale, progress: ProgressSnapshot
    ) -> ContextMessage {
        let phrase = phrase(on: route, progress)
        return ContextMessage(id: phrase.id, locale: locale, text: phrase.text(in: locale))
    }

    private static func phrase(on route: CoachRoute, _ progress: ProgressSnapshot) -> Phrase {
        switch route {
        case .home where progress.attempts == 0: .welcome
        case .home where progress.streakDays > 1: .streak(days: progress.streakDays)
        case .home where progress.weeklyDone < progress.weeklyTarget:
            .weekOpen(left: progress.weeklyTarget - progress.weeklyDone)
        case .home: .weekDone
        case .project: progress.attempts == 0 ? .firstRun : .milestone(left: progress.nextMilestone - progress.attempts)
        case .record: progress.attempts == 0 ? .firstRun : .breathe
        case .review: progress.feedbackReady == 0 ? .noFeedback : .feedback(count: progress.feedbackReady)
        case .settings: .settings
        }
    }
}

/// What the coach can say.
private enum Phrase {
    case welcome, firstRun, breathe, weekDone, noFeedback, settings
    case streak(days: Int)
    case weekOpen(left: Int)
    case milestone(left: Int)
    case feedback(count: Int)

    var id: String {
        switch self {
        case .welcome: "welcome"
        case .firstRun: "first_run"
        case .breathe: "breathe"
        case .weekDone: "week_done"
        case .noFeedback: "no_feedback"
        case .settings: "settings"
        case .streak: "streak"
        case .weekOpen: "week_open"
        case .milestone: "milestone"
        case .feedback: "feedback"
        }
    }

    func text(in locale: CoachLocale) -> String {
        switch locale {
        case .en: english
        case .fr: french
        }
    }

    private var english: String {
        func runs(_ count: Int) -> String { count == 1 ? "1 run" : "\(count) runs" }
        return switch self {
        case .welcome: "Welcome! Make a project for your next talk."
        case .firstRun: "Your first run does not have to be good. Begin."
        case .breathe: "Breathe in, look up, and begin with your first sentence."
        case .weekDone: "This week's target is reached. Well done!"
        case .noFeedback: "There is no feedback yet: have a run analysed."
        case .settings: "Choose how many runs you want each week."
        case .streak(let days): "\(days) days in a row. Keep going!"
        case .weekOpen(let left): "\(runs(left)) left this week."
        case .milestone(let left): "\(runs(left)) to your next milestone."
        case .feedback(let count): count == 1 ? "1 run has feedback." : "\(count) runs have feedback."
        }
    }

    private var french: String {
        // In French nought is singular too.
        func runs(_ count: Int) -> String { count < 2 ? "\(count) répétition" : "\(count) répétitions" }
        return switch self {
        case .welcome: "Bienvenue ! Créez un projet pour votre prochaine présentation."
        case .firstRun: "Votre première répétition n’a pas besoin d’être bonne. Commencez."
        case .breathe: "Respirez, levez les yeux et commencez par votre première phrase."
        case .weekDone: "L’objectif de la semaine est atteint. Bravo !"
        case .noFeedback: "Il n’y a pas encore de retour : faites analyser une répétition."
        case .settings: "Choisissez combien de répétitions vous voulez par semaine."
        case .streak(let days): "\(days) jours de suite. Continuez !"
        case .weekOpen(let left): "Encore \(runs(left)) cette semaine."
        case .milestone(let left): "Encore \(runs(left)) avant le prochain palier."
        case .feedback(let count):
            count < 2 ? "\(count) répétition a un retour." : "\(count) répétitions ont un retour."
        }
    }
}
