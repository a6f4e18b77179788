// The vector of docs/formats/snapshot.md. With STRONGROOM_WRITE_VECTORS=1 it is made anew; without, it must verify, and
// `verify.py` beside it recomputes it by an implementation of its own.

import CSQLCipher
import CryptoPrimitives
import DurableFiles
import Foundation
import GRDB
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import KeyPolicy
@testable import Keyring
@testable import PageCipher
@testable import Snapshots

@Suite struct SnapshotVectorTests {
    private static let vectors = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent().appending("docs").appending("formats").appending("vectors")
    private var pages: FilePath { Self.vectors.appending("snapshot-v1.db") }
    private var manifest: FilePath { Self.vectors.appending("snapshot-v1.json") }

    private func key() throws -> DataKey {
        let secret = try SecretBytes(testing: Array(0..<32))
        let format = try #require(PageFormat(size: 1024, authentication: .hmacSHA512))
        let info = DataKeyInfo(
            generation: 1, state: .active, created: Date(timeIntervalSince1970: 0), retired: nil,
            keyID: try DataKey.id(of: secret),
            pageFormat: format)
        return DataKey(info: info, secret: secret)
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["STRONGROOM_WRITE_VECTORS"] == "1", "it writes new vectors"))
    func writeVector() throws {
        let key = try key()
        let directory = try TemporaryDirectory()
        let path = directory.appending("snapshot-v1.db")
        let literal = "x'" + Hex.encode(0..<32) + "\(key.info.keyID)'"
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            #expect(sqlite3_key_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count)) == 0)
            try db.execute(sql: "PRAGMA cipher_page_size = 1024")
        }
        let queue = try DatabaseQueue(path: path.string, configuration: configuration)
        try queue.write {
            try $0.execute(sql: "CREATE TABLE t (a); INSERT INTO t VALUES ('vector'), (randomblob(3000))")
        }
        try queue.close()
        let scan = try PageScan(of: DataFile(path), layout: key.info.pageFormat.layout) {
            try key.makePageAuthenticator()
        }
        #expect(scan.badPageCount == 0)
        let document = SnapshotManifest(
            snapshotId: "snap_abcdefghij234567", storeId: "store_abcdefghij234567", scope: "prof_abcdefghij234567",
            name: "snapshot-v1", reason: "pre-v2", set: nil, ordinal: 3,
            created: Date(timeIntervalSince1970: 1_795_000_000),
            epoch: 7, keyGeneration: 1, keyId: key.info.keyID.description, pageSize: 1024,
            pageAuthentication: .hmacSHA512, pageCount: scan.pageCount, tagRoot: scan.tagRoot.description,
            migrations: .init(applied: 1, latest: "v1"))
        try TestFiles.write(try TestFiles.read(path), to: pages, mode: 0o644)
        try TestFiles.write(try ManifestCoding.bytes(of: document, under: key), to: manifest, mode: 0o644)
    }

    @Test func theVectorVerifies() throws {
        let key = try key()
        let bytes = try TestFiles.read(manifest)
        let unverified = try UnverifiedManifest<SnapshotManifest>(bytes, format: SnapshotManifest.format)
        let document = try unverified.verified(under: key)
        #expect(document.followsItsFormat && document.ordinal == 3 && document.migrations?.latest == "v1")
        #expect(try unverified.verified(underPageKey: key.pageKey()) == document)
        let report = try SnapshotPages.verify(pages, are: document, progress: nil) { try key.makePageAuthenticator() }
        #expect(report.isHealthy && report.pages > 3)
        // What was made of it once is made of it again, byte for byte.
        #expect(try ManifestCoding.bytes(of: document, under: key) == bytes)
    }
}
