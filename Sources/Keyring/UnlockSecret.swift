import CryptoPrimitives
import DurableFiles
public import KeyPolicy
public import Secrets
public import SystemPackage

/// What opens a keyring: a passphrase, the content of a key file, or a recovery key.
///
/// The bytes are in secret memory from the first moment, and are wiped when nobody holds the value any more.
public final class UnlockSecret: Sendable, CustomStringConvertible, CustomReflectable {
    /// The shortest key file or credential, in bytes.
    public static let minimumKeyBytes = 32
    /// The longest key file or credential, in bytes.
    public static let maximumKeyBytes = 4_096
    /// The longest passphrase, in bytes.
    public static let maximumPassphraseBytes = 1_024

    /// Which kind of unlocker it opens.
    public let kind: KeyPolicy.UnlockerKind
    let bytes: SecretBytes

    private init(_ kind: KeyPolicy.UnlockerKind, _ bytes: consuming SecretBytes) {
        self.kind = kind
        self.bytes = bytes
    }

    /// A passphrase, byte for byte as it was read.
    ///
    /// - Throws: `KeyringError` where it is empty or longer than ``maximumPassphraseBytes``.
    public static func passphrase(_ bytes: consuming SecretBytes) throws(KeyringError) -> UnlockSecret {
        guard bytes.count > 0 else { throw KeyringError(.passphraseTooShort(minimumBytes: 1)) }
        guard bytes.count <= maximumPassphraseBytes else { throw KeyringError(.unlockFailed) }
        return UnlockSecret(.passphrase, bytes)
    }

    /// The content of a key file or credential: 32 to 4,096 random bytes.
    ///
    /// - Throws: `KeyringError` with `.keyLength`.
    public static func key(_ bytes: consuming SecretBytes) throws(KeyringError) -> UnlockSecret {
        guard (minimumKeyBytes...maximumKeyBytes).contains(bytes.count) else {
            throw KeyringError(.keyLength(minimumBytes: minimumKeyBytes))
        }
        return UnlockSecret(.keyFile, bytes)
    }

    /// Reads a key file that only we and root can read in effect, and that has one name (docs/security/policy.md, "Key files").
    ///
    /// - Throws: `DurableFilesError`, one reason for each of these; `KeyringError` where its length is wrong.
    public static func keyFile(_ path: FilePath) throws -> UnlockSecret {
        let bytes = try StrictFiles.readSecret(path, limit: maximumKeyBytes)
        guard bytes.count >= minimumKeyBytes else {
            throw KeyringError(.keyLength(minimumBytes: minimumKeyBytes), path)
        }
        return UnlockSecret(.keyFile, bytes)
    }

    /// Makes a new key file of 32 random bytes (mode 0600) and answers what it holds.
    ///
    /// - Throws: `DurableFilesError` where the file exists or cannot be written.
    public static func makeKeyFile(_ path: FilePath) throws -> UnlockSecret {
        let bytes = try Random.secret(count: minimumKeyBytes)
        try DurableFiles.create(path, holding: bytes)
        return UnlockSecret(.keyFile, bytes)
    }

    /// The private key of a recovery recipient, 32 bytes.
    ///
    /// - Throws: `KeyringError` with `.keyLength`.
    public static func recoveryKey(_ bytes: consuming SecretBytes) throws(KeyringError) -> UnlockSecret {
        guard bytes.count == X25519.keyLength else { throw KeyringError(.keyLength(minimumBytes: X25519.keyLength)) }
        return UnlockSecret(.recovery, bytes)
    }

    /// Says the kind, never the secret.
    public var description: String { "UnlockSecret(\(kind.rawValue), redacted)" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
