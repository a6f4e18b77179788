// The keyring brought back from a backup. What is on disk may be forged or old, and the backup may be old: docs/security/custody.md,
// rules 1 to 3. Everything is decided before anything is written.

import CryptoPrimitives
import DurableFiles
import ErrorReporting
import Foundation
import KeyPolicy
import Keyring
import Snapshots
public import SystemPackage

/// What bringing a keyring back from a backup did, or would do.
public struct KeyringRestoreReport: Sendable, Codable {
    /// Whether the file with the unlockers and root keys came from the backup; otherwise the one that was there opened, and was no
    /// older.
    public let isKeyringReplaced: Bool
    /// The sequence of the keyring that was chosen.
    public let sequence: Int
    /// The older state that was accepted, or in a dry run would have to be; nil where nothing says that it is older.
    public let olderState: OlderState?
    /// Whether `store.json` came from the backup.
    public let isStoreFileReplaced: Bool
    /// Whether `policy.yaml` came from the backup.
    public let isPolicyReplaced: Bool
    /// `global` and ids of profiles whose envelope came from the backup; the others were there and could be used.
    public let envelopesReplaced: [String]
    /// Databases whose epoch the envelope did not know: they were changed after the backup was made.
    public let epochsBroughtUpToDate: [String]
    /// What could not be brought back.
    public let failed: [FailedDatabase]
}

extension Store {
    /// Brings a keyring back that is lost, damaged or has lost envelopes. What is there and can be used stays; what takes its
    /// place is moved aside, not deleted.
    ///
    /// - Parameters:
    ///   - directory: the store.
    ///   - keyring: where its keys are, or were; inside the store unless another place is named.
    ///   - backup: a directory that ``backUpKeyring(to:isDryRun:)`` made.
    ///   - secret: an unlocker that the backup knows.
    ///   - unlocker: its id, where it is the only one to be tried.
    ///   - onTry: called before each try, of the backup and of what is there.
    ///   - acceptingSequence: the sequence of the newest keyring at hand, where that is older than one seen before and is to be accepted
    ///     all the same.
    ///   - acceptingPolicy: the SHA-256 of `policy.yaml`, 64 hex digits, where no key at hand verifies the store's own file.
    ///   - isDryRun: whether to say only what would come from the backup.
    /// - Throws: `KeyringError` where the secret does not open the backup, it is of another store, or older than what was seen
    ///   before. Nothing is changed then.
    public static func restoreKeyring(
        of directory: FilePath, keyring keyringDirectory: FilePath? = nil, from backup: FilePath,
        with secret: UnlockSecret, unlocker: String? = nil, onTry: UnlockTryHandler? = nil,
        acceptingSequence: Int? = nil, acceptingPolicy: String? = nil, isDryRun: Bool = false
    ) async throws -> KeyringRestoreReport {
        try await BlockingWork.run {
            let target = keyringDirectory ?? defaultKeyringDirectory(of: directory)
            let unlock = { (place: FilePath) throws -> UnlockedKeyring in
                try LockedKeyring(in: place).unlock(with: secret, unlocker: unlocker, onTry: onTry)
            }
            let kept = try unlock(backup)
            defer { kept.lock() }
            var restoration = try KeyringRestoration(
                directory, target, kept, acceptingSequence: acceptingSequence, acceptingPolicy: acceptingPolicy,
                unlock: unlock)
            defer { restoration.current?.lock() }
            if !isDryRun {
                try restoration.requireAcceptance()
                try restoration.run(unlock)
                let store = try openWithoutGlobal(
                    at: directory, keyring: target, with: secret, unlocker: unlocker, onTry: onTry)
                defer { try? store.lock() }
                try restoration.finish(in: store)
            }
            return restoration.report
        }
    }
}

/// One restoration of a keyring: what was decided, and what was done.
private struct KeyringRestoration {
    private let directory: FilePath
    private let target: FilePath
    private let backup: UnlockedKeyring
    /// The keyring that is there, where it can be used and is trusted.
    let current: UnlockedKeyring?
    private let isReplaced: Bool
    private let acceptedSequence: Int?
    private let live: LiveRegistry
    private let seen: Int
    private let isProven: Bool
    private let store: StoreFiles
    private let adopted: [Envelope]
    private let older: OlderState?
    private var epochsBroughtUpToDate: [String] = []
    private var failed: [FailedDatabase] = []

    /// Whichever keyring is the newer one.
    private var chosen: UnlockedKeyring { isReplaced ? backup : current ?? backup }

