// A keyring as anybody who can read its files sees it: who may unlock it, and nothing more.

import CryptoPrimitives
import DurableFiles
public import Foundation
public import KeyPolicy
import Secrets
public import SystemPackage

/// An unlocker as the keyring file shows it; nothing of it is secret.
public struct UnlockerInfo: Sendable, Hashable, Codable {
    /// `ulk_` and 16 base32 digits.
    public let id: String
    /// What opens it.
    public let kind: KeyPolicy.UnlockerKind
    /// For people.
    public let label: String
    /// When it was added.
    public let created: Date
    /// How its secret is stretched: `scrypt`, `pbkdf2-hmac-sha512`, `hkdf-sha256`; nil for a recovery recipient.
    public let derivation: String?
}

/// A root key as the keyring file shows it.
public struct RootKeyInfo: Sendable, Hashable, Codable {
    /// Counted from 1.
    public let version: Int
    /// Where it is in its life.
    public let state: KeyState
    /// When it was made.
    public let created: Date
}

/// A locked keyring: its file has been read and is whole, but nobody has shown that it is authentic.
public struct LockedKeyring: Sendable {
    /// The directory that holds `keyring.json`.
    public let directory: FilePath
    let document: KeyringDocument
    private let file: UnverifiedFile

    /// The keyring's id: `kr_` and 16 base32 digits.
    public var id: String { document.keyringId }
    /// Grows with each change.
    public var sequence: Int { document.sequence }
    /// Who may unlock it.
    public var unlockers: [UnlockerInfo] { document.unlockers.map(\.info) }

    static func path(in directory: FilePath) -> FilePath { directory.appending("keyring.json") }
    static func lockPath(in directory: FilePath) -> FilePath { directory.appending("keyring.lock") }
    package static func envelopesPath(in directory: FilePath) -> FilePath { directory.appending("envelopes") }
    package static func certificatesPath(in directory: FilePath) -> FilePath { directory.appending("certificates") }

    /// Reads the keyring in `directory`.
    ///
    /// - Throws: `KeyringError` where the file is missing, damaged, newer, or asks for an absurd cost;
    ///   `DurableFilesError` where others could have touched it.
    public init(in directory: FilePath) throws {
        let path = Self.path(in: directory)
        guard try StrictFiles.exists(directory) else { throw KeyringError(.missing(.keyring), path) }
        try StrictFiles.requireOwnDirectory(directory)
        try StrictFiles.requireOwnDirectories([Self.envelopesPath(in: directory), Self.certificatesPath(in: directory)])
        self.directory = directory
        file = try UnverifiedFile(reading: path, as: .keyring, limit: KeyringDocument.maximumBytes)
        do {
            document = try DocumentCoding.decode(
                KeyringDocument.self, from: file.body, format: KeyringDocument.format, kind: .keyring,
                knownCritical: KeyringDocument.criticalFields)
        } catch { throw KeyringError(error.reason, path) }
        guard document.followsItsFormat, document.activeRootKey?.version == file.rootVersion else {
            throw KeyringError(.malformed(.keyring), path)
        }
    }

