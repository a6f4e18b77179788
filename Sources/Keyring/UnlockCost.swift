// What it may cost to find out which unlocker a secret opens: docs/security/custody.md, rule 8. The keyring is not
// verified at that moment, so the costs are the choice of who can write the file.

import CryptoPrimitives
import KeyPolicy

/// An unlocker that is about to be tried.
public struct UnlockTry: Sendable, Hashable {
    /// As the keyring file shows it, which nothing has verified yet: escape the label before it is shown.
    public let unlocker: UnlockerInfo
    /// Counted from 1, the cheapest first.
    public let position: Int
    /// How many unlockers are of the secret's kind; not all of them need be affordable.
    public let candidates: Int
    /// How many of the candidates are slow on purpose.
    public let slowCandidates: Int
}

/// Called before each try.
public typealias UnlockTryHandler = @Sendable (UnlockTry) -> Void

extension UnlockerSealing.Derivation {
    /// What it costs, in units of scrypt's N · r · p.
    ///
    /// An iteration of PBKDF2 counts as one unit. Measured on 2026-11-26, OpenSSL 3.0.19, best of five, on one core, with
    /// Python's `hashlib.pbkdf2_hmac('sha512', …, 1_000_000)`: 508 ns an iteration; with `hashlib.scrypt(n=2**17, r=8, p=1)`:
    /// 476 ns a unit. That is 1.07, which is rounded, so that 64 unlockers of the policy `strict` are affordable under both.
    var cost: Int {
        switch self {
        case .scrypt(let cost): cost.units
        case .pbkdf2(let iterations): iterations
        case .hkdf: 0
        }
    }
}

/// Which unlockers a secret is tried with, in which order, and how many of them before it would cost too much.
struct UnlockPlan {
    /// The most that all derivations of one unlocking may cost together: what the most expensive one that the format allows
    /// costs. So no single unlocker is ever refused, and 64 of the policy `default` are affordable.
    static let budget = ScryptCost.maximumUnits

    /// The cheapest first; in the order of the file where they cost the same.
    let candidates: [KeyringDocument.Unlocker]
    /// How many of them are affordable.
    let affordable: Int

    /// - Parameter unlocker: where it is named, the only candidate.
    init(_ unlockers: [KeyringDocument.Unlocker], for kind: KeyPolicy.UnlockerKind, unlocker: String?, budget: Int) {
        // The sort must be stable, which Swift does not promise of its own.
        candidates = unlockers.enumerated().filter { $1.kind == kind && (unlocker == nil || unlocker == $1.id) }
            .sorted { ($0.element.cost, $0.offset) < ($1.element.cost, $1.offset) }.map(\.element)
        var left = budget
        var affordable = 0
        // Each cost is bounded by its format, and so is their number: nothing here can overflow.
        for candidate in candidates {
            guard candidate.cost <= left else { break }
            left -= candidate.cost
            affordable += 1
        }
        self.affordable = affordable
    }

    var untried: Int { candidates.count - affordable }

    /// The tries in their order, as a caller is told of them.
    var tries: [(entry: KeyringDocument.Unlocker, announcement: UnlockTry)] {
        let slow = candidates.count { $0.cost > 0 }
        return candidates.prefix(affordable).enumerated().map { index, entry in
            (
                entry,
                UnlockTry(
                    unlocker: entry.info, position: index + 1, candidates: candidates.count, slowCandidates: slow)
            )
        }
    }
}

extension KeyringDocument.Unlocker {
    /// A recovery key is one multiplication, and no derivation.
    var cost: Int { sealing?.derivation.cost ?? 0 }
}
