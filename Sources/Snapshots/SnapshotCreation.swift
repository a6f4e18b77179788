// Making a snapshot, in the order of docs/formats/snapshot.md, "Order of writes".

import CryptoPrimitives
import DurableFiles
package import Foundation
import KeyPolicy
import Keyring
package import PageCipher
import SystemPackage

/// What a snapshot is to say about the database that it is of.
package struct SnapshotOccasion: Sendable {
    package let reason: SnapshotReason
    package let set: String?
    package let date: Date
    /// How many migrations the database has, and the last one's name.
    package let migrations: (applied: Int, latest: String?)?

    package init(
        reason: SnapshotReason, set: String? = nil, date: Date = Date(),
        migrations: (applied: Int, latest: String?)? = nil
    ) {
        self.reason = reason
        self.set = set
        self.date = date
        self.migrations = migrations
    }
}

extension SnapshotDirectory {
    private static let copyAttempts = 5

    /// Copies the pages of the database as they are, each authenticated on the way.
    ///
    /// - Parameters:
    ///   - occasion: what the manifest says besides.
    ///   - makeSource: the pages under the active key; they must not change while they are copied.
    /// - Throws: `PageCipherError.pageNotAuthentic` with the page that is not what was written; nothing is left behind.
    package func create(
        _ occasion: SnapshotOccasion, progress: (@Sendable (SnapshotProgress) -> Void)? = nil,
        makeSource: (borrowing PageKey) throws -> PageSource
    ) throws -> Snapshot {
        guard let active = envelope.activeDataKey else { throw KeyringError(.missing(.envelope)) }
        let key = try keyring.dataKey(generation: active.generation, of: envelope)
        try DurableFiles.createDirectory(path, allowExisting: true)
        try settleUnfinished()
        // Only those under the same key count: who kept an older key could have signed the highest number there is.
        let ordinal = (try list().snapshots.last { $0.keyGeneration == active.generation }?.ordinal ?? 0) + 1
        let (files, lock) = try reserveName(occasion)
        defer { lock.release() }
        do {
            try DurableFiles.syncDirectory(path)
            let copied = try copy(into: files, under: key, progress, makeSource)
            let manifest = SnapshotManifest(
                snapshotId: "snap_" + Base32.encode(try Random.bytes(count: 10)), storeId: storeID,
                scope: scope.description, name: files.name, reason: occasion.reason.description, set: occasion.set,
                ordinal: ordinal, created: Timestamp.wholeSecond(occasion.date), epoch: envelope.epoch,
                keyGeneration: active.generation, keyId: active.keyID.description, pageSize: active.pageFormat.size,
                pageAuthentication: active.pageFormat.authentication, pageCount: copied.count,
                tagRoot: copied.tagRoot.description,
                migrations: occasion.migrations.map { .init(applied: $0.applied, latest: $0.latest) })
            try DurableFiles.replace(files.manifest, with: ManifestCoding.bytes(of: manifest, under: key))
            try DurableFiles.remove(files.marker)
            try DurableFiles.syncDirectory(path)
            return Snapshot(manifest, verified: nil)
        } catch {
            try? remove(files, holding: lock)
            throw error
        }
    }

    private func copy(
        into files: Files, under key: DataKey, _ progress: (@Sendable (SnapshotProgress) -> Void)?,
        _ makeSource: (borrowing PageKey) throws -> PageSource
    ) throws -> CopiedPages {
        let target = try NewDataFile(files.pages)
        let pageKey = try key.makePageKey()
        for _ in 1...Self.copyAttempts {
            let source = try makeSource(pageKey)
            guard try source.main.bytes(at: 0, count: KeyID.length) == key.info.keyID.bytes else {
                throw SnapshotError(.keyIDDiffers, source.main.path)
            }
            let copied = try PageCopy.copy(source, into: target, layout: key.info.pageFormat.layout) {
                progress?(SnapshotProgress(pages: $0.done, totalPages: $0.total))
            } makeAuthenticator: {
                try key.makePageAuthenticator()
            }
            if try source.isUnchanged() {
                // No tag covers the first bytes, in the WAL as in the main file.
                guard try DataFile(files.pages).bytes(at: 0, count: KeyID.length) == key.info.keyID.bytes else {
                    throw SnapshotError(.keyIDDiffers, source.main.path)
                }
                try target.sync()
                try DurableFiles.syncDirectory(path)
                return copied
            }
            try target.setLength(0)
        }
        throw SnapshotError(.pagesChanged, files.pages)
    }

    /// A name that nobody has, and the lock that says that a snapshot of this name is being made.
    private func reserveName(_ occasion: SnapshotOccasion) throws -> (Files, FileLock) {
        var date = occasion.date
        while true {
            let files = files(SnapshotName(scope, occasion.reason, at: date).description)
            date += 0.001
            if try [files.pages, files.manifest, files.marker].contains(where: { try StrictFiles.exists($0) }) {
                continue
            }
            do {
                let lock = try FileLock(files.marker)
                // Somebody may have been quicker: with all of it, and be done already.
                if try !StrictFiles.exists(files.pages), try StrictFiles.exists(files.marker) { return (files, lock) }
                try DurableFiles.remove(files.marker)
            } catch {
                if case .isLocked = error.reason { continue }
                try? DurableFiles.remove(files.marker)
                throw error
            }
        }
    }
}