    /// Makes a keyring with its first root key in `directory`, which is made where it is missing.
    ///
    /// - Parameters:
    ///   - policy: says which unlockers are allowed and how many there must be.
    ///   - unlockers: the first unlockers, each with a label.
    /// - Throws: `KeyringError` where there is one already or the policy is not met; nothing is written then.
    public static func create(
        in directory: FilePath, policy: KeyPolicy, unlockers: [(secret: UnlockSecret, label: String)]
    ) throws -> UnlockedKeyring {
        guard try !StrictFiles.exists(path(in: directory)) else {
            throw KeyringError(.alreadyExists, path(in: directory))
        }
        guard unlockers.count >= max(1, policy.requiredUnlockers) else {
            throw KeyringError(.tooFewUnlockers(required: policy.requiredUnlockers))
        }
        let id = try RandomIdentifier.make(prefix: "kr_")
        let entries = try unlockers.map { secret, label in
            try secret.check(against: policy)
            try checkLabel(label)
            return try KeyringDocument.Unlocker.make(secret: secret, label: label, policy: policy, keyring: id)
        }
        let rootKey = try Random.secret(count: 32)
        var recipients: [KeyringDocument.Recipient] = []
        for entry in entries {
            recipients.append(
                try RootKeySealing.seal(
                    rootKey, version: 1, to: Array(entry.publicKey), unlocker: entry.id, keyring: id))
        }
        let now = DocumentCoding.now()
        let document = KeyringDocument(
            keyringId: id, sequence: 1, created: now, updated: now, unlockers: entries,
            rootKeys: [.init(version: 1, state: .active, created: now, recipients: recipients)])

        try DurableFiles.createDirectory(directory, allowExisting: true)
        let lock = try FileLock(lockPath(in: directory), patienceMilliseconds: UnlockedKeyring.lockPatienceMilliseconds)
        defer { lock.release() }
        guard try !StrictFiles.exists(path(in: directory)) else {
            throw KeyringError(.alreadyExists, path(in: directory))
        }
        try DurableFiles.createDirectory(envelopesPath(in: directory), allowExisting: true)
        let bytes = try AuthenticatedFile.bytes(
            of: DocumentCoding.encode(document), format: KeyringDocument.format, rootVersion: 1, rootKey: rootKey)
        try DurableFiles.replace(path(in: directory), with: bytes)
        guard let first = unlockers.first else { throw KeyringError(.tooFewUnlockers(required: 1)) }
        return try LockedKeyring(in: directory).unlock(with: first.secret)
    }

    /// Unlocks the keyring and verifies its file.
    ///
    /// The cheapest unlocker of the secret's kind is tried first, and the others one after the other, so that no more than the
    /// memory of one derivation is needed; before it has cost more than the most expensive derivation that the format allows, it
    /// ends (docs/security/custody.md, rule 8).
    ///
    /// - Parameters:
    ///   - secret: tried with every unlocker of its kind.
    ///   - unlocker: where it is named, the only one that is tried.
    ///   - onTry: called before each try.
    /// - Throws: `KeyringError.unlockFailed` where it opens none of them; `.unlockCostExceeded` where it opens none of those that
    ///   were tried, and trying the others would cost too much; `.unlockerNotFound` where there is none of that name; `.cancelled`
    ///   where the task was; `.forged` where the file was changed without the root key.
    public func unlock(
        with secret: UnlockSecret, unlocker: String? = nil, onTry: UnlockTryHandler? = nil
    ) throws -> UnlockedKeyring {
        try unlock(with: secret, unlocker: unlocker, onTry: onTry, budget: UnlockPlan.budget)
    }

    func unlock(
        with secret: UnlockSecret, unlocker: String?, onTry: UnlockTryHandler?, budget: Int
    ) throws -> UnlockedKeyring {
        let path = Self.path(in: directory)
        if let unlocker, !document.unlockers.contains(where: { $0.id == unlocker }) {
            throw KeyringError(.unlockerNotFound, path)
        }
        let plan = UnlockPlan(document.unlockers, for: secret.kind, unlocker: unlocker, budget: budget)
        for (entry, announcement) in plan.tries {
            if Task.isCancelled { throw KeyringError(.cancelled, path) }
            onTry?(announcement)
            guard let privateKey = try entry.privateKey(with: secret, keyring: id) else { continue }
            let unlockerKey = SecretBox(privateKey)
            let rootKeys = try rootKeys(of: entry.id, unlockerKey, known: [:])
            return UnlockedKeyring(
                directory: directory, document: document, rootKeys: rootKeys, openedBy: entry.id,
                unlockerKey: unlockerKey)
        }
        throw KeyringError(plan.untried == 0 ? .unlockFailed : .unlockCostExceeded(untried: plan.untried), path)
    }

