import CSQLCipher
import CryptoPrimitives
import DurableFiles
import Foundation
import GRDB
import Secrets
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import PageCipher
@testable import Strongroom

/// Databases that SQLCipher wrote, re-encrypted here, and read by SQLCipher again.
@Suite struct PageRewriterTests {
    /// A key that is a key for a test only, with a salt of its own.
    struct Key: Sendable {
        let bytes: [UInt8]
        let salt: [UInt8]

        static let old = Key(bytes: (0..<32).map { UInt8($0) }, salt: (0..<16).map { UInt8(0x40 + $0) })
        static let new = Key(bytes: (0..<32).map { UInt8(0xff - $0) }, salt: (0..<16).map { UInt8(0x90 + $0) })

        func pageKey(_ layout: PageLayout) throws -> PageKey {
            try PageKey(dataKey: SecretBytes(testing: bytes), salt: salt, layout: layout)
        }

        func authenticator(_ layout: PageLayout) throws -> PageAuthenticator {
            try PageAuthenticator(
                pageKey: PageAuthenticator.pageKey(of: SecretBytes(testing: bytes), salt: salt), layout: layout)
        }
    }

    struct Format: Sendable, CustomTestStringConvertible {
        var size = 4096
        var hash = HashAlgorithm.sha512
        var setup = "PRAGMA journal_mode = DELETE"
        var content =
            "CREATE TABLE t (a, b); CREATE INDEX i ON t (a); INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT i, randomblob(i * 7) FROM n; DELETE FROM t WHERE a % 5 = 0"
        var layout: PageLayout { PageLayout(size: size, hash: hash) }
        var testDescription: String { "\(size) \(hash.rawValue) \(setup) \(content.count)" }
    }

