import DurableFiles
import Foundation
import Synchronization
import Testing

@testable import Strongroom

/// The adversary's matrix: docs/security/custody.md.
@Suite struct MatrixTests {
    @Test func nothingThatIsNotCurrentIsTakenForIt() async throws {
        let runner = try await MatrixRunner.shared.value
        let seed =
            ProcessInfo.processInfo.environment["STRONGROOM_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0...UInt64.max)
        let isSoak = ProcessInfo.processInfo.environment["STRONGROOM_SOAK"] == "1"
        let count = ProcessInfo.processInfo.environment["STRONGROOM_MATRIX_CASES"].flatMap { Int($0) } ?? 5_500
        let all = MatrixCases(runner.attacks)
        var random = SplitMix64(state: seed)
        // Cases whose descriptions, as a failure prints them, hold all of these words.
        let only = ProcessInfo.processInfo.environment["STRONGROOM_MATRIX_ONLY"]?.split(separator: "|") ?? []
        let cases =
            only.isEmpty
            ? isSoak ? all.everything : all.sample(count, using: &random)
            : all.everything.filter { test in only.allSatisfy { test.description.contains($0) } }
        let start = ContinuousClock.now
        let table = try await MatrixTable.run(cases, with: runner)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print(table.text)
        print("matrix: \(cases.count) of \(all.count) cases, \(Int(seconds)) s, STRONGROOM_SEED=\(seed)")
        for wrong in table.wrong.prefix(100) { Issue.record("\(wrong)") }
        #expect(table.wrong.isEmpty, "STRONGROOM_SEED=\(seed)")
        #expect(cases.count >= (only.isEmpty ? min(count, 5_000) : 1))
    }

    /// With a check left out, the matrix must find what gets through.
    @Test(arguments: CustodyCheck.allCases)
    func aCheckThatIsLeftOutIsFound(_ check: CustodyCheck) async throws {
        let runner = try await MatrixRunner.shared.value
        let all = MatrixCases(runner.attacks)
        let cases: [MatrixCase] =
            switch check {
            case .continuity: all.attacking(["keyring", "backup keyring"], [.forged, .forgedWithRemovedSecret])
            case .storeVerified: all.attacking(["store"], [.forged, .forgedWithRemovedSecret])
            case .sequence: all.attacking(["keyring", "envelope", "database"], [.older])
            case .journalBinding: all.attacking(["restore"], [.older, .forged, .forgedWithRemovedSecret])
            case .session: all.attacking(["wal"], [.absent])
            case .donorRoot: all.attacking(["pages"], [.forgedWithVerifyKey])
            case .commitSize: all.attacking(["wal"], [.forged])
            case .foreignJournal: all.attacking(["journal"], [.forged])
            }
        let found = try await CustodyCheck.$skipped.withValue(check) {
            try await MatrixTable.run(cases.shuffled(), with: runner, untilWrong: true).wrong
        }
        #expect(!found.isEmpty)
    }
}

/// The numbers of a seed.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
