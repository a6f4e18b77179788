// Who may unlock a store. Each change of the keyring is noted in the global database, so that an older keyring is noticed.

import Keyring

extension Store {
    /// Adds an unlocker, as the policy allows.
    ///
    /// - Returns: its id.
    /// - Throws: `KeyringError`.
    @discardableResult
    public func addUnlocker(_ secret: UnlockSecret, label: String) throws -> String {
        try changingKeyring { try keyring.addUnlocker(secret, label: label, policy: policy) }
    }

    /// Adds a recovery recipient by its public key, 32 bytes.
    ///
    /// - Returns: its id.
    /// - Throws: `KeyringError`.
    @discardableResult
    public func addRecoveryRecipient(publicKey: [UInt8], label: String) throws -> String {
        try changingKeyring { try keyring.addRecoveryRecipient(publicKey: publicKey, label: label, policy: policy) }
    }

    /// Removes an unlocker. It is no revocation: who opened the keyring with it may still know the root key.
    ///
    /// - Throws: `KeyringError`, also where fewer than the policy requires would be left.
    public func removeUnlocker(_ id: String) throws {
        try changingKeyring { try keyring.removeUnlocker(id, policy: policy) }
    }

    /// That there is an unlocker of this id.
    ///
    /// - Throws: `KeyringError.unlockerNotFound`.
    public func requireUnlocker(_ id: String) throws {
        try requireUnlocked()
        guard keyring.unlockers.contains(where: { $0.id == id }) else { throw KeyringError(.unlockerNotFound) }
    }

    /// Puts a new secret in an unlocker's place; the old one goes only after the new one has been shown to work.
    ///
    /// - Returns: the id of the new unlocker.
    /// - Throws: `KeyringError`.
    @discardableResult
    public func changeUnlocker(_ id: String, to secret: UnlockSecret, label: String? = nil) throws -> String {
        try changingKeyring { try keyring.changeUnlocker(id, to: secret, label: label, policy: policy) }
    }

    /// Notes the keyring's new sequence also where the change failed half-way. Where the global database cannot be used, nothing is changed.
    func changingKeyring<Result>(_ body: () throws -> Result) throws -> Result {
        _ = try readGlobal { try ProfileRegistry.keyringSequence($0) }
        let before = keyring.sequence
        let result = Swift.Result { try body() }
        try noteKeyringSequence(seen: before)
        return try result.get()
    }
}
