import Rehearsal

private struct OfTimeZone: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case timeZone }
    let timeZone: String?
}

private struct OfTalk: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case projectId }
    let projectId: Int64
}

private struct Whereabouts: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case route, locale, timeZone }
    let route: String
    let locale: String?
    let timeZone: String?
}

extension Command {
    static let coachCommands = [
        Command("progress_get_snapshot", .reads) { (app, given: OfTimeZone) in
            try await app.coach().progress(at: app.clock(), in: Coach.calendar(timeZone: given.timeZone))
        },
        Command("talks_get_blueprint", .reads) { (app, given: OfTalk) in
            try await app.coach().blueprint(of: given.projectId)
        },
        Command("mascot_get_context_message", .reads) { (app, given: Whereabouts) in
            try await app.coach().message(
                on: Coach.route(given.route), in: Coach.locale(given.locale), at: app.clock(),
                Coach.calendar(timeZone: given.timeZone))
        },
    ]
}
