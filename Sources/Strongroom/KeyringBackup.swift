// The keyring on another medium: made, rehearsed, and brought back. Only sealed files leave.

import DurableFiles
import ErrorReporting
import Foundation
import GRDB
import KeyPolicy
import Keyring
import Snapshots
public import SystemPackage

/// What a backup of the keyring holds.
public struct KeyringBackupReport: Sendable, Codable {
    /// `kr_` and 16 base32 digits.
    public let keyringId: String
    /// The keyring's sequence at that moment.
    public let sequence: Int
    /// How many envelopes were copied.
    public let envelopes: Int
    /// What could not be used already.
    public let unusable: [FailedDatabase]
}

/// What bringing a keyring back from a backup did.
public struct KeyringRestoreReport: Sendable, Codable {
    /// Whether the file with the unlockers and root keys came from the backup; otherwise the one that was there opened, and was no
    /// older.
    public let isKeyringReplaced: Bool
    /// `global` and ids of profiles whose envelope came from the backup; the others were there and could be used.
    public let envelopesReplaced: [String]
    /// Databases whose epoch the envelope did not know: they were changed after the backup was made.
    public let epochsBroughtUpToDate: [String]
    /// What could not be brought back.
    public let failed: [FailedDatabase]
}

extension Store {
    /// Copies the keyring's sealed files into a new directory: nothing in it opens without an unlocker.
    ///
    /// - Parameters:
    ///   - target: it must not exist.
    ///   - isDryRun: whether to say only what would be copied.
    /// - Throws: `DurableFilesError.alreadyExists`; `KeyringError.rotationBlocked` where a rotation is under way.
    @discardableResult
    public func backUpKeyring(to target: FilePath, isDryRun: Bool = false) async throws -> KeyringBackupReport {
        try await BlockingWork.run {
            let rotation = try self.holdRotation()
            defer { rotation.release() }
            guard try !StrictFiles.exists(target) else { throw DurableFilesError.alreadyExists(target) }
            var envelopes = try self.keyring.forEachScope { _ in }
            var unusable: [FailedDatabase] = []
            if !isDryRun {
                let copied = try self.keyring.copySealedFiles(to: target)
                envelopes = copied.envelopes
                unusable = copied.unusable.map { .init(scope: $0.scope.description, code: $0.code) }
                let sequence = self.keyring.sequence
                try self.withGlobal {
                    try $0.write { try ProfileRegistry.setLastBackup(Date(), sequence: sequence, $0) }
                }
            }
            return KeyringBackupReport(
                keyringId: self.keyring.id, sequence: self.keyring.sequence, envelopes: envelopes, unusable: unusable)
        }
    }

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
    ///   - isDryRun: whether to say only what would come from the backup.
    /// - Throws: `KeyringError` where the secret does not open the backup, or it is of another store.
    public static func restoreKeyring(
        of directory: FilePath, keyring keyringDirectory: FilePath? = nil, from backup: FilePath,
        with secret: UnlockSecret, unlocker: String? = nil, onTry: UnlockTryHandler? = nil, isDryRun: Bool = false
    ) async throws -> KeyringRestoreReport {
        try await BlockingWork.run {
            let target = keyringDirectory ?? defaultKeyringDirectory(of: directory)
            let kept = try LockedKeyring(in: backup).unlock(with: secret, unlocker: unlocker, onTry: onTry)
            defer { kept.lock() }
            let document = try StoreDocument(unverifiedFrom: documentPath(in: directory))
            guard document.keyringId == kept.id else { throw KeyringError(.belongsToAnotherKeyring(.backup), backup) }
            let isReplaced = try !isUsable(target, insteadOf: kept, with: secret, unlocker, onTry)
            if isDryRun {
                let inForce =
                    try isReplaced
                    ? kept : LockedKeyring(in: target).unlock(with: secret, unlocker: unlocker, onTry: onTry)
                var replaced: [String] = []
                try kept.forEachScope { scopes in
                    for scope in scopes where (try? inForce.envelope(for: scope, in: target)) == nil {
                        replaced.append(scope.description)
                    }
                }
                return KeyringRestoreReport(
                    isKeyringReplaced: isReplaced, envelopesReplaced: replaced, epochsBroughtUpToDate: [], failed: [])
            }
            if isReplaced {
                try setAside(target.appending("keyring.json"))
                try LockedKeyring.install(kept, in: target)
            }
            let keyring = try LockedKeyring(in: target).unlock(with: secret, unlocker: unlocker, onTry: onTry)
            defer { keyring.lock() }
            let rotation = try keyring.beginRotation()
            defer { rotation.release() }
            var restoring = KeyringRestoration(directory: directory, keyring: keyring, backup: kept)
            try restoring.bringBackEnvelopes()
            try restoring.renewStoreDocument(document)
            rotation.release()
            let store = try openWithoutGlobal(
                at: directory, keyring: keyringDirectory, with: secret, unlocker: unlocker, onTry: onTry)
            defer { try? store.lock() }
            try restoring.bringEpochsUpToDate(in: store)
            return KeyringRestoreReport(
                isKeyringReplaced: isReplaced, envelopesReplaced: restoring.envelopesReplaced,
                epochsBroughtUpToDate: restoring.epochsBroughtUpToDate, failed: restoring.failed)
        }
    }

