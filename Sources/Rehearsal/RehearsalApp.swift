public import Foundation
public import Logging
public import Strongroom

/// A profile, as a list of them shows it.
public struct ProfileSummary: Sendable, Hashable, Encodable {
    /// Its id.
    public let id: String
    /// What people call it.
    public let name: String
    /// When it was made.
    public let createdAt: Date
    /// Whether it is the one that people work in now.
    public let isOpen: Bool
    /// What was done about damage when it was opened, so that people can be told; nil where nothing was wrong, and of a profile that is not
    /// open.
    public let recovery: RecoveryPlan.Action?
}

/// The app: a store, and the profile in it that somebody works in.
///
/// ```swift
/// let app = try RehearsalApp(store: "/home/me/store", unlockedWith: .keyFile("/media/me/key"))
/// _ = try await app.switchProfile(to: app.createProfile(named: "Me").id)
/// let project = try await app.runs().createProject(NewProject(titled: "My talk"), at: Date())
/// try await app.close()
/// ```
public actor RehearsalApp {
    /// What time it is.
    public nonisolated let clock: @Sendable () -> Date
    private let store: Store
    private var current: Profile?

    /// Opens the store, and brings its global database to this app's schema.
    ///
    /// - Parameters:
    ///   - directory: the store, made by `strongroom init` or `Store.create`.
    ///   - keyring: where its keys are; inside the store unless another place is named.
    ///   - secret: what unlocks it.
    ///   - clock: what time it is.
    ///   - logger: gets codes and numbers.
    /// - Throws: what `Store.open` throws.
    public init(
        store directory: FilePath, keyring: FilePath? = nil, unlockedWith secret: UnlockSecret,
        clock: @escaping @Sendable () -> Date = { Date() }, logger: Logger = Logger(label: "rehearsal")
    ) throws {
        self.clock = clock
        store = try Store.open(
            at: directory, keyring: keyring, with: secret, options: StoreOptions(schema: RehearsalSchema.current),
            logger: logger)
    }

    /// Closes the profile and wipes every key.
    ///
    /// - Throws: `StrongroomError` where something could not be written back; what was acknowledged is on disk.
    public func close() throws {
        defer { current = nil }
        // It closes the profile too.
        try store.lock()
    }

    // MARK: Profiles

    /// Makes an empty profile; it is not opened.
    ///
    /// - Throws: `StrongroomError` where the name is taken or no name.
    public func createProfile(named name: String) throws -> ProfileSummary {
        summary(try store.createProfile(named: name))
    }

    /// Every profile, by name.
    public func profiles() throws -> [ProfileSummary] { try store.profiles().map(summary) }

    /// Opens a profile, and closes the one that was open. Where it cannot be opened, the other one stays.
    ///
    /// - Parameter profile: its id or name.
    /// - Throws: what `Store.openProfile` throws.
    public func switchProfile(to profile: String) throws -> ProfileSummary {
        let info = try store.profile(profile)
        if current?.info.id != info.id {
            let next = try store.openProfile(info)
            let last = current
            current = next
            try last?.close()
        }
        return summary(info)
    }

    /// Gives a profile another name.
    ///
    /// - Parameters:
    ///   - profile: its id or name.
    ///   - name: what it is to be called.
    /// - Throws: `StrongroomError` where the name is taken or no name, or there is no such profile.
    public func renameProfile(_ profile: String, to name: String) throws -> ProfileSummary {
        summary(try store.renameProfile(store.profile(profile).id, to: name))
    }

    /// Destroys a profile's keys and removes its files. It cannot be undone.
    ///
    /// - Parameter profile: its id or name; it may be the one that is open, which is closed then, even where the deletion fails.
    /// - Throws: `StrongroomError.profileNotFound`, and what `Store.deleteProfile` throws.
    public func deleteProfile(_ profile: String) async throws -> ProfileSummary {
        let info = try store.profile(profile)
        if let open = current, open.info.id == info.id {
            current = nil
            try open.close()
        }
        try await store.deleteProfile(info.id)
        return summary(info)
    }

    private func summary(_ info: ProfileInfo) -> ProfileSummary {
        let open = current?.info.id == info.id ? current : nil
        return ProfileSummary(
            id: info.id.description, name: info.name, createdAt: info.created, isOpen: open != nil,
            recovery: open?.recovery?.plan.action)
    }

    // MARK: What is in the open profile

    private func profile() throws(RehearsalError) -> Profile {
        guard let current else { throw RehearsalError(.profileNotOpen) }
        return current
    }

    /// The projects and runs of the open profile.
    ///
    /// - Throws: `RehearsalError.profileNotOpen`.
    public func runs() throws -> RunRepository { RunRepository(try profile()) }

    /// The preferences of the open profile.
    ///
    /// - Throws: `RehearsalError.profileNotOpen`.
    public func preferences() throws -> PreferencesRepository { PreferencesRepository(try profile()) }

    /// The preferences that all profiles share.
    public func globalPreferences() -> PreferencesRepository { PreferencesRepository(store) }

    /// The coach of the open profile.
    ///
    /// - Throws: `RehearsalError.profileNotOpen`.
    public func coach() throws -> CoachRepository { CoachRepository(try profile()) }

    // MARK: Diagnostics

    /// What there is to say about the databases; nothing of it is content.
    ///
    /// - Parameter profile: whose database is looked at besides the global one: an id or name; the open one unless another is named.
    /// - Throws: `StrongroomError.profileNotFound`.
    public func diagnostics(of profile: String? = nil) async throws -> Diagnostics {
        let id = try profile.map { try store.profile($0).id } ?? current?.info.id
        return try await store.diagnostics(profile: id)
    }
}