    static let formats =
        [1024, 4096, 8192, 16384, 65536].flatMap { [Format(size: $0), Format(size: $0, hash: .sha256)] } + [
            Format(setup: "PRAGMA auto_vacuum = FULL"), Format(setup: "PRAGMA auto_vacuum = INCREMENTAL"),
            Format(setup: "PRAGMA journal_mode = WAL"), Format(content: "CREATE TABLE t (a, b)"),
        ]

    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func open(_ path: FilePath, _ key: Key, _ format: Format) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { db in
            let literal = "x'" + Hex.encode(key.bytes) + Hex.encode(key.salt) + "'"
            _ = sqlite3_key_v2(db.sqliteConnection, "main", literal, Int32(literal.utf8.count))
            try db.execute(sql: "PRAGMA cipher_log_level = NONE")
            try db.execute(sql: "PRAGMA cipher_page_size = \(format.size)")
            try db.execute(sql: "PRAGMA cipher_hmac_algorithm = HMAC_\(format.hash == .sha512 ? "SHA512" : "SHA256")")
        }
        return try DatabaseQueue(path: path.string, configuration: configuration)
    }

    private func make(_ format: Format) throws -> FilePath {
        let path = directory.appending("source.db")
        let queue = try open(path, .old, format)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: format.setup)
            try db.execute(sql: format.content)
            _ = try? db.checkpoint(.truncate)
        }
        try queue.close()
        return path
    }

    private func rewrite(_ source: FilePath, _ format: Format, workers: Int? = nil) throws -> FilePath {
        let target = directory.appending("target-\(UUID().uuidString).db")
        let file = try NewDataFile(target)
        try PageRewriter.rewrite(
            PageSource(DataFile(source), pageSize: format.layout.size), into: file, layout: format.layout,
            workers: workers,
            makeOldKey: { try Key.old.pageKey(format.layout) }, makeNewKey: { try Key.new.pageKey(format.layout) })
        try file.sync()
        return target
    }

    private func rows(_ queue: DatabaseQueue) throws -> [String] {
        try queue.read { try Row.fetchAll($0, sql: "SELECT rowid, a, hex(b) FROM t").map { "\($0)" } }
    }

    @Test(arguments: formats)
    func sqlcipherReadsWhatWasReencrypted(format: Format) throws {
        let source = try make(format)
        let expected = try rows(open(source, .old, format))
        for workers in [1, 3] {
            let target = try rewrite(source, format, workers: workers)
            #expect(try TestFiles.read(target).prefix(16) == Key.new.salt[...])
            let queue = try open(target, .new, format)
            #expect(try rows(queue) == expected)
            #expect(try queue.read { try String.fetchAll($0, sql: "PRAGMA cipher_integrity_check") }.isEmpty)
            #expect(try queue.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") } == ["ok"])
            // The old key is of no use any more.
            #expect(throws: DatabaseError.self) { try rows(open(target, .old, format)) }
            // No page kept its IV or tag.
            let (old, new) = try (TestFiles.read(source), TestFiles.read(target))
            #expect(old.count == new.count)
            for page in 0..<(old.count / format.size) {
                let reserve = (page * format.size + format.layout.ivStart)..<((page + 1) * format.size)
                #expect(old[reserve] != new[reserve])
            }
        }
    }

    /// Page for page: what a page opens to is what its re-encrypted copy opens to, and page 1 is a header of SQLite's. (The
    /// table `sqlite_dbpage`, which would show the plaintext of each page, is not in Debian's build of SQLCipher; that
    /// SQLCipher reads the same rows is shown above.)
    @Test(arguments: formats)
    func pagesDecryptToBTreePages(format: Format) throws {
        let source = try make(format)
        let bytes = try TestFiles.read(source)
        let target = try TestFiles.read(rewrite(source, format))
        let oldKey = try Key.old.pageKey(format.layout)
        let newKey = try Key.new.pageKey(format.layout)
        for number in 1...(bytes.count / format.size) {
            let range = ((number - 1) * format.size)..<(number * format.size)
            let before = try Self.plaintext(bytes[range], number, oldKey)
            let after = try Self.plaintext(target[range], number, newKey)
            #expect(before == after, "page \(number)")
            if number == 1 {
                #expect(Array(before.prefix(16)) == PageLayout.plaintextMagic)
                // Page size (65536 is written as 1) and reserve, where SQLite's header has them.
                #expect(Int(before[16]) << 8 | Int(before[17]) == (format.size == 65536 ? 1 : format.size))
                // SQLCipher reserves 80 bytes when it is keyed, before it is told of a shorter tag, and never less later.
                #expect(before[20] == 80)
                #expect([2, 5, 10, 13].contains(before[100]), "a b-tree page follows the header")
            }
        }
    }

    private static func plaintext(_ page: ArraySlice<UInt8>, _ number: Int, _ key: borrowing PageKey) throws -> [UInt8]
    {
        var output = [UInt8](repeating: 0xee, count: page.count)
        let isAuthentic = try Array(page).withUnsafeBytes { page in
            guard let authentic = key.authenticate(SealedPage(page, number: number)) else { return false }
            try output.withUnsafeMutableBytes { try key.open(authentic, into: $0) }
            return true
        }
        #expect(isAuthentic)
        return output
    }

    /// The vector of docs/formats/page.md: a whole database of SQLCipher's, whose key is public.
    @Test(arguments: [HashAlgorithm.sha512, .sha256])
    func theVectorAuthenticates(hash: HashAlgorithm) throws {
        let vectors = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
            .appending("docs").appending("formats").appending("vectors")
        let path = vectors.appending("page-\(hash.rawValue).db")
        let format = Format(size: 1024, hash: hash, content: "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, x'02')")
        if ProcessInfo.processInfo.environment["STRONGROOM_WRITE_VECTORS"] == "1" {
            try TestFiles.write(try TestFiles.read(make(format)), to: path, mode: 0o644)
        }
        let scan = try PageScan(of: DataFile(path), layout: format.layout) { try Key.old.authenticator(format.layout) }
        #expect(scan.pageCount == 2 && scan.badPageCount == 0 && scan.trailingBytes == 0)
        let wrong = try PageScan(of: DataFile(path), layout: format.layout) { try Key.new.authenticator(format.layout) }
        #expect(wrong.badPageCount == 2)
        // Of another size, or with the other tag, it is no database at all.
        for layout in [
            PageLayout(size: 2048, hash: hash), PageLayout(size: 1024, hash: hash == .sha512 ? .sha256 : .sha512),
        ] {
            let odd = try PageScan(of: DataFile(path), layout: layout) { try Key.old.authenticator(layout) }
            #expect(odd.badPageCount == odd.pageCount)
        }
    }

    @Test func aBadPageStopsARewriteAndIsNamed() throws {
        let format = Format()
        let source = try make(format)
        try TestFiles.edit(source) { $0[4096 * 6 + 9] ^= 1 }
        #expect(throws: PageCipherError.pageNotAuthentic(number: 7)) { _ = try rewrite(source, format, workers: 1) }
        try TestFiles.edit(source) { $0.removeLast(5) }
        #expect(throws: PageCipherError.notWholePages) { _ = try rewrite(source, format) }
    }

    @Test func swappedPagesAreCaught() throws {
        let format = Format()
        let source = try make(format)
        try TestFiles.edit(source) { bytes in
            let second = bytes[4096..<8192]
            bytes.replaceSubrange(4096..<8192, with: bytes[8192..<12288])
            bytes.replaceSubrange(8192..<12288, with: second)
        }
        let scan = try PageScan(of: DataFile(source), layout: format.layout) {
            try Key.old.authenticator(format.layout)
        }
        #expect(scan.badPages == [BadPage(number: 2, kind: .wrongTag), BadPage(number: 3, kind: .wrongTag)])
    }

    /// A bit anywhere in the file, sampled, is found in its page and nowhere else.
    @Test func everySampledBitIsCaught() throws {
        let format = Format()
        let source = try make(format)
        let bytes = try TestFiles.read(source)
        var generator = SplitMix64(state: 11)
        for _ in 0..<200 {
            let index = Int(generator.next() % UInt64(bytes.count))
            guard index >= 16 else { continue }
            var changed = bytes
            changed[index] ^= 1 << UInt8(generator.next() % 8)
            try TestFiles.write(changed, to: source)
            let scan = try PageScan(of: DataFile(source), layout: format.layout) {
                try Key.old.authenticator(format.layout)
            }
            #expect(scan.badPages.map(\.number) == [index / 4096 + 1])
        }
    }

    @Test func whatIsNoDatabaseIsNotRead() throws {
        let path = directory.appending("odd")
        let layout = Format().layout
        for count in [0, 1, 15, 4095, 4096, 4097] {
            try TestFiles.write([UInt8](repeating: 0x37, count: count), to: path)
            let scan = try PageScan(of: DataFile(path), layout: layout) { try Key.old.authenticator(layout) }
            #expect(scan.pageCount == count / 4096)
            #expect(scan.trailingBytes == count % 4096)
            #expect(scan.badPageCount == (count + 4095) / 4096)
        }
    }

    /// Past 4 GiB: numbers only, in a sparse file, whose holes are zeroed pages; the one that SQLite never writes is none.
    @Test func aFilePastFourGigabytesIsCountedRight() throws {
        let format = Format(size: 65536)
        let source = try make(format)
        let size = 5 << 30
        let written = try TestFiles.read(source).count / 65536
        #expect(truncate(source.string, size) == 0)
        let scan = try PageScan(of: DataFile(source), layout: format.layout) {
            try Key.old.authenticator(format.layout)
        }
        #expect(scan.pageCount == size / 65536)
        #expect(format.layout.lockPageNumber == 16_385)
        #expect(scan.badPageCount == size / 65536 - written - 1)
        #expect(scan.badPages.first == BadPage(number: written + 1, kind: .zeroed))
    }

    @Test func aFileThatShrinksWhileItIsReadIsAnError() throws {
        let format = Format()
        let source = try make(format)
        let size = 64 << 20
        #expect(truncate(source.string, size) == 0)
        #expect(throws: DurableFilesError.self) {
            _ = try PageScan(
                of: DataFile(source), layout: format.layout, workers: 1,
                progress: { done in
                    if done.done < done.total / 2 { _ = truncate(source.string, 4096) }
                }
            ) { try Key.old.authenticator(format.layout) }
        }
    }

    @Test func cancellingEndsAScan() async throws {
        let format = Format()
        let source = try make(format)
        #expect(truncate(source.string, 256 << 20) == 0)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try PageScan(of: DataFile(source), layout: format.layout) {
                try Key.old.authenticator(format.layout)
            }
        }
        task.cancel()
        await #expect(throws: PageCipherError.cancelled) { _ = try await task.value }
    }

    @Test func progressGoesToTheEnd() throws {
        let format = Format()
        let source = try make(format)
        #expect(truncate(source.string, 16 << 20) == 0)
        let last = Counter()
        _ = try PageScan(of: DataFile(source), layout: format.layout, progress: { last.note($0.done, $0.total) }) {
            try Key.old.authenticator(format.layout)
        }
        #expect(last.values.done == 4096 && last.values.total == 4096)
    }

    /// Every bit of the WAL's last two frames cut away, one after the other: never a crash, never damage.
    @Test func aWALCutAnywhereIsATornTail() throws {
        let format = Self.walFormat
        let wal = try makeWAL { db in
            try db.execute(sql: "CREATE TABLE t (a)")
            for number in 0..<6 { try db.execute(sql: "INSERT INTO t VALUES (?)", arguments: [number]) }
        }
        let frame = 24 + 1024
        let frames = (wal.count - 32) / frame
        let cut = directory.appending("cut-wal")
        for length in (wal.count - 2 * frame)...wal.count {
            try TestFiles.write(wal.prefix(length), to: cut)
            let scan = try scanned(cut, .old, format)
            #expect(scan.damage == nil)
            #expect(scan.committedFrames == (length - 32) / frame, "every transaction here is one frame")
        }
        // Of another page size, of another key, of nothing.
        try TestFiles.write(wal, to: cut)
        #expect(try scanned(cut, .old, Format(size: 4096)).damage == .pageSize)
        #expect(try scanned(cut, .new, format).damage == .foreignPage)
        for length in 0..<64 {
            try TestFiles.write(wal.prefix(length), to: cut)
            #expect(try scanned(cut, .old, format).damage == nil)
        }
        #expect(frames >= 7)
    }

    /// The WAL has a page 1 of its own in each of these tests, so that any file does for the main one.
    private func scanned(_ wal: FilePath, _ key: Key, _ format: Format) throws -> WALScan {
        try WALScan(of: DataFile(wal), over: DataFile(directory.appending("live.db")), with: key.pageKey(format.layout))
    }

    private static let walFormat = Format(
        size: 1024, setup: "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")

    /// The WAL of a database under the old key, each of whose statements is a transaction.
    private func makeWAL(_ write: (Database) throws -> Void) throws -> [UInt8] {
        let path = directory.appending("live.db")
        let queue = try open(path, .old, Self.walFormat)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: Self.walFormat.setup)
            try write(db)
        }
        let wal = try TestFiles.read(FilePath(path.string + "-wal"))
        try queue.close()
        return wal
    }

    /// Wherever a scan ended, within a transaction as well: one that goes on there finds what one from the beginning finds, damage too.
    @Test func aScanOfAWALGoesOnWhereAnotherEnded() throws {
        let wal = try makeWAL { db in
            try db.execute(sql: "CREATE TABLE t (i INTEGER PRIMARY KEY, a)")
            for number in 0..<12 {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO t VALUES (?, randomblob(?))",
                    arguments: [number % 5, 700 * (number % 4)])
            }
        }
        let copy = directory.appending("growing-copy")
        let frame = 24 + 1024
        let count = (wal.count - 32) / frame
        func scan(upTo last: Int = .max, continuing earlier: WALScan? = nil) throws -> WALScan {
            try WALScan(
                of: DataFile(copy), upToFrame: last, over: DataFile(directory.appending("live.db")),
                with: Key.old.pageKey(Self.walFormat.layout), continuing: earlier)
        }
        for damaged in [nil, count - 12] {
            var bytes = wal
            if let damaged { bytes[32 + damaged * frame + 500] ^= 1 }
            try TestFiles.write(bytes, to: copy)
            let whole = try scan()
            #expect(whole.damage == (damaged == nil ? nil : .brokenChain))
            for last in 1...(damaged ?? count) {
                let first = try scan(upTo: last)
                #expect(try scan(continuing: first) == whole, "\(last) of \(count) frames first")
                if damaged == nil { #expect(try scan(upTo: last, continuing: whole) == first) }
            }
        }
        #expect(count > 20)
    }
}

private final class Counter: Sendable {
    private let state = Mutex((done: 0, total: 0))

    var values: (done: Int, total: Int) { state.withLock { $0 } }
    func note(_ done: Int, _ total: Int) { state.withLock { $0 = (max($0.done, done), total) } }
}
