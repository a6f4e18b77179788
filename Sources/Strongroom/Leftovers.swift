// What interrupted work left behind, and how it is known to be of no use: docs/operations/runbook.md, "Disk full".

import DurableFiles
import ErrorReporting
public import Foundation
import Keyring
import Snapshots
import SystemPackage

/// Something that interrupted work left behind.
public struct Leftover: Sendable, Hashable, Codable {
    /// What it is, and with it how it is known to be of no use.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// A profile that was being made, imported or restored. The list of profiles does not have it, and its lock is free.
        case unfinishedProfile = "unfinished_profile"
        /// The files of a profile whose keys were destroyed. This keyring cannot open them any more.
        case shreddedProfile = "shredded_profile"
        /// A database under a next key that never took the other one's place.
        case unfinishedRotation = "unfinished_rotation"
        /// A database that was being restored or repaired, and that no journal says to put in force.
        case unfinishedRestore = "unfinished_restore"
        /// A snapshot without a manifest: without one it is none.
        case unfinishedSnapshot = "unfinished_snapshot"
        /// A database that a drill made, and whose lock is free.
        case unfinishedDrill = "unfinished_drill"
        /// A file that was being written beside its place, and has not changed for an hour.
        case temporaryFile = "temporary_file"
    }

    /// What became of it.
    public enum Outcome: String, Sendable, Hashable, Codable {
        case removed
        /// In a dry run: it would be removed.
        case wouldRemove = "would_remove"
        /// It stays, because it has snapshots or quarantined files: once it was in use.
        case hasHistory = "has_history"
        /// It stays, because it is in use.
        case inUse = "in_use"
        /// It stays, because shredded profiles were not asked for.
        case notAsked = "not_asked"
        /// It stays, because it could not be looked at or removed.
        case failed
    }

    /// What it is.
    public let kind: Kind
    /// `global` or a profile's id; nil for what belongs to the store or its keyring as a whole.
    public let scope: String?
    /// Where it is, below the store or the keyring; what is not UTF-8 as `\xHH`.
    public let name: String
    /// What it takes, in bytes.
    public let bytes: Int
    /// When any of it last changed.
    public let changed: Date
    /// What became of it.
    public let outcome: Outcome
    /// Why, where it failed: an error's code.
    public let code: String?
}

/// What a removal of leftovers did, or would do.
public struct LeftoverReport: Sendable, Codable {
    /// Whether nothing was removed, only looked for.
    public let isDryRun: Bool
    /// Everything that was found.
    public let leftovers: [Leftover]

    /// How many bytes were freed, or would be.
    public var bytes: Int {
        leftovers.filter { $0.outcome == .removed || $0.outcome == .wouldRemove }.reduce(0) { $0 + $1.bytes }
    }
}

extension Store {
    /// Removes what interrupted work left behind. It needs no room. Nothing goes that is the only copy of anything: each kind says why.
    ///
    /// - Parameters:
    ///   - includingShredded: whether the files of shredded profiles go too. With a backup of the keyring from before, they could still
    ///     be opened.
    ///   - isDryRun: whether to say only what would be removed.
    /// - Throws: `KeyringError.rotationBlocked` where a snapshot, a restore or a rotation is under way; what is wrong with the global
    ///   database, which alone knows the profiles.
    public func removeLeftovers(
        includingShredded: Bool = false, isDryRun: Bool = false, now: Date = Date()
    ) async throws -> LeftoverReport {
        try await BlockingWork.run {
            let rotation = try self.beginRotation()
            defer { rotation.release() }
            let search = LeftoverSearch(
                self, registered: Set(try self.profiles().map(\.id)), includingShredded: includingShredded,
                isDryRun: isDryRun, now: now)
            try search.run()
            return LeftoverReport(isDryRun: isDryRun, leftovers: search.found)
        }
    }
}

/// One search, while nothing else makes, restores or rotates a database.
private final class LeftoverSearch {
    private let store: Store
    private let registered: Set<ProfileID>
    private let includingShredded: Bool
    private let isDryRun: Bool
    private let now: Date
    private(set) var found: [Leftover] = []

    /// For how long a file that is being written beside its place is left alone, in seconds. Writing one takes no minute.
    private static let age: TimeInterval = 3_600

    init(_ store: Store, registered: Set<ProfileID>, includingShredded: Bool, isDryRun: Bool, now: Date) {
        self.store = store
        self.registered = registered
        self.includingShredded = includingShredded
        self.isDryRun = isDryRun
        self.now = now
    }

    func run() throws {
        for scope in try store.snapshotScopes() {
            if case .profile(let id) = scope, !registered.contains(id) {
                look(atUnregistered: scope)
            } else {
                look(in: scope)
            }
        }
        for directory in [
            store.keyring.directory, LockedKeyring.envelopesPath(in: store.keyring.directory),
            LockedKeyring.certificatesPath(in: store.keyring.directory),
        ] { lookForTemporaryFiles(in: directory, nil) }
    }

    // MARK: Profiles that the registry does not know

