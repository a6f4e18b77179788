// DESIGN "On disk": a directory with a global database and one database a profile, opened with a keyring.

import DurableFiles
public import GRDB
public import KeyPolicy
package import Keyring
public import Logging
import Secrets
import Snapshots
import Synchronization
public import SystemPackage

/// An open store: the profiles in it, and the keys to them. ``lock()`` closes all and wipes the keys.
///
/// ```swift
/// let store = try Store.open(at: "/home/me/store", with: .keyFile("/media/me/key"))
/// let profile = try store.openProfile(named: "Work")
/// try await profile.database.write { db in try db.execute(sql: "…") }
/// try store.lock()
/// ```
///
/// It may be shared between threads and tasks.
public final class Store: Sendable {
    /// Where a new store's policy comes from.
    public enum PolicySource: Sendable {
        /// One that comes with Strongroom: `default`, `strict`, `fips`.
        case shipped(String)
        /// A file; the store keeps a copy.
        case file(FilePath)
    }

    /// How long the global database may be held by another process before that is an error, in milliseconds.
    static let globalPatienceMilliseconds = 5_000

    /// The store's directory.
    public let directory: FilePath
    /// `store_` and 16 base32 digits.
    public let id: String
    /// The policy that the store is pinned to.
    public let policy: KeyPolicy
    /// The unlocked keyring.
    package let keyring: UnlockedKeyring

    let schema: StoreSchema
    let recovery: RecoveryMode
    let onRecovery: (@Sendable (RecoveryEvent) -> Void)?
    let allowsPlaintextAttach: Bool
    let logger: Logger
    private let openProfiles = Mutex<[ObjectIdentifier: WeakProfile]>([:])
    private let isLocked = Mutex(false)
    /// An older keyring that an operator has accepted and that is not written down yet.
    let acceptedOlderState = Mutex<OlderState?>(nil)

    private struct WeakProfile { weak var profile: Profile? }

    private init(
        directory: FilePath, document: StoreDocument, policy: KeyPolicy, keyring: UnlockedKeyring,
        options: StoreOptions, logger: Logger
    ) {
        self.directory = directory
        id = document.storeId
        self.policy = policy
        self.keyring = keyring
        schema = options.schema
        recovery = options.recovery
        onRecovery = options.onRecovery
        allowsPlaintextAttach = options.allowsPlaintextAttach
        self.logger = logger
        if let code = MemoryLock.takeUnreportedFailure() {
            logger.warning("memory_not_locked", metadata: ["errno": "\(code)"])
        }
    }

    /// Where a store keeps its keyring unless another place is named.
    public static func defaultKeyringDirectory(of store: FilePath) -> FilePath { store.appending("keyring") }

    // MARK: Making and opening

    /// Makes a store with a keyring of its own.
    ///
    /// - Parameters:
    ///   - directory: where the store is to be; it must not exist, or be empty.
    ///   - keyring: where the keys are to be; inside the store unless another place is named.
    ///   - policy: the policy that the store is pinned to.
    ///   - unlockers: the first unlockers, each with a label; as many as the policy requires.
    ///   - options: the app's migrations, and what it wants to be done about damage.
    ///   - logger: gets codes and numbers, never names, paths, content or keys.
    /// - Throws: `StrongroomError.storeExists` where something is there; `KeyPolicyError`, `KeyringError` and
    ///   `DurableFilesError` before anything is written, or after what was written has been removed.
    public static func create(
        at directory: FilePath, keyring keyringDirectory: FilePath? = nil, policy: PolicySource = .shipped("default"),
        unlockers: [(secret: UnlockSecret, label: String)], options: StoreOptions = StoreOptions(),
        logger: Logger = Logger(label: "strongroom")
    ) throws -> Store {
        _ = try Engine.versions()
        let (policy, policyBytes) = try read(policy)
        try requireText(directory)
        let existed = try StrictFiles.exists(directory)
        if existed {
            try StrictFiles.requireOwnDirectory(directory)
            guard try DurableFiles.names(in: directory).isEmpty else {
                throw StrongroomError(.storeExists, directory)
            }
        } else {
            try DurableFiles.createDirectory(directory)
        }
        do {
            let keyring = try LockedKeyring.create(
                in: keyringDirectory ?? defaultKeyringDirectory(of: directory), policy: policy, unlockers: unlockers)
            let document = try StoreDocument(keyringID: keyring.id, policy: policy)
            try DurableFiles.replace(policyPath(in: directory), with: policyBytes)
            try DurableFiles.createDirectory(DatabaseFiles.profilesDirectory(in: directory))
            try keyring.createEnvelope(for: .global, pageFormat: policy.pageFormat)
            let store = Store(
                directory: directory, document: document, policy: policy, keyring: keyring, options: options,
                logger: logger)
            try store.withGlobal(isNew: true) {
                try ProfileRegistry.create(in: $0.writer, keyringSequence: keyring.sequence)
            }
            // The app's migrations.
            try store.withGlobal { _ in }
            store.reserve.make()
            try keyring.write(document, to: documentPath(in: directory))
            return store
        } catch {
            // Nothing in here was ever acknowledged, so it may go; a keyring elsewhere is left for its owner to remove.
            for name in (try? DurableFiles.names(in: directory)) ?? [] {
                try? DurableFiles.removeTree(directory.appending(name))
                try? DurableFiles.remove(directory.appending(name))
            }
            if !existed { try? DurableFiles.removeTree(directory) }
            throw error
        }
    }

