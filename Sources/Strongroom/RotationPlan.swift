// What a rotation would do, said without doing it.

import DurableFiles
import ErrorReporting
import Keyring
import SystemPackage

/// What rotating the root key would do.
public struct RootKeyRotationPlan: Sendable, Codable {
    /// The version of the active root key.
    public let version: Int
    /// The version that would be made; the same where an interrupted rotation would go on.
    public let nextVersion: Int
    /// Whether an interrupted rotation would go on.
    public let isResumed: Bool
    /// How many unlockers the new root key would be sealed to.
    public let unlockers: Int
    /// How many envelopes are under an older root key than the next one.
    public let envelopes: Int
}

/// What rotating the data key of one database would do.
public struct DataKeyRotationPlan: Sendable, Codable {
    /// `global` or a profile's id.
    public let scope: String
    /// The generation of the active key; nil where there is none.
    public let generation: Int?
    /// How large the database is, in bytes; nil where there is none.
    public let bytes: Int?
    /// `healthy`, or the code of what would end it: see the runbook.
    public let condition: String
}

extension Store {
    /// What rotating the root key would do.
    public func planRootKeyRotation() throws -> RootKeyRotationPlan {
        try requireUnlocked()
        let isResumed = keyring.rotations.contains { $0.kind == .root }
        let version = keyring.activeRootVersion
        let envelopes = try isResumed ? keyring.envelopesUnderOlderRootKeys() : keyring.forEachScope { _ in }
        return RootKeyRotationPlan(
            version: version, nextVersion: isResumed ? version : version + 1, isResumed: isResumed,
            unlockers: keyring.unlockers.count, envelopes: envelopes)
    }

    /// What rotating data keys would do. Only the first page of each database is looked at.
    ///
    /// - Parameter scopes: of these databases; of all unless said otherwise.
    public func planDataKeyRotation(of scopes: [KeyScope]? = nil) throws -> [DataKeyRotationPlan] {
        let all = try scopes ?? [.global] + profiles().map { .profile($0.id) }
        return all.map { scope in
            let files = DatabaseFiles(scope, in: directory)
            let bytes = try? DataFile(files.main).length()
            do {
                try files.requireOwnDirectories()
                let envelope = try keyring.envelope(for: scope)
                let condition = try Diagnosis(files: files, envelope: envelope, keyring: keyring).ofFirstPage()
                // An application that has it open would keep it from being rotated by this process.
                if scope != .global, condition == .healthy { try lockProfile(files).release() }
                return DataKeyRotationPlan(
                    scope: scope.description, generation: envelope.activeDataKey?.generation, bytes: bytes,
                    condition: condition.name)
            } catch {
                return DataKeyRotationPlan(
                    scope: scope.description, generation: nil, bytes: bytes,
                    condition: (error as? any ReportableError)?.code ?? "internal")
            }
        }
    }
}
