import Foundation
import GRDB
import Strongroom
import TestSupport
import Testing

@testable import Rehearsal

/// An encrypted profile with the app's schema.
struct RehearsalStore {
    let test: TestStore
    let store: Store
    let profile: Profile

    init() throws {
        test = try TestStore()
        store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile), options: StoreOptions(schema: RehearsalSchema.current))
        profile = try store.openProfile(store.createProfile(named: "Me"))
    }

    var runs: RunRepository { RunRepository(profile) }

    static let now = Date(timeIntervalSince1970: 1_795_521_600)

    /// A project with this many runs, an hour apart, the last of them now.
    func project(runs count: Int) async throws -> Project {
        let project = try await runs.createProject(NewProject(titled: "Talk"), at: Self.now)
        for number in 0..<count {
            _ = try await runs.create(
                NewRun(in: project.id, title: "Run \(number)", durationSeconds: 60 + number),
                at: Self.now.addingTimeInterval(Double(number - count + 1) * 3_600))
        }
        return project
    }

    func count(_ table: String) async throws -> Int {
        try await profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") ?? -1 }
    }
}

@Suite struct RunTests {
    private let sample: RehearsalStore
    private var runs: RunRepository { sample.runs }

    init() throws { sample = try RehearsalStore() }

    @Test func aRunIsMadeFoundAndListed() async throws {
        let project = try await runs.createProject(
            NewProject(titled: "  Opening night  ", audience: .executives, minutes: 7), at: RehearsalStore.now)
        #expect(project.title == "Opening night")
        #expect(project.audience == .executives)
        #expect(project.plannedMinutes == 7)
        #expect(try await runs.projects() == [project])
        #expect(try await runs.latest() == nil)
        #expect(try await runs.latest(of: project.id) == nil)

        let first = try await runs.create(
            NewRun(in: project.id, title: "First", durationSeconds: 400),
            at: RehearsalStore.now.addingTimeInterval(0.75))
        #expect(first.recordedAt == RehearsalStore.now, "to the second")
        let second = try await runs.create(
            NewRun(in: project.id, recordedAt: RehearsalStore.now.addingTimeInterval(-60)), at: RehearsalStore.now)
        #expect(try await runs.run(first.id) == first)
        #expect(try await runs.run(second.id) == second)
        // The latest is the one that was last, not the one that came in last.
        #expect(try await runs.latest() == first)
        #expect(try await runs.latest(of: project.id) == first)
        #expect(try await runs.list(RunPageRequest(of: project.id)).runs.map(\.id) == [first.id, second.id])
    }

    @Test func whatIsNotThereIsNotFound() async throws {
        let project = try await sample.project(runs: 1)
        #expect(await code { _ = try await runs.create(NewRun(in: 99), at: .now) } == "project_not_found")
        #expect(await code { _ = try await runs.latest(of: 99) } == "project_not_found")
        #expect(await code { _ = try await runs.list(RunPageRequest(of: 99)) } == "project_not_found")
        #expect(await code { _ = try await runs.run(99) } == "run_not_found")
        #expect(await code { _ = try await runs.run(.max) } == "run_not_found")
        #expect(await code { _ = try await runs.audio(of: 99) } == "run_not_found")
        #expect(await code { _ = try await runs.audio(of: 1) } == "artifact_not_found")
        #expect(await code { _ = try await runs.transcript(of: 1) } == "artifact_not_found")
        #expect(await code { _ = try await runs.attach(.transcript(of: 99, text: "x"), at: .now) } == "run_not_found")
        #expect(await code { _ = try await CoachRepository(sample.profile).blueprint(of: 99) } == "project_not_found")
        #expect(try await runs.list(RunPageRequest(of: project.id)).runs.count == 1)
    }

    @Test func pagesFollowOneAnotherWithoutGapOrRepeat() async throws {
        let project = try await sample.project(runs: 25)
        // Several at the same second, and another project's among them.
        let other = try await runs.createProject(NewProject(titled: "Other"), at: RehearsalStore.now)
        for _ in 0..<5 {
            for id in [project.id, other.id] { _ = try await runs.create(NewRun(in: id), at: RehearsalStore.now) }
        }
        var seen: [RunSummary] = []
        var next: RunCursor?
        var pages = 0
        repeat {
            let page = try await runs.list(RunPageRequest(of: project.id, size: 4, before: next))
            #expect(page.runs.count == 4 || page.next == nil)
            seen += page.runs
            next = page.next
            pages += 1
        } while next != nil && pages < 50
        #expect(seen.count == 30 && Set(seen.map(\.id)).count == 30 && pages == 8)
        #expect(seen == seen.sorted { ($0.recordedAt, $0.id) > ($1.recordedAt, $1.id) })
        #expect(try await runs.list(RunPageRequest(of: project.id)).runs == seen)
        // A page that is just full has no next one that is empty.
        let whole = try await runs.list(RunPageRequest(of: project.id, size: 30))
        #expect(whole.runs.count == 30 && whole.next == nil)
    }

