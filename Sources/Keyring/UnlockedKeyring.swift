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

    /// What was last read from the file, and what it opened.
    private struct State {
        var document: KeyringDocument
        var rootKeys: [Int: SecretBox]
    }

    private let state: Mutex<State>
    /// The lowest sequence that each envelope may have: what was read before, or what the global database notes.
    private let lowestSequences = Mutex<[KeyScope: Int]>([:])
    /// The sequence up to which an operator accepts that this keyring is older than its witnesses say.
    private let acceptedSequence = Mutex(0)
    /// The private key of the unlocker: it opens the next root key where another process rotates.
    private let unlockerKey: SecretBox

    init(
        directory: FilePath, document: KeyringDocument, rootKeys: [Int: SecretBox], openedBy: String,
        unlockerKey: SecretBox
    ) {
        self.directory = directory
        state = Mutex(State(document: document, rootKeys: rootKeys))
        id = document.keyringId
        self.openedBy = openedBy
        self.unlockerKey = unlockerKey
    }

    /// Says the keyring's id, never a key.
    public var description: String { "UnlockedKeyring(\(id))" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Grows with each change.
    public var sequence: Int { document.sequence }
    /// Who may unlock it.
    public var unlockers: [UnlockerInfo] { document.unlockers.map(\.info) }
    /// The root keys, oldest first.
    public var rootKeyInfos: [RootKeyInfo] {
        document.rootKeys.map { RootKeyInfo(version: $0.version, state: $0.state, created: $0.created) }
            .sorted { $0.version < $1.version }
    }
    /// What was begun and is not finished.
    public var rotations: [RotationInfo] { document.rotations ?? [] }

    private var document: KeyringDocument { state.withLock { $0.document } }

    /// What a policy judges of the unlockers.
    public var unlockerPosture: [KeyPosture.Unlocker] {
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

    /// Goes on although envelopes have seen the keyring at a higher sequence, up to this one: an operator has accepted that.
    package func accept(witnessedSequence: Int) { acceptedSequence.withLock { $0 = max($0, witnessedSequence) } }

    var highestAcceptedSequence: Int { acceptedSequence.withLock { $0 } }

    /// Refuses, from now on, an envelope of a lower sequence.
    package func require(sequence: Int, of scope: KeyScope) {
        lowestSequences.withLock { $0[scope] = max($0[scope] ?? 0, sequence) }
    }

    func lowestSequence(of scope: KeyScope) -> Int { lowestSequences.withLock { $0[scope] ?? 0 } }

    /// Wipes the root keys. The keyring cannot be used any more; open it again.
    public func lock() {
        unlockerKey.wipe()
        for rootKey in state.withLock({ $0.rootKeys.values.map(\.self) }) { rootKey.wipe() }
    }

    /// The root keys that are open.
    var heldRootKeys: [Int: SecretBox] { state.withLock { $0.rootKeys } }
    var unlockerKeyBox: SecretBox { unlockerKey }

    /// Lends the private key of the unlocker that opened the keyring; nil once it is locked.
    func withUnlockerKey<Result>(_ body: (borrowing SecretBytes) throws -> Result) rethrows -> Result? {
        try unlockerKey.withSecret(body)
    }

    // MARK: The file

    /// One change at a time, across processes and within this one.
    func withFileLock<Result>(_ body: () throws -> Result) throws -> Result {
        let lock = try FileLock(
            LockedKeyring.lockPath(in: directory), patienceMilliseconds: Self.lockPatienceMilliseconds)
        defer { lock.release() }
        return try body()
    }

    /// What is on disk now, verified, and not older than what was seen before. Root keys that are new are opened.
    @discardableResult
    func readVerified() throws -> KeyringDocument {
        while true {
            let (known, held) = state.withLock { ($0.document.sequence, $0.rootKeys) }
            do {
                return try readVerified(noOlderThan: known, continuing: held)
            } catch let error as KeyringError {
                // Another thread may have followed a rotation meanwhile, and wiped what this one started from.
                guard error.reason == .locked, state.withLock({ $0.document.sequence }) != known else { throw error }
            }
        }
    }

    private func readVerified(noOlderThan known: Int, continuing held: [Int: SecretBox]) throws -> KeyringDocument {
        let locked = try LockedKeyring(in: directory)
        let path = LockedKeyring.path(in: directory)
        guard locked.id == id else { throw KeyringError(.belongsToAnotherKeyring(.keyring), path) }
        let rootKeys: [Int: SecretBox]
        do {
            rootKeys = try locked.rootKeys(of: openedBy, unlockerKey, known: held)
        } catch let error as KeyringError {
            // An older file has older root keys.
            let isOlder = error.reason == .continuityBroken && locked.sequence < known
            throw isOlder ? KeyringError(.rolledBack(.keyring), path) : error
        }
        guard locked.sequence >= known || CustodyCheck.sequence.isSkipped else {
            throw KeyringError(.rolledBack(.keyring), path)
        }
        state.withLock { state in
            // Another thread may have read a newer one meanwhile.
            guard locked.sequence >= state.document.sequence else { return }
            for (version, key) in state.rootKeys where rootKeys[version] == nil { key.wipe() }
            state = State(document: locked.document, rootKeys: rootKeys)
        }
        return locked.document
    }

    /// Writes the keyring with one change, under its active root key, and reads it back.
    ///
    /// - Parameter newRootKey: the active root key, where it is a new one.
    func write(_ changed: KeyringDocument, newRootKey: SecretBox? = nil) throws {
        var changed = changed
        changed.sequence += 1
        changed.updated = DocumentCoding.now()
        changed.critical = KeyringDocument.criticalFields.filter { name in
            name == "rotations" ? changed.rotations != nil : changed.rootKeys.contains { $0.endorsement != nil }
        }.sorted()
        guard changed.followsItsFormat, let active = changed.activeRootKey else {
            throw KeyringError(.malformed(.keyring))
        }
        let body = try DocumentCoding.encode(changed)
        let authenticate = { (rootKey: borrowing SecretBytes) throws -> [UInt8] in
            try AuthenticatedFile.bytes(
                of: body, format: KeyringDocument.format, rootVersion: active.version, rootKey: rootKey)
        }
        let bytes: [UInt8]
        if let newRootKey {
            guard let made = try newRootKey.withSecret(authenticate) else { throw KeyringError(.locked) }
            bytes = made
        } else {
            bytes = try withRootKey(active.version, authenticate)
        }
        guard bytes.count <= KeyringDocument.maximumBytes else { throw KeyringError(.tooManyUnlockers) }
        try DurableFiles.replace(LockedKeyring.path(in: directory), with: bytes)
        try readVerified()
    }

    /// Keeps rotations away for as long as the lock is held; any number may do so at once. A snapshot that was taken while
    /// its database moved to another key could not be restored.
    ///
    /// - Throws: `KeyringError.rotationBlocked` where a rotation is under way.
    package func holdRotation() throws -> FileLock { try rotationLock(shared: true) }

    /// Waits until nobody keeps rotations away, and then keeps everybody away who would.
    ///
    /// - Throws: `KeyringError.rotationBlocked`.
    package func beginRotation() throws -> FileLock { try rotationLock(shared: false) }

    private func rotationLock(shared: Bool) throws -> FileLock {
        let path = directory.appending("rotation.lock")
        do {
            return try FileLock(path, shared: shared, patienceMilliseconds: Self.lockPatienceMilliseconds)
        } catch {
            guard case .isLocked = error.reason else { throw error }
            throw KeyringError(.rotationBlocked, path)
        }
    }

    // MARK: Root keys

    /// The version that new things are sealed under, as it was when the file was last read.
    package var activeRootVersion: Int { document.activeRootKey?.version ?? 0 }

    /// The version that new things are sealed under, as the file says now. Called with the file's lock held, so that nothing
    /// comes under a root key that another process has just replaced.
    func currentRootVersion() throws -> Int {
        guard let active = try readVerified().activeRootKey else { throw KeyringError(.malformed(.keyring)) }
        return active.version
    }

    /// Makes sure that the root key of a file which was just read is open, where it belongs to this keyring at all.
    func requireRootKey(_ version: Int, of file: KeyringError.File, _ path: FilePath) throws {
        func state(_ document: KeyringDocument) -> KeyState? {
            document.rootKeys.first { $0.version == version }?.state
        }
        var found = state(document)
        if found != .active { found = try state(readVerified()) }
        switch found {
        // The store's own file is of this keyring, and under a root key that is newer than any of it.
        case nil where file == .store && version > (rootKeyInfos.last?.version ?? 0):
            throw KeyringError(.rolledBack(.keyring), LockedKeyring.path(in: directory))
        case nil: throw KeyringError(file == .envelope ? .forged(file) : .belongsToAnotherKeyring(file), path)
        // It was written again when that root key was rotated, so this is an older copy.
        case .destroyed: throw KeyringError(.rolledBack(file), path)
        default: break
        }
    }

    /// Whether a root key is there to be used.
    func isOpen(rootVersion version: Int) -> Bool { state.withLock { $0.rootKeys[version] != nil } }

    func withRootKey<Result>(_ version: Int, _ body: (borrowing SecretBytes) throws -> Result) throws -> Result {
        let box = state.withLock { $0.rootKeys[version] }
        guard let result = try box?.withSecret(body) else { throw KeyringError(.locked) }
        return result
    }

    /// A key for one purpose, derived from a root key.
    func deriveFromRootKey(_ version: Int, label: String) throws -> SecretBytes {
        var derived: SecretBytes?
        try withRootKey(version) { derived = try HKDF.derive(from: $0, label: label) }
        guard let derived else { throw KeyringError(.locked) }
        return derived
    }
}
