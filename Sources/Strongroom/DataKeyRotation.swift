// A new data key, and every page under it: docs/formats/envelope.md, "Rotating a data key". Here is what both ways share, and the
// way of a database that nobody has open; RotationOfOpenProfile.swift has the other.

import DurableFiles
import Foundation
import GRDB
public import Keyring
import PageCipher
import Snapshots

/// How far a rotation of one database is.
public struct RotationProgress: Sendable, Hashable {
    /// What is being done.
    public enum Phase: String, Sendable { case encrypting, catchingUp, exchanging }

    /// What is being done.
    public let phase: Phase
    /// Pages done in this phase; 0 where they are not counted.
    public let pages: Int
    /// Pages in all.
    public let totalPages: Int
}

/// What a rotation of one database did.
public struct DataKeyRotationReport: Sendable, Codable, Hashable {
    /// `global` or a profile's id.
    public let scope: String
    /// The generation of the key that it is under now.
    public let generation: Int
    /// The generation that it was under before, which still opens snapshots and copies.
    public let previousGeneration: Int
    /// How many pages were encrypted anew.
    public let pages: Int
    /// How many pages changed meanwhile and were encrypted once more; 0 where nobody had it open.
    public let pagesCaughtUp: Int
    /// For how long readers and writers waited at the end, in milliseconds; nil where nobody had it open.
    public let millisecondsHeld: Int?
    /// How long it took, in milliseconds.
    public let milliseconds: Int
}

/// What a rotation of all databases did.
public struct FleetRotationReport: Sendable, Codable {
    /// `rot_` and 16 base32 digits.
    public let rotation: String
    /// Whether it went on with one that was interrupted.
    public let isResumed: Bool
    /// How many databases the interrupted one had done already.
    public let doneBefore: Int
    /// What was done now.
    public let rotated: [DataKeyRotationReport]
    /// What could not be done; it did not stop the others.
    public let failed: [FailedDatabase]
}

extension Profile {
    /// Puts the open database under a new key. Reads and writes go on until the last moment, which waits for reads that are under way
    /// and lets everybody else wait for the pages that changed meanwhile; ``database`` is the same pool before and after. The WAL cannot begin
    /// anew until then, and grows; a checkpoint that waits for readers waits for this as well.
    ///
    /// - Parameter progress: called now and then, by one thread at a time.
    /// - Throws: `KeyringError.rotationBlocked` where a snapshot, a restore or another rotation is under way;
    ///   `StrongroomError.connectionsOpen` where something besides ``database`` holds the file open;
    ///   `PageCipherError.pageNotAuthentic` with the page that is not what was written. The database is under its old key then, and
    ///   open. After `StrongroomError.exchangeIncomplete` it is whole under one of the two, and must be opened again.
    @discardableResult
    public func rotateDataKey(
        progress: @Sendable @escaping (RotationProgress) -> Void = { _ in }
    ) async throws -> DataKeyRotationReport {
        try await store.rotateDataKey(of: .profile(info.id), progress: progress)
    }
}

extension Store {
    /// Puts a database under a new key. Snapshots and copies under the old one still open, until it is retired.
    ///
    /// A profile that is open in this process stays open: see ``Profile/rotateDataKey(progress:)``. Every step is durable before the
    /// next begins, and whoever opens the database next goes on after a crash.
    ///
    /// - Parameters:
    ///   - scope: the database.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `KeyringError.rotationBlocked` where a snapshot, a restore or another rotation is under way;
    ///   `StrongroomError.profileInUse` where another process has it open; `.database` where something is wrong with it;
    ///   `PageCipherError.pageNotAuthentic`. The database is under its old key then.
    @discardableResult
    public func rotateDataKey(
        of scope: KeyScope, progress: @Sendable @escaping (RotationProgress) -> Void = { _ in }
    ) async throws -> DataKeyRotationReport {
        try await BlockingWork.run {
            let rotation = try self.beginRotation()
            defer { rotation.release() }
            return try self.rotate(scope, in: nil, progress)
        }
    }