    /// Opens the root keys of one unlocker that are not held yet, and shows that they and the file are authentic.
    ///
    /// - Parameter held: the root keys of this keyring that are trusted already; none where it is opened for the first time.
    func rootKeys(
        of unlocker: String, _ unlockerKey: SecretBox, known held: [Int: SecretBox]
    ) throws -> [Int: SecretBox] {
        let path = Self.path(in: directory)
        var rootKeys: [Int: SecretBox] = [:]
        for root in document.liveRootKeys {
            if let box = held[root.version] {
                rootKeys[root.version] = box
            } else if let recipient = root.recipients.first(where: { $0.unlocker == unlocker }) {
                let opened = try unlockerKey.withSecret { privateKey in
                    do {
                        return SecretBox(
                            try RootKeySealing.open(
                                recipient, version: root.version, privateKey: privateKey, keyring: id))
                    } catch is CryptoError { throw KeyringError(.forged(.keyring), path) }
                }
                guard let opened else { throw KeyringError(.locked) }
                rootKeys[root.version] = opened
            }
        }
        guard let rootKey = rootKeys[file.rootVersion] else { throw KeyringError(.unlockerRemoved, path) }
        let verified = try rootKey.withSecret { try file.verified(under: $0, format: KeyringDocument.format) }
        guard verified != nil else { throw KeyringError(.locked) }
        try checkEndorsements(by: rootKeys)
        guard try isContinuous(rootKeys, with: held) else { throw KeyringError(.continuityBroken, path) }
        return rootKeys
    }

    /// Whether a chain of endorsements leads to each root key from one that is held: custody.md, rule 1. Between the live ones
    /// the endorsements have been checked.
    private func isContinuous(_ rootKeys: [Int: SecretBox], with held: [Int: SecretBox]) throws -> Bool {
        if held.isEmpty || CustodyCheck.continuity.isSkipped { return true }
        let live = document.liveRootKeys
        if live.contains(where: { held[$0.version] != nil }) { return true }
        // Every held one was destroyed meanwhile. The endorsement by the last of them is still there.
        guard let lowest = live.first, let key = rootKeys[lowest.version],
            let previous = document.rootKeys.map(\.version).filter({ $0 < lowest.version }).max(),
            let endorser = held[previous]
        else { return false }
        return try isEndorsed(lowest, key, by: endorser, version: previous)
    }

    /// That each root key which is not destroyed is vouched for by the one before it.
    private func checkEndorsements(by rootKeys: [Int: SecretBox]) throws {
        let live = document.liveRootKeys
        for (previous, root) in zip(live, live.dropFirst()) {
            guard let new = rootKeys[root.version], let old = rootKeys[previous.version] else {
                throw KeyringError(.locked)
            }
            guard try isEndorsed(root, new, by: old, version: previous.version) else {
                throw KeyringError(.forged(.keyring), Self.path(in: directory))
            }
        }
    }

    private func isEndorsed(
        _ root: KeyringDocument.RootKey, _ new: SecretBox, by old: SecretBox, version: Int
    ) throws -> Bool {
        let expected = try new.withSecret { new in
            try old.withSecret { old in
                try RootKeyEndorsement.make(
                    of: new, version: root.version, by: old, previousVersion: version, keyring: id)
            }
        }
        guard let expected = expected ?? nil else { throw KeyringError(.locked) }
        return ConstantTime.areEqual(expected, Array(root.endorsement ?? Data()))
    }

    static func checkLabel(_ label: String) throws(KeyringError) {
        let isPlain = label.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        guard label.count <= 100, isPlain else { throw KeyringError(.labelInvalid) }
    }
}

extension UnlockSecret {
    /// That the policy lets this secret become an unlocker.
    func check(against policy: KeyPolicy) throws(KeyringError) {
        guard policy.allowedUnlockers.contains(kind) else { throw KeyringError(.unlockerKindForbidden) }
        if kind == .passphrase, bytes.count < policy.minimumPassphraseBytes {
            throw KeyringError(.passphraseTooShort(minimumBytes: policy.minimumPassphraseBytes))
        }
    }
}

extension KeyringDocument.Unlocker {
    var info: UnlockerInfo {
        let derivation: String? =
            switch sealing?.derivation {
            case .scrypt: "scrypt"
            case .pbkdf2: "pbkdf2-hmac-sha512"
            case .hkdf: "hkdf-sha256"
            case nil: nil
            }
        return UnlockerInfo(id: id, kind: kind, label: label, created: created, derivation: derivation)
    }
}
