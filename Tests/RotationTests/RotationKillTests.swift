import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// A process that rotates keys under write load, killed at random moments.
@Suite struct RotationKillTests {
    /// Kills the helper `rounds` times, and looks at the store after each.
    ///
    /// - Parameter word: what the helper says when it has done one rotation: within twice that time it is killed.
    /// - Returns: in how many rounds a rotation was cut in the middle.
    private func kill(
        _ mode: String, _ test: TestStore, _ info: ProfileInfo, rounds: Int, seed: UInt64, until word: String,
        check: (Store, ChildProcess.Outcome) throws -> Bool
    ) throws -> Int {
        let arguments = [mode, test.path.string, test.keyFile.string, info.name]
        let window = try min(1_000_000, 2 * ChildProcess.period(of: ChildProcess("TestHelper", arguments), word))
        var generator = SplitMix64(state: seed)
        var acknowledged = 0
        var cut = 0
        for round in 1...rounds {
            let child = try ChildProcess("TestHelper", arguments)
            #expect(child.line().hasPrefix("row"))
            usleep(UInt32(generator.next() % window))
            child.kill()
            let outcome = child.finish()
            #expect(outcome.wasSignalled, "round \(round): \(outcome.errorText)")
            acknowledged = max(acknowledged, outcome.lines("row").compactMap { Int($0[1]) }.max() ?? 0)
            let store = try test.open()
            if try check(store, outcome) { cut += 1 }
            let profile = try store.openProfile(info)
            let (count, largest) = try profile.database.read { db in
                (
                    try Int.fetchOne(db, sql: "SELECT count(*) FROM n") ?? 0,
                    try Int.fetchOne(db, sql: "SELECT max(i) FROM n") ?? 0
                )
            }
            #expect(count == largest && largest >= acknowledged, "round \(round)")
            // Small, so that many rotations fit into a round.
            if round % 20 == 0 {
                #expect(try profile.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
            }
            try profile.close()
            try store.lock()
        }
        print("kill -9 during \(mode): \(rounds) times, \(cut) in the middle; \(acknowledged) rows, all there")
        return cut
    }

    @Test func twoHundredKillsOfADataRotation() throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 1_000)
        let scope = KeyScope.profile(info.id)
        var last = 1
        let cut = try kill("rotations", test, info, rounds: 200, seed: 500, until: "rotated") { store, outcome in
            let files = DatabaseFiles(scope, in: test.path)
            let envelope = try store.keyring.envelope(for: scope)
            let isCut = try StrictFiles.exists(files.rotating) || envelope.pendingDataKey != nil
            #expect(envelope.dataKeys.allSatisfy { $0.state != .destroyed })
            last = max(last, outcome.lines("rotated").compactMap { Int($0[1]) }.max() ?? 0)
            #expect(try files.keyInForce(envelope)?.generation ?? 0 >= last)
            return isCut
        }
        #expect(cut > 20 && last > 5)
    }

    @Test func twoHundredKillsOfAFleetRotation() throws {
        let test = try TestStore()
        let info = try test.makeProfile(rows: 200)
        let others = try ["b", "c"].map { try test.makeProfile(named: $0, rows: 200) }
        var fleets = 0
        let cut = try kill("fleets", test, info, rounds: 200, seed: 600, until: "fleet") { store, outcome in
            for line in outcome.lines("fleet") {
                #expect(line.dropFirst() == ["4", "0"])
                fleets += 1
            }
            for other in others {
                let rows = try test.rows(other, in: store)
                #expect(rows == 200)
            }
            let profiles = try store.profiles().count
            #expect(profiles == 3)
            return !store.keyring.rotations.isEmpty
        }
        #expect(cut > 20 && fleets > 2)
    }
}