    /// Puts every database under a new key, the global one first. It is one rotation, whose entry in the keyring stays until all have
    /// had their turn: interrupted, it goes on with those that are left. One that fails is reported and does not stop the others.
    ///
    /// - Parameter progress: called now and then, with the database that it is about.
    /// - Throws: `KeyringError.rotationBlocked`; `StrongroomError` where the global database cannot be read;
    ///   `StrongroomError.cancelled`, after which it can go on.
    public func rotateAllDataKeys(
        progress: @Sendable @escaping (KeyScope, RotationProgress) -> Void = { _, _ in }
    ) async throws -> FleetRotationReport {
        try await BlockingWork.run {
            let lock = try self.beginRotation()
            defer { lock.release() }
            let (rotation, isResumed) = try self.changingKeyring { try self.keyring.begin(.data) }
            var doneBefore = 0
            var rotated: [DataKeyRotationReport] = []
            var failed: [FailedDatabase] = []
            for scope in [.global] + (try self.profiles().map { KeyScope.profile($0.id) }) {
                if Task.isCancelled { throw StrongroomError(.cancelled) }
                do {
                    if try self.keyring.envelope(for: scope).isRotated(in: rotation.id) {
                        doneBefore += 1
                        continue
                    }
                    rotated.append(try self.rotate(scope, in: rotation.id) { progress(scope, $0) })
                } catch let error as any ReportableError {
                    if Task.isCancelled { throw StrongroomError(.cancelled) }
                    failed.append(.init(scope: scope.description, code: error.code))
                }
            }
            try self.changingKeyring { try self.keyring.end(.data) }
            return FleetRotationReport(
                rotation: rotation.id, isResumed: isResumed, doneBefore: doneBefore, rotated: rotated, failed: failed)
        }
    }

    /// Keeps snapshots, restores and other rotations away.
    func beginRotation() throws -> FileLock {
        try requireUnlocked()
        return try keyring.beginRotation()
    }

    private func rotate(
        _ scope: KeyScope, in rotation: String?, _ progress: @Sendable @escaping (RotationProgress) -> Void
    ) throws -> DataKeyRotationReport {
        let report: DataKeyRotationReport
        if case .profile(let id) = scope, let profile = openProfile(id) {
            report = try RotationOfOpenProfile(profile, in: rotation, progress).run()
        } else {
            report = try rotateClosed(files(of: scope), in: rotation, progress)
        }
        logger.notice(
            "data_key_rotated", metadata: ["scope": "\(scope)", "generation": "\(report.generation)"])
        return report
    }

    private func rotateClosed(
        _ files: DatabaseFiles, in rotation: String?, _ progress: @Sendable @escaping (RotationProgress) -> Void
    ) throws -> DataKeyRotationReport {
        let start = ContinuousClock.now
        let lock = try self.lock(files)
        defer { lock.release() }
        // Opened and closed: what an interrupted rotation or restore left is settled, and no WAL is left.
        try OpenDatabase(files, lock: lock, keyring: keyring, policy: policy) {
            try DatabaseQueue(path: $0, configuration: $1)
        }.close(keepingLock: true)
        let keys = try keyring.keysForRotation(of: keyring.envelope(for: files.scope), in: rotation)
        defer { keys.wipe() }
        let target = try RotationFile(files, from: keys.old, to: keys.new)
        let pages: Int
        do {
            pages = try target.write(
                PageSource(DataFile(files.main), wal: nil, at: .none, key: keys.old.makePageKey()), progress)
            guard try !files.hasPendingWAL() else { throw StrongroomError(.copyDiffers, files.wal) }
            progress(RotationProgress(phase: .exchanging, pages: 0, totalPages: pages))
            try target.takeItsPlace()
        } catch {
            target.discard()
            throw error
        }
        try DurableFiles.syncDirectory(files.directory)
        _ = try keyring.activateDataKey(generation: keys.new.info.generation, of: keys.envelope)
        return DataKeyRotationReport(
            keys, scope: files.scope, pages: pages, pagesCaughtUp: 0, held: nil, took: ContinuousClock.now - start)
    }
}

extension DataKeyRotationReport {
    init(
        _ keys: RotationKeys, scope: KeyScope, pages: Int, pagesCaughtUp: Int, held: Duration?, took: Duration
    ) {
        self.scope = scope.description
        generation = keys.new.info.generation
        previousGeneration = keys.old.info.generation
        self.pages = pages
        self.pagesCaughtUp = pagesCaughtUp
        millisecondsHeld = held.map { Int($0 / .milliseconds(1)) }
        milliseconds = Int(took / .milliseconds(1))
    }
}

/// The key that a database is under, and the one that it is to be under.
struct RotationKeys {
    let envelope: Envelope
    let old: DataKey
    let new: DataKey

    func wipe() {
        old.secret.wipe()
        new.secret.wipe()
    }
}

extension UnlockedKeyring {
    /// Makes the next key durable, or takes the one that an interrupted rotation left.
    func keysForRotation(of envelope: Envelope, in rotation: String?) throws -> RotationKeys {
        var envelope = envelope
        if envelope.pendingDataKey == nil {
            envelope = try addPendingDataKey(to: envelope, rotation: rotation)
        } else if let rotation {
            envelope = try adoptPendingDataKey(of: envelope, into: rotation)
        }
        guard let active = envelope.activeDataKey, let pending = envelope.pendingDataKey else {
            throw StrongroomError(.database(envelope.withoutKey))
        }
        return RotationKeys(
            envelope: envelope, old: try dataKey(generation: active.generation, of: envelope),
            new: try dataKey(generation: pending.generation, of: envelope))
    }
}
