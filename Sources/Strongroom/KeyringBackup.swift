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

extension Store {
    /// Copies the keyring's sealed files into a new directory, with the store's own file and its policy, which are public: nothing in
    /// it opens without an unlocker.
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
                let copied = try self.keyring.copySealedFiles(to: target, with: self.verifiedStoreFiles())
                envelopes = copied.envelopes
                unusable = copied.unusable.map { .init(scope: $0.scope.description, code: $0.code) }
                let sequence = self.keyring.sequence
                try self.writeGlobal { try ProfileRegistry.setLastBackup(Date(), sequence: sequence, $0) }
            }
            return KeyringBackupReport(
                keyringId: self.keyring.id, sequence: self.keyring.sequence, envelopes: envelopes, unusable: unusable)
        }
    }

    /// `store.json` and `policy.yaml`, as they are after both were verified.
    private func verifiedStoreFiles() throws -> [(name: String, bytes: [UInt8])] {
        let path = Self.documentPath(in: directory)
        let document = try keyring.read(StoreDocument.self, from: path)
        let policy = try StrictFiles.read(Self.policyPath(in: directory), limit: KeyPolicy.maximumFileBytes)
        guard try KeyPolicy.digest(of: policy) == document.policy.digest else {
            throw StrongroomError(.policyChanged, Self.policyPath(in: directory))
        }
        return [
            ("store.json", try StrictFiles.read(path, limit: StoreDocument.maximumBytes)), ("policy.yaml", policy),
        ]
    }
}