    /// Opens a store: unlocks its keyring, verifies its files, checks that nothing was put back from the past.
    ///
    /// - Parameters:
    ///   - directory: the store.
    ///   - keyring: where its keys are; inside the store unless another place is named.
    ///   - secret: a passphrase, a key file or a recovery key.
    ///   - unlocker: the id of the unlocker that the secret opens; where it is not named, those of its kind are tried, the cheapest
    ///     first.
    ///   - onTry: called before each try. What it is told has not been verified.
    ///   - options: the app's migrations, and what it wants to be done about damage.
    ///   - logger: gets codes and numbers, never names, paths, content or keys.
    /// - Throws: `KeyringError.unlockFailed` where the secret opens no unlocker; `.unlockCostExceeded` where it opens none of those
    ///   that were tried, and trying the others would cost more than half a minute; other errors, each with a code of its
    ///   own, where a file is missing, damaged, forged or old. Nothing is changed then.
    public static func open(
        at directory: FilePath, keyring keyringDirectory: FilePath? = nil, with secret: UnlockSecret,
        unlocker: String? = nil, onTry: UnlockTryHandler? = nil, options: StoreOptions = StoreOptions(),
        logger: Logger = Logger(label: "strongroom")
    ) throws -> Store {
        let store = try openWithoutGlobal(
            at: directory, keyring: keyringDirectory, with: secret, unlocker: unlocker, onTry: onTry, options: options,
            logger: logger)
        do {
            try store.noticeRollback()
            return store
        } catch {
            store.keyring.lock()
            throw error
        }
    }

    /// Opens a store whose global database may be the one thing that is broken, so that a snapshot of it can be looked at
    /// and restored. Whether the keyring was put back from the past is not noticed: that is known to the global database.
    ///
    /// - Throws: as ``open(at:keyring:with:unlocker:onTry:options:logger:)``, but for what is wrong with the global database.
    public static func openWithoutGlobal(
        at directory: FilePath, keyring keyringDirectory: FilePath? = nil, with secret: UnlockSecret,
        unlocker: String? = nil, onTry: UnlockTryHandler? = nil, options: StoreOptions = StoreOptions(),
        logger: Logger = Logger(label: "strongroom")
    ) throws -> Store {
        let path = documentPath(in: directory)
        guard try StrictFiles.exists(directory), try StrictFiles.exists(path) else {
            throw StrongroomError(.storeMissing, directory)
        }
        try StrictFiles.requireOwnDirectory(directory)
        try requireText(directory)
        try StrictFiles.requireOwnDirectories([DatabaseFiles.profilesDirectory(in: directory)])
        let claimed = try StoreDocument(unverifiedFrom: path)
        let locked = try LockedKeyring(in: keyringDirectory ?? defaultKeyringDirectory(of: directory))
        guard locked.id == claimed.keyringId else { throw KeyringError(.belongsToAnotherKeyring(.store), path) }
        let keyring = try locked.unlock(with: secret, unlocker: unlocker, onTry: onTry)
        do {
            let document = try keyring.read(StoreDocument.self, from: path)
            let policyPath = policyPath(in: directory)
            let bytes = try StrictFiles.read(policyPath, limit: KeyPolicy.maximumFileBytes)
            guard try KeyPolicy.digest(of: bytes) == document.policy.digest else {
                throw StrongroomError(.policyChanged, policyPath)
            }
            let policy = try KeyPolicy(parsing: bytes, file: "policy.yaml")
            return Store(
                directory: directory, document: document, policy: policy, keyring: keyring, options: options,
                logger: logger)
        } catch {
            keyring.lock()
            throw error
        }
    }

