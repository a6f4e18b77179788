// A keyring whose root keys are in memory. Everything it reads again from disk is verified before it is used.

import CryptoPrimitives
package import DurableFiles
public import KeyPolicy
import Secrets
import Synchronization
public import SystemPackage

/// An unlocked, verified keyring. ``lock()`` wipes its keys for everybody who shares it.
public final class UnlockedKeyring: Sendable, CustomStringConvertible, CustomReflectable {
    /// How long a change waits for another process that changes the same keyring.
    static let lockPatienceMilliseconds = 5_000

    /// The directory that holds `keyring.json`.
    public let directory: FilePath
    /// The keyring's id: `kr_` and 16 base32 digits.
    public let id: String
    /// The id of the unlocker that opened it.
    public let openedBy: String

    private let document: Mutex<KeyringDocument>
    private let rootKeys: [Int: SecretBox]

    init(directory: FilePath, document: KeyringDocument, rootKeys: [Int: SecretBox], openedBy: String) {
        self.directory = directory
        self.document = Mutex(document)
        self.rootKeys = rootKeys
        id = document.keyringId
        self.openedBy = openedBy
    }

    /// Says the keyring's id, never a key.
    public var description: String { "UnlockedKeyring(\(id))" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Grows with each change.
    public var sequence: Int { document.withLock { $0.sequence } }
    /// Who may unlock it.
    public var unlockers: [UnlockerInfo] { document.withLock { $0.unlockers.map(\.info) } }
    /// The root keys, oldest first.
    public var rootKeyInfos: [RootKeyInfo] {
        document.withLock { document in
            document.rootKeys.map { RootKeyInfo(version: $0.version, state: $0.state, created: $0.created) }
                .sorted { $0.version < $1.version }
        }
    }

    /// What a policy judges of the unlockers.
    public var unlockerPosture: [KeyPosture.Unlocker] {
        document.withLock { document in
            document.unlockers.map { entry in
                let derivation: KeyPolicy.PassphraseDerivation? =
                    switch entry.sealing?.derivation {
                    case .scrypt(let cost): .scrypt(cost)
                    case .pbkdf2(let iterations): .pbkdf2(iterations: iterations)
                    case .hkdf, nil: nil
                    }
                return KeyPosture.Unlocker(kind: entry.kind, derivation: derivation)
            }
        }
    }

    /// Wipes the root keys. The keyring cannot be used any more; open it again.
    public func lock() {
        for rootKey in rootKeys.values { rootKey.wipe() }
    }

    // MARK: Unlockers

    /// Adds an unlocker, and shows that it opens the file that is then on disk.
    ///
    /// - Returns: the new unlocker's id.
    /// - Throws: `KeyringError` where the policy forbids it or this secret opens the keyring already.
    @discardableResult
    public func addUnlocker(_ secret: UnlockSecret, label: String, policy: KeyPolicy) throws -> String {
        try secret.check(against: policy)
        try LockedKeyring.checkLabel(label)
        return try withFileLock {
            let current = try readVerified()
            try refuseKnown(secret, in: current)
            let entry = try KeyringDocument.Unlocker.make(secret: secret, label: label, policy: policy, keyring: id)
            try write(adding(entry, to: current))
            try requireThatItOpens(secret, entry.id)
            return entry.id
        }
    }

    /// Adds a recovery recipient by its public key; the private key is kept elsewhere.
    ///
    /// - Parameter publicKey: 32 bytes, X25519.
    /// - Returns: the new unlocker's id.
    /// - Throws: `KeyringError` where the policy forbids it or it is there already.
    @discardableResult
    public func addRecoveryRecipient(publicKey: [UInt8], label: String, policy: KeyPolicy) throws -> String {
        guard policy.allowedUnlockers.contains(.recovery) else { throw KeyringError(.unlockerKindForbidden) }
        guard publicKey.count == X25519.keyLength else {
            throw KeyringError(.keyLength(minimumBytes: X25519.keyLength))
        }
        try LockedKeyring.checkLabel(label)
        return try withFileLock {
            let current = try readVerified()
            guard !current.unlockers.contains(where: { Array($0.publicKey) == publicKey }) else {
                throw KeyringError(.unlockerExists)
            }
            let id = try RandomIdentifier.make(prefix: "ulk_")
            try write(adding(.recovery(publicKey: publicKey, label: label, id: id), to: current))
            return id
        }
    }

    /// Removes an unlocker. It is no revocation: who opened the keyring with it may still know the root key.
    ///
    /// - Throws: `KeyringError` where there is no such unlocker, or fewer than the policy requires would be left.
    public func removeUnlocker(_ unlocker: String, policy: KeyPolicy) throws {
        try withFileLock {
            let current = try readVerified()
            guard current.unlockers.contains(where: { $0.id == unlocker }) else {
                throw KeyringError(.unlockerNotFound)
            }
            let required = max(1, policy.requiredUnlockers)
            guard current.unlockers.count > required else { throw KeyringError(.tooFewUnlockers(required: required)) }
            try write(removing(unlocker, from: current))
        }
    }

    /// Puts a new secret in an unlocker's place: the new one is added and shown to open the file that is on disk,
    /// and only then the old one goes.
    ///
    /// - Returns: the new unlocker's id.
    /// - Throws: `KeyringError`; where the new secret does not open what was written, the old one stays.
    @discardableResult
    public func changeUnlocker(
        _ unlocker: String, to secret: UnlockSecret, label: String? = nil, policy: KeyPolicy
    ) throws -> String {
        try secret.check(against: policy)
        if let label { try LockedKeyring.checkLabel(label) }
        return try withFileLock {
            let current = try readVerified()
            guard let old = current.unlockers.first(where: { $0.id == unlocker }) else {
                throw KeyringError(.unlockerNotFound)
            }
            try refuseKnown(secret, in: current)
            let entry = try KeyringDocument.Unlocker.make(
                secret: secret, label: label ?? old.label, policy: policy, keyring: id)
            try write(adding(entry, to: current))
            try requireThatItOpens(secret, entry.id)
            try write(removing(unlocker, from: readVerified()))
            try requireThatItOpens(secret, entry.id)
            return entry.id
        }
    }

    private func adding(
        _ entry: KeyringDocument.Unlocker, to document: KeyringDocument
    ) throws -> KeyringDocument {
        guard document.unlockers.count < KeyringDocument.maximumUnlockers else {
            throw KeyringError(.tooManyUnlockers)
        }
        var document = document
        document.unlockers.append(entry)
        for index in document.rootKeys.indices where document.rootKeys[index].state != .destroyed {
            let version = document.rootKeys[index].version
            let recipient = try withRootKey(version) { rootKey in
                try RootKeySealing.seal(
                    rootKey, version: version, to: Array(entry.publicKey), unlocker: entry.id, keyring: id)
            }
            document.rootKeys[index].recipients.append(recipient)
        }
        return document
    }

    private func removing(_ unlocker: String, from document: KeyringDocument) -> KeyringDocument {
        var document = document
        document.unlockers.removeAll { $0.id == unlocker }
        for index in document.rootKeys.indices {
            document.rootKeys[index].recipients.removeAll { $0.unlocker == unlocker }
        }
        return document
    }

    /// Key files and recovery keys are cheap to try, so that adding one twice is refused; for passphrases that would
    /// cost a full derivation for each unlocker.
    private func refuseKnown(_ secret: UnlockSecret, in document: KeyringDocument) throws {
        guard secret.kind != .passphrase else { return }
        for entry in document.unlockers where try entry.privateKey(with: secret, keyring: id) != nil {
            throw KeyringError(.unlockerExists)
        }
    }

    private func requireThatItOpens(_ secret: UnlockSecret, _ unlocker: String) throws {
        do {
            try LockedKeyring(in: directory).unlock(with: secret, unlocker: unlocker).lock()
        } catch is KeyringError { throw KeyringError(.verificationFailed) }
    }

    // MARK: The file

    /// One change at a time, across processes and within this one.
    func withFileLock<Result>(_ body: () throws -> Result) throws -> Result {
        let lock = try FileLock(
            LockedKeyring.lockPath(in: directory), patienceMilliseconds: Self.lockPatienceMilliseconds)
        defer { lock.release() }
        return try body()
    }

    /// What is on disk now, verified, and not older than what was seen before.
    private func readVerified() throws -> KeyringDocument {
        let locked = try LockedKeyring(in: directory)
        guard locked.id == id else {
            throw KeyringError(.belongsToAnotherKeyring(.keyring), LockedKeyring.path(in: directory))
        }
        try locked.verify(with: rootKeys)
        return try document.withLock { known in
            guard locked.sequence >= known.sequence else {
                throw KeyringError(.rolledBack(.keyring), LockedKeyring.path(in: directory))
            }
            known = locked.document
            return known
        }
    }

    private func write(_ changed: KeyringDocument) throws {
        var changed = changed
        changed.sequence += 1
        changed.updated = DocumentCoding.now()
        guard changed.followsItsFormat, let active = changed.activeRootKey else {
            throw KeyringError(.malformed(.keyring))
        }
        let body = try DocumentCoding.encode(changed)
        let bytes = try withRootKey(active.version) { rootKey in
            try AuthenticatedFile.bytes(
                of: body, format: KeyringDocument.format, rootVersion: active.version, rootKey: rootKey)
        }
        guard bytes.count <= KeyringDocument.maximumBytes else { throw KeyringError(.tooManyUnlockers) }
        try DurableFiles.replace(LockedKeyring.path(in: directory), with: bytes)
        _ = try readVerified()
    }

    /// Keeps rotations away for as long as the lock is held; any number may do so at once. A snapshot that was taken while
    /// its database moved to another key could not be restored.
    package func holdRotation() throws(DurableFilesError) -> FileLock {
        try FileLock(
            directory.appending("rotation.lock"), shared: true, patienceMilliseconds: Self.lockPatienceMilliseconds)
    }

    // MARK: Root keys

    /// The version that new things are sealed under.
    var activeRootVersion: Int { document.withLock { $0.activeRootKey?.version ?? 0 } }

    func withRootKey<Result>(_ version: Int, _ body: (borrowing SecretBytes) throws -> Result) throws -> Result {
        guard let result = try rootKeys[version]?.withSecret(body) else { throw KeyringError(.locked) }
        return result
    }

    /// A key for one purpose, derived from a root key.
    func deriveFromRootKey(_ version: Int, label: String) throws -> SecretBytes {
        guard let box = rootKeys[version] else { throw KeyringError(.locked) }
        var derived: SecretBytes?
        _ = try box.withSecret { derived = try HKDF.derive(from: $0, label: label) }
        guard let derived else { throw KeyringError(.locked) }
        return derived
    }
}
