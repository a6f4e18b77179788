// From a snapshot to a file of one's own: the first half of a restore, and all of an export.

import CryptoPrimitives
package import DurableFiles
package import Keyring
package import PageCipher
package import SystemPackage

/// What an export wrote.
public struct SnapshotExport: Sendable, Codable {
    /// The name of the snapshot.
    public let name: String
    /// How many pages were written.
    public let pages: Int
    /// The page size, in bytes: SQLCipher's `cipher_page_size`.
    public let pageSize: Int
    /// `hmac-sha512` or `hmac-sha256`: SQLCipher's `cipher_hmac_algorithm`.
    public let pageAuthentication: String
    /// 32 hex digits: what the file begins with.
    public let keyId: String
}

extension SnapshotDirectory {
    /// Writes the pages of a snapshot to a new file, each authenticated on the way, and compares the root: as they are where
    /// they are under `key` already, and otherwise re-encrypted. The file is durable then; its name is not yet.
    ///
    /// - Throws: `SnapshotError` with what is wrong with the snapshot; the file is gone then.
    package func extract(
        _ snapshot: Snapshot, to path: FilePath, under key: DataKey,
        progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) throws {
        let manifest = try manifest(named: snapshot.name)
        let oldKey = try dataKey(of: manifest)
        let layout = key.info.pageFormat.layout
        let pages = files(snapshot.name).pages
        guard manifest.pageFormat?.layout == layout else { throw SnapshotError(.featureUnsupported, pages) }
        guard try StrictFiles.exists(pages) else { throw SnapshotError(.pagesMissing, pages) }
        let source = try DataFile(pages)
        guard try source.bytes(at: 0, count: KeyID.length) == oldKey.info.keyID.bytes else {
            throw SnapshotError(.keyIDDiffers, pages)
        }
        guard try source.length() == manifest.length else { throw SnapshotError(.lengthDiffers, pages) }
        let note: @Sendable (PageProgress) -> Void = {
            progress?(SnapshotProgress(pages: $0.done, totalPages: $0.total))
        }
        let target = try NewDataFile(path)
        do {
            let copied =
                if oldKey.info.keyID == key.info.keyID {
                    try PageCopy.copy(
                        PageSource(source, pageSize: layout.size), into: target, layout: layout, progress: note,
                        makeAuthenticator: { try key.makePageAuthenticator() }
                    ).tagRoot
                } else {
                    try PageRewriter.rewrite(
                        PageSource(source, pageSize: layout.size), into: target, layout: layout, progress: note,
                        makeOldKey: { try oldKey.makePageKey() }, makeNewKey: { try key.makePageKey() }
                    ).sourceRoot
                }
            guard copied == manifest.root else { throw SnapshotError(.pagesOfAnotherVersion, pages) }
            // No tag covers the first bytes, which may have been others when they were copied.
            guard try DataFile(path).bytes(at: 0, count: KeyID.length) == key.info.keyID.bytes else {
                throw SnapshotError(.keyIDDiffers, pages)
            }
            try target.sync()
        } catch {
            try? DurableFiles.remove(path)
            guard case PageCipherError.pageNotAuthentic = error else { throw error }
            // One bad page ended it; now there is time to count them.
            let report = try SnapshotPages.verify(pages, are: manifest, progress: nil) {
                try oldKey.makePageAuthenticator()
            }
            throw SnapshotError(.pagesDamaged(count: max(1, report.badPageCount)), pages)
        }
    }

    /// Whether what ``extract(_:to:under:progress:)`` wrote reads back from the disk as it should.
    package func readsBack(_ snapshot: Snapshot, at path: FilePath, under key: DataKey) throws -> Bool {
        let manifest = try manifest(named: snapshot.name)
        let layout = key.info.pageFormat.layout
        if manifest.keyID == key.info.keyID {
            return try PageCopy.isEqual(DataFile(files(snapshot.name).pages), to: path, pageSize: layout.size)
        }
        let scan = try PageScan(of: DataFile(path, pastCache: true), layout: layout) { try key.makePageAuthenticator() }
        return scan.badPageCount == 0 && scan.pageCount == manifest.pageCount
    }

