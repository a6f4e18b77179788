import CryptoPrimitives
import Foundation
import SystemPackage
import Testing

@testable import LeakageScan

@Suite struct CiphertextTests {
    private let directory: ScanDirectory
    init() throws { directory = try ScanDirectory() }

    private func rules(_ bytes: [UInt8], named name: String = "file.db") throws -> [ScanRule] {
        var options = ScanOptions()
        options.expectsCiphertext = true
        let file = try directory.write(bytes, to: name)
        let result = try Scan(options: options).run([.path(file)], selfTest: false)
        #expect(result.coverage.ciphertextFiles == 1 && result.entropy.count == 1)
        return Array(Set(result.findings.map(\.rule))).sorted { $0.rawValue < $1.rawValue }
    }

    @Test func randomBytesAreCiphertext() throws {
        for size in [100, 4_096, 20_000, 4 << 20] { #expect(try rules(Random.bytes(count: size)) == [], "\(size)") }
    }

    @Test func aPlaintextDatabaseIsSeen() throws {
        try directory.shell(
            "python3 -c \"import sqlite3; d = sqlite3.connect('file.db'); d.execute('create table t (a)'); d.executemany('insert into t values (?)', [('row %d' % i,) for i in range(2000)]); d.commit()\""
        )
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: directory.path.appending("file.db").string)))
        #expect(try rules(bytes).contains(.sqliteHeader))
        let found = try rules(try Random.bytes(count: 4_096) + bytes[4_096...])
        #expect(found.contains(.treePage) && found.contains(.unevenBytes) && !found.contains(.sqliteHeader))
    }

    /// One thing wrong in an otherwise random file, of whatever size.
    @Test(arguments: [1 << 18, 4 << 20]) func oneThingThatIsNotRandom(size: Int) throws {
        let noise = try Random.bytes(count: size)
        func with(_ bytes: [UInt8]) -> [UInt8] {
            let start = size / 2 + 4_096
            return noise[..<start] + bytes + noise[(start + bytes.count)...]
        }
        #expect(try rules(noise) == [])
        #expect(
            try rules(with([UInt8](repeating: 0, count: 4_096)))
                == [.unevenBytes, .repeatedBlocks].sorted { $0.rawValue < $1.rawValue })
        #expect(try rules(with(Array("the quick brown fox jumps over the lazy dog at dawn".utf8))) == [.printableRun])
        #expect(try rules(with(Array(noise[size / 2..<size / 2 + 64]))) == [.repeatedBlocks])
    }

    /// What WALs and journals have in the clear is allowed; their pages are not.
    @Test func headersOfWALsAndJournalsAreAllowed() throws {
        func number(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        func wal(_ page: (Int) throws -> [UInt8]) throws -> [UInt8] {
            try number(0x377f_0682) + number(3_007_000) + number(4_096) + [UInt8](repeating: 0, count: 20)
                + (1...40).flatMap { try number(UInt32($0)) + number(0) + [UInt8](repeating: 0, count: 16) + page($0) }
        }
        #expect(try rules(wal { _ in try Random.bytes(count: 4_096) }, named: "x-wal") == [])
        #expect(
            try rules(
                wal { $0 == 30 ? [UInt8](repeating: 0x41, count: 4_096) : try Random.bytes(count: 4_096) },
                named: "x-wal"
            )
            .contains(.unevenBytes))
        let journal: [UInt8] =
            [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7] + number(20) + number(1) + number(20) + number(512)
            + number(4_096)
            + [UInt8](repeating: 0, count: 484)
        let records = try (1...20).flatMap { try number(UInt32($0)) + Random.bytes(count: 4_096) + number(0) }
        #expect(try rules(journal + records, named: "x-journal") == [])
        let plain = (1...20).flatMap { number(UInt32($0)) + [UInt8](repeating: 0x20, count: 4_096) + number(0) }
        #expect(try rules(journal + plain, named: "x-journal").contains(.unevenBytes))
    }
}
