import CryptoPrimitives
import Foundation
import KeyPolicy
import Secrets
import Synchronization
import TestSupport
import Testing

@testable import CryptoPrimitives
@testable import Keyring

/// docs/security/custody.md, rule 8: who can write the keyring file chooses the costs, and still not what they sum up to.
@Suite struct UnlockCostTests {
    private let test: TestKeyring
    private static let highest = UnlockerSealing.Derivation.scrypt(.init(unchecked: 20, 16, 4))
    /// 2^18 units: what the keyrings of these tests are made with.
    private static let tiny = 1 << 18

    init() throws { test = try TestKeyring() }

    private static func unlocker(
        _ derivation: UnlockerSealing.Derivation?, _ kind: KeyPolicy.UnlockerKind = .passphrase, _ label: String = ""
    ) throws -> KeyringDocument.Unlocker {
        .init(
            id: try RandomIdentifier.make(prefix: "ulk_"), kind: kind, label: label, created: DocumentCoding.now(),
            publicKey: Data(repeating: 9, count: 32),
            sealing: derivation.map {
                .init(
                    derivation: $0, salt: .init(repeating: 1, count: 32), commitment: .init(repeating: 2, count: 32),
                    privateKey: .init(repeating: 3, count: 92))
            })
    }

    /// Puts unlockers into a keyring file as who holds no key can: the sum fits, and the MAC does not.
    private func forge(_ unlockers: [KeyringDocument.Unlocker]) throws {
        var document = try LockedKeyring(in: test.path).document
        document.unlockers += unlockers
        let recipient = try #require(document.rootKeys[0].recipients.first)
        document.rootKeys[0].recipients += unlockers.map {
            .init(unlocker: $0.id, ephemeralKey: recipient.ephemeralKey, rootKey: recipient.rootKey)
        }
        let bytes = try AuthenticatedFile.bytes(
            of: DocumentCoding.encode(document), format: KeyringDocument.format, rootVersion: 1,
            rootKey: Random.secret(count: 32))
        try TestFiles.write(bytes, to: test.file)
    }

    @Test func sixtyFourForgedUnlockersOfTheHighestCostAreBounded() throws {
        try test.create()
        try forge((0..<63).map { _ in try Self.unlocker(Self.highest) })
        let unlockers = try LockedKeyring(in: test.path).document.unlockers
        let plan = UnlockPlan(unlockers, for: .passphrase, unlocker: nil, budget: UnlockPlan.budget)
        #expect(plan.tries.count == 1 && plan.untried == 62)
        let paid = plan.tries.reduce(0) { $0 + $1.entry.cost }
        #expect(paid <= UnlockPlan.budget && paid == 1 << 26)
        // The negative control: unbounded, all of them would be paid for.
        #expect(UnlockPlan(unlockers, for: .passphrase, unlocker: nil, budget: .max).tries.count == 63)
    }