    /// Lends the pages of a snapshot as they stand there, and the key that they are under.
    package func withPages<Result>(
        of snapshot: Snapshot, _ body: (DataFile, consuming PageKey) throws -> Result
    ) throws -> Result {
        let key = try dataKey(of: manifest(named: snapshot.name))
        return try body(DataFile(files(snapshot.name).pages), key.makePageKey())
    }

    /// The pages of a snapshot from which single ones may come into force: those whose tags, all together, are what the manifest's
    /// own MAC says (docs/security/custody.md, rule 4).
    ///
    /// - Throws: `SnapshotError` with what is wrong with the snapshot.
    package func rootedPages(of snapshot: Snapshot) throws -> RootedPages {
        let manifest = try manifest(named: snapshot.name)
        let pages = files(snapshot.name).pages
        guard try StrictFiles.exists(pages) else { throw SnapshotError(.pagesMissing, pages) }
        guard let layout = manifest.pageFormat?.layout, let root = manifest.root else {
            throw SnapshotError(.manifestMalformed, pages)
        }
        let file = try DataFile(pages)
        guard try file.bytes(at: 0, count: KeyID.length) == manifest.keyID?.bytes else {
            throw SnapshotError(.keyIDDiffers, pages)
        }
        guard try file.length() == manifest.length else { throw SnapshotError(.lengthDiffers, pages) }
        guard let rooted = try RootedPages(of: file, pageCount: manifest.pageCount, root: root, layout: layout) else {
            throw SnapshotError(.pagesOfAnotherVersion, pages)
        }
        return rooted
    }

    /// Hands one snapshot on without the database's key: the same pages under a fresh one, with a manifest under that.
    ///
    /// - Parameters:
    ///   - target: a new file, which ends in `.db`; the manifest is made beside it.
    ///   - keyFile: a new file (0600) for the fresh key, 32 bytes.
    /// - Throws: `SnapshotError`; nothing is left behind then.
    package func export(
        _ snapshot: Snapshot, to target: FilePath, newKeyFile keyFile: FilePath,
        progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) throws -> SnapshotExport {
        var manifest = try manifest(named: snapshot.name)
        guard let format = manifest.pageFormat, let stem = target.stem, target.extension == "db" else {
            throw SnapshotError(.exportNameInvalid, target)
        }
        let manifestPath = DurableFiles.parent(of: target).appending(stem + ".json")
        for path in [keyFile, target, manifestPath] where try StrictFiles.exists(path) {
            throw DurableFilesError.alreadyExists(path)
        }
        let key = try DataKey.standalone(format)
        do {
            // The key is durable before anything is under it.
            try key.secret.withSecret { try DurableFiles.create(keyFile, holding: $0) }
            try extract(snapshot, to: target, under: key, progress: progress)
            let written = try PageScan(of: DataFile(target, pastCache: true), layout: format.layout) {
                try key.makePageAuthenticator()
            }
            guard written.badPageCount == 0 else { throw DurableFilesError.readBackDiffers(target) }
            try DurableFiles.syncDirectory(DurableFiles.parent(of: target))
            manifest.name = stem
            manifest.keyGeneration = key.info.generation
            manifest.keyId = key.info.keyID.description
            manifest.tagRoot = written.tagRoot.description
            try DurableFiles.replace(manifestPath, with: ManifestCoding.bytes(of: manifest, under: key))
        } catch {
            // None of these was there before.
            for path in [manifestPath, target, keyFile] { try? DurableFiles.remove(path) }
            throw error
        }
        return SnapshotExport(
            name: snapshot.name, pages: manifest.pageCount, pageSize: format.size,
            pageAuthentication: format.authentication.rawValue, keyId: manifest.keyId)
    }
}
