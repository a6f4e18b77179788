// What a policy says of the keys there are. Pure: the caller reads the clock and the files.

import CryptoPrimitives

/// The facts that a policy judges, as numbers.
public struct KeyPosture: Sendable, Hashable {
    /// One unlocker.
    public struct Unlocker: Sendable, Hashable {
        /// What opens it.
        public let kind: KeyPolicy.UnlockerKind
        /// How its passphrase is derived; nil where there is no passphrase.
        public let derivation: KeyPolicy.PassphraseDerivation?

        /// An unlocker of this kind.
        public init(kind: KeyPolicy.UnlockerKind, derivation: KeyPolicy.PassphraseDerivation?) {
            self.kind = kind
            self.derivation = derivation
        }
    }

    /// The unlockers.
    public let unlockers: [Unlocker]
    /// The age of the active root key, in whole days.
    public let rootKeyAgeDays: Int
    /// The age of each database's active data key, in whole days.
    public let dataKeyAgeDays: [Int]

    /// The facts, as the caller found them.
    public init(unlockers: [Unlocker], rootKeyAgeDays: Int, dataKeyAgeDays: [Int]) {
        self.unlockers = unlockers
        self.rootKeyAgeDays = rootKeyAgeDays
        self.dataKeyAgeDays = dataKeyAgeDays
    }
}

/// A way in which keys do not follow their policy.
public enum PolicyViolation: Sendable, Hashable, Encodable {
    case tooFewUnlockers(found: Int, required: Int)
    case unlockerKindForbidden(KeyPolicy.UnlockerKind, count: Int)
    case passphraseDerivationTooWeak(count: Int)
    case rootKeyTooOld(days: Int, maximumDays: Int)
    case dataKeysTooOld(count: Int, oldestDays: Int, maximumDays: Int)

    /// The stable name.
    public var code: String {
        switch self {
        case .tooFewUnlockers: "too_few_unlockers"
        case .unlockerKindForbidden: "unlocker_kind_forbidden"
        case .passphraseDerivationTooWeak: "passphrase_derivation_too_weak"
        case .rootKeyTooOld: "root_key_too_old"
        case .dataKeysTooOld: "data_keys_too_old"
        }
    }

    /// Writes the code.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(code)
    }

    /// What is wrong, in words.
    public var summary: String {
        switch self {
        case .tooFewUnlockers(let found, let required): "\(found) unlocker(s) where the policy requires \(required)"
        case .unlockerKindForbidden(let kind, let count):
            "\(count) unlocker(s) of the kind \(kind.rawValue), which the policy forbids"
        case .passphraseDerivationTooWeak(let count):
            "\(count) passphrase(s) derived at less cost than the policy asks for"
        case .rootKeyTooOld(let days, let maximum): "the root key is \(days) days old; \(maximum) are allowed"
        case .dataKeysTooOld(let count, let oldest, let maximum):
            "\(count) data key(s) are too old, the oldest \(oldest) days; \(maximum) are allowed"
        }
    }
}

extension KeyPolicy {
    /// Everything in which `posture` does not follow this policy.
    public func violations(in posture: KeyPosture) -> [PolicyViolation] {
        var violations: [PolicyViolation] = []
        if posture.unlockers.count < requiredUnlockers {
            violations.append(.tooFewUnlockers(found: posture.unlockers.count, required: requiredUnlockers))
        }
        for kind in UnlockerKind.allCases where !allowedUnlockers.contains(kind) {
            let count = posture.unlockers.count { $0.kind == kind }
            if count > 0 { violations.append(.unlockerKindForbidden(kind, count: count)) }
        }
        let weak = posture.unlockers.count { $0.derivation.map { !isStrongEnough($0) } ?? false }
        if weak > 0 { violations.append(.passphraseDerivationTooWeak(count: weak)) }
        if posture.rootKeyAgeDays > maximumRootKeyAgeDays {
            violations.append(.rootKeyTooOld(days: posture.rootKeyAgeDays, maximumDays: maximumRootKeyAgeDays))
        }
        let old = posture.dataKeyAgeDays.filter { $0 > maximumDataKeyAgeDays }
        if let oldest = old.max() {
            violations.append(
                .dataKeysTooOld(count: old.count, oldestDays: oldest, maximumDays: maximumDataKeyAgeDays))
        }
        return violations
    }

    /// Whether a derivation costs at least what this policy asks for, by the algorithm that it names.
    private func isStrongEnough(_ derivation: PassphraseDerivation) -> Bool {
        switch (derivation, passphraseDerivation) {
        case (.scrypt(let found), .scrypt(let wanted)):
            found.logN >= wanted.logN && found.blockSize >= wanted.blockSize
        case (.pbkdf2(let found), .pbkdf2(let wanted)): found >= wanted
        case (.scrypt, .pbkdf2), (.pbkdf2, .scrypt): false
        }
    }
}