    @Test func artifactsAreAttachedAndReplacedOnPurpose() async throws {
        let project = try await sample.project(runs: 1)
        let id = try #require(try await runs.latest(of: project.id)).id
        let audio = Data((0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let run = try await runs.attach(.audio(of: id, mediaType: "audio/ogg", content: audio), at: RehearsalStore.now)
        #expect(
            run.artifacts == [
                Artifact(kind: .audio, mediaType: "audio/ogg", bytes: 200_000, createdAt: RehearsalStore.now)
            ])
        #expect(try await runs.audio(of: id).content == audio)
        _ = try await runs.attach(.transcript(of: id, text: "Bonjour à tous 👋"), at: RehearsalStore.now)
        #expect(try await runs.transcript(of: id).text == "Bonjour à tous 👋")
        #expect(try await runs.run(id).artifacts.map(\.kind) == [.audio, .transcript])

        #expect(
            await code { _ = try await runs.attach(.transcript(of: id, text: "Anew"), at: .now) } == "artifact_exists")
        #expect(try await runs.transcript(of: id).text == "Bonjour à tous 👋", "nothing is lost by mistake")
        _ = try await runs.attach(.transcript(of: id, text: "Anew", isReplacing: true), at: RehearsalStore.now)
        #expect(try await runs.transcript(of: id).text == "Anew")
        let page = try await runs.list(RunPageRequest(of: project.id))
        #expect(page.runs.map(\.hasAudio) == [true] && page.runs.map(\.hasTranscript) == [true])
    }

    // MARK: Analysis

    @Test func feedbackIsKeptAndLinkedInOneTransaction() async throws {
        let project = try await sample.project(runs: 2)
        let id = try #require(try await runs.latest(of: project.id)).id
        let run = try await runs.analyse(NewFeedback(on: id, score: 70, comments: "slower"), at: RehearsalStore.now)
        #expect(run.feedback?.score == 70 && run.feedback?.comments == "slower")
        // Again: the newest is linked, and the one before is kept.
        let again = try await runs.analyse(NewFeedback(on: id, score: 90, comments: "good"), at: RehearsalStore.now)
        #expect(again.feedback?.score == 90)
        #expect(try await sample.count("feedback") == 2)
        #expect(try await runs.list(RunPageRequest(of: project.id)).runs.map(\.score) == [90, nil])
    }

