import Foundation
import TestSupport
import Testing

@testable import Rehearsal

@Suite struct CoachTests {
    private static func calendar(_ zone: String) throws -> Calendar { try Coach.calendar(timeZone: zone) }

    private static func date(_ text: String, _ zone: String) throws -> Date {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: zone)
        formatter.dateFormat = "yyyy-MM-dd HH:mm"
        return try #require(formatter.date(from: text), "\(text)")
    }

    /// The history of runs at these instants.
    private static func history(_ dates: [Date], feedback: Int = 0) -> AttemptHistory {
        AttemptHistory(
            attempts: dates.count, feedbackReady: feedback, lastBefore: { end in dates.filter { $0 < end }.max() },
            count: { interval in dates.count { interval.start <= $0 && $0 < interval.end } })
    }

    private static func progress(
        _ texts: [String], at now: String, in zone: String = "UTC", feedback: Int = 0, target: Int = 3
    ) throws -> ProgressSnapshot {
        try Coach.progress(
            history(texts.map { try date($0, zone) }, feedback: feedback), weeklyTarget: target, at: date(now, zone),
            in: calendar(zone))
    }

    // MARK: Streaks

    @Test func noRunsAreNoStreak() throws {
        let progress = try Self.progress([], at: "2026-11-24 12:00")
        #expect(progress.streakDays == 0 && progress.attempts == 0 && progress.lastAttempt == nil)
        #expect(progress.nextMilestone == 1 && progress.credits == 0 && progress.weeklyDone == 0)
    }

    @Test(arguments: [
        (["2026-11-24 00:00"], 1), (["2026-11-24 23:59"], 1), (["2026-11-23 23:59"], 1), (["2026-11-22 23:59"], 0),
        (["2026-11-24 09:00", "2026-11-24 10:00"], 1),
        (["2026-11-24 09:00", "2026-11-23 10:00", "2026-11-22 00:00"], 3),
        (["2026-11-23 10:00", "2026-11-22 10:00"], 2), (["2026-11-24 10:00", "2026-11-22 10:00"], 1),
        // A clock that was wrong once: what lies ahead neither counts nor hides what is there.
        (["2026-12-24 10:00", "2026-11-24 10:00", "2026-11-23 10:00"], 2), (["2026-12-24 10:00"], 0),
    ])
    func aStreakEndsTodayOrYesterday(runs: [String], days: Int) throws {
        #expect(try Self.progress(runs, at: "2026-11-24 12:00").streakDays == days)
    }

    /// One run a day at each of several hours, over days on which clocks change; `at` is on the last of them.
    @Test(arguments: [
        // Clocks go forward and back (Paris), at midnight (São Paulo, Beirut), by half an hour (Lord Howe).
        ("Europe/Paris", "2026-03-26", "2026-03-31", 6), ("Europe/Paris", "2026-10-22", "2026-10-28", 7),
        ("America/Sao_Paulo", "2018-11-01", "2018-11-07", 7), ("America/Sao_Paulo", "2018-02-14", "2018-02-20", 7),
        ("Asia/Beirut", "2022-03-24", "2022-03-29", 6), ("Australia/Lord_Howe", "2026-04-02", "2026-04-08", 7),
        ("America/New_York", "2026-03-06", "2026-03-10", 5), ("Asia/Kathmandu", "2026-02-26", "2026-03-02", 5),
        // Leap days, and a year without one.
        ("UTC", "2028-02-27", "2028-03-02", 5), ("UTC", "2026-02-27", "2026-03-02", 4),
        ("UTC", "2000-02-28", "2000-03-01", 3),
        // The turn of a year.
        ("Pacific/Auckland", "2026-12-30", "2027-01-02", 4),
        // Samoa went over the date line: 2011-12-30 was no day there, and the days beside it follow one another.
        ("Pacific/Apia", "2011-12-28", "2012-01-01", 4),
    ])
    func aStreakHoldsWhereClocksChange(zone: String, first: String, last: String, days: Int) throws {
        let calendar = try Self.calendar(zone)
        for hour in ["00:00", "00:30", "03:30", "12:00", "23:59"] {
            var runs: [Date] = []
            var start = try calendar.startOfDay(for: Self.date("\(first) 12:00", zone))
            let end = try calendar.startOfDay(for: Self.date("\(last) 12:00", zone))
            while start <= end {
                let interval = try #require(calendar.dateInterval(of: .day, for: start))
                // The hour as the day has it, or the nearest within the day.
                let parts = hour.split(separator: ":").compactMap { Int($0) }
                let wanted = start.addingTimeInterval(Double(parts[0] * 3_600 + parts[1] * 60))
                runs.append(min(wanted, interval.end.addingTimeInterval(-1)))
                start = interval.end
            }
            let now = try #require(runs.last)
            let all = try Coach.progress(Self.history(runs), weeklyTarget: 3, at: now, in: calendar)
            #expect(all.streakDays == days, "\(zone) at \(hour)")
            // One day taken out ends it there: the negative control.
            let gap = runs.count - 3
            let broken = runs.enumerated().filter { $0.offset != gap }.map(\.element)
            #expect(
                try Coach.progress(Self.history(broken), weeklyTarget: 3, at: now, in: calendar).streakDays == 2,
                "\(zone)")
        }
    }

    /// The same instants are other days elsewhere.
    @Test func daysAreThoseOfTheCalendar() throws {
        let runs = try ["2026-11-22 23:30", "2026-11-23 22:30", "2026-11-24 00:30"].map { try Self.date($0, "UTC") }
        let now = try Self.date("2026-11-24 01:00", "UTC")
        func streak(_ zone: String) throws -> Int {
            try Coach.progress(Self.history(runs), weeklyTarget: 3, at: now, in: Self.calendar(zone)).streakDays
        }
        #expect(try streak("UTC") == 3)
        // In Paris it is 00:30 and 23:30 of the 23rd, and 01:30 of the 24th.
        #expect(try streak("Europe/Paris") == 2)
        // In Los Angeles all of it is on the 22nd and 23rd.
        #expect(try streak("America/Los_Angeles") == 2)
    }

    /// Years of days are asked one by one and no more often.
    @Test func aLongStreakAsksOnceADay() throws {
        let calendar = try Self.calendar("Europe/Paris")
        let now = try Self.date("2026-11-24 12:00", "Europe/Paris")
        let runs = try (0..<1_500).map { try #require(calendar.date(byAdding: .day, value: -$0, to: now)) }
        var questions = 0
        let history = AttemptHistory(
            attempts: runs.count, feedbackReady: 0,
            lastBefore: { end in
                questions += 1
                return runs.first { $0 < end }
            }, count: { _ in 0 })
        #expect(try Coach.progress(history, weeklyTarget: 3, at: now, in: calendar).streakDays == 1_500)
        #expect(questions <= 1_503)
    }

    // MARK: Weeks, credits, milestones

    @Test func weeksBeginOnMonday() throws {
        // 2026-11-23 is a Monday.
        let runs = ["2026-11-22 23:59", "2026-11-23 00:00", "2026-11-24 09:00", "2026-11-29 23:59", "2026-11-30 00:00"]
        let progress = try Self.progress(runs, at: "2026-11-24 12:00", feedback: 2, target: 7)
        #expect(progress.weeklyDone == 3 && progress.weeklyTarget == 7)
        #expect(progress.credits == 9 && progress.feedbackReady == 2)
        #expect(try progress.lastAttempt == Self.date("2026-11-30 00:00", "UTC"))
        // A week on which clocks change has an hour less, and a run in its last hour is still of it.
        #expect(
            try Self.progress(["2026-03-29 23:30"], at: "2026-03-24 12:00", in: "Europe/Paris").weeklyDone == 1)
    }

    @Test(arguments: [(0, 1), (1, 5), (4, 5), (5, 10), (99, 100), (999, 1_000), (1_000, 2_000), (2_500, 3_000)])
    func milestonesGoOn(attempts: Int, next: Int) throws {
        let history = AttemptHistory(attempts: attempts, feedbackReady: 0, lastBefore: { _ in nil }, count: { _ in 0 })
        let now = try Self.date("2026-11-24 12:00", "UTC")
        #expect(try Coach.progress(history, weeklyTarget: 3, at: now, in: Self.calendar("UTC")).nextMilestone == next)
    }

    @Test(arguments: [
        (String?.none, 3), ("5", 5), ("1", 1), ("50", 50), ("0", 3), ("51", 3), ("-1", 3), ("x", 3), ("", 3),
        ("99999999999999999999", 3),
    ])
    func theTargetIsThePreferenceWhereThatIsOne(preference: String?, target: Int) {
        #expect(Coach.weeklyTarget(from: preference) == target)
    }

    @Test func timeZonesAreChecked() {
        for name in ["Nowhere/Land", "", "../../etc/passwd", "Europe/Paris\0"] {
            #expect(code { _ = try Coach.calendar(timeZone: name) } == "time_zone_unknown", "\(name)")
        }
    }

    // MARK: Blueprints

    @Test(arguments: [
        (1, Audience.students, Framework.pitch), (5, .executives, .pitch), (6, .executives, .pyramid),
        (480, .executives, .pyramid),
        (20, .peers, .story), (44, .students, .story), (45, .students, .workshop), (89, .everyone, .story),
        (90, .everyone, .workshop),
    ])
    func theFrameworkFitsTimeAndAudience(minutes: Int, audience: Audience, framework: Framework) {
        #expect(Coach.framework(minutes: minutes, audience: audience) == framework)
    }

    @Test func sectionsAddUpToWhatIsPlanned() {
        for minutes in 1...Project.maximumMinutes {
            for audience in Audience.allCases {
                let blueprint = Coach.blueprint(Self.talk(minutes: minutes, audience: audience))
                #expect(blueprint.sections.reduce(0) { $0 + $1.seconds } == minutes * 60)
                #expect(blueprint.sections.allSatisfy { $0.seconds > 0 })
            }
        }
    }

    private static func talk(
        minutes: Int = 20, audience: Audience = .peers, runs: Int = 0, audio: Bool = false, transcript: Bool = false,
        feedback: Bool = false, seconds: Int? = nil
    ) -> TalkState {
        TalkState(
            projectId: 1, audience: audience, plannedMinutes: minutes, runs: runs, hasAudio: audio,
            hasTranscript: transcript,
            hasFeedback: feedback, lastDurationSeconds: seconds)
    }

    @Test(arguments: [
        (talk(), 0, BlueprintStep.ID.rehearseOnce), (talk(runs: 1), 16, .recordAudio),
        (talk(runs: 3, audio: true), 50, .transcribe),
        (talk(runs: 1, audio: true, transcript: true, feedback: true), 66, .rehearseThreeTimes),
        (talk(runs: 3, audio: true, transcript: true, feedback: true, seconds: 1_321), 83, .fitTheTime),
        (talk(runs: 3, audio: true, transcript: true, feedback: true, seconds: 1_320), 100, nil),
        (talk(runs: 3, audio: true, transcript: true, feedback: true, seconds: 1_080), 100, nil),
    ])
    func stepsAreTakenOneByOne(talk: TalkState, percent: Int, next: BlueprintStep.ID?) {
        let blueprint = Coach.blueprint(talk)
        #expect(blueprint.percent == percent)
        #expect(blueprint.nextStep == next)
        #expect(blueprint.steps.count == BlueprintStep.ID.allCases.count)
    }

    // MARK: Messages

    @Test(arguments: [
        (Optional("fr"), CoachLocale.fr), ("fr-CA", .fr), ("FR_fr", .fr), ("en", .en), ("en-GB", .en), ("de", .en),
        ("", .en),
        (nil, .en), ("fro", .en),
    ])
    func whoseLanguageTheCoachDoesNotSpeakIsToldInEnglish(identifier: String?, locale: CoachLocale) {
        #expect(Coach.locale(identifier) == locale)
    }

    private static func progress(attempts: Int, feedback: Int = 0, streak: Int = 0, done: Int = 0) -> ProgressSnapshot {
        ProgressSnapshot(
            attempts: attempts, feedbackReady: feedback, streakDays: streak, weeklyTarget: 3, weeklyDone: done,
            credits: 0,
            nextMilestone: 5, lastAttempt: nil)
    }

    @Test(arguments: [
        (CoachRoute.home, progress(attempts: 0), "welcome", "Welcome! Make a project for your next talk."),
        (.home, progress(attempts: 4, streak: 3), "streak", "3 days in a row. Keep going!"),
        (.home, progress(attempts: 4, streak: 1, done: 2), "week_open", "1 run left this week."),
        (.home, progress(attempts: 4, streak: 1, done: 1), "week_open", "2 runs left this week."),
        (.home, progress(attempts: 4, streak: 0, done: 3), "week_done", "This week's target is reached. Well done!"),
        (.project, progress(attempts: 4), "milestone", "1 run to your next milestone."),
        (.record, progress(attempts: 0), "first_run", "Your first run does not have to be good. Begin."),
        (.review, progress(attempts: 4), "no_feedback", "There is no feedback yet: have a run analysed."),
        (.review, progress(attempts: 4, feedback: 1), "feedback", "1 run has feedback."),
        (.review, progress(attempts: 4, feedback: 2), "feedback", "2 runs have feedback."),
    ])
    func theCoachSaysWhatFits(route: CoachRoute, progress: ProgressSnapshot, id: String, text: String) {
        let message = Coach.message(on: route, in: .en, progress: progress)
        #expect(message == ContextMessage(id: id, locale: .en, text: text))
    }

    @Test func frenchHasItsOwnPlurals() {
        func text(_ route: CoachRoute, _ progress: ProgressSnapshot) -> String {
            Coach.message(on: route, in: .fr, progress: progress).text
        }
        #expect(text(.home, Self.progress(attempts: 4, done: 2)) == "Encore 1 répétition cette semaine.")
        #expect(text(.home, Self.progress(attempts: 4, done: 1)) == "Encore 2 répétitions cette semaine.")
        #expect(text(.review, Self.progress(attempts: 4, feedback: 1)) == "1 répétition a un retour.")
        #expect(text(.review, Self.progress(attempts: 4, feedback: 2)) == "2 répétitions ont un retour.")
        // Every route has something to say in both languages, and not the same.
        for route in CoachRoute.allCases {
            for progress in [Self.progress(attempts: 0), Self.progress(attempts: 4, feedback: 1)] {
                let english = Coach.message(on: route, in: .en, progress: progress)
                let french = Coach.message(on: route, in: .fr, progress: progress)
                #expect(english.id == french.id && english.text != french.text && !french.text.isEmpty)
            }
        }
    }

    @Test func routesAreChecked() throws {
        for route in CoachRoute.allCases { #expect(try Coach.route(route.rawValue) == route) }
        for name in ["", "Home", "home/", "nowhere"] {
            #expect(code { _ = try Coach.route(name) } == "coach_route_unknown")
        }
    }
}
