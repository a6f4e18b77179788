// Old data keys are destroyed only after every file of their database has been looked at: docs/formats/certificate.md.

import DurableFiles
public import Foundation
import KeyPolicy
import Keyring
import Snapshots

/// What became of old data keys.
public struct RetirementReport: Sendable, Codable {
    /// What became of one.
    public enum Outcome: String, Sendable, Codable {
        /// No file is under it; it was not to be destroyed, or only to be looked for.
        case unused
        /// No file was under it, and it is gone.
        case destroyed
        /// Files are under it still.
        case inUse
        /// The policy's days of grace are not over.
        case inGrace
        /// Files could not be looked at, so that nobody can tell.
        case undetermined
    }

    /// One old data key.
    public struct Key: Sendable, Codable {
        /// `global` or a profile's id.
        public let scope: String
        /// Counted from 1.
        public let generation: Int
        /// What files under it begin with: 32 hex digits.
        public let keyId: String
        /// What became of it.
        public let outcome: Outcome
        /// How many whole days it has been retired.
        public let retiredDays: Int
        /// How many files were looked at.
        public let filesExamined: Int
        /// How many of them could not be.
        public let filesUnreadable: Int
        /// How many databases, snapshots, quarantined and other files are under it.
        public let databases, snapshots, quarantined, others: Int
    }

    /// Whether nothing was changed.
    public let isDryRun: Bool
    /// How many days of grace the policy asks for.
    public let graceDays: Int
    /// The old keys, those that were destroyed before left out.
    public let keys: [Key]
    /// What could not be done; it did not stop the others.
    public let failed: [FailedDatabase]
}

extension Store {
    /// Looks for files under old data keys, and destroys the keys that none is under.
    ///
    /// For each key that is found unused or destroyed a certificate is written to the keyring.
    ///
    /// - Parameters:
    ///   - scopes: of these databases; of all unless said otherwise.
    ///   - destroying: whether keys are to be destroyed, or only looked for.
    ///   - isDryRun: whether nothing is to be written at all.
    ///   - now: the time; a clock that has gone backwards makes no key older.
    /// - Throws: `KeyringError.rotationBlocked` where a snapshot, a restore or a rotation is under way.
    public func retireDataKeys(
        of scopes: [KeyScope]? = nil, destroying: Bool, isDryRun: Bool = false, now: Date = Date()
    ) async throws -> RetirementReport {
        try await BlockingWork.run {
            let lock = try self.beginRotation()
            defer { lock.release() }
            var keys: [RetirementReport.Key] = []
            var failed: [FailedDatabase] = []
            var changed: [Envelope] = []
            for scope in try scopes ?? self.snapshotScopes() {
                do {
                    // A restore acts on the envelope as it was when it was decided.
                    if !isDryRun { try self.finishRestore(of: scope) }
                    let retired = try self.retire(scope, destroying: destroying, isDryRun: isDryRun, now)
                    keys += retired
                    if retired.contains(where: { $0.outcome == .destroyed }), !isDryRun {
                        changed.append(try self.keyring.envelope(for: scope))
                    }
                } catch let error as any ReportableError {
                    failed.append(.init(scope: scope.description, code: error.code))
                }
            }
            try self.noteDestroyedKeys(of: changed)
            return RetirementReport(
                isDryRun: isDryRun, graceDays: self.policy.retirementGraceDays, keys: keys, failed: failed)
        }
    }

    private func retire(
        _ scope: KeyScope, destroying: Bool, isDryRun: Bool, _ now: Date
    ) throws -> [RetirementReport.Key] {
        var envelope = try keyring.envelope(for: scope)
        let old = envelope.dataKeys.filter { $0.state == .decryptOnly }
        let uncertified = try envelope.isShredded ? [] : envelope.dataKeys.filter { try !hasCertificate($0, scope) }
        guard !old.isEmpty || !uncertified.isEmpty else { return [] }
        try requireCurrent(envelope)
        let candidates = try old.map { try keyring.dataKey(generation: $0.generation, of: envelope) }
        defer { for key in candidates { key.secret.wipe() } }
        let files = try FilesUnderKeys(of: files(of: scope), envelope, candidates: candidates)
        var keys: [RetirementReport.Key] = []
        for key in old {
            let days = Self.days(from: envelope.dateOfRetirement(key), to: now)
            let outcome = outcome(of: key, files, days: days, destroying: destroying)
            keys.append(.init(key, scope, outcome, days: days, files))
            guard !isDryRun, outcome == .unused || outcome == .destroyed else { continue }
            if outcome == .destroyed {
                envelope = try keyring.destroyDataKey(generation: key.generation, of: envelope)
                logger.notice(
                    "data_key_destroyed", metadata: ["scope": "\(scope)", "generation": "\(key.generation)"])
            }
            try write(certificate(of: key, scope, outcome == .destroyed ? .destroyed : .unused, files, now))
        }
        // One that was destroyed when the certificate could not be written any more gets it now, on what is found now.
        for key in uncertified where !isDryRun && files.unreadable == 0 && files.count(under: key.generation) == 0 {
            try write(certificate(of: key, scope, .destroyed, files, now))
        }
        return keys
    }

    private func outcome(
        of key: DataKeyInfo, _ files: FilesUnderKeys, days: Int, destroying: Bool
    ) -> RetirementReport.Outcome {
        if files.count(under: key.generation) > 0 { return .inUse }
        if files.unreadable > 0 { return .undetermined }
        guard destroying else { return .unused }
        return days < policy.retirementGraceDays ? .inGrace : .destroyed
    }

    func hasCertificate(_ key: DataKeyInfo, _ scope: KeyScope) throws -> Bool {
        guard key.state == .destroyed else { return true }
        let path = RetirementCertificate.directory(in: keyring.directory)
            .appending("\(scope)-\(key.generation).json")
        guard try StrictFiles.exists(path) else { return false }
        return try keyring.read(RetirementCertificate.self, from: path).outcome != .unused
    }

    func certificate(
        of key: DataKeyInfo, _ scope: KeyScope, _ outcome: RetirementCertificate.Outcome, _ files: FilesUnderKeys,
        _ now: Date
    ) -> RetirementCertificate {
        RetirementCertificate(
            keyringId: keyring.id, storeId: id, scope: scope.description, generation: key.generation,
            keyId: key.keyID.description, outcome: outcome,
            date: Date(timeIntervalSince1970: now.timeIntervalSince1970.rounded(.down)), retired: key.retired,
            graceDays: policy.retirementGraceDays, filesExamined: files.examined,
            filesUnderKey: files.count(under: key.generation))
    }
}

extension Envelope {
    /// When a key stopped being the active one. A file from before that was written down says when the next one was made.
    fileprivate func dateOfRetirement(_ key: DataKeyInfo) -> Date {
        key.retired ?? dataKeys.first { $0.generation > key.generation }?.created ?? key.created
    }
}

extension RetirementReport.Key {
    fileprivate init(
        _ key: DataKeyInfo, _ scope: KeyScope, _ outcome: RetirementReport.Outcome, days: Int, _ files: FilesUnderKeys
    ) {
        let found = files.found[key.generation] ?? [:]
        self.init(
            scope: scope.description, generation: key.generation, keyId: key.keyID.description, outcome: outcome,
            retiredDays: days, filesExamined: files.examined, filesUnreadable: files.unreadable,
            databases: found[.database] ?? 0, snapshots: found[.snapshot] ?? 0, quarantined: found[.quarantined] ?? 0,
            others: found[.other] ?? 0)
    }
}