    /// Closes every open profile and wipes every key. The store cannot be used any more; open it again.
    ///
    /// - Throws: the first error in closing a profile; all are closed and all keys are wiped all the same.
    public func lock() throws {
        isLocked.withLock { $0 = true }
        let profiles = openProfiles.withLock { open in
            defer { open = [:] }
            return open.values.compactMap(\.profile)
        }
        var firstError: (any Error)?
        for profile in profiles {
            do { try profile.close() } catch { firstError = firstError ?? error }
        }
        keyring.lock()
        if let firstError { throw firstError }
    }

    // MARK: The global database

    /// Reads from the global database. It is open for this call only, so that other processes can have their turn.
    ///
    /// - Parameter body: is run a second time where the disk is full, or the database had to be recovered first.
    /// - Throws: `StrongroomError`, and whatever `body` throws.
    public func readGlobal<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try reserve.whereNeeded { try withGlobal { open in try open.writer.read(body) } }
    }

    /// Writes to the global database in one transaction. It is open for this call only.
    ///
    /// - Parameter body: is run a second time, after what it did was rolled back, where the disk is full, or the database had to be recovered.
    /// - Throws: `StrongroomError`, and whatever `body` throws; nothing is written then.
    public func writeGlobal<Result>(_ body: (Database) throws -> Result) throws -> Result {
        // Whether a commit that failed took place is not known, so it is not made again.
        var isCommitting = false
        let result = try reserve.whereNeeded(isRepeatable: { !isCommitting }) {
            try withGlobal { open in
                try open.beginSession()
                return try open.writer.write { db in
                    let result = try body(db)
                    try open.noteChange(db)
                    isCommitting = true
                    return result
                }
            }
        }
        reserve.make()
        return result
    }

    /// Reads from the global database, and waits for its turn and for the disk on a thread that is no task's.
    ///
    /// - Throws: `StrongroomError`, and whatever `body` throws.
    public func readGlobal<Result: Sendable>(
        _ body: @Sendable @escaping (Database) throws -> Result
    ) async throws -> Result {
        let read: @Sendable () throws -> Result = { try self.readGlobal(body) }
        return try await BlockingWork.run(read)
    }

    /// Writes to the global database in one transaction, and waits for its turn and for the disk on a thread that is no task's.
    ///
    /// - Throws: `StrongroomError`, and whatever `body` throws; nothing is written then.
    public func writeGlobal<Result: Sendable>(
        _ body: @Sendable @escaping (Database) throws -> Result
    ) async throws -> Result {
        let write: @Sendable () throws -> Result = { try self.writeGlobal(body) }
        return try await BlockingWork.run(write)
    }

    private func withGlobal<Result>(
        isNew: Bool = false, _ body: (OpenDatabase<DatabaseQueue>) throws -> Result
    ) throws -> Result {
        guard !isLocked.withLock({ $0 }) else { throw StrongroomError(.storeLocked) }
        let files = try files(of: .global)
        let lock = try lockGlobal(files)
        defer { lock.release() }
        do {
            return try withGlobal(files, lock, isNew: isNew, body)
        } catch {
            // What `body` did is rolled back: it is one transaction everywhere.
            guard !isNew, let event = try recovered(files, from: error) else { throw error }
            do {
                return try withGlobal(files, lock, isNew: false, body)
            } catch {
                // Only now is it seen what was behind the journal.
                guard event.plan.action == .moveJournal,
                    try recovered(files, from: error, journal: event.journal) != nil
                else { throw error }
                return try withGlobal(files, lock, isNew: false, body)
            }
        }
    }

    private func withGlobal<Result>(
        _ files: DatabaseFiles, _ lock: FileLock, isNew: Bool, _ body: (OpenDatabase<DatabaseQueue>) throws -> Result
    ) throws -> Result {
        let open = try OpenDatabase(
            files, lock: lock, keyring: keyring, policy: policy, isNew: isNew, isWritten: false,
            allowsPlaintextAttach: allowsPlaintextAttach,
            // A snapshot is taken before a migration, while the database is open.
            isOnlyConnection: schema.global == nil
        ) { try DatabaseQueue(path: $0, configuration: $1) }
        if !isNew { try migrate(open, schema.global) }
        let result: Result
        do {
            result = try body(open)
        } catch {
            let told = open.explained(error, .registry)
            try? open.close()
            throw told
        }
        do {
            try open.close()
        } catch {
            // What `body` wrote was committed, and is durable; the next one to open brings the rest up to date.
            logger.warning(
                "global_close_incomplete", metadata: ["code": "\((error as? any ReportableError)?.code ?? "")"])
        }
        return result
    }

    /// The lock of the global database, which is held for as long as a call takes.
    func lockGlobal(_ files: DatabaseFiles) throws -> FileLock {
        do {
            return try FileLock(files.lock, patienceMilliseconds: Self.globalPatienceMilliseconds)
        } catch {
            guard case .isLocked(let process) = error.reason else { throw error }
            throw StrongroomError(.storeInUse(process: process), files.lock)
        }
    }

    private func noticeRollback() throws {
        let sequence = keyring.sequence
        let (seen, sequences) = try readGlobal {
            (try ProfileRegistry.keyringSequence($0), try ProfileRegistry.envelopeSequences($0))
        }
        for (scope, sequence) in sequences { keyring.require(sequence: sequence, of: scope) }
        guard sequence >= seen || CustodyCheck.sequence.isSkipped else {
            throw KeyringError(.rolledBack(.keyring), keyring.directory)
        }
        try noteKeyringSequence(seen: seen)
    }

    /// Keeps the keyring's sequence inside the global database, so that an older keyring file is noticed.
    func noteKeyringSequence(seen: Int = 0) throws {
        let sequence = keyring.sequence
        guard sequence > seen else { return }
        try writeGlobal { try ProfileRegistry.setKeyringSequence(sequence, $0) }
    }

    // MARK: Parts

    var reserve: RoomReserve { RoomReserve(in: directory) }

    func noteOpen(_ profile: Profile) {
        openProfiles.withLock { $0[ObjectIdentifier(profile)] = WeakProfile(profile: profile) }
    }

    /// The profile, where it is open in this process.
    func openProfile(_ id: ProfileID) -> Profile? {
        openProfiles.withLock { $0.values.compactMap(\.profile).first { $0.info.id == id } }
    }

    func noteClosed(_ profile: Profile) {
        _ = openProfiles.withLock { $0.removeValue(forKey: ObjectIdentifier(profile)) }
    }

    func requireUnlocked() throws {
        guard !isLocked.withLock({ $0 }) else { throw StrongroomError(.storeLocked) }
    }

    /// That SQLite, which takes nothing but text, can be given a path below `directory`.
    private static func requireText(_ directory: FilePath) throws {
        guard directory.text != nil else { throw DurableFilesError.isNotText(directory) }
    }

    static func documentPath(in store: FilePath) -> FilePath { store.appending("store.json") }
    static func policyPath(in store: FilePath) -> FilePath { store.appending("policy.yaml") }

    private static func read(_ source: PolicySource) throws -> (KeyPolicy, [UInt8]) {
        switch source {
        case .shipped(let name):
            let bytes = try KeyPolicy.shippedBytes(named: name)
            return (try KeyPolicy(parsing: bytes, file: name), bytes)
        case .file(let path):
            return try KeyPolicy.read(from: path)
        }
    }
}

extension KeyPolicy {
    /// Reads a policy file of one's own.
    ///
    /// - Returns: the policy and the file's bytes.
    /// - Throws: `KeyPolicyError`, naming file, line and key; `DurableFilesError` where there is no such file.
    public static func read(from path: FilePath) throws -> (policy: KeyPolicy, bytes: [UInt8]) {
        let bytes = try DataFile(path).bytes(at: 0, count: maximumFileBytes + 1)
        return (try KeyPolicy(parsing: bytes, file: path.name?.shown ?? "policy"), bytes)
    }
}