    init(
        _ directory: FilePath, _ target: FilePath, _ backup: UnlockedKeyring, acceptingSequence: Int?,
        acceptingPolicy: String?, unlock: (FilePath) throws -> UnlockedKeyring
    ) throws {
        try StoreFiles.requireSameKeyring(directory, backup)
        self.directory = directory
        self.target = target
        self.backup = backup
        acceptedSequence = acceptingSequence
        let current = try Self.trusted(target, continuing: backup, acceptingBackup: acceptingSequence, unlock: unlock)
        self.current = current
        isReplaced = (current?.sequence ?? -1) < backup.sequence
        let chosen = isReplaced ? backup : current ?? backup
        store = try StoreFiles(directory, backup, current, acceptingPolicy: acceptingPolicy)
        (adopted, failed) = try Self.envelopesToAdopt(from: backup, to: target, under: chosen)
        live = Self.liveRegistry(directory, target, backup, current, adopted)
        let witnessed = max(
            try current?.witnessedSequence() ?? 0, try backup.witnessedSequence(in: target))
        seen = max(live.keyringSequence ?? 0, witnessed, current?.sequence ?? 0)
        isProven = live.keyringSequence != nil || witnessed > 0
        let revived = Self.revived(adopted, target, [current, backup].compactMap(\.self), live)
        let isOlder = chosen.sequence < seen || !isProven || !revived.dataKeys.isEmpty
        let known = Set(isReplaced ? current?.unlockers.map(\.id) ?? [] : [])
        older =
            isOlder && !CustodyCheck.sequence.isSkipped
            ? OlderState(
                sequence: chosen.sequence, newestSequenceSeen: seen,
                unlockers: chosen.unlockers.map(\.id).filter { !known.contains($0) },
                rootKeys: chosen.rootKeyInfos.filter { $0.state != .destroyed }.map(\.version),
                dataKeys: revived.dataKeys, profiles: revived.profiles,
                date: Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down))) : nil
    }

    var report: KeyringRestoreReport {
        KeyringRestoreReport(
            isKeyringReplaced: isReplaced, sequence: chosen.sequence, olderState: older,
            isStoreFileReplaced: store.isFromBackup, isPolicyReplaced: store.policyFromBackup != nil,
            envelopesReplaced: adopted.map(\.scope.description), epochsBroughtUpToDate: epochsBroughtUpToDate,
            failed: failed)
    }

    func requireAcceptance() throws {
        guard let older, acceptedSequence != older.sequence else { return }
        throw KeyringError(
            isProven
                ? .sequenceLower(sequence: older.sequence, seen: max(seen, older.sequence))
                : .sequenceUnproven(sequence: older.sequence), target)
    }

    // MARK: What to believe

    /// The keyring that is there; nil where there is none that can be used.
    ///
    /// - Throws: `KeyringError` with `.continuityBroken` where it opens, and nothing shows that it is the one of the backup gone on.
    private static func trusted(
        _ target: FilePath, continuing backup: UnlockedKeyring, acceptingBackup sequence: Int?,
        unlock: (FilePath) throws -> UnlockedKeyring
    ) throws -> UnlockedKeyring? {
        let current: UnlockedKeyring
        do {
            current = try unlock(target)
        } catch let error as KeyringError {
            switch error.reason {
            case .missing(.keyring), .damaged, .forged, .malformed, .costOutOfRange: return nil
            // One that is whole and has another unlocker, or is of a newer version, is not to be replaced.
            default: throw error
            }
        }
        guard current.id == backup.id else {
            current.lock()
            throw KeyringError(.belongsToAnotherKeyring(.keyring), target)
        }
        let isTrusted =
            try CustodyCheck.continuity.isSkipped || backup.isContinued(by: current)
            || current.isContinued(by: backup) || current.sharesDataKey(with: backup)
        if isTrusted { return current }
        current.lock()
        // The operator says by its sequence that the backup is what counts.
        guard sequence == backup.sequence else {
            throw KeyringError(.continuityBroken, target.appending("keyring.json"))
        }
        return nil
    }

    private static func envelopesToAdopt(
        from backup: UnlockedKeyring, to target: FilePath, under chosen: UnlockedKeyring
    ) throws -> ([Envelope], [FailedDatabase]) {
        var adopted: [Envelope] = []
        var failed: [FailedDatabase] = []
        try backup.forEachScope { scopes in
            for scope in scopes where (try? chosen.envelope(for: scope, in: target)) == nil {
                do { adopted.append(try backup.envelope(for: scope)) } catch let error as any ReportableError {
                    failed.append(.init(scope: scope.description, code: error.code))
                }
            }
        }
        return (adopted, failed)
    }

    /// What the global database says, under whichever envelope opens it.
    private static func liveRegistry(
        _ directory: FilePath, _ target: FilePath, _ backup: UnlockedKeyring, _ current: UnlockedKeyring?,
        _ adopted: [Envelope]
    ) -> LiveRegistry {
        for keyring in [current, backup].compactMap(\.self) {
            for place in [target, keyring.directory] {
                guard let envelope = try? keyring.envelope(for: .global, in: place) else { continue }
                let found = LiveRegistry(of: DatabaseFiles(.global, in: directory), envelope, keyring)
                if found.keyringSequence != nil { return found }
            }
        }
        return LiveRegistry()
    }

    /// Data keys that an envelope of the backup still has and that were destroyed since, and profiles that were shredded: as
    /// certificates and the global database say.
    private static func revived(
        _ adopted: [Envelope], _ target: FilePath, _ keyrings: [UnlockedKeyring], _ live: LiveRegistry
    ) -> (dataKeys: [String], profiles: [String]) {
        var dataKeys: [String] = []
        var profiles: [String] = []
        for envelope in adopted {
            let isOlder = envelope.sequence < live.envelopeSequences[envelope.scope] ?? 0
            for info in envelope.dataKeys where info.state != .destroyed {
                let path = RetirementCertificate.path(of: envelope.scope, info.generation, in: target)
                let certificate = keyrings.lazy.compactMap { try? $0.read(RetirementCertificate.self, from: path) }
                    .first
                guard isOlder || (certificate.map { $0.outcome != .unused } ?? false) else { continue }
                dataKeys.append("\(envelope.scope)-\(info.generation)")
                if certificate?.outcome == .shredded { profiles.append(envelope.scope.description) }
            }
        }
        return (dataKeys, Set(profiles).sorted())
    }

    // MARK: What to do

    mutating func run(_ unlock: (FilePath) throws -> UnlockedKeyring) throws {
        if isReplaced {
            try Store.setAside(target.appending("keyring.json"))
            try LockedKeyring.install(backup, in: target)
        }
        let keyring = try unlock(target)
        defer { keyring.lock() }
        if older != nil { keyring.accept(witnessedSequence: seen) }
        guard keyring.id == chosen.id, keyring.sequence == chosen.sequence, chosen.isContinued(by: keyring) else {
            throw KeyringError(.continuityBroken, target)
        }
        let rotation = try keyring.beginRotation()
        defer { rotation.release() }
        try adopt(into: keyring)
        try store.write(with: keyring)
    }

    /// What needs the store, which opens again now.
    mutating func finish(in store: Store) throws {
        if older != nil { store.keyring.accept(witnessedSequence: seen) }
        try bringEpochsUpToDate(in: store)
        try record(in: store)
        // Only now: until it is written down, the keyring must be seen to be the older one.
        guard older != nil else { return }
        try store.keyring.raiseSequence(above: seen)
        if live.keyringSequence != nil { try store.noteKeyringSequence() }
    }

    private mutating func adopt(into keyring: UnlockedKeyring) throws {
        for envelope in adopted {
            do {
                let path = target.appending("envelopes").appending("\(envelope.scope).json")
                try Store.setAside(path)
                // Whether it was closed properly is not known any more. With a WAL beside it, it was not.
                let files = DatabaseFiles(envelope.scope, in: directory)
                try keyring.adopt(
                    envelope, from: backup, session: files.hasPendingWAL() ? .open : .closed,
                    sequenceAbove: live.envelopeSequences[envelope.scope] ?? 0)
            } catch let error as any ReportableError {
                failed.append(.init(scope: envelope.scope.description, code: error.code))
            }
        }
    }

    private mutating func bringEpochsUpToDate(in store: Store) throws {
        let replaced = Set(adopted.map(\.scope))
        for scope in try store.snapshotScopes() where replaced.contains(scope) {
            do {
                let envelope = try store.keyring.envelope(for: scope)
                let ofSnapshots = try store.snapshotDirectory(of: scope).list().snapshots.map(\.epoch).max() ?? 0
                let epoch = max(try store.epochOnDisk(of: envelope) ?? 0, ofSnapshots)
                guard epoch > envelope.epoch else { continue }
                try store.keyring.note(epoch: epoch, in: envelope)
                if epoch > envelope.epoch + 1 { epochsBroughtUpToDate.append(scope.description) }
            } catch let error as any ReportableError {
                failed.append(.init(scope: scope.description, code: error.code))
            }
        }
    }

    /// Writes down what was accepted. Where the global database cannot be opened, its restore is what comes next, and asks again.
    private func record(in store: Store) throws {
        guard live.keyringSequence != nil else { return }
        do {
            try store.writeGlobal { db in
                try store.raiseKeyringSequence(db)
                if let older { try ProfileRegistry.add(older, db) }
            }
        } catch let error as any ReportableError {
            store.logger.warning("older_state_not_recorded", metadata: ["code": "\(error.code)"])
        }
    }
}

