// A profile is made unreadable by destroying its keys: what is under them stays where it is, and is of no use to anybody.

import DurableFiles
public import Foundation
import Keyring
import Snapshots

extension Envelope {
    /// What a database is like whose envelope has no active key.
    var withoutKey: DatabaseCondition { isShredded ? .shredded : .unknownKey }
}

/// What a shredding did.
public struct ShredReport: Sendable, Codable {
    /// The profile's id.
    public let profile: String
    /// How many keys were destroyed now.
    public let keysDestroyed: Int
    /// How many files of the profile, snapshots and quarantined ones among them, cannot be opened any more.
    public let filesUnderKeys: Int
    /// How many files of the profile's directory could not be looked at. They are under these keys too, if they are under any.
    public let filesUnreadable: Int
    /// When the keyring was last backed up, as far as this store knows. That backup, with a copy of the files, still opens them.
    public let lastBackup: Date?
    /// The sequence of the keyring at that time.
    public let lastBackupSequence: Int?
}

extension Store {
    /// Destroys every key of a profile, with its snapshots and copies, and takes it off the list of profiles. Its files stay, and nobody
    /// can open them who has only this keyring. Interrupted, it goes on when it is called again.
    ///
    /// - Parameters:
    ///   - id: the profile, which nobody may have open.
    ///   - isDryRun: whether to say only what would be done.
    /// - Throws: `StrongroomError.profileInUse`; `KeyringError.rotationBlocked` where a snapshot, a restore or a rotation is under way.
    public func shredProfile(_ id: ProfileID, isDryRun: Bool = false) async throws -> ShredReport {
        try await BlockingWork.run {
            // It goes on where it was interrupted, by a full disk as well.
            try self.reserve.whereNeeded { try self.shred(id, isDryRun: isDryRun) }
        }
    }

    private func shred(_ id: ProfileID, isDryRun: Bool) throws -> ShredReport {
        let rotation = try self.beginRotation()
        defer { rotation.release() }
        let scope = KeyScope.profile(id)
        let files = try self.files(of: scope)
        let lock = try StrictFiles.exists(files.directory) ? self.lockProfile(files) : nil
        defer { lock?.release() }
        let envelope = try self.keyring.envelope(for: scope)
        let live = envelope.dataKeys.filter { $0.state != .destroyed }
        let found = try FilesUnderKeys(of: files, envelope, candidates: [])
        let backup = try self.lastBackup()
        let report = ShredReport(
            profile: id.description, keysDestroyed: live.count,
            filesUnderKeys: envelope.dataKeys.reduce(0) { $0 + found.count(under: $1.generation) },
            filesUnreadable: found.unreadable, lastBackup: backup?.date, lastBackupSequence: backup?.sequence)
        if isDryRun { return report }
        let shredded = try envelope.isShredded ? envelope : self.keyring.destroyDataKeys(of: envelope)
        for key in shredded.dataKeys where try !self.hasCertificate(key, scope) {
            try self.write(self.certificate(of: key, scope, .shredded, found, Date()))
        }
        try self.writeGlobal { db in
            try ProfileRegistry.note(sequence: shredded.sequence, of: scope, db)
            try ProfileRegistry.remove(id, db)
        }
        self.logger.notice("profile_shredded", metadata: ["profile": "\(id)"])
        return report
    }

    /// Shreds a profile, and then removes its files, snapshots and quarantined databases among them: for the person who wants it gone.
    /// Its certificates and its envelope without keys stay in the keyring. Interrupted, it goes on when it is called again.
    ///
    /// - Parameter id: the profile, which nobody may have open.
    /// - Returns: what the shredding did; the files that it counts are gone.
    /// - Throws: as ``shredProfile(_:isDryRun:)``; `DurableFilesError` where a file cannot be removed: no key opens it any more.
    @discardableResult
    public func deleteProfile(_ id: ProfileID) async throws -> ShredReport {
        let report = try await shredProfile(id)
        try await BlockingWork.run {
            let directory = try self.files(of: .profile(id)).directory
            if try StrictFiles.exists(directory) { try DurableFiles.removeTree(directory) }
        }
        return report
    }

    /// When the keyring was last backed up, and its sequence then.
    func lastBackup() throws -> (date: Date, sequence: Int)? {
        try readGlobal { try ProfileRegistry.lastBackup($0) }
    }
}
