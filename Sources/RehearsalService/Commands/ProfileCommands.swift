import Rehearsal

private struct Named: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case name }
    let name: String
}

private struct OfProfile: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case profile }
    let profile: String
}

private struct Renaming: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case profile, name }
    let profile: String
    let name: String
}

extension Command {
    static let profileCommands = [
        Command("profile_create", .changes) { (app, given: Named) in try await app.createProfile(named: given.name) },
        Command("profile_list", .reads) { app in try await app.profiles() },
        Command("profile_switch", .changes) { (app, given: OfProfile) in
            try await app.switchProfile(to: given.profile)
        },
        Command("profile_rename", .changes) { (app, given: Renaming) in
            try await app.renameProfile(given.profile, to: given.name)
        },
        Command("profile_delete", .changes) { (app, given: OfProfile) in
            try await app.deleteProfile(given.profile)
        },
    ]
}
