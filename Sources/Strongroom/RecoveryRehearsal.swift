// Whether a backup of the keyring and one unlocker would bring everything back, shown without writing anything.

import DurableFiles
import ErrorReporting
import Keyring
import PageCipher
import Snapshots
public import SystemPackage

/// What a rehearsal found.
public struct RehearsalReport: Sendable, Codable {
    /// A database or snapshot that this backup does not open.
    public struct Failure: Sendable, Codable, Hashable {
        /// `global` or a profile's id.
        public let scope: String
        /// The snapshot; nil where it is the database itself.
        public let snapshot: String?
        /// The code of the error: see the runbook.
        public let code: String
    }

    /// `kr_` and 16 base32 digits.
    public let keyringId: String
    /// The sequence of the keyring in the backup.
    public let sequence: Int
    /// The unlocker that opened it.
    public let unlocker: String
    /// How many databases its keys open.
    public let databases: Int
    /// How many snapshots its keys open.
    public let snapshots: Int
    /// What its keys do not open.
    public let failed: [Failure]
}

extension Store {
    /// Shows that a backup of the keyring and one unlocker open every database and every snapshot of a store: the first page of each
    /// must authenticate under a key of the backup. Nothing is written, and the store's own keyring is not needed.
    ///
    /// - Parameters:
    ///   - directory: the store.
    ///   - backup: a directory that ``backUpKeyring(to:isDryRun:)`` made.
    ///   - secret: an unlocker.
    ///   - unlocker: its id, where it is the only one to be tried.
    ///   - onTry: called before each try.
    /// - Throws: `KeyringError.unlockFailed` where the secret does not open the backup; `.belongsToAnotherKeyring` where that is of
    ///   another store.
    public static func rehearseRecovery(
        of directory: FilePath, from backup: FilePath, with secret: UnlockSecret, unlocker: String? = nil,
        onTry: UnlockTryHandler? = nil
    ) async throws -> RehearsalReport {
        try await BlockingWork.run {
            let keyring = try LockedKeyring(in: backup).unlock(with: secret, unlocker: unlocker, onTry: onTry)
            defer { keyring.lock() }
            guard try StrictFiles.exists(documentPath(in: directory)) else {
                throw StrongroomError(.storeMissing, directory)
            }
            let document = try StoreDocument(unverifiedFrom: documentPath(in: directory))
            guard document.keyringId == keyring.id else {
                throw KeyringError(.belongsToAnotherKeyring(.backup), backup)
            }
            var rehearsal = Rehearsal(directory: directory, storeID: document.storeId, keyring: keyring)
            try rehearsal.rehearse(.global)
            let reader = try DirectoryReader(DatabaseFiles.profilesDirectory(in: directory))
            while case let names = try reader.next(256), !names.isEmpty {
                for id in names.compactMap({ ProfileID($0) }) { try rehearsal.rehearse(.profile(id)) }
            }
            return RehearsalReport(
                keyringId: keyring.id, sequence: keyring.sequence, unlocker: keyring.openedBy,
                databases: rehearsal.databases, snapshots: rehearsal.snapshots, failed: rehearsal.failed)
        }
    }
}

private struct Rehearsal {
    let directory: FilePath
    let storeID: String
    let keyring: UnlockedKeyring
    var databases = 0
    var snapshots = 0
    var failed: [RehearsalReport.Failure] = []

    mutating func rehearse(_ scope: KeyScope) throws {
        let files = DatabaseFiles(scope, in: directory)
        let envelope: Envelope
        do { envelope = try keyring.envelope(for: scope) } catch let error as any ReportableError {
            failed.append(.init(scope: scope.description, snapshot: nil, code: error.code))
            return
        }
        if try opens(files.main, envelope, nil) { databases += 1 }
        let list = try SnapshotDirectory(files.backups, of: envelope, storeID: storeID, keyring: keyring).list()
        for snapshot in list.snapshots
        where try opens(files.backups.appending(snapshot.name + ".db"), envelope, snapshot.name) { snapshots += 1 }
        failed += list.unusable.map { .init(scope: scope.description, snapshot: $0.name, code: $0.code) }
    }

    private mutating func opens(_ path: FilePath, _ envelope: Envelope, _ snapshot: String?) throws -> Bool {
        do {
            guard let condition = try condition(of: path, envelope) else { return true }
            throw StrongroomError(.database(condition), path)
        } catch let error as any ReportableError {
            failed.append(.init(scope: envelope.scope.description, snapshot: snapshot, code: error.code))
            return false
        }
    }

    /// Why the backup does not open a file, or nil where it does. Of a database that is open elsewhere page 1 may be in the WAL
    /// alone; its name says which key it is under, and that must open.
    private func condition(of path: FilePath, _ envelope: Envelope) throws -> DatabaseCondition? {
        guard try StrictFiles.exists(path) else { return .missing }
        let file = try DataFile(path)
        let first = try file.bytes(at: 0, count: KeyID.length)
        guard let keyID = KeyID(first) else { return .truncated }
        guard let info = envelope.dataKey(keyID) else {
            return first == PageLayout.plaintextMagic ? .plaintext : envelope.isShredded ? .shredded : .unknownKey
        }
        guard info.state != .destroyed else { return .shredded }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        let page = try file.bytes(at: 0, count: info.pageFormat.size)
        let authenticator = try key.makePageAuthenticator()
        let isAuthentic =
            page.count == info.pageFormat.size
            && page.withUnsafeBytes { authenticator.authenticate(SealedPage($0, number: 1)) != nil }
        return isAuthentic ? nil : .pagesDamaged(count: 1)
    }
}