    @Test func whereTheLinkTouchesNoRunThereIsNoFeedbackEither() async throws {
        let project = try await sample.project(runs: 1)
        #expect(
            await code { _ = try await runs.analyse(NewFeedback(on: 99, score: 70, comments: "x"), at: .now) }
                == "run_not_found")
        #expect(try await sample.count("feedback") == 0)
        // A link that is kept from being made by something else takes the feedback with it as well.
        try await sample.profile.database.write { db in
            try db.execute(
                sql: "CREATE TRIGGER no_link BEFORE UPDATE OF feedback_id ON run BEGIN SELECT RAISE(IGNORE); END")
        }
        let id = try #require(try await runs.latest(of: project.id)).id
        #expect(
            await code { _ = try await runs.analyse(NewFeedback(on: id, score: 70, comments: "x"), at: .now) }
                == "run_not_found")
        #expect(try await sample.count("feedback") == 0)
        try await sample.profile.database.write { try $0.execute(sql: "DROP TRIGGER no_link") }
        _ = try await runs.analyse(NewFeedback(on: id, score: 70, comments: "x"), at: .now)
        #expect(try await sample.count("feedback") == 1)
    }

    // MARK: Rules

    @Test func badInputIsRefusedWithItsCode() async throws {
        let long = String(repeating: "t", count: 201)
        for title in ["", "   ", long, "a\nb", "a\0b", String(repeating: "👨‍👩‍👧‍👦", count: 200)] {
            #expect(code { _ = try NewProject(titled: title) } == "title_invalid")
            #expect(code { _ = try NewRun(in: 1, title: title) } == "title_invalid")
        }
        for minutes in [0, -1, 481, .max, .min] {
            #expect(code { _ = try NewProject(titled: "x", minutes: minutes) } == "duration_invalid")
        }
        for seconds in [-1, 86_401, .max, .min] {
            #expect(code { _ = try NewRun(in: 1, durationSeconds: seconds) } == "duration_invalid")
        }
        for seconds in [-1, 253_402_300_800, 1e300, .infinity, -.infinity, .nan] {
            let date = Date(timeIntervalSince1970: seconds)
            #expect(code { _ = try NewRun(in: 1, recordedAt: date) } == "date_invalid", "\(seconds)")
            #expect(
                code { _ = try RunPageRequest(of: 1, before: RunCursor(recordedAt: date, id: 1)) } == "date_invalid")
        }
        for size in [0, -1, 501, .max, .min] {
            #expect(code { _ = try RunPageRequest(of: 1, size: size) } == "page_size_invalid")
        }
        for score in [-1, 101, .max] {
            #expect(code { _ = try NewFeedback(on: 1, score: score, comments: "") } == "feedback_invalid")
        }
        #expect(
            code { _ = try NewFeedback(on: 1, score: 1, comments: String(repeating: "c", count: 65_537)) }
                == "feedback_invalid")
        for type in ["", "audio/", "video/mp4", "audio/OGG", "audio/ogg; codecs=x", "audio/" + long, "text/plain"] {
            #expect(
                code { _ = try NewArtifact.audio(of: 1, mediaType: type, content: Data([1])) } == "artifact_invalid",
                "\(type)")
        }
        #expect(
            code { _ = try NewArtifact.audio(of: 1, mediaType: "audio/ogg", content: Data()) } == "artifact_invalid")
        #expect(
            code { _ = try NewArtifact.audio(of: 1, mediaType: "audio/ogg", content: Data(count: (47 << 20) + 1)) }
                == "artifact_invalid")
        #expect(code { _ = try NewArtifact.transcript(of: 1, text: "") } == "artifact_invalid")
    }

    /// Errors of the SQL engine come out as a number.
    @Test func noErrorOfAnotherLibraryComesThrough() async throws {
        _ = try await sample.project(runs: 1)
        try await sample.profile.database.write { db in
            try db.execute(
                sql: "CREATE TRIGGER t BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, '\(TestStore.canary)'); END")
        }
        do {
            _ = try await runs.create(NewRun(in: 1), at: RehearsalStore.now)
            Issue.record("it was taken")
        } catch let error as RehearsalError {
            #expect(error.code == "profile_database_refused")
            #expect(!"\(error)".contains(TestStore.canary) && !String(reflecting: error).contains(TestStore.canary))
        }
        // And where the profile is closed.
        try sample.profile.close()
        #expect(await code { _ = try await runs.projects() } == "profile_database_refused")
    }

    // MARK: Preferences, kept

    @Test func preferencesAreKeptApart() async throws {
        let mine = PreferencesRepository(sample.profile)
        let everybodys = PreferencesRepository(sample.store)
        let key = try PreferenceKey("ui.theme")
        for place in [mine, everybodys] {
            #expect(try await place.preference(key).value == nil)
            #expect(try await place.set(key, to: nil, at: .now).value == nil)
        }
        _ = try await mine.set(key, to: PreferenceValue("dark"), at: .now)
        _ = try await everybodys.set(key, to: PreferenceValue("light"), at: .now)
        _ = try await mine.set(key, to: PreferenceValue("blue"), at: .now)
        #expect(try await mine.preference(key).value == "blue")
        #expect(try await everybodys.preference(key).value == "light")
        #expect(try await sample.count("preference") == 1)
        _ = try await mine.set(key, to: nil, at: .now)
        #expect(try await sample.count("preference") == 0)
        #expect(try await everybodys.preference(key).value == "light")
        // The empty text is a value.
        #expect(try await mine.set(key, to: PreferenceValue(""), at: .now).value == "")
        #expect(try await mine.preference(key).value == "")
    }

    @Test func theWeeklyTargetIsAPreference() async throws {
        let coach = CoachRepository(sample.profile)
        let calendar = try Coach.calendar(timeZone: "Europe/Paris")
        _ = try await sample.project(runs: 3)
        var progress = try await coach.progress(at: RehearsalStore.now, in: calendar)
        #expect(progress.attempts == 3 && progress.weeklyTarget == 3 && progress.streakDays == 1)
        #expect(progress.lastAttempt == RehearsalStore.now)
        let key = try Coach.weeklyTargetKey()
        _ = try await PreferencesRepository(sample.profile).set(key, to: PreferenceValue("9"), at: .now)
        progress = try await coach.progress(at: RehearsalStore.now, in: calendar)
        #expect(progress.weeklyTarget == 9)
    }
}
