import Synchronization

/// A shared holder of one secret that can be emptied for everybody at once.
///
/// Closures that outlive a call (such as the one that keys a new database connection) hold a box rather than a
/// secret, so that locking a store wipes the key at that moment, whoever still holds the closure.
public final class SecretBox: Sendable, CustomStringConvertible, CustomReflectable {
    private let held: Mutex<SecretBytes?>

    /// Takes over `secret`.
    public init(_ secret: consuming SecretBytes) {
        held = Mutex(consume secret)
    }

    /// Lends the secret to `body`, or nil where it has been wiped.
    public func withSecret<Result: ~Copyable>(_ body: (borrowing SecretBytes?) throws -> sending Result) rethrows -> sending Result {
        try held.withLock { try body($0) }
    }

    /// Wipes the secret now. Later calls of ``withSecret(_:)`` get nil.
    public func wipe() {
        held.withLock { $0 = nil }
    }

    /// Whether the secret has been wiped.
    public var isWiped: Bool { held.withLock { $0 == nil } }

    /// Always the same text, whatever the secret.
    public var description: String { "SecretBox(redacted)" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