/// The store's own file and its policy: which of those on disk and in the backup are in force.
private struct StoreFiles {
    private let directory: FilePath
    private let document: StoreDocument
    /// Whether the store's own file came from the backup.
    let isFromBackup: Bool
    /// The policy, where it is to come from the backup.
    let policyFromBackup: [UInt8]?

    init(
        _ directory: FilePath, _ backup: UnlockedKeyring, _ current: UnlockedKeyring?, acceptingPolicy accepted: String?
    ) throws {
        self.directory = directory
        let path = Store.documentPath(in: directory)
        func verified(_ keyring: UnlockedKeyring?, _ path: FilePath) -> StoreDocument? {
            keyring.flatMap { try? $0.read(StoreDocument.self, from: path) }
        }
        let claimed = try? StoreDocument(unverifiedFrom: path)
        let copy = verified(backup, backup.directory.appending("store.json"))
        let onDisk =
            verified(current, path) ?? verified(backup, path) ?? (CustodyCheck.storeVerified.isSkipped ? claimed : nil)
        let policyPath = Store.policyPath(in: directory)
        let policy = try? StrictFiles.read(policyPath, limit: KeyPolicy.maximumFileBytes)
        let digest = try policy.map { try KeyPolicy.digest(of: $0) }
        if let found = onDisk ?? copy {
            document = found
            isFromBackup = onDisk == nil
        } else if let claimed, let accepted, accepted == digest, accepted == claimed.policy.digest {
            document = claimed
            isFromBackup = false
        } else {
            throw KeyringError(claimed == nil ? .missing(.store) : .storeUnverifiable, path)
        }
        guard digest != document.policy.digest else {
            policyFromBackup = nil
            return
        }
        let kept = try? StrictFiles.read(
            backup.directory.appending("policy.yaml"), limit: KeyPolicy.maximumFileBytes)
        guard let kept, try KeyPolicy.digest(of: kept) == document.policy.digest else {
            throw StrongroomError(.policyChanged, policyPath)
        }
        policyFromBackup = kept
    }

