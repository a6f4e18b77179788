// A new root key, and everything of the store that is under an older one written again: docs/formats/keyring.md.

import DurableFiles
import Foundation
import Keyring
import Snapshots
import SystemPackage

/// How far a rotation of the root key is.
public struct RootKeyRotationProgress: Sendable, Hashable {
    /// Envelopes done.
    public let envelopes: Int
    /// Envelopes in all.
    public let totalEnvelopes: Int
}

/// What a rotation of the root key did.
public struct RootKeyRotationReport: Sendable, Codable {
    /// The version of the root key now.
    public let version: Int
    /// Whether it went on with a rotation that was interrupted.
    public let isResumed: Bool
    /// How many unlockers the new root key is sealed to: all there are.
    public let unlockers: Int
    /// How many envelopes there are.
    public let envelopes: Int
    /// The older root keys that are gone now.
    public let destroyedVersions: [Int]
    /// What could not be done; the older root keys stay for as long as there is any.
    public let failed: [FailedDatabase]
    /// How long it took, in milliseconds.
    public let milliseconds: Int
}

extension Store {
    /// Makes a new root key, sealed to every unlocker there is, and puts everything under it; then the older ones are destroyed. One
    /// that was interrupted goes on.
    ///
    /// Databases, snapshots and their keys stay as they are. Other processes that have the store open go on.
    ///
    /// - Parameter progress: called now and then.
    /// - Throws: `KeyringError.rotationBlocked` where a snapshot, a restore or another rotation is under way; `KeyringError` and
    ///   `DurableFilesError`, after which it can go on. What single files are wrong with is in the report.
    @discardableResult
    public func rotateRootKey(
        progress: @Sendable @escaping (RootKeyRotationProgress) -> Void = { _ in }
    ) async throws -> RootKeyRotationReport {
        try await BlockingWork.run {
            let start = ContinuousClock.now
            let lock = try self.beginRotation()
            defer { lock.release() }
            // A restore acts on the envelope as it was when it was decided.
            let unsettled = try self.finishRestores()
            var failed = unsettled.map { FailedDatabase(scope: $0.key.description, code: $0.value) }
            let (_, isResumed) = try self.changingKeyring { try self.keyring.begin(.root) }
            let before = self.keyring.rootKeyInfos
            var envelopes = 0
            for failure in try self.keyring.rewrapEnvelopes(
                skipping: Set(unsettled.keys), requireCurrent: self.requireCurrent,
                progress: { done in
                    envelopes = done.total
                    progress(RootKeyRotationProgress(envelopes: done.done, totalEnvelopes: done.total))
                })
            {
                failed.append(.init(scope: failure.scope.description, code: failure.code))
            }
            for scope in try self.scopesWithoutEnvelope() {
                failed.append(.init(scope: scope.description, code: KeyringError(.missing(.envelope)).code))
            }
            failed += try self.renewDocuments()
            let isComplete = try failed.isEmpty && self.keyring.envelopesUnderOlderRootKeys() == 0
            try self.changingKeyring { try self.keyring.endRootRotation(destroyingOlder: isComplete) }
            let after = self.keyring.rootKeyInfos
            let version = after.last?.version ?? 0
            self.logger.notice("root_key_rotated", metadata: ["version": "\(version)"])
            return RootKeyRotationReport(
                version: version, isResumed: isResumed, unlockers: self.keyring.unlockers.count, envelopes: envelopes,
                destroyedVersions: zip(before, after).filter { $0.state != .destroyed && $1.state == .destroyed }
                    .map(\.0.version),
                failed: failed, milliseconds: Int((ContinuousClock.now - start) / .milliseconds(1)))
        }
    }

    /// Databases that are registered or on disk, and whose envelope is in neither place nor form: should it turn up again, it takes the
    /// older root key to read it.
    private func scopesWithoutEnvelope() throws -> [KeyScope] {
        let known = try Set(snapshotScopes() + profiles().map { .profile($0.id) })
        return try known.filter { try !keyring.hasEnvelope(of: $0) }.sorted { $0.description < $1.description }
    }

    /// Puts what is not an envelope under the active root key: the store's own file and certificates.
    private func renewDocuments() throws -> [FailedDatabase] {
        var failed: [FailedDatabase] = []
        func attempt(_ scope: String, _ body: () throws -> Void) throws {
            do { try body() } catch let error as any ReportableError {
                failed.append(.init(scope: scope, code: error.code))
            }
        }
        try attempt("store") { try keyring.renew(StoreDocument.self, at: Self.documentPath(in: directory)) }
        try RetirementCertificate.forEach(in: keyring.directory) { path in
            try attempt("certificate") { try keyring.renew(RetirementCertificate.self, at: path) }
        }
        return failed
    }

    /// Finishes every restore that was decided and not finished.
    ///
    /// - Returns: the databases of which it could not be, and the code of the error.
    private func finishRestores() throws -> [KeyScope: String] {
        var failed: [KeyScope: String] = [:]
        for scope in try snapshotScopes() {
            do { try finishRestore(of: scope) } catch let error as any ReportableError { failed[scope] = error.code }
        }
        return failed
    }

    /// Finishes a restore that was decided and not finished. The database's lock is taken, because another process may be doing it.
    func finishRestore(of scope: KeyScope) throws {
        let files = try files(of: scope)
        guard try StrictFiles.exists(files.restoreJournal) else { return }
        let lock = try self.lock(files)
        defer { lock.release() }
        _ = try files.finishRestore(keyring.envelope(for: scope), keyring)
    }
}
