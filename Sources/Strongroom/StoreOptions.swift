/// How an app opens its store.
public struct StoreOptions: Sendable {
    /// The app's migrations: what is pending runs where the global database and each profile are opened.
    public var schema: StoreSchema
    /// What may be done about a damaged database when it is opened.
    public var recovery: RecoveryMode
    /// Called after each recovery, on the thread that opens the database; it must not open the same one.
    public var onRecovery: (@Sendable (RecoveryEvent) -> Void)?
    /// Whether the app may attach a database file without a key of its own, as in `ATTACH 'file' AS a KEY ''`. What it copies there is
    /// plaintext, on a disk that may keep it for ever, and no scan of the store finds it. Without this the first use of such a file
    /// is refused. An encrypted file with its own `KEY`, and `:memory:`, may always be attached.
    public var allowsPlaintextAttach: Bool

    /// - Parameters:
    ///   - schema: the app's migrations; none unless said otherwise.
    ///   - recovery: what may be done about a damaged database.
    ///   - onRecovery: called after each recovery.
    ///   - allowsPlaintextAttach: whether the app may attach a database file without a key.
    public init(
        schema: StoreSchema = StoreSchema(), recovery: RecoveryMode = .automatic,
        onRecovery: (@Sendable (RecoveryEvent) -> Void)? = nil, allowsPlaintextAttach: Bool = false
    ) {
        self.schema = schema
        self.recovery = recovery
        self.onRecovery = onRecovery
        self.allowsPlaintextAttach = allowsPlaintextAttach
    }
}
