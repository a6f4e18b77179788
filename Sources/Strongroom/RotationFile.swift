// <database>.rotating: the database under its next key, until it takes the other one's place. docs/formats/envelope.md, "Rotating
// a data key".

import DurableFiles
import GRDB
import Keyring
import PageCipher
import Secrets
import SystemPackage

/// A database that is being encrypted anew. Every write is durable and has been read back before it returns.
struct RotationFile: Sendable {
    let files: DatabaseFiles
    let old: DataKey
    let new: DataKey
    private let file: NewDataFile

    private var layout: PageLayout { new.info.pageFormat.layout }

    /// Makes the file, in the place of one that an interrupted rotation left.
    init(_ files: DatabaseFiles, from old: DataKey, to new: DataKey) throws {
        try DurableFiles.remove(files.rotating)
        self.files = files
        self.old = old
        self.new = new
        file = try NewDataFile(files.rotating)
    }

    /// Writes every page.
    ///
    /// - Returns: how many there are.
    func write(_ source: PageSource, _ progress: @Sendable @escaping (RotationProgress) -> Void) throws -> Int {
        let written = try PageRewriter.rewrite(
            source, into: file, layout: layout, readingBack: true,
            progress: { progress(RotationProgress(phase: .encrypting, pages: $0.done, totalPages: $0.total)) },
            makeOldKey: { try old.makePageKey() }, makeNewKey: { try new.makePageKey() })
        try file.sync()
        return written.count
    }

    /// Writes the pages that changed since.
    func write(pages: [Int], of source: PageSource) throws {
        try PageRewriter.rewrite(
            pages: pages, of: source, into: file, layout: layout, oldKey: old.makePageKey(), newKey: new.makePageKey())
        try file.sync()
        let readsBack = try PageRewriter.readsBack(
            pages: pages, at: files.rotating, pageCount: source.pageCount, key: new.makePageAuthenticator())
        guard readsBack else { throw StrongroomError(.copyDiffers, files.rotating) }
    }

    /// Puts it in the place of the database, which has no WAL. From here on the new key is the one in force.
    func takeItsPlace() throws {
        // That the WAL is gone must be durable first: laid over the new file it would destroy it.
        try DurableFiles.syncDirectory(files.directory)
        try DurableFiles.rename(files.rotating, to: files.main)
    }

    /// Removes it, where it has not taken the database's place.
    func discard() { try? DurableFiles.remove(files.rotating) }
}

extension DatabaseFiles {
    /// The key that the database is under: the pending one, where a rotation ended before its last step.
    func keyInForce(_ envelope: Envelope) throws -> DataKeyInfo? {
        guard let pending = envelope.pendingDataKey, try StrictFiles.exists(main),
            try DataFile(main).bytes(at: 0, count: KeyID.length) == pending.keyID.bytes
        else { return envelope.activeDataKey }
        return pending
    }

    /// Clears away what an interrupted rotation left, and tells which key is in force. The caller holds the lock of the database.
    func settleRotation(_ envelope: Envelope) throws -> DataKeyInfo? {
        if try StrictFiles.exists(rotating) { try DurableFiles.remove(rotating) }
        return try keyInForce(envelope)
    }
}
