import Synchronization

/// A shared holder of one secret that can be emptied for everybody at once.
///
/// Closures that outlive a call (such as the one that keys a new database connection) hold a box rather than a
/// secret, so that locking a store wipes the key, whoever still holds the closure.
public final class SecretBox: Sendable, CustomStringConvertible, CustomReflectable {
    /// Gives the secret an identity, so that a use that is under way keeps it until it returns.
    private final class Holder: Sendable {
        let secret: SecretBytes

        init(_ secret: consuming SecretBytes) { self.secret = secret }
    }

    private let holder: Mutex<Holder?>

    /// Takes over `secret`.
    public init(_ secret: consuming SecretBytes) {
        holder = Mutex(Holder(secret))
    }

    /// Lends the secret to `body`; answers nil, without calling it, where the secret has been wiped.
    public func withSecret<Result>(_ body: (borrowing SecretBytes) throws -> Result) rethrows -> Result? {
        guard let holder = holder.withLock({ $0 }) else { return nil }
        return try body(holder.secret)
    }

    /// Wipes the secret: at once, or when the last ``withSecret(_:)`` that is under way returns.
    public func wipe() {
        holder.withLock { $0 = nil }
    }

    /// Whether the secret has been wiped.
    public var isWiped: Bool { holder.withLock { $0 == nil } }

    /// Always the same text, whatever the secret.
    public var description: String { "SecretBox(redacted)" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
