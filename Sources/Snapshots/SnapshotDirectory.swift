// The directory `backups/` of one database: what stands in it, and what of that can be trusted.

import CryptoPrimitives
import DurableFiles
import ErrorReporting
import Foundation
package import KeyPolicy
package import Keyring
import PageCipher
package import SystemPackage

/// The snapshots of one database, with the keys that tell whether they are authentic.
package struct SnapshotDirectory: Sendable {
    /// The directory; it may not be there yet.
    package let path: FilePath
    package let scope: KeyScope
    let storeID: String
    let keyring: UnlockedKeyring
    let envelope: Envelope

    package init(_ path: FilePath, of envelope: Envelope, storeID: String, keyring: UnlockedKeyring) {
        self.path = path
        scope = envelope.scope
        self.storeID = storeID
        self.keyring = keyring
        self.envelope = envelope
    }

    /// The files of one snapshot.
    struct Files {
        let directory: FilePath
        let name: String

        var pages: FilePath { directory.appending(name + ".db") }
        var manifest: FilePath { directory.appending(name + ".json") }
        var verified: FilePath { directory.appending(name + ".verified.json") }
        var marker: FilePath { directory.appending(name + ".partial") }
    }

    func files(_ name: String) -> Files { Files(directory: path, name: name) }

    // MARK: Reading

    /// Every snapshot, and everything that looks like one and cannot be used.
    package func list() throws -> SnapshotList {
        var snapshots: [Snapshot] = []
        var unusable: [UnusableSnapshot] = []
        for name in try names() {
            do {
                snapshots.append(try snapshot(named: name))
            } catch let error as any ReportableError {
                unusable.append(UnusableSnapshot(name: name, code: error.code))
            }
        }
        return SnapshotList(
            scope: scope.description, snapshots: snapshots.sorted { Self.isOlder($0, than: $1) },
            unusable: unusable.sorted { $0.name < $1.name })
    }

    /// The order in which they were made. Keys come before ordinals: who kept a key that was rotated since can sign any ordinal under it.
    private static func isOlder(_ one: Snapshot, than other: Snapshot) -> Bool {
        (one.keyGeneration, one.ordinal, one.name) < (other.keyGeneration, other.ordinal, other.name)
    }

    /// The snapshot that `text` means: its id, its name, the name of its set, or `latest`.
    ///
    /// - Throws: `SnapshotError.notFound`; what is wrong with it where it was named and cannot be used.
    package func find(_ text: String) throws -> Snapshot {
        let list = try list()
        if text == "latest" {
            guard let latest = list.snapshots.last else { throw SnapshotError(.none, path) }
            return latest
        }
        if let found = list.snapshots.first(where: { [$0.id, $0.name, $0.set].contains(text) }) { return found }
        // Asked for by name: say what is wrong with it.
        if SnapshotName(text) != nil, list.unusable.contains(where: { $0.name == text }) {
            return try snapshot(named: text)
        }
        throw SnapshotError(.notFound, path)
    }

    func snapshot(named name: String) throws -> Snapshot {
        let manifest = try manifest(named: name)
        return Snapshot(manifest, verified: verifiedDate(of: manifest))
    }

    /// The manifest of a snapshot, verified, with everything checked that needs no look at the pages but their length.
    func manifest(named name: String) throws -> SnapshotManifest {
        let files = files(name)
        let path = files.manifest
        guard try StrictFiles.exists(path) else { throw SnapshotError(.manifestMissing, files.pages) }
        do {
            let bytes = try StrictFiles.read(path, limit: SnapshotManifest.maximumBytes)
            let unverified = try UnverifiedManifest<SnapshotManifest>(bytes, format: SnapshotManifest.format)
            let claimed = unverified.document
            guard claimed.storeId == storeID else { throw SnapshotError(.ofAnotherStore) }
            guard claimed.scope == scope.description else { throw SnapshotError(.ofAnotherDatabase) }
            guard claimed.name == name else { throw SnapshotError(.manifestMisplaced) }
            let manifest = try unverified.verified(under: dataKey(of: claimed))
            guard manifest.followsItsFormat else { throw SnapshotError(.manifestMalformed) }
            return manifest
        } catch let error as SnapshotError {
            throw SnapshotError(error.reason, path)
        }
    }

    /// The page format of a snapshot.
    package func pageFormat(of snapshot: Snapshot) throws -> PageFormat? {
        try manifest(named: snapshot.name).pageFormat
    }

    /// The key that a snapshot is under.
    func dataKey(of manifest: SnapshotManifest) throws -> DataKey {
        let generation = manifest.keyGeneration
        guard let info = envelope.dataKeys.first(where: { $0.generation == generation }), info.keyID == manifest.keyID
        else { throw SnapshotError(.keyUnknown(generation: generation)) }
        guard info.state != .destroyed else { throw SnapshotError(.keyDestroyed(generation: generation)) }
        return try keyring.dataKey(generation: generation, of: envelope)
    }

    private func verifiedDate(of manifest: SnapshotManifest) -> Date? {
        guard let key = try? dataKey(of: manifest),
            let bytes = try? StrictFiles.read(files(manifest.name).verified, limit: SnapshotManifest.maximumBytes),
            let note = try? UnverifiedManifest<VerifiedNote>(bytes, format: VerifiedNote.format).verified(under: key),
            note.snapshotId == manifest.snapshotId, note.tagRoot == manifest.tagRoot
        else { return nil }
        return note.verified
    }

    /// The names of everything that is, or was, or looks like a snapshot, and is not being made or removed.
    private func names() throws -> [String] {
        guard try StrictFiles.exists(path) else { return [] }
        try StrictFiles.requireOwnDirectory(path)
        // A name that is not text is none of ours.
        let entries = try DurableFiles.names(in: path).compactMap(\.text)
        let unfinished = Set(entries.filter { $0.hasSuffix(".partial") }.map { String($0.dropLast(".partial".count)) })
        let stems = entries.compactMap { entry -> String? in
            if entry.hasSuffix(".verified.json") { return nil }
            return [".db", ".json"].first { entry.hasSuffix($0) }.map { String(entry.dropLast($0.count)) }
        }
        return Set(stems).filter { name in
            guard SnapshotName(name) != nil else { return false }
            // While the mark of the unfinished is there, only a manifest says that it is whole.
            return !unfinished.contains(name) || entries.contains(name + ".json")
        }.sorted()
    }
}

/// `<name>.verified.json`.
struct VerifiedNote: Codable {
    static let format = "strongroom/snapshot-verified"

    var format = Self.format
    var version = 1
    var critical: [String] = []
    let snapshotId: String
    let tagRoot: String
    let verified: Date
}
