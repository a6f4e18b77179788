import DurableFiles
import Foundation
public import GRDB
import KeyPolicy
public import Keyring
import SystemPackage

/// An open profile. It belongs to this process until it is closed.
public final class Profile: Sendable {
    /// Its id and name.
    public let info: ProfileInfo
    let open: OpenDatabase<DatabasePool>
    let store: Store

    /// GRDB's own pool, on an encrypted database in WAL mode. It is closed with the profile.
    public var database: DatabasePool { open.writer }

    /// The key that the database is under, in numbers.
    public var dataKey: DataKeyInfo { open.dataKeyInfo }

    /// What was done about the database when it was opened; nil where nothing was wrong.
    public let recovery: RecoveryEvent?

    init(
        _ info: ProfileInfo, _ open: OpenDatabase<DatabasePool>, recovered recovery: RecoveryEvent?, of store: Store
    ) {
        self.info = info
        self.recovery = recovery
        self.open = open
        self.store = store
        store.noteOpen(self)
    }

    /// What an error means that ``database`` threw: a `StrongroomError` where SQL asked for something that is protected, or where the
    /// database turns out to be damaged, which all its pages are looked at for. Any other error is handed back as it is.
    public func explained(_ error: any Error) -> any Error { open.known(error) ?? error }

    /// Writes back what is pending, closes the database, wipes its key and lets other processes have the profile.
    /// Does nothing the second time.
    ///
    /// - Throws: `StrongroomError` where something could not be written back; what was acknowledged is on disk.
    public func close() throws {
        store.noteClosed(self)
        try open.close()
    }
}

extension Store {
    /// The profiles of the store, by name.
    public func profiles() throws -> [ProfileInfo] {
        try readGlobal { try ProfileRegistry.all($0) }
    }

    /// The profile with this id or name.
    ///
    /// - Parameter text: an id, `prof_` and 16 base32 digits; or a name, without regard to case.
    /// - Throws: `StrongroomError.profileNotFound`.
    public func profile(_ text: String) throws -> ProfileInfo {
        let found: ProfileInfo? = try readGlobal { db in
            if let id = ProfileID(text) { return try ProfileRegistry.find(id, db) }
            guard let name = try? ProfileName(text) else { return nil }
            return try ProfileRegistry.find(name, db)
        }
        guard let found else { throw StrongroomError(.profileNotFound) }
        return found
    }

    /// Makes an empty profile.
    ///
    /// - Throws: `StrongroomError` where the name is taken or no name; nothing is left behind then.
    @discardableResult
    public func createProfile(named name: String) throws -> ProfileInfo {
        try makeProfile(named: name) { _ in }.info
    }

    /// Gives a profile another name; only the registry knows it, so the profile may be open. ``Profile/info`` of one that is open
    /// goes on saying what it was called when it was opened.
    ///
    /// - Throws: `StrongroomError` where the name is another profile's or no name, or there is no such profile; nothing is changed then.
    @discardableResult
    public func renameProfile(_ id: ProfileID, to name: String) throws -> ProfileInfo {
        let name = try ProfileName(name)
        return try writeGlobal { try ProfileRegistry.rename(id, to: name, $0) }
    }

    /// Makes a profile, lets `fill` put something into its database, and registers it last.
    func makeProfile<Filling>(
        named name: String, fill: (OpenDatabase<DatabaseQueue>) throws -> Filling
    ) throws -> (info: ProfileInfo, filling: Filling) {
        try makeProfile(named: name, source: { _ in }, encoding: { .utf8 }, fill: { open, _ in try fill(open) })
    }

    /// The same of a source that is opened first, because it says how the database stores text.
    func makeProfile<Source, Filling>(
        named name: String, source: (DatabaseFiles) throws -> Source, encoding: (Source) throws -> TextEncoding,
        fill: (OpenDatabase<DatabaseQueue>, Source) throws -> Filling
    ) throws -> (info: ProfileInfo, filling: Filling) {
        try addProfile(named: name, pageFormat: policy.pageFormat) { files, lock in
            let source = try source(files)
            let open = try OpenDatabase(
                files, lock: lock, keyring: keyring, policy: policy, isNew: true, encoding: encoding(source)
            ) {
                try DatabaseQueue(path: $0, configuration: $1)
            }
            let filling: Filling
            do {
                filling = try StrongroomError.wrapping(.copy, files.main) { try fill(open, source) }
            } catch {
                try? open.close()
                throw error
            }
            try open.close()
            return filling
        }
    }

