import CSQLCipher
import CryptoPrimitives
import DurableFiles
import Foundation
import GRDB
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import PageCipher

/// docs/formats/page.md, "The size of a commit", where the WAL has no page 1 of its own.
@Suite struct CommitSizeWithoutPageOneTests {
    private static let layout = PageLayout(size: 1024, hash: .sha512)
    private static let salt = (0..<16).map { UInt8(0x40 + $0) }
    private static let frame = 24 + 1024
    private let directory: TemporaryDirectory
    private var main: FilePath { directory.appending("main.db") }
    private var wal: FilePath { directory.appending("main.db-wal") }
    /// How many pages there are.
    private let pages: Int

    /// A database whose WAL has transactions that change rows and not the number of pages.
    init() throws {
        directory = try TemporaryDirectory()
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            let literal = "x'" + Hex.encode((0..<32).map { UInt8($0) }) + Hex.encode(Self.salt) + "'"
            _ = sqlite3_key_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count))
            try db.execute(sql: "PRAGMA cipher_page_size = 1024; PRAGMA cipher_log_level = NONE")
        }
        let queue = try DatabaseQueue(path: directory.appending("live.db").string, configuration: configuration)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA journal_mode = WAL; CREATE TABLE t (i INTEGER PRIMARY KEY, a)")
            for _ in 0..<9 { try db.execute(sql: "INSERT INTO t (a) VALUES (randomblob(700))") }
            _ = try db.checkpoint(.truncate)
            for row in 1...4 { try db.execute(sql: "UPDATE t SET a = randomblob(700) WHERE i = ?", arguments: [row]) }
        }
        try TestFiles.write(TestFiles.read(directory.appending("live.db")), to: directory.appending("main.db"))
        try TestFiles.write(TestFiles.read(directory.appending("live.db-wal")), to: directory.appending("main.db-wal"))
        try queue.close()
        pages = try TestFiles.read(directory.appending("main.db")).count / 1024
    }

    private func key() throws -> PageKey {
        try PageKey(dataKey: SecretBytes(testing: (0..<32).map { UInt8($0) }), salt: Self.salt, layout: Self.layout)
    }

    private func scan(upTo last: Int = .max) throws -> WALScan {
        try WALScan(of: DataFile(wal), upToFrame: last, over: DataFile(main), with: key())
    }

    private func put(_ value: UInt32, at offset: Int, in bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.replaceSubrange(offset..<offset + 4, with: $0) }
    }

    /// Says how many pages there are after the transaction of a frame, counted from 1, with check sums that fit.
    private func setCommitSize(_ size: Int, ofFrame number: Int) throws {
        try TestFiles.edit(wal) { wal in
            put(UInt32(size), at: 32 + (number - 1) * Self.frame + 4, in: &wal)
            var sum = WALChecksum()
            let isBigEndian = wal[3] & 1 == 1
            sum.add(wal[..<24], isBigEndian: isBigEndian)
            for start in stride(from: 32, to: wal.count, by: Self.frame) {
                sum.add(wal[start..<start + 8], isBigEndian: isBigEndian)
                sum.add(wal[start + 24..<start + Self.frame], isBigEndian: isBigEndian)
                put(sum.first, at: start + 16, in: &wal)
                put(sum.second, at: start + 20, in: &wal)
            }
        }
    }

    /// Changes a number in the header of the main file's page 1, and seals it anew.
    private func setHeader(_ value: UInt32, at field: Int) throws {
        let key = try key()
        try TestFiles.edit(main) { file in
            var plaintext = [UInt8](repeating: 0, count: 1024)
            file.withUnsafeMutableBytes { file in
                let page = UnsafeMutableRawBufferPointer(rebasing: file[..<1024])
                plaintext.withUnsafeMutableBytes {
                    try? key.open(
                        AuthenticPage(alreadyAuthenticated: SealedPage(UnsafeRawBufferPointer(page), number: 1)),
                        into: $0)
                }
                put(value, at: field, in: &plaintext)
                plaintext.withUnsafeBytes { plaintext in
                    [UInt8](repeating: 3, count: 16).withUnsafeBytes {
                        try? key.seal(plaintext, number: 1, iv: $0, into: page)
                    }
                }
            }
        }
    }

    @Test func theMainFilesPageOneSaysIt() throws {
        let sound = try scan()
        #expect(sound.damage == nil && sound.pageCount == pages && sound.newestFrames[1] == nil)
        #expect(sound.committedFrames >= 4)
        let original = try TestFiles.read(wal)
        for size in [1, 2, pages - 1, pages + 1, 1 << 31, 1 << 32 - 1] {
            try setCommitSize(size, ofFrame: sound.committedFrames)
            #expect(try scan().damage == .commitSize && scan().damagedFrame == sound.committedFrames, "\(size)")
            // All of them alike.
            for frame in 1...sound.committedFrames { try setCommitSize(size, ofFrame: frame) }
            #expect(try scan().damage == .commitSize, "\(size)")
            try TestFiles.write(original, to: wal)
        }
        // One that is not the last: what comes after it has another.
        try setCommitSize(2, ofFrame: 1)
        #expect(try scan().damage == .commitSize)
        // Up to it, it is the last.
        #expect(try scan(upTo: 1).damage == .commitSize)
        try TestFiles.write(original, to: wal)
        #expect(try scan(upTo: 1).damage == nil)
    }

    /// Then only the pages that are there count.
    @Test(arguments: [24, 28, 92]) func aPageOneThatDoesNotSay(field: Int) throws {
        try setHeader(field == 28 ? 0 : 77, at: field)
        let sound = try scan()
        #expect(sound.damage == nil && sound.pageCount == pages)
        for size in [2, pages - 1, pages + 1, 1 << 32 - 1] {
            try setCommitSize(size, ofFrame: sound.committedFrames)
            #expect(try scan().damage == .commitSize, "\(size)")
        }
    }

    /// Nothing is known from a page 1 that is not what was written, and nothing is taken for granted.
    @Test func aDamagedPageOne() throws {
        try TestFiles.edit(main) { $0[500] ^= 1 }
        #expect(try scan().damage == nil)
        try setCommitSize(2, ofFrame: scan().committedFrames)
        #expect(try scan().damage == .commitSize)
    }

    /// What a snapshot and a rotation copy.
    @Test func thePagesOfAMoment() throws {
        let sound = try scan()
        let header = try WALMark.header(of: DataFile(wal))
        func pages(_ frames: Int) throws -> PageSource {
            try PageSource(
                DataFile(main), wal: DataFile(wal), at: WALMark(frames: frames, header: header), key: key())
        }
        #expect(try pages(sound.committedFrames).pageCount == self.pages)
        #expect(try pages(1).pageCount == self.pages)
        // Whoever has it open says that there are more.
        #expect(throws: PageCipherError.walDamaged) { try pages(sound.committedFrames + 1) }
        #expect(throws: PageCipherError.walDamaged) {
            try PageSource(DataFile(main), wal: nil, at: WALMark(frames: 4, header: header), key: key())
        }
        for size in [2, 1 << 32 - 1] {
            try setCommitSize(size, ofFrame: sound.committedFrames)
            #expect(throws: PageCipherError.walDamaged) { try pages(sound.committedFrames) }
        }
        // The main file alone, cut, or with a page 1 that counts what is not there.
        let whole = try TestFiles.read(main)
        #expect(try PageSource(DataFile(main), wal: nil, at: .none, key: key()).pageCount == self.pages)
        try TestFiles.edit(main) { $0.removeLast(2048) }
        #expect(throws: PageCipherError.pageNotAuthentic(number: self.pages - 1)) {
            try PageSource(DataFile(main), wal: nil, at: .none, key: key())
        }
        try TestFiles.write(whole, to: main)
        try setHeader(.max, at: 28)
        #expect(throws: PageCipherError.pageNotAuthentic(number: self.pages + 1)) {
            try PageSource(DataFile(main), wal: nil, at: .none, key: key())
        }
    }

    /// Whatever the commits say, a recovery has what page 1 says; with none in the WAL it says nothing.
    @Test func aRecoveryDoesNotReadIt() throws {
        try setCommitSize(1 << 32 - 1, ofFrame: scan().committedFrames)
        let found = try WALRecovery(of: DataFile(wal), with: key())
        #expect(found.pageCount == nil && found.lostTransactions == 0 && found.keptTransactions >= 4)
    }

    /// A page that is put together is somewhere, or there is nothing.
    @Test func noPageIsTakenFromNowhere() throws {
        func source(_ count: Int, _ patches: [Int: [UInt8]] = [:]) throws -> PageSource {
            try PageSource(DataFile(main), pageSize: 1024, pageCount: count, wal: nil, frames: [:], patches: patches)
        }
        #expect(try source(pages).pageCount == pages)
        for count in [pages + 1, 1 << 31, 1 << 32 - 1] {
            #expect(throws: PageCipherError.walDamaged) { try source(count) }
        }
        let page = [UInt8](repeating: 0, count: 1024)
        #expect(try source(pages + 1, [pages + 1: page]).pageCount == pages + 1)
        #expect(throws: PageCipherError.walDamaged) { try source(pages + 2, [pages + 2: page]) }
    }

    /// SQLite ends its log there.
    @Test func aFrameOfPageZeroEndsTheLog() throws {
        let before = try scan()
        let key = try key()
        try TestFiles.edit(wal) { wal in
            let start = 32 + (before.committedFrames - 1) * Self.frame
            put(0, at: start, in: &wal)
            wal.withUnsafeMutableBytes { wal in
                if let base = wal.baseAddress { try? key.authenticator.tag(base + start + 24, number: 0) }
            }
        }
        try setCommitSize(pages, ofFrame: before.committedFrames)
        let scan = try scan()
        #expect(scan.committedFrames == before.committedFrames - 1 && scan.newestFrames[0] == nil)
        #expect(try WALRecovery(of: DataFile(wal), with: key).frames[0] == nil)
    }
}
