// DESIGN "Opening a profile", steps 3 and 4: whose key is the file under, and is page 1 authentic? Nothing here asks
// SQLite, and nothing here writes.

import CryptoPrimitives
import DurableFiles
import KeyPolicy
import Keyring
import PageCipher
import Snapshots
import SystemPackage

/// Tells what is wrong with a database file, from its bytes and the keys of its envelope.
struct Diagnosis: Sendable {
    let files: DatabaseFiles
    let envelope: Envelope
    let keyring: UnlockedKeyring

    /// What can be told without reading more than the first page.
    ///
    /// - Parameter ignoringJournal: whether to look at what is behind a rollback journal that is not ours.
    /// - Returns: `healthy` where the file is under the key in force and page 1 is authentic. Damage found here is
    ///   counted over the whole file, because nobody is in a hurry any more.
    func ofFirstPage(ignoringJournal: Bool = false) throws -> DatabaseCondition {
        guard try StrictFiles.exists(files.main) else { return .missing }
        let file = try DataFile(files.main)
        let salt = try file.bytes(at: 0, count: PageLayout.saltLength)
        guard salt.count == PageLayout.saltLength, let keyID = KeyID(salt) else { return .truncated }
        if salt == PageLayout.plaintextMagic { return .plaintext }
        if envelope.isShredded { return .shredded }
        guard let active = try files.keyInForce(envelope) else { return .unknownKey }
        if keyID == active.keyID {
            // The first thing that SQLite would do is to roll it back.
            if try !ignoringJournal && hasForeignJournal(under: active) { return .journalForeign }
            return try ofFile(file, under: active)
        }
        if let other = envelope.dataKey(keyID) { return .wrongKey(generation: other.generation) }
        return try ofFileWithUnknownHeader(file, keyID: keyID, active: active)
    }

    /// Every page of the file, under the key in force.
    func ofAllPages(ignoringJournal: Bool = false) throws -> DatabaseCondition {
        let condition = try ofFirstPage(ignoringJournal: ignoringJournal)
        guard condition == .healthy, let active = try files.keyInForce(envelope) else { return condition }
        return try verdict(on: scan(DataFile(files.main), under: active), under: active)
    }

    private func ofFile(_ file: DataFile, under key: DataKeyInfo) throws -> DatabaseCondition {
        let length = try file.length()
        // Only what the main file must hold by itself can be told while changes wait in the WAL.
        let isSettled = try !files.hasPendingWAL()
        if let condition = try ofSession(under: key, isSettled: isSettled) { return condition }
        if !isSettled, try scanWAL(under: key).damage != nil { return .walDamaged }
        guard length >= key.pageFormat.size else { return .truncated }
        let header = try firstPageHeader(file, under: key)
        guard let header else {
            if !isSettled { return .healthy }
            return verdict(on: try scan(file, under: key))
        }
        guard isSettled else { return .healthy }
        guard length.isMultiple(of: key.pageFormat.size) else { return .truncated }
        if let pageCount = header.pageCount, length / key.pageFormat.size < pageCount { return .truncated }
        return .healthy
    }

    /// Whether the WAL is what the envelope says of the last session.
    private func ofSession(under key: DataKeyInfo, isSettled: Bool) throws -> DatabaseCondition? {
        if CustodyCheck.session.isSkipped { return nil }
        return switch try files.session(envelope) {
        case .open: try StrictFiles.exists(files.wal) ? nil : .walMissing
        // A file system may bring back a WAL that was emptied just before a power loss; it changes nothing then.
        case .closed: try isSettled || isWrittenBack(under: key) ? nil : .walUnexpected
        case .exchanging: isSettled ? nil : .walUnexpected
        }
    }

    /// The header names no key of this envelope. Is only the header damaged, is it somebody else's file, or nobody's?
    private func ofFileWithUnknownHeader(
        _ file: DataFile, keyID: KeyID, active: DataKeyInfo
    ) throws -> DatabaseCondition {
        if try firstPageHeader(file, under: active) != nil { return .headerDamaged }
        if keyring.scope(ofKey: keyID) != nil { return .keyOfAnotherDatabase }
        let scan = try scan(file, under: active)
        return scan.pageCount > 0 && scan.badPageCount < scan.pageCount
            ? .pagesDamaged(count: scan.badPageCount) : .unknownKey
    }

    /// What all pages together say, and, where each of them is whole, the epoch in them.
    func verdict(on scan: PageScan, under key: DataKeyInfo) throws -> DatabaseCondition {
        let condition = verdict(on: scan)
        return try condition == .healthy ? ofMetadata(under: key) : condition
    }

