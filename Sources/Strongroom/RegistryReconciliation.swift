// An older registry does not know the profiles that were made since, and only it knows their names. A restore of the global
// database must not make them unreachable.

import DurableFiles
import Foundation
import GRDB
import Keyring

/// What was done so that registry and disk agree.
struct RegistryReconciliation: Sendable {
    /// Profiles that were on disk and not in the registry.
    var registered: [ProfileID] = []
    /// Profiles that are in the registry and not on disk.
    var missing: [ProfileID] = []
}

/// What the registry that is in force says, as far as it can be read.
struct LiveRegistry {
    /// Nil where they cannot be read.
    var profiles: [ProfileInfo]?
    /// The highest sequence of the keyring that it has seen.
    var keyringSequence: Int?
    /// The lowest sequence that each envelope may have.
    var envelopeSequences: [KeyScope: Int] = [:]
    /// Older keyrings that were accepted; nil where that cannot be read.
    var olderStates: [OlderState]?

    init() {}

    /// Reads it, as far as it can be read. Nothing is written, and SQLite is given pages only that are authentic.
    init(of files: DatabaseFiles, _ envelope: Envelope, _ keyring: UnlockedKeyring) {
        let diagnosis = Diagnosis(files: files, envelope: envelope, keyring: keyring)
        guard let sealed = try? diagnosis.readOnly() else { return }
        // Each for itself: what of it can be read is as good as before.
        let handle = sealed.connection.handle
        profiles = try? ProfileRegistry.all(handle)
        keyringSequence = try? ProfileRegistry.keyringSequence(handle)
        envelopeSequences = (try? ProfileRegistry.envelopeSequences(handle)) ?? [:]
        olderStates = try? ProfileRegistry.allOlderStates(handle)
    }
}

extension Store {
    /// What the registry that is in force says: it may be why there is a restore. It is opened so that it is not changed. The caller
    /// holds the lock.
    func liveRegistry() -> LiveRegistry {
        guard let envelope = try? keyring.envelope(for: .global) else { return LiveRegistry() }
        return LiveRegistry(of: DatabaseFiles(.global, in: directory), envelope, keyring)
    }

    /// Makes the restored registry `db` know every profile that is on disk with a key.
    ///
    /// - Parameter older: the older keyring that was accepted for this restore.
    func reconcile(
        with live: LiveRegistry, accepting older: OlderState?, _ db: Database
    ) throws -> RegistryReconciliation {
        try raiseKeyringSequence(db)
        for (scope, sequence) in live.envelopeSequences { try ProfileRegistry.note(sequence: sequence, of: scope, db) }
        try noteCertifiedKeys(db)
        for state in live.olderStates ?? [] { try ProfileRegistry.add(state, db) }
        if let older { try ProfileRegistry.add(older, db) }
        let known = live.profiles ?? []
        var result = RegistryReconciliation()
        let sequences = try ProfileRegistry.envelopeSequences(db)
        for (scope, sequence) in sequences { keyring.require(sequence: sequence, of: scope) }
        let onDisk = Set(
            try DurableFiles.names(in: DatabaseFiles.profilesDirectory(in: directory)).compactMap { ProfileID($0) })
        for id in onDisk.sorted(by: { "\($0)" < "\($1)" }) {
            let files = DatabaseFiles(.profile(id), in: directory)
            guard try ProfileRegistry.find(id, db) == nil, try StrictFiles.exists(files.main),
                let envelope = try? keyring.envelope(for: files.scope), !envelope.isShredded
            else { continue }
            // Where the live registry could be read and does not know it either, it was never finished.
            if !known.isEmpty, !known.contains(where: { $0.id == id }) { continue }
            let former = known.first { $0.id == id }
            let now = Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down))
            let name = try freeName(former?.name ?? "Recovered \(id)", id, db)
            try ProfileRegistry.add(
                ProfileInfo(id: id, name: name.description, created: former?.created ?? now), name: name, db)
            result.registered.append(id)
        }
        for info in try ProfileRegistry.all(db) where isShredded(info.id) { try ProfileRegistry.remove(info.id, db) }
        result.missing = try ProfileRegistry.all(db).map(\.id).filter { !onDisk.contains($0) }
        return result
    }

    private func isShredded(_ id: ProfileID) -> Bool {
        do { return try keyring.envelope(for: .profile(id)).isShredded } catch let error as KeyringError {
            guard error.reason == .rolledBack(.envelope) else { return false }
        } catch { return false }
        // The envelope is from before: a certificate has the last word.
        return hasShreddingCertificate(id)
    }

    private func hasShreddingCertificate(_ id: ProfileID) -> Bool {
        var isShredded = false
        try? RetirementCertificate.forEach(in: keyring.directory) { path in
            guard path.name?.hasPrefix("\(id)-") ?? false else { return }
            let certificate = try? keyring.read(RetirementCertificate.self, from: path)
            if certificate?.scope == "\(id)", certificate?.outcome == .shredded { isShredded = true }
        }
        return isShredded
    }

    /// A certificate is a witness too, where the registry of before cannot be read: an envelope that has a key still which was destroyed is
    /// an older one.
    private func noteCertifiedKeys(_ db: Database) throws {
        try RetirementCertificate.forEach(in: keyring.directory) { path in
            guard let certificate = try? keyring.read(RetirementCertificate.self, from: path),
                certificate.outcome != .unused, let scope = KeyScope(certificate.scope),
                let envelope = try? keyring.envelope(for: scope),
                let key = envelope.dataKeys.first(where: { $0.generation == certificate.generation }),
                key.state != .destroyed, key.keyID.description == certificate.keyId
            else { return }
            try ProfileRegistry.note(sequence: envelope.sequence + 1, of: scope, db)
        }
    }

    /// A name may have gone to another profile meanwhile.
    private func freeName(_ wanted: String, _ id: ProfileID, _ db: Database) throws -> ProfileName {
        let name = try ProfileName(wanted)
        return try ProfileRegistry.find(name, db) == nil ? name : ProfileName("Recovered \(id)")
    }
}
