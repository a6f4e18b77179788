// Is a snapshot what was taken? No database is opened for that, and nothing is decrypted.

import DurableFiles
package import Foundation
import Keyring
import PageCipher
import Secrets
import SystemPackage

extension SnapshotDirectory {
    /// Authenticates every page of a snapshot, and compares the root over their tags with the manifest's. Where all is
    /// well, that is noted beside it.
    ///
    /// - Throws: `SnapshotError` where the manifest cannot be trusted; what is wrong with the pages is in the report.
    package func verify(
        _ snapshot: Snapshot, now: Date = Date(), progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) throws -> SnapshotReport {
        let manifest = try manifest(named: snapshot.name)
        let key = try dataKey(of: manifest)
        let report = try SnapshotPages.verify(files(snapshot.name).pages, are: manifest, progress: progress) {
            try key.makePageAuthenticator()
        }
        if report.isHealthy {
            let note = VerifiedNote(
                snapshotId: manifest.snapshotId, tagRoot: manifest.tagRoot, verified: Timestamp.wholeSecond(now))
            // A note only: on a medium that cannot be written to, the snapshot is as good without it.
            try? DurableFiles.replace(files(snapshot.name).verified, with: ManifestCoding.bytes(of: note, under: key))
        }
        return report
    }
}

/// The pages of a snapshot and what its manifest says of them.
enum SnapshotPages {
    static func verify(
        _ path: FilePath, are manifest: SnapshotManifest, progress: (@Sendable (SnapshotProgress) -> Void)?,
        makeAuthenticator: @Sendable @escaping () throws -> PageAuthenticator
    ) throws -> SnapshotReport {
        guard try StrictFiles.exists(path) else { return report(manifest, .pagesMissing) }
        guard let format = manifest.pageFormat else { return report(manifest, .manifestMalformed) }
        let file = try DataFile(path)
        let scan = try PageScan(
            of: file, layout: format.layout, expectedPages: manifest.pageCount,
            progress: { progress?(SnapshotProgress(pages: $0.done, totalPages: $0.total)) },
            makeAuthenticator: makeAuthenticator)
        return report(manifest, try problem(file, manifest, scan), scan)
    }

    /// The first thing that is wrong; nil where nothing is.
    private static func problem(
        _ file: DataFile, _ manifest: SnapshotManifest, _ scan: PageScan
    ) throws -> SnapshotError.Reason? {
        if try file.bytes(at: 0, count: KeyID.length) != manifest.keyID?.bytes { return .keyIDDiffers }
        if try file.length() != manifest.length { return .lengthDiffers }
        if scan.badPageCount > 0 { return .pagesDamaged(count: scan.badPageCount) }
        if scan.tagRoot != manifest.root { return .pagesOfAnotherVersion }
        return nil
    }

    private static func report(
        _ manifest: SnapshotManifest, _ problem: SnapshotError.Reason?, _ scan: PageScan? = nil
    ) -> SnapshotReport {
        SnapshotReport(
            scope: manifest.scope, name: manifest.name,
            condition: problem.map { SnapshotError($0).code } ?? SnapshotReport.healthy, pages: scan?.pageCount ?? 0,
            badPageCount: scan?.badPageCount ?? 0,
            badPages: scan?.badPages.map { .init(number: $0.number, kind: $0.kind.rawValue) } ?? [])
    }
}
