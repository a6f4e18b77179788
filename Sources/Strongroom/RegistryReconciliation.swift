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

extension Store {
    /// What the registry that is in force says, as far as it can be read: it may be why there is a restore. It is opened so
    /// that it is not changed. The caller holds the lock.
    func liveRegistry() -> [ProfileInfo] {
        let files = DatabaseFiles(.global, in: directory)
        guard let envelope = try? keyring.envelope(for: .global), let active = try? files.keyInForce(envelope),
            let key = try? keyring.dataKey(generation: active.generation, of: envelope),
            (try? StrictFiles.exists(files.main)) == true
        else { return [] }
        defer { key.secret.wipe() }
        // SQLite must not see the file with a journal that is not ours.
        guard (try? files.hasForeignJournal()) == false else { return registryWithoutJournal(files, key) }
        guard
            let queue = try? DatabaseQueue(
                path: files.main.string, configuration: Engine.configuration(key: key, policy: policy, readonly: true))
        else { return [] }
        defer { try? queue.close() }
        return (try? queue.read { try ProfileRegistry.all($0) }) ?? []
    }

    /// What the main file says by itself, where nothing waits in a WAL.
    private func registryWithoutJournal(_ files: DatabaseFiles, _ key: DataKey) -> [ProfileInfo] {
        guard (try? files.hasPendingWAL()) == false,
            let sealed = try? SealedDatabase(DataFile(files.main), key: key.makePageKey(), authenticating: true)
        else { return [] }
        return (try? ProfileRegistry.all(sealed.connection.handle)) ?? []
    }

    /// Makes the restored registry `db` know every profile that is on disk with a key.
    func reconcile(with known: [ProfileInfo], _ db: Database) throws -> RegistryReconciliation {
        try ProfileRegistry.setKeyringSequence(keyring.sequence, db)
        var result = RegistryReconciliation()
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
        (try? keyring.envelope(for: .profile(id)))?.isShredded ?? false
    }

    /// A name may have gone to another profile meanwhile.
    private func freeName(_ wanted: String, _ id: ProfileID, _ db: Database) throws -> ProfileName {
        let name = try ProfileName(wanted)
        return try ProfileRegistry.find(name, db) == nil ? name : ProfileName("Recovered \(id)")
    }
}