    private func look(atUnregistered scope: KeyScope) {
        let files = DatabaseFiles(scope, in: store.directory)
        let envelope = Result { try store.keyring.envelope(for: scope) }
        let isShredded = (try? envelope.get().isShredded) ?? false
        settle(isShredded ? .shreddedProfile : .unfinishedProfile, scope, files.directory) {
            try files.requireOwnDirectories()
            // The work that makes a profile holds its lock until the profile is registered.
            let lock = try store.lockProfile(files)
            defer { lock.release() }
            // Asked again under the lock: it may have been registered since the list was read.
            if case .profile(let id) = scope, try store.readGlobal({ try ProfileRegistry.find(id, $0) }) != nil {
                return .inUse
            }
            if case .failure(let error) = envelope, (error as? KeyringError)?.reason != .missing(.envelope) {
                throw error
            }
            if isShredded {
                guard includingShredded else { return .notAsked }
            } else if try StrictFiles.exists(files.backups) || StrictFiles.exists(files.corrupted) {
                return .hasHistory
            }
            if isDryRun { return .wouldRemove }
            try DurableFiles.removeTree(files.directory)
            if !isShredded { try store.keyring.discardEnvelope(of: scope) }
            return .removed
        }
    }

    // MARK: What stands beside a database

    private func look(in scope: KeyScope) {
        let files = DatabaseFiles(scope, in: store.directory)
        guard (try? files.requireOwnDirectories()) != nil else { return }
        if isThere(files.rotating) {
            removeFile(files.rotating, .unfinishedRotation, scope) { try store.lock(files) }
        }
        if isThere(files.restoring), !isThere(files.restoreJournal) {
            removeFile(files.restoring, .unfinishedRestore, scope) {
                let lock = try store.lock(files)
                // Looked at again: another process may have decided meanwhile.
                guard try !StrictFiles.exists(files.restoreJournal) else {
                    throw StrongroomError(.storeInUse(process: nil))
                }
                return lock
            }
        }
        lookForTemporaryFiles(in: files.directory, scope)
        for name in names(in: files.backups) {
            guard let text = name.text else { continue }
            let path = files.backups.appending(name)
            if DrillPlace.isName(text) {
                removeFile(path, .unfinishedDrill, scope) {
                    try FileLock(path.withSuffix(".lock"))
                } after: {
                    try DurableFiles.remove(path.withSuffix(".lock"))
                }
            } else if text.hasSuffix(".partial") {
                lookAtSnapshot(String(text.dropLast(".partial".count)), path, scope)
            }
        }
        lookForTemporaryFiles(in: files.backups, scope)
    }

    /// Removes one file of a database and what SQLite may have put beside it.
    private func removeFile(
        _ path: FilePath, _ kind: Leftover.Kind, _ scope: KeyScope, lock: () throws -> FileLock,
        after: () throws -> Void = {}
    ) {
        settle(kind, scope, path) {
            let lock = try lock()
            defer { lock.release() }
            if isDryRun { return .wouldRemove }
            try DatabaseFiles.removeCompanions(of: path)
            try DurableFiles.remove(path)
            try after()
            try DurableFiles.syncDirectory(DurableFiles.parent(of: path))
            return .removed
        }
    }

    private func lookAtSnapshot(_ name: String, _ marker: FilePath, _ scope: KeyScope) {
        do {
            let directory = try store.snapshotDirectory(of: scope)
            guard let pages = try directory.unfinished(name) else { return }
            settle(.unfinishedSnapshot, scope, isThere(pages) ? pages : marker) {
                guard let lock = try directory.lockUnfinished(name) else { return .inUse }
                defer { lock.release() }
                if isDryRun { return .wouldRemove }
                try directory.removeUnfinished(name, holding: lock)
                return .removed
            }
        } catch { settle(.unfinishedSnapshot, scope, marker) { throw error } }
    }

    // MARK: Files beside their place

    private func lookForTemporaryFiles(in directory: FilePath, _ scope: KeyScope?) {
        for name in names(in: directory) where name.hasPrefix(".") && name.hasSuffix(".tmp") {
            let path = directory.appending(name)
            guard let size = try? DiskUse(of: path), now.timeIntervalSince(size.changed) > Self.age else { continue }
            settle(.temporaryFile, scope, path) {
                if isDryRun { return .wouldRemove }
                try DurableFiles.remove(path)
                try DurableFiles.syncDirectory(directory)
                return .removed
            }
        }
    }

    // MARK: Noting

    private func settle(
        _ kind: Leftover.Kind, _ scope: KeyScope?, _ path: FilePath, _ body: () throws -> Leftover.Outcome
    ) {
        let use = try? DiskUse(of: path)
        var outcome = Leftover.Outcome.failed
        var code: String?
        do { outcome = try body() } catch {
            code = (error as? any ReportableError)?.code ?? "internal"
            if (error as? any ReportableError)?.category == .inUse { (outcome, code) = (.inUse, nil) }
        }
        found.append(
            Leftover(
                kind: kind, scope: scope?.description, name: name(of: path), bytes: use?.bytes ?? 0,
                changed: use?.changed ?? now, outcome: outcome, code: code))
    }

    /// Below the store, or else below the keyring.
    private func name(of path: FilePath) -> String {
        let shown = path.shown
        for top in [store.directory.shown, store.keyring.directory.shown] where shown.hasPrefix(top + "/") {
            return String(shown.dropFirst(top.count + 1))
        }
        return shown
    }

    private func isThere(_ path: FilePath) -> Bool { (try? StrictFiles.exists(path)) ?? false }

    private func names(in directory: FilePath) -> [FileName] { (try? DurableFiles.names(in: directory)) ?? [] }
}