    /// An unlocker of the owner that is cheaper than the forged ones is tried before them; another secret ends there.
    @Test func theOwnersUnlockerIsTriedBeforeForgedOnesThatCostMore() throws {
        try test.create([TestKeyring.passphrase()])
        let own = try #require(try LockedKeyring(in: test.path).unlockers.first)
        try forge((0..<63).map { _ in try Self.unlocker(Self.highest) })
        let tried = Mutex<[UnlockTry]>([])
        let locked = try LockedKeyring(in: test.path)
        #expect(
            reason {
                _ = try locked.unlock(with: TestKeyring.passphrase("a wrong passphrase")) { attempt in
                    tried.withLock { $0.append(attempt) }
                }
            } == .unlockCostExceeded(untried: 63))
        #expect(
            tried.withLock { $0 }
                == [.init(unlocker: own, position: 1, candidates: 64, slowCandidates: 64)])
        // The right one is found at the first try, and the forgery with it.
        #expect(reason { _ = try locked.unlock(with: TestKeyring.passphrase()) } == .forged(.keyring))
    }

    @Test func triesEndBeforeTheNextWouldCostTooMuch() throws {
        let texts = (1...5).map { "a long passphrase, number \($0)" }
        try test.create(texts.map { try TestKeyring.passphrase($0) })
        let locked = try LockedKeyring(in: test.path)
        func tries(_ secret: UnlockSecret, _ unlocker: String? = nil) -> (KeyringError.Reason?, Int) {
            let count = Mutex(0)
            let result = reason {
                try locked.unlock(
                    with: secret, unlocker: unlocker, onTry: { _ in count.withLock { $0 += 1 } }, budget: 3 * Self.tiny
                ).lock()
            }
            return (result, count.withLock { $0 })
        }
        #expect(try tries(TestKeyring.passphrase(texts[2])) == (nil, 3))
        #expect(try tries(TestKeyring.passphrase(texts[3])) == (.unlockCostExceeded(untried: 2), 3))
        #expect(try tries(TestKeyring.passphrase(texts[3]), locked.unlockers[3].id) == (nil, 1))
        #expect(try tries(TestKeyring.passphrase(texts[3]), locked.unlockers[2].id) == (.unlockFailed, 1))
        #expect(try tries(TestKeyring.key()) == (.unlockFailed, 0))
        // Unbounded, it is the fourth; the real bound lets all of them be tried.
        try locked.unlock(with: TestKeyring.passphrase(texts[3])).lock()
        #expect(reason { _ = try test.unlock(TestKeyring.passphrase("another passphrase")) } == .unlockFailed)
    }

    @Test func theCheapestIsTriedFirstAndEqualOnesInTheirOrder() throws {
        let unlockers = [
            try Self.unlocker(Self.highest, .passphrase, "e"),
            try Self.unlocker(.scrypt(.init(unchecked: 17, 8, 1)), .passphrase, "c"),
            try Self.unlocker(.hkdf, .keyFile, "key"), try Self.unlocker(nil, .recovery, "paper"),
            try Self.unlocker(.scrypt(.init(unchecked: 17, 8, 1)), .passphrase, "d"),
            try Self.unlocker(.pbkdf2(iterations: 600_000), .passphrase, "b"),
            try Self.unlocker(.scrypt(.init(unchecked: 15, 1, 1)), .passphrase, "a"),
        ]
        func order(_ kind: KeyPolicy.UnlockerKind) -> String {
            UnlockPlan(unlockers, for: kind, unlocker: nil, budget: .max).tries.map(\.entry.label).joined()
        }
        #expect(order(.passphrase) == "abcde" && order(.keyFile) == "key" && order(.recovery) == "paper")
    }

    /// A forged key file's unlocker that says it is to be stretched costs what it says.
    @Test func aKeyFileThatIsToBeStretchedIsBoundedToo() throws {
        let unlockers =
            [try Self.unlocker(.hkdf, .keyFile)] + (try (0..<63).map { _ in try Self.unlocker(Self.highest, .keyFile) })
        let plan = UnlockPlan(unlockers, for: .keyFile, unlocker: nil, budget: UnlockPlan.budget)
        #expect(plan.tries.count == 2 && plan.untried == 62)
    }

    /// Whatever a policy that comes with Strongroom asks for, a keyring full of such unlockers is tried whole.
    @Test func fullKeyringsOfThePoliciesAreAffordable() throws {
        for (derivation, count): (UnlockerSealing.Derivation, Int) in [
            (.scrypt(try ScryptCost(logN: 17)), 64), (.scrypt(try ScryptCost(logN: 18)), 32),
            (.pbkdf2(iterations: 600_000), 64), (.pbkdf2(iterations: 1_000_000), 64), (.hkdf, 64),
        ] {
            let unlockers = try (0..<64).map { _ in try Self.unlocker(derivation) }
            let plan = UnlockPlan(unlockers, for: .passphrase, unlocker: nil, budget: UnlockPlan.budget)
            #expect(plan.affordable == count, "\(derivation)")
        }
        // No single one is ever refused.
        for derivation in [Self.highest, .pbkdf2(iterations: PBKDF2.iterationBounds.upperBound)] {
            let plan = UnlockPlan(
                [try Self.unlocker(derivation)], for: .passphrase, unlocker: nil, budget: UnlockPlan.budget)
            #expect(plan.untried == 0)
        }
    }

    @Test func aTaskThatIsCancelledTriesNoFurther() async throws {
        try test.create([TestKeyring.passphrase(), TestKeyring.passphrase("another long passphrase")])
        let count = Mutex(0)
        let outcome = await Task { [test] () -> KeyringError.Reason? in
            reason {
                _ = try LockedKeyring(in: test.path).unlock(with: TestKeyring.passphrase("a wrong passphrase")) { _ in
                    count.withLock { $0 += 1 }
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
        }.value
        #expect(outcome == .cancelled && count.withLock { $0 } == 1)
    }

    @Test func anUnlockerThatIsNotThereIsTold() throws {
        try test.create()
        #expect(
            reason { _ = try LockedKeyring(in: test.path).unlock(with: TestKeyring.key(), unlocker: "ulk_none") }
                == .unlockerNotFound)
    }
}
