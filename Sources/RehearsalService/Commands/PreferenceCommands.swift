import Rehearsal

private struct Getting: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case key }
    let key: PreferenceKey
}

private struct Setting: Parameters {
    enum CodingKeys: CodingKey, CaseIterable { case key, value }
    let key: PreferenceKey
    let value: PreferenceValue?

    /// Null takes a preference away, so that it has to be said.
    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        key = try container.decode(PreferenceKey.self, forKey: .key)
        value = try container.decode(PreferenceValue?.self, forKey: .value)
    }
}

extension Command {
    static let preferenceCommands = [
        Command("preference_global_get", .reads) { (app, given: Getting) in
            try await app.globalPreferences().preference(given.key)
        },
        Command("preference_global_set", .changes) { (app, given: Setting) in
            try await app.globalPreferences().set(given.key, to: given.value, at: app.clock())
        },
        Command("preference_profile_get", .reads) { (app, given: Getting) in
            try await app.preferences().preference(given.key)
        },
        Command("preference_profile_set", .changes) { (app, given: Setting) in
            try await app.preferences().set(given.key, to: given.value, at: app.clock())
        },
    ]
}
