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
    private let store: RestoredStoreFiles
    private let adopted: [Envelope]
    /// Envelopes that stay, and that their databases are ahead of.
    private let behind: [Envelope]
    private let older: OlderState?
    private var epochsBroughtUpToDate: [String] = []
    private var failed: [FailedDatabase] = []

    /// Whichever keyring is the newer one.
    private var chosen: UnlockedKeyring { isReplaced ? backup : current ?? backup }

    init(
        _ directory: FilePath, _ target: FilePath, _ backup: UnlockedKeyring, acceptingSequence: Int?,
        acceptingPolicy: String?, unlock: (FilePath) throws -> UnlockedKeyring
    ) throws {
        try RestoredStoreFiles.requireSameKeyring(directory, backup)
        self.directory = directory
        self.target = target
        self.backup = backup
        acceptedSequence = acceptingSequence
        let (current, contradicts) = try Self.trusted(
            target, continuing: backup, acceptingBackup: acceptingSequence, unlock: unlock)
        self.current = current
        isReplaced = current.map { backup.isNewer(than: $0) } ?? true
        let chosen = isReplaced ? backup : current ?? backup
        store = try RestoredStoreFiles(directory, backup, current, acceptingPolicy: acceptingPolicy)
        let choice = try EnvelopeChoice(directory, target, backup: backup, chosen: chosen)
        (adopted, behind, failed) = (choice.adopted, choice.behind, choice.failed)
        live = Self.liveRegistry(directory, target, backup, current, adopted)
        let witnessed = max(
            try current?.witnessedSequence() ?? 0, try backup.witnessedSequence(in: target))
        seen = max(live.keyringSequence ?? 0, witnessed, current?.sequence ?? 0)
        // An envelope is no witness where it does not know the key that the global database is under.
        isProven = live.keyringSequence != nil || witnessed > 0 && choice.knowsGlobalKey
        let revived = Self.revived(adopted + behind, target, [current, backup].compactMap(\.self), live)
        let isOlder = chosen.sequence < seen || !isProven || !revived.dataKeys.isEmpty || contradicts
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
        let reason: KeyringError.Reason =
            older.sequence < seen
            ? .sequenceLower(sequence: older.sequence, seen: seen)
            : isProven ? .destroyedKeysReturn(sequence: older.sequence) : .sequenceUnproven(sequence: older.sequence)
        throw KeyringError(reason, target)
    }

    // MARK: What to believe

    /// The keyring that is there; nil where there is none that can be used. And whether one opened that contradicts the backup.
    ///
    /// - Throws: `KeyringError` with `.continuityBroken` where it opens, and nothing shows that it is the one of the backup gone on, or
    ///   where the two contradict each other.
    private static func trusted(
        _ target: FilePath, continuing backup: UnlockedKeyring, acceptingBackup sequence: Int?,
        unlock: (FilePath) throws -> UnlockedKeyring
    ) throws -> (UnlockedKeyring?, contradicts: Bool) {
        let current: UnlockedKeyring
        do {
            current = try unlock(target)
        } catch let error as KeyringError {
            switch error.reason {
            case .missing(.keyring), .damaged, .forged, .malformed, .costOutOfRange: return (nil, false)
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
        let contradicts = !CustodyCheck.continuity.isSkipped && current.contradicts(backup)
        if isTrusted, !contradicts { return (current, false) }
        let isBackupAhead = backup.sequence > current.sequence
        current.lock()
        // The operator says by its sequence that the backup is what counts.
        guard sequence == backup.sequence else {
            let suspect = contradicts && isBackupAhead ? backup.directory : target
            throw KeyringError(.continuityBroken, suspect.appending("keyring.json"))
        }
        return (nil, contradicts)
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
        // What says that these are gone is not true any more.
        for name in older?.dataKeys ?? [] {
            try Store.setAside(RetirementCertificate.directory(in: target).appending("\(name).json"))
        }
        try store.write(with: keyring)
    }

    /// What needs the store, which opens again now.
    mutating func finish(in store: Store) throws {
        if older != nil { store.keyring.accept(witnessedSequence: seen) }
        try bringEpochsUpToDate(in: store)
        // Only then: until it is written down, the keyring must be seen to be the older one.
        guard try record(in: store), older != nil else { return }
        try store.keyring.raiseSequence(above: seen)
        try store.noteKeyringSequence()
    }

    private mutating func adopt(into keyring: UnlockedKeyring) throws {
        for envelope in adopted {
            do {
                let path = target.appending("envelopes").appending("\(envelope.scope).json")
                try Store.setAside(path)
                try keyring.adopt(
                    envelope, from: backup, session: session(of: envelope.scope),
                    sequenceAbove: live.envelopeSequences[envelope.scope] ?? 0)
            } catch let error as any ReportableError {
                failed.append(.init(scope: envelope.scope.description, code: error.code))
            }
        }
    }

    /// Whether a database was closed properly is not known any more. With a WAL beside it, it was not.
    private func session(of scope: KeyScope) throws -> Session {
        try DatabaseFiles(scope, in: directory).hasPendingWAL() ? .open : .closed
    }

    private mutating func bringEpochsUpToDate(in store: Store) throws {
        let changed = Set((adopted + behind).map(\.scope))
        let stayed = Set(behind.map(\.scope))
        for scope in try store.snapshotScopes() where changed.contains(scope) {
            do {
                var envelope = try store.keyring.envelope(for: scope)
                if stayed.contains(scope) {
                    envelope = try store.keyring.note(session: session(of: scope), in: envelope)
                }
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
    ///
    /// - Returns: whether it was written.
    private func record(in store: Store) throws -> Bool {
        guard live.keyringSequence != nil else { return false }
        do {
            try store.writeGlobal { db in
                try store.raiseKeyringSequence(db)
                if let older { try ProfileRegistry.add(older, db) }
            }
            return true
        } catch let error as any ReportableError {
            store.logger.warning("older_state_not_recorded", metadata: ["code": "\(error.code)"])
            return false
        }
    }
}

extension Store {
    /// Gives a file another name, which says when, so that it is kept.
    static func setAside(_ path: FilePath) throws {
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
