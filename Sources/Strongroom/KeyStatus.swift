// The state of the keys, as numbers, enums, dates and ids. There is no field here that a path, SQL, content or a key
// could be put into.

public import Foundation
public import KeyPolicy
public import Keyring

/// The keys of a store: who opens it, how old its keys are, what is due.
public struct KeyStatus: Sendable, Codable {
    /// One data key.
    public struct DataKey: Sendable, Codable {
        /// `global` or a profile's id.
        public let scope: String
        /// Counted from 1.
        public let generation: Int
        /// Where it is in its life.
        public let state: KeyState
        /// When it was made.
        public let created: Date
        /// Whole days since then.
        public let ageDays: Int
        /// Whether the policy wants it rotated.
        public let isDue: Bool
        /// What the files under it begin with: 32 hex digits.
        public let keyId: String
        /// How many files begin with that: the database, snapshots, quarantined and other files; nil where they
        /// were not looked at.
        public let files: Int?
        /// When it stopped being the active one.
        public let retired: Date?
    }

    /// The SQL engine of this process.
    public struct Engine: Sendable, Codable {
        /// Such as `4.6.1`.
        public let sqlcipherVersion: String
        /// Such as `3.46.1`.
        public let sqliteVersion: String
    }

    /// The last backup of the keyring that this store knows of.
    public struct Backup: Sendable, Codable {
        /// When it was made.
        public let date: Date
        /// The keyring's sequence at that time.
        public let keyringSequence: Int
    }

    /// One root key.
    public struct RootKey: Sendable, Codable {
        /// Counted from 1.
        public let version: Int
        /// Where it is in its life.
        public let state: KeyState
        /// When it was made.
        public let created: Date
        /// Whole days since then.
        public let ageDays: Int
        /// Whether the policy wants it rotated.
        public let isDue: Bool
    }

    /// `kr_` and 16 base32 digits.
    public let keyringId: String
    /// Grows with each change of the keyring.
    public let keyringSequence: Int
    /// Who may unlock it.
    public let unlockers: [UnlockerInfo]
    /// The unlocker that opened it now.
    public let openedBy: String
    /// The root keys, oldest first.
    public let rootKeys: [RootKey]
    /// The data keys: the global database's, then the profiles' by id.
    public let dataKeys: [DataKey]
    /// After how many days the policy wants a root key rotated.
    public let maximumRootKeyAgeDays: Int
    /// After how many days the policy wants a data key rotated.
    public let maximumDataKeyAgeDays: Int
    /// Rotations that were begun and are not finished.
    public let rotations: [RotationInfo]
    /// The last backup of the keyring; nil where none was made with this store.
    public let lastBackup: Backup?
    /// The SQL engine of this process.
    public let engine: Engine
    /// Databases whose envelope cannot be used, with the code of the error.
    public let unusableEnvelopes: [UnusableEnvelope]

    /// An envelope that cannot be used.
    public struct UnusableEnvelope: Sendable, Codable {
        /// `global` or a profile's id.
        public let scope: String
        /// The code of the error.
        public let code: String
    }
}

extension Store {
    /// The state of every key. It reads each database's envelope, and the first bytes of every file under them.
    public func keyStatus(now: Date = Date()) throws -> KeyStatus { try keyStatus(now: now, countingFiles: true) }

    func keyStatus(now: Date, countingFiles: Bool) throws -> KeyStatus {
        let versions = try Strongroom.Engine.versions()
        let scopes = [KeyScope.global] + (try profiles().map { .profile($0.id) }).sorted { "\($0)" < "\($1)" }
        var dataKeys: [KeyStatus.DataKey] = []
        var unusable: [KeyStatus.UnusableEnvelope] = []
        for scope in scopes {
            do {
                let envelope = try keyring.envelope(for: scope)
                let files =
                    try countingFiles
                    ? FilesUnderKeys(of: files(of: scope), envelope, candidates: []) : nil
                dataKeys += envelope.dataKeys.map {
                    status(of: $0, scope: scope, files: files?.count(under: $0.generation), now: now)
                }
            } catch let error as any ReportableError {
                unusable.append(.init(scope: scope.description, code: error.code))
            }
        }
        let rootKeys = keyring.rootKeyInfos.map { root in
            let age = Self.days(from: root.created, to: now)
            return KeyStatus.RootKey(
                version: root.version, state: root.state, created: root.created, ageDays: age,
                isDue: root.state == .active && age > policy.maximumRootKeyAgeDays)
        }
        return KeyStatus(
            keyringId: keyring.id, keyringSequence: keyring.sequence, unlockers: keyring.unlockers,
            openedBy: keyring.openedBy, rootKeys: rootKeys, dataKeys: dataKeys,
            maximumRootKeyAgeDays: policy.maximumRootKeyAgeDays, maximumDataKeyAgeDays: policy.maximumDataKeyAgeDays,
            rotations: keyring.rotations,
            lastBackup: try lastBackup().map { .init(date: $0.date, keyringSequence: $0.sequence) },
            engine: .init(sqlcipherVersion: versions.sqlcipher, sqliteVersion: versions.sqlite),
            unusableEnvelopes: unusable)
    }

    /// Everything in which the store's keys do not follow its policy.
    public func policyViolations(now: Date = Date()) throws -> [PolicyViolation] {
        let status = try keyStatus(now: now, countingFiles: false)
        let posture = KeyPosture(
            unlockers: keyring.unlockerPosture,
            rootKeyAgeDays: status.rootKeys.first { $0.state == .active }?.ageDays ?? 0,
            dataKeyAgeDays: status.dataKeys.filter { $0.state == .active }.map(\.ageDays))
        return policy.violations(in: posture)
    }

    private func status(of key: DataKeyInfo, scope: KeyScope, files: Int?, now: Date) -> KeyStatus.DataKey {
        let age = Self.days(from: key.created, to: now)
        return KeyStatus.DataKey(
            scope: scope.description, generation: key.generation, state: key.state, created: key.created, ageDays: age,
            isDue: key.state == .active && age > policy.maximumDataKeyAgeDays, keyId: key.keyID.description,
            files: files, retired: key.retired)
    }

    /// Whole days; none where the clock has gone backwards.
    static func days(from start: Date, to end: Date) -> Int {
        max(0, Int((end.timeIntervalSince(start) / 86_400).rounded(.down)))
    }
}
