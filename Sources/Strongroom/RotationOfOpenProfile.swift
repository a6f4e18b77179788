// A new data key for a profile that is read and written meanwhile: docs/decisions/0013-exchange-under-open-connections.md.

import DurableFiles
import Foundation
import GRDB
import Keyring
import PageCipher

/// One rotation of one open profile.
struct RotationOfOpenProfile {
    private let profile: Profile
    private let open: OpenDatabase<DatabasePool>
    private let rotation: String?
    private let progress: @Sendable (RotationProgress) -> Void

    private var files: DatabaseFiles { open.files }
    private var database: DatabasePool { open.writer }

    /// So few pages are caught up with while everybody waits.
    private static let pagesWorthWaiting = 64
    /// A writer that is always faster than the rotation is made to wait after so many rounds.
    private static let rounds = 8

    init(_ profile: Profile, in rotation: String?, _ progress: @Sendable @escaping (RotationProgress) -> Void) {
        self.profile = profile
        open = profile.open
        self.rotation = rotation
        self.progress = progress
    }

    func run() throws -> DataKeyRotationReport {
        let start = ContinuousClock.now
        let staysOpen = try open.holdOpen()
        defer { staysOpen.release() }
        let keys = try open.keyring.keysForRotation(of: currentEnvelope(), in: rotation)
        open.note(keys.envelope)
        defer {
            // What is in force at the end stays, with the connections that use it.
            let inForce = open.rotationState.key.info.keyID
            for key in [keys.old, keys.new] where key.info.keyID != inForce { key.secret.wipe() }
            // It has another name once it has taken the old one's place.
            try? DurableFiles.remove(files.rotating)
        }

        let target = try RotationFile(files, from: keys.old, to: keys.new)
        var moment = try nextMoment(after: nil)
        var source = try moment.pages(under: keys.old)
        let pages = try target.write(source, progress)
        var caughtUp = 0
        for _ in 0..<Self.rounds {
            let next = try nextMoment(after: moment)
            source = try next.pages(under: keys.old, after: source)
            let changed = try next.changed(since: moment, in: source)
            moment = next
            guard !changed.isEmpty else { break }
            progress(RotationProgress(phase: .catchingUp, pages: changed.count, totalPages: pages))
            try target.write(pages: changed, of: source)
            caughtUp += changed.count
            if changed.count <= Self.pagesWorthWaiting { break }
            if Task.isCancelled { throw StrongroomError(.cancelled) }
        }
        progress(RotationProgress(phase: .exchanging, pages: 0, totalPages: pages))
        let (last, held) = try finish(keys, target, moment, source)
        // Should this fail, everybody goes on under the new key, and whoever opens the database next does it.
        open.note(try open.keyring.activateDataKey(generation: keys.new.info.generation, of: keys.envelope))
        return DataKeyRotationReport(
            keys, scope: files.scope, pages: pages, pagesCaughtUp: caughtUp + last, held: held,
            took: ContinuousClock.now - start)
    }

    /// The envelope, with the key active that the database is under: the last rotation may have failed in its last step.
    private func currentEnvelope() throws -> Envelope {
        let (envelope, key) = open.rotationState
        guard envelope.dataKey(key.info.keyID)?.state == .pending else { return envelope }
        return try open.keyring.activateDataKey(generation: key.info.generation, of: envelope)
    }

    /// Holds the database still as it is now, and only then lets the earlier moment go: so no change in between is lost.
    private func nextMoment(after earlier: HeldMoment?) throws -> HeldMoment {
        let reader = try StrongroomError.wrapping(.query, files.main) { try open.makeReader() }
        return try StrongroomError.wrapping(.query, files.main) {
            try database.writeWithoutTransaction { try HeldMoment(files, $0, heldBy: reader) }
        }
    }

