import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import Strongroom

@Suite struct VerificationTests {
    let test: TestStore
    let info: ProfileInfo
    let store: Store

    init() throws {
        test = try TestStore()
        info = try test.makeProfile(rows: 500)
        store = try test.open()
    }

    @Test func aHealthyProfileIsHealthy() throws {
        let report = try store.verify(info)
        #expect(report.isHealthy && report.badPages.isEmpty && report.wal == nil)
        #expect(report.pages == (try TestFiles.read(test.databaseFile(info)).count) / 4096)
        #expect(try store.verifyGlobal().isHealthy)
    }

    @Test func everyBadPageIsListedByItsKind() throws {
        try TestFiles.edit(test.databaseFile(info)) { bytes in
            bytes[4096 * 3 + 1] ^= 1
            bytes.replaceSubrange((4096 * 8)..<(4096 * 9), with: [UInt8](repeating: 0, count: 4096))
            bytes.removeLast(4096 + 100)
        }
        let pages = try TestFiles.read(test.databaseFile(info)).count / 4096
        let report = try store.verify(info)
        #expect(report.condition.name == "pages_damaged")
        #expect(
            report.badPages == [
                .init(number: 4, kind: "wrong_tag"), .init(number: 9, kind: "zeroed"),
                .init(number: pages + 1, kind: "torn"), .init(number: pages + 2, kind: "beyond_end"),
            ])
        #expect(report.badPageCount == 4)
    }

    @Test func whatIsNotThisDatabaseIsNamed() throws {
        try FileManager.default.removeItem(atPath: test.databaseFile(info).string)
        #expect(try store.verify(info).condition == .missing)
        try FileManager.default.removeItem(atPath: test.databaseFile(info).removingLastComponent().string)
        #expect(try store.verify(info).condition == .missing)
    }

    @Test func aProfileThatIsOpenIsInUse() throws {
        let profile = try store.openProfile(info)
        #expect(code { _ = try store.verify(info) } == "profile_in_use")
        #expect(try profile.verify().isHealthy)
        try profile.close()
        #expect(code { _ = try profile.verify() } == "store_locked")
    }

    /// While one writes as fast as it can, verification finds nothing wrong, again and again.
    @Test func anOpenProfileIsVerifiedWhileItIsWritten() async throws {
        let profile = try store.openProfile(info)
        let database = profile.database
        let writer = Task {
            var rows = 0
            while !Task.isCancelled {
                try await database.write {
                    try $0.execute(sql: "INSERT INTO t (filling) VALUES (hex(randomblob(2000)))")
                }
                rows += 1
            }
            return rows
        }
        for _ in 0..<20 {
            let report = try profile.verify()
            #expect(report.isHealthy, "\(report)")
        }
        writer.cancel()
        let written = try await writer.value
        #expect(try await database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 500 + written)
        try profile.close()
        #expect(try store.verify(info).isHealthy)
    }
}
