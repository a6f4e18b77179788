import Rehearsal

private struct OfAnyProfile: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case profile }
    let profile: String?
}

extension Command {
    static let diagnosticsCommands = [
        Command("profile_db_diagnostics", .reads) { (app, given: OfAnyProfile) in
            try await app.diagnostics(of: given.profile)
        }
    ]
}