    /// Whether the file is the one that was last closed, by what it says itself. Only pages that are authentic are read, and nothing is
    /// written; `healthy` where it cannot be told: changes wait in a WAL, or what is to be read is damaged.
    ///
    /// - Throws: `KeyringError` with `.rolledBack(.envelope)` where the envelope is the older one.
    func ofMetadata(under info: DataKeyInfo) throws -> DatabaseCondition {
        let session = try files.session(envelope)
        switch try storedEpoch(under: info) {
        case .unreadable: return .healthy
        case .none: return .metadataDamaged
        case .some(let epoch):
            do {
                _ = try files.judge(epoch: epoch, of: envelope, wasOpen: session != .closed)
                return .healthy
            } catch let error as StrongroomError {
                guard case .database(let condition) = error.reason else { throw error }
                return condition
            }
        }
    }

    /// The epoch that the database holds; nil where it cannot be read.
    func epochOfDatabase() throws -> Int? {
        guard let info = try files.keyInForce(envelope), case .some(let epoch) = try storedEpoch(under: info) else {
            return nil
        }
        return epoch
    }

    /// The database as it would be if it were opened now, to be read and not written; nil where there is none that can be read so.
    func readOnly() throws -> SealedDatabase? {
        guard try StrictFiles.exists(files.main), let info = try files.keyInForce(envelope) else { return nil }
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        return try SealedDatabase(pages(under: info, key), key: key.makePageKey(), authenticating: true)
    }

    /// The pages that count: those of the main file after a proper close, and otherwise with what is sound in the WAL laid over them.
    private func pages(under info: DataKeyInfo, _ key: DataKey) throws -> PageSource {
        let main = try DataFile(files.main)
        let size = info.pageFormat.size
        guard try files.session(envelope) == .open, try files.hasPendingWAL() else {
            return try PageSource(main, pageSize: size)
        }
        let wal = try DataFile(files.wal)
        let scan = try WALScan(of: wal, over: main, with: key.makePageKey())
        guard scan.damage == nil, let pageCount = scan.pageCount else { return try PageSource(main, pageSize: size) }
        return try PageSource(
            main, pageSize: size, pageCount: pageCount, wal: wal, frames: scan.newestFrames, patches: [:])
    }

    private enum StoredEpoch {
        case some(Int)
        /// The table that should hold it is not as it was made.
        case none
        /// Pages that it takes to read it are damaged.
        case unreadable
    }

    private func storedEpoch(under info: DataKeyInfo) throws -> StoredEpoch {
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        defer { key.secret.wipe() }
        do {
            let sealed = try SealedDatabase(pages(under: info, key), key: key.makePageKey(), authenticating: true)
            return try Bookkeeping.epoch(sealed.connection.handle).map { .some($0) } ?? .none
        } catch is StrongroomError { return .unreadable }
    }

    private func verdict(on scan: PageScan) -> DatabaseCondition {
        let missing: Set<BadPage.Kind> = [.torn, .beyondEnd]
        if scan.badPages.contains(where: { !missing.contains($0.kind) }) {
            return .pagesDamaged(count: scan.badPageCount)
        }
        return scan.badPageCount > 0 || scan.pageCount == 0 ? .truncated : .healthy
    }

    /// The SQLite header, or nil where page 1 does not authenticate under this key.
    func firstPageHeader(_ file: DataFile, under key: DataKeyInfo) throws -> DatabaseHeader? {
        let page = try file.bytes(at: 0, count: key.pageFormat.size)
        let pageKey = try keyring.dataKey(generation: key.generation, of: envelope).makePageKey()
        return try page.withUnsafeBytes { page in
            try pageKey.authenticate(SealedPage(page, number: 1)).map { try pageKey.header(of: $0) }
        }
    }

    /// Every page of the main file.
    func scan(
        _ file: DataFile, under info: DataKeyInfo, progress: (@Sendable (PageProgress) -> Void)? = nil
    ) throws -> PageScan {
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        // The main file holds all pages that its header counts while no changes wait in a WAL.
        let expected = try files.hasPendingWAL() ? nil : firstPageHeader(file, under: info)?.pageCount
        return try PageScan(
            of: file, layout: info.pageFormat.layout, expectedPages: expected, progress: progress
        ) { try key.makePageAuthenticator() }
    }

    /// The frames of the WAL.
    func scanWAL(under info: DataKeyInfo) throws -> WALScan {
        let key = try keyring.dataKey(generation: info.generation, of: envelope)
        return try WALScan(of: DataFile(files.wal), over: DataFile(files.main), with: key.makePageKey())
    }

    /// Whether everything that waits in the WAL is in the main file already, or nothing waits there. False where it is damaged.
    func isWrittenBack(under info: DataKeyInfo) throws -> Bool {
        guard try files.hasPendingWAL() else { return true }
        return try scanWAL(under: info).isWrittenBack(
            from: DataFile(files.wal), into: DataFile(files.main), pageSize: info.pageFormat.size)
    }
}