    /// Lets nothing be written any more that the file at this path would not get, or not safely.
    private func cutOff(_ db: Database) -> StrongroomError {
        ConnectionExchange.cutOff(db)
        open.exchangeFailed()
        return StrongroomError(.exchangeIncomplete, files.main)
    }

    /// The last pages, the exchange of the file, and the connections brought to it, while readers and writers wait.
    ///
    /// - Parameter known: the pages at the last moment.
    /// - Returns: how many pages were caught up with, and how long everybody waited.
    private func finish(
        _ keys: RotationKeys, _ target: RotationFile, _ moment: HeldMoment, _ known: PageSource
    ) throws -> (pages: Int, held: Duration) {
        try StrongroomError.wrapping(.query, files.main) {
            try database.barrierWriteWithoutTransaction { db in
                let start = ContinuousClock.now
                let last = try HeldMoment(files, db, heldBy: nil)
                let source = try last.pages(under: keys.old, after: known)
                let changed = try last.changed(since: moment, in: source)
                if !changed.isEmpty { try target.write(pages: changed, of: source) }
                // Out of WAL mode SQLite looks for a rollback journal, for the file that stands there now and for the next one.
                try files.requireNoForeignJournal()
                moment.release()
                database.invalidateReadOnlyConnections()
                do {
                    try ConnectionExchange.leaveWAL(db) { try open.note(session: .exchanging) }
                    if Task.isCancelled { throw StrongroomError(.cancelled) }
                    try files.requireNoForeignJournal()
                    try target.takeItsPlace()
                } catch {
                    // Back to work, if this is still the file that stands at its path. The envelope first: a connection that is in
                    // WAL mode again cannot be cut off without SQLite's locks staying until the process ends.
                    let found = try? DataFile(files.main).bytes(at: 0, count: KeyID.length)
                    let isAlone = (try? files.hasForeignJournal()) == false
                    guard found == keys.old.info.keyID.bytes, isAlone, (try? open.resumeSession()) != nil,
                        (try? Engine.settle(db)) != nil, (try? Engine.keepWAL(true, db)) != nil
                    else {
                        throw cutOff(db)
                    }
                    throw error
                }
                do {
                    try DurableFiles.syncDirectory(files.directory)
                    try open.resumeSession()
                    try ConnectionExchange.follow(db, from: keys.old, to: keys.new)
                    open.exchanged(to: keys.new)
                } catch { throw cutOff(db) }
                return (changed.count, ContinuousClock.now - start)
            }
        }
    }
}

/// A moment at which the database stands still for whoever copies it, while it goes on being written.
private final class HeldMoment {
    private let files: DatabaseFiles
    private let mark: WALMark
    private let pin: DatabasePin<Void>?
    private let reader: DatabaseQueue?

    /// Called while nobody writes.
    ///
    /// - Parameters:
    ///   - db: the connection that writes.
    ///   - reader: a connection whose read transaction is to hold the moment; nil where nobody writes until it is over.
    init(_ files: DatabaseFiles, _ db: Database, heldBy reader: DatabaseQueue?) throws {
        self.files = files
        self.reader = reader
        mark = try files.walMark(db)
        // A transaction begins with the first read. It is the last thing here that may fail, so that none is left behind.
        pin = try reader.map { try DatabasePin($0) { _ = try Bookkeeping.epoch($0) } }
    }

    deinit { release() }

    func release() {
        pin?.release()
        try? reader?.close()
    }

    /// - Parameter earlier: the pages at an earlier moment.
    func pages(under key: DataKey, after earlier: PageSource? = nil) throws -> PageSource {
        let wal = try StrictFiles.exists(files.wal) ? DataFile(files.wal) : nil
        return try PageSource(DataFile(files.main), wal: wal, at: mark, key: key.makePageKey(), after: earlier)
    }

    /// - Parameter pages: those of this moment.
    func changed(since earlier: HeldMoment, in pages: PageSource) throws -> [Int] {
        try pages.pagesChanged(since: earlier.mark, until: mark)
    }
}
