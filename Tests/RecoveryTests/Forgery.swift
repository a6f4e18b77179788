import DurableFiles
import Foundation
import Secrets
import SystemPackage
import TestSupport

@testable import Keyring
@testable import PageCipher

/// What anybody can do to a WAL who can write to the disk: none of this needs a key.
enum WALForgery {
    private static let frame = CrashedStore.frameLength

    static func put(_ value: UInt32, at offset: Int, in bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.replaceSubrange(offset..<offset + 4, with: $0) }
    }

    static func number(at offset: Int, in bytes: [UInt8]) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Says how many pages the database has after the transaction that ends in a frame, counted from 0, and makes every check sum fit.
    static func setCommitSize(_ size: UInt32, of index: Int, in wal: inout [UInt8]) {
        put(size, at: 32 + index * frame + 4, in: &wal)
        sum(&wal)
    }

    /// Makes the check sums of the header and of every frame of this round fit.
    static func sum(_ wal: inout [UInt8]) {
        let isBigEndian = wal[3] & 1 == 1
        var sum = WALChecksum()
        sum.add(wal[..<24], isBigEndian: isBigEndian)
        put(sum.first, at: 24, in: &wal)
        put(sum.second, at: 28, in: &wal)
        for start in stride(from: 32, to: wal.count - frame + 1, by: frame) {
            guard wal[start + 8..<start + 16] == wal[16..<24] else { return }
            sum.add(wal[start..<start + 8], isBigEndian: isBigEndian)
            sum.add(wal[start + 24..<start + frame], isBigEndian: isBigEndian)
            put(sum.first, at: start + 16, in: &wal)
            put(sum.second, at: start + 20, in: &wal)
        }
    }
}

/// A rollback journal that makes SQLite cut a database down and put a page of somebody's choice into it. It needs no key.
enum JournalForgery {
    /// - Parameters:
    ///   - pages: how many pages the database is to have.
    ///   - page: what is to stand as page 2.
    static func bytes(pages: UInt32, page: [UInt8]) -> [UInt8] {
        let sector = 512
        let nonce: UInt32 = 7
        var bytes: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
        func add(_ value: UInt32) { withUnsafeBytes(of: value.bigEndian) { bytes += $0 } }
        for value in [1, nonce, pages, UInt32(sector), UInt32(page.count)] { add(value) }
        bytes += [UInt8](repeating: 0, count: sector - bytes.count)
        add(2)
        bytes += page
        var sum = nonce
        for offset in stride(from: page.count - 200, to: 0, by: -200) { sum &+= UInt32(page[offset]) }
        add(sum)
        return bytes
    }

    /// The same for a database of this file, whose page 2 it leaves as it is.
    static func cutting(_ database: FilePath, to pages: UInt32, pageSize: Int = DrillStore.pageSize) throws -> [UInt8] {
        let file = try TestFiles.read(database)
        return bytes(pages: pages, page: Array(file[pageSize..<2 * pageSize]))
    }
}

/// Who has a verify key: docs/formats/snapshot.md, "Files beside it". Nothing else is known here.
struct VerifyKeyHolder {
    private let pageKeys: [[UInt8]: [UInt8]]

    init(_ file: FilePath) throws {
        let bytes = try TestFiles.read(file)
        let start = Array("strongroom/verify-key/v1\n".utf8).count
        var keys: [[UInt8]: [UInt8]] = [:]
        for entry in stride(from: start, to: bytes.count, by: 48) {
            keys[Array(bytes[entry..<entry + 16])] = Array(bytes[entry + 16..<entry + 48])
        }
        pageKeys = keys
    }

    /// Changes bytes of a page and tags it anew.
    ///
    /// - Parameters:
    ///   - database: the first bytes of the file that the page is of, which name its key.
    ///   - start: where the page begins in `bytes`.
    func change(
        page number: Int, at start: Int, in bytes: inout [UInt8], ofDatabaseWith database: [UInt8],
        pageSize: Int = DrillStore.pageSize, _ edit: (inout [UInt8]) -> Void
    ) throws {
        guard let pageKey = pageKeys[Array(database.prefix(16))] else { throw POSIXError(.ENOKEY) }
        let authenticator = try PageAuthenticator(
            pageKey: SecretBytes(testing: pageKey), layout: PageLayout(size: pageSize, hash: .sha512))
        var page = Array(bytes[start..<start + pageSize])
        edit(&page)
        try page.withUnsafeMutableBytes { page in
            if let base = page.baseAddress { try authenticator.tag(base, number: number) }
        }
        bytes.replaceSubrange(start..<start + pageSize, with: page)
    }

    /// Puts any number of pages into page 1. What is there is known: the IV turns it into what is wanted, bit by bit.
    func count(
        _ wanted: UInt32, insteadOf known: UInt32, inPageAt start: Int, of bytes: inout [UInt8], _ database: [UInt8]
    ) throws {
        try change(page: 1, at: start, in: &bytes, ofDatabaseWith: database) { page in
            let iv = DrillStore.pageSize - 80
            // The plaintext of the first block, which is bytes 16 to 31, has the number in its last four.
            WALForgery.put(WALForgery.number(at: iv + 12, in: page) ^ known ^ wanted, at: iv + 12, in: &page)
        }
    }
}
