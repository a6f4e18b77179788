// Who may unlock a keyring: added, removed, changed. Each root key that is still needed is sealed to each of them.

import CryptoPrimitives
import Foundation
public import KeyPolicy
import Secrets

extension UnlockedKeyring {
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
}