    /// Whether the keyring that is there opens, and is no older than the backup.
    private static func isUsable(
        _ directory: FilePath, insteadOf backup: UnlockedKeyring, with secret: UnlockSecret, _ unlocker: String?,
        _ onTry: UnlockTryHandler?
    ) throws -> Bool {
        do {
            let keyring = try LockedKeyring(in: directory).unlock(with: secret, unlocker: unlocker, onTry: onTry)
            defer { keyring.lock() }
            guard keyring.id == backup.id else { throw KeyringError(.belongsToAnotherKeyring(.keyring), directory) }
            return keyring.sequence >= backup.sequence
        } catch let error as KeyringError {
            // A keyring that is whole and has another unlocker is not to be replaced by an older one.
            switch error.reason {
            case .unlockFailed, .unlockCostExceeded, .unlockerNotFound, .cancelled, .belongsToAnotherKeyring(.keyring):
                throw error
            default: return false
            }
        }
    }

    fileprivate static func setAside(_ path: FilePath) throws {
        guard try StrictFiles.exists(path) else { return }
        try DurableFiles.rename(path, to: FilePath("\(path).\(Timestamp.text(Date())).replaced"))
        try DurableFiles.syncDirectory(DurableFiles.parent(of: path))
    }
}

/// One restoration of a keyring.
private struct KeyringRestoration {
    let directory: FilePath
    let keyring: UnlockedKeyring
    let backup: UnlockedKeyring
    var envelopesReplaced: [String] = []
    var epochsBroughtUpToDate: [String] = []
    var failed: [FailedDatabase] = []

    mutating func bringBackEnvelopes() throws {
        var scopes: [KeyScope] = []
        try backup.forEachScope { scopes += $0 }
        for scope in scopes where (try? keyring.envelope(for: scope)) == nil {
            do {
                let envelope = try backup.envelope(for: scope)
                try Store.setAside(keyring.directory.appending("envelopes").appending("\(scope).json"))
                try keyring.adopt(envelope, from: backup)
                envelopesReplaced.append(scope.description)
            } catch let error as any ReportableError {
                failed.append(.init(scope: scope.description, code: error.code))
            }
        }
    }

    /// It may have been written under a root key that the backup does not know. What it says is public, and its policy is
    /// compared with policy.yaml whenever the store is opened.
    func renewStoreDocument(_ document: StoreDocument) throws {
        let path = directory.appending("store.json")
        if (try? keyring.read(StoreDocument.self, from: path)) == nil { try keyring.write(document, to: path) }
    }

    mutating func bringEpochsUpToDate(in store: Store) throws {
        for scope in try store.snapshotScopes() {
            do {
                let envelope = try store.keyring.envelope(for: scope)
                guard let epoch = try store.epochOnDisk(of: envelope), epoch > envelope.epoch + 1 else { continue }
                try store.keyring.setEpoch(epoch, of: envelope)
                epochsBroughtUpToDate.append(scope.description)
            } catch let error as any ReportableError {
                failed.append(.init(scope: scope.description, code: error.code))
            }
        }
        let seen = try? store.withGlobal { try $0.read { try ProfileRegistry.keyringSequence($0) } }
        guard let seen else { return }
        try store.keyring.raiseSequence(above: seen)
        try store.noteKeyringSequence(seen: seen)
    }
}

extension Store {
    /// What a database says of its own epoch, read so that nothing is changed; nil where there is no such database.
    func epochOnDisk(of envelope: Envelope) throws -> Int? {
        let files = DatabaseFiles(envelope.scope, in: directory)
        guard try StrictFiles.exists(files.main), let inForce = try files.keyInForce(envelope) else { return nil }
        let condition = try Diagnosis(files: files, envelope: envelope, keyring: keyring).ofFirstPage()
        guard condition == .healthy else { throw StrongroomError(.database(condition), files.main) }
        let key = try keyring.dataKey(generation: inForce.generation, of: envelope)
        defer { key.secret.wipe() }
        let lock = try self.lock(files)
        defer { lock.release() }
        return try StrongroomError.wrapping(.open, files.main) {
            let queue = try DatabaseQueue(
                path: files.main.string, configuration: Engine.configuration(key: key, policy: policy, readonly: true))
            defer { try? queue.close() }
            return try queue.read { try Bookkeeping.epoch($0) }
        }
    }
}
