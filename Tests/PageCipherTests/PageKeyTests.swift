import CryptoPrimitives
import DurableFiles
import GRDB
import Keyring
import Secrets
import Snapshots
import TestSupport
import Testing

@testable import PageCipher
@testable import Strongroom

/// Against files that SQLCipher itself wrote.
@Suite struct PageKeyTests {
    private struct Sample: Sendable {
        let store: TestStore
        let bytes: [UInt8]
        let keyring: UnlockedKeyring
        let envelope: Envelope
        let layout: PageLayout

        func pageKey() throws -> PageKey {
            try keyring.dataKey(generation: 1, of: envelope).makePageKey()
        }

        func authenticator() throws -> PageAuthenticator {
            try keyring.dataKey(generation: 1, of: envelope).makePageAuthenticator()
        }

        func page(_ number: Int) -> [UInt8] { Array(bytes[((number - 1) * layout.size)..<(number * layout.size)]) }
    }

    private func sample(size: Int, authentication: String) throws -> Sample {
        let store = try TestStore(policy: [
            ("size: 4096", "size: \(size)"), ("authentication: hmac-sha512", "authentication: \(authentication)"),
        ])
        let open = try store.open()
        let info = try open.createProfile(named: "sample")
        let profile = try open.openProfile(info)
        try profile.database.write { db in
            try db.execute(sql: "CREATE TABLE t (a)")
            for _ in 0..<40 { try db.execute(sql: "INSERT INTO t VALUES (randomblob(4000))") }
        }
        try profile.close()
        let envelope = try open.keyring.envelope(for: .profile(info.id))
        return Sample(
            store: store,
            bytes: try TestFiles.read(
                store.path.appending("profiles").appending(info.id.description).appending("profile.db")),
            keyring: open.keyring, envelope: envelope,
            layout: PageLayout(size: size, hash: authentication == "hmac-sha512" ? .sha512 : .sha256))
    }

    @Test(arguments: [1024, 2048, 4096, 16384, 65536], ["hmac-sha512", "hmac-sha256"])
    func everyPageOfSQLCipherAuthenticates(size: Int, authentication: String) throws {
        let sample = try sample(size: size, authentication: authentication)
        let key = try sample.pageKey()
        let count = sample.bytes.count / size
        #expect(sample.bytes.count.isMultiple(of: size) && count > 1)
        for number in 1...count {
            #expect(
                sample.page(number).withUnsafeBytes { key.authenticate(SealedPage($0, number: number)) != nil },
                "page \(number)")
            // In another place, or under another algorithm, it is not.
            #expect(
                !sample.page(number).withUnsafeBytes { key.authenticate(SealedPage($0, number: number + 1)) != nil })
        }
        let header = try sample.page(1).withUnsafeBytes { bytes in
            try key.authenticate(SealedPage(bytes, number: 1)).map { try key.header(of: $0) }
        }
        #expect(header?.pageCount == count)
    }

    /// Exhaustive over one page: ciphertext, IV and tag.
    @Test func everyChangedBitOfAPageIsCaught() throws {
        let sample = try sample(size: 1024, authentication: "hmac-sha512")
        let key = try sample.pageKey()
        for number in [1, 2] {
            var page = sample.page(number)
            // The key id is in no tag; the key is derived from what it should be.
            for byte in (number == 1 ? PageLayout.saltLength : 0)..<page.count {
                for bit in 0..<8 {
                    page[byte] ^= 1 << bit
                    #expect(!page.withUnsafeBytes { key.authenticate(SealedPage($0, number: number)) != nil })
                    page[byte] ^= 1 << bit
                }
            }
        }
    }

    @Test func pagesOfTheWrongSizeAreNotAuthentic() throws {
        let sample = try sample(size: 1024, authentication: "hmac-sha512")
        let key = try sample.pageKey()
        for count in [0, 1, 16, 1023, 1025] {
            #expect(
                ![UInt8](repeating: 0, count: count).withUnsafeBytes {
                    key.authenticate(SealedPage($0, number: 1)) != nil
                })
        }
        #expect(!sample.page(1).withUnsafeBytes { key.authenticate(SealedPage($0, number: 1 << 40)) != nil })
        #expect(!sample.page(1).withUnsafeBytes { key.authenticate(SealedPage($0, number: -1)) != nil })
    }

    @Test func aScanListsEveryBadPage() throws {
        let sample = try sample(size: 1024, authentication: "hmac-sha256")
        let file = sample.store.directory.appending("copy.db")
        var bytes = sample.bytes
        bytes[1024 * 2 + 5] ^= 1
        bytes.replaceSubrange((1024 * 4)..<(1024 * 5), with: [UInt8](repeating: 0, count: 1024))
        try TestFiles.write(bytes + [1, 2, 3], to: file)
        let scan = try PageScan(of: DataFile(file), layout: sample.layout) { try sample.authenticator() }
        let pages = bytes.count / 1024
        #expect(
            scan.badPages == [
                BadPage(number: 3, kind: .wrongTag), BadPage(number: 5, kind: .zeroed),
                BadPage(number: pages + 1, kind: .torn),
            ])
        #expect(scan.badPageCount == 3)
        #expect(scan.pageCount == pages)
        #expect(scan.trailingBytes == 3)
    }
}