    /// Makes the key and the directory of a profile, lets `makeDatabase` make its database, and registers it last.
    func addProfile<Filling>(
        named name: String, pageFormat: PageFormat, makeDatabase: (DatabaseFiles, FileLock) throws -> Filling
    ) throws -> (info: ProfileInfo, filling: Filling) {
        let name = try ProfileName(name)
        try requireUnlocked()
        let isTaken = try readGlobal { try ProfileRegistry.find(name, $0) != nil }
        guard !isTaken else { throw StrongroomError(.profileExists) }

        let id = try ProfileID.random()
        let created = Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down))
        let info = ProfileInfo(id: id, name: name.description, created: created)
        let files = try files(of: .profile(id))
        do {
            // The key is durable before anything is under it.
            try keyring.createEnvelope(for: files.scope, pageFormat: pageFormat)
            try DurableFiles.createDirectory(files.directory)
            let lock = try FileLock(files.lock)
            defer { lock.release() }
            let filling = try makeDatabase(files, lock)
            try writeGlobal { try ProfileRegistry.add(info, name: name, $0) }
            logger.debug("profile_created", metadata: ["profile": "\(id)"])
            return (info, filling)
        } catch {
            // Whether a commit that failed took place is for the registry to say. Only what it surely does not know was
            // never acknowledged, and may go.
            guard let isUnknown = try? readGlobal({ try ProfileRegistry.find(id, $0) == nil }),
                isUnknown
            else {
                throw error
            }
            if (try? StrictFiles.exists(files.directory)) == true { try? DurableFiles.removeTree(files.directory) }
            try? keyring.discardEnvelope(of: files.scope)
            throw error
        }
    }

    /// Opens a profile for this process.
    ///
    /// - Parameter text: its id or name.
    /// - Throws: `StrongroomError.profileInUse` where it is open already; `.database` with the exact condition where
    ///   something is wrong with its file, which is left as it is; `.migrationHistoryGap`, `.migrationFailed`.
    public func openProfile(_ text: String) throws -> Profile {
        try openProfile(profile(text))
    }

    /// Opens a profile for this process.
    ///
    /// - Throws: as ``openProfile(_:)-(String)``.
    public func openProfile(_ info: ProfileInfo) throws -> Profile {
        try requireUnlocked()
        let files = try files(of: .profile(info.id))
        let lock = try lockProfile(files)
        do {
            let (open, event) = try openRecovering(files, lock: lock) {
                try DatabasePool(path: $0, configuration: $1)
            }
            try migrate(open, schema.profile)
            return Profile(info, open, recovered: event, of: self)
        } catch {
            lock.release()
            throw error
        }
    }

    /// Runs what is pending, or closes the database.
    func migrate(_ open: OpenDatabase<some DatabaseWriter>, _ migrations: Migrations?) throws {
        guard let migrations else { return }
        do {
            try StrongroomError.wrapping(.open, open.files.main) { try open.migrate(migrations, of: self) }
        } catch {
            try? open.close()
            throw error
        }
    }

    /// How long a profile may still be held that was closed just now, in milliseconds: where another thread starts a program at
    /// that moment, the lock lives on in the child until that has become the other program.
    private static let profilePatienceMilliseconds = 250

    /// The lock of a database.
    func lock(_ files: DatabaseFiles) throws -> FileLock {
        try files.scope == .global ? lockGlobal(files) : lockProfile(files)
    }

    /// The process lock of a profile.
    func lockProfile(_ files: DatabaseFiles) throws -> FileLock {
        do {
            return try FileLock(files.lock, patienceMilliseconds: Self.profilePatienceMilliseconds)
        } catch {
            switch error.reason {
            case .isLocked(let process): throw StrongroomError(.profileInUse(process: process), files.lock)
            case .missing: throw StrongroomError(.database(.missing), files.main)
            default: throw error
            }
        }
    }
}