    /// That the backup is of this store, as far as the store's own file tells.
    static func requireSameKeyring(_ directory: FilePath, _ backup: UnlockedKeyring) throws {
        let claimed = try? StoreDocument(unverifiedFrom: Store.documentPath(in: directory))
        guard claimed?.keyringId ?? backup.id == backup.id else {
            throw KeyringError(.belongsToAnotherKeyring(.backup), backup.directory)
        }
    }

    /// Puts them in their places, signed under the active root key.
    func write(with keyring: UnlockedKeyring) throws {
        let policyPath = Store.policyPath(in: directory)
        if let policyFromBackup {
            try Store.setAside(policyPath)
            try DurableFiles.replace(policyPath, with: policyFromBackup)
        }
        let path = Store.documentPath(in: directory)
        if let found = try? keyring.read(StoreDocument.self, from: path), found == document { return }
        try Store.setAside(path)
        try keyring.write(document, to: path)
    }
}

extension Store {
    /// Gives a file another name, which says when, so that it is kept.
    fileprivate static func setAside(_ path: FilePath) throws {
        guard try StrictFiles.exists(path) else { return }
        try DurableFiles.rename(path, to: FilePath("\(path).\(Timestamp.text(Date())).replaced"))
        try DurableFiles.syncDirectory(DurableFiles.parent(of: path))
    }

    /// What a database says of its own epoch, read so that nothing is changed; nil where there is no such database.
    func epochOnDisk(of envelope: Envelope) throws -> Int? {
        let files = DatabaseFiles(envelope.scope, in: directory)
        guard try StrictFiles.exists(files.main) else { return nil }
        let lock = try self.lock(files)
        defer { lock.release() }
        return try Diagnosis(files: files, envelope: envelope, keyring: keyring).epochOfDatabase()
    }
}
