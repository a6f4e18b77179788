import Foundation
import GRDB
import TestSupport
import Testing

@testable import Strongroom

/// A writing process is killed at random moments: whatever it said was committed is there.
@Suite struct KillTests {
    @Test func everyAcknowledgedRowSurvivesFiftyKills() throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 1)
        var generator = SplitMix64(state: 50)
        var acknowledged = 0
        for round in 1...50 {
            let writer = try ChildProcess("TestHelper", ["write", test.path.string, test.keyFile.string, info.name])
            // At least one, so that each round does something; then a random time.
            let first = Int(writer.line()) ?? 0
            #expect(first > acknowledged, "round \(round): numbering goes on")
            usleep(UInt32(generator.next() % 20_000))
            writer.kill()
            let outcome = writer.finish()
            #expect(outcome.wasSignalled)
            acknowledged = max(first, outcome.outputText.split(separator: "\n").compactMap { Int($0) }.max() ?? 0)
            // The last line may have been cut; a number is never longer than what was committed.
            let store = try test.open()
            let profile = try store.openProfile(info)
            let (count, largest) = try profile.database.read { db in
                (
                    try Int.fetchOne(db, sql: "SELECT count(*) FROM n") ?? 0,
                    try Int.fetchOne(db, sql: "SELECT max(i) FROM n") ?? 0
                )
            }
            #expect(count == largest, "round \(round): no gap")
            #expect(largest >= acknowledged, "round \(round): \(acknowledged) were acknowledged")
            if round == 50 {
                #expect(try profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
            }
            try store.lock()
        }
        print("kill -9: 50 times, \(acknowledged) acknowledged rows, all there")
    }
}
