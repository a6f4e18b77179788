/// How an app opens its store.
public struct StoreOptions: Sendable {
    /// The app's migrations: what is pending runs where the global database and each profile are opened.
    public var schema: StoreSchema
    /// What may be done about a damaged database when it is opened.
    public var recovery: RecoveryMode
    /// Called after each recovery, on the thread that opens the database; it must not open the same one.
    public var onRecovery: (@Sendable (RecoveryEvent) -> Void)?

    /// - Parameters:
    ///   - schema: the app's migrations; none unless said otherwise.
    ///   - recovery: what may be done about a damaged database.
    ///   - onRecovery: called after each recovery.
    public init(
        schema: StoreSchema = StoreSchema(), recovery: RecoveryMode = .automatic,
        onRecovery: (@Sendable (RecoveryEvent) -> Void)? = nil
    ) {
        self.schema = schema
        self.recovery = recovery
        self.onRecovery = onRecovery
    }
}
