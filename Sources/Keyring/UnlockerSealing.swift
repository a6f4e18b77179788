// From an unlock secret to an unlocker's private key: docs/formats/keyring.md, "Unlocking".

import CryptoPrimitives
import Foundation
import KeyPolicy
import Secrets

/// How the private half of an unlocker is sealed by its secret. Costs are checked while it is decoded, so that no
/// value of this type can ask for more than the bounds allow.
struct UnlockerSealing: Codable, Equatable {
    enum Derivation: Equatable {
        case scrypt(ScryptCost)
        case pbkdf2(iterations: Int)
        case hkdf
    }

    let derivation: Derivation
    let salt: [UInt8]
    let commitment: [UInt8]
    let privateKey: [UInt8]

    private enum CodingKeys: String, CodingKey {
        case algorithm, salt, logN, blockSize, parallelism, iterations, commitment, privateKey
    }

    init(derivation: Derivation, salt: [UInt8], commitment: [UInt8], privateKey: [UInt8]) {
        self.derivation = derivation
        self.salt = salt
        self.commitment = commitment
        self.privateKey = privateKey
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        do {
            switch try values.decode(String.self, forKey: .algorithm) {
            case "scrypt":
                derivation = .scrypt(
                    try ScryptCost(
                        logN: values.decode(Int.self, forKey: .logN),
                        blockSize: values.decode(Int.self, forKey: .blockSize),
                        parallelism: values.decode(Int.self, forKey: .parallelism)))
            case "pbkdf2-hmac-sha512":
                let iterations = try values.decode(Int.self, forKey: .iterations)
                guard PBKDF2.iterationBounds.contains(iterations) else {
                    throw CryptoError.parameterOutOfRange(.iterations)
                }
                derivation = .pbkdf2(iterations: iterations)
            case "hkdf-sha256":
                derivation = .hkdf
            default:
                throw KeyringError(.unsupportedFeature(.keyring))
            }
        } catch is CryptoError {
            throw KeyringError(.costOutOfRange(.keyring))
        }
        salt = Array(try values.decode(Data.self, forKey: .salt))
        commitment = Array(try values.decode(Data.self, forKey: .commitment))
        privateKey = Array(try values.decode(Data.self, forKey: .privateKey))
        guard salt.count == Seal.saltLength, commitment.count == 32 else {
            throw KeyringError(.malformed(.keyring))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        switch derivation {
        case .scrypt(let cost):
            try values.encode("scrypt", forKey: .algorithm)
            try values.encode(cost.logN, forKey: .logN)
            try values.encode(cost.blockSize, forKey: .blockSize)
            try values.encode(cost.parallelism, forKey: .parallelism)
        case .pbkdf2(let iterations):
            try values.encode("pbkdf2-hmac-sha512", forKey: .algorithm)
            try values.encode(iterations, forKey: .iterations)
        case .hkdf:
            try values.encode("hkdf-sha256", forKey: .algorithm)
        }
        try values.encode(Data(salt), forKey: .salt)
        try values.encode(Data(commitment), forKey: .commitment)
        try values.encode(Data(privateKey), forKey: .privateKey)
    }
}

extension KeyringDocument.Unlocker {
    /// Makes the key pair of a new unlocker and seals its private half.
    static func make(secret: UnlockSecret, label: String, policy: KeyPolicy, keyring: String) throws -> Self {
        let id = try RandomIdentifier.make(prefix: "ulk_")
        let derivation: UnlockerSealing.Derivation
        switch secret.kind {
        case .recovery:
            let publicKey = try X25519.publicKey(of: secret.bytes)
            return recovery(publicKey: publicKey, label: label, id: id)
        case .passphrase:
            switch policy.passphraseDerivation {
            case .scrypt(let cost): derivation = .scrypt(cost)
            case .pbkdf2(let iterations): derivation = .pbkdf2(iterations: iterations)
            }
        case .keyFile: derivation = .hkdf
        }
        let salt = try Random.bytes(count: Seal.saltLength)
        let unlocking = try UnlockingKey(secret: secret, derivation: derivation, salt: salt, unlocker: id)
        let privateKey = try X25519.makePrivateKey()
        let publicKey = try X25519.publicKey(of: privateKey)
        let sealed = try Seal.seal(
            privateKey, under: unlocking.wrappingKey,
            binding: .unlockerPrivateKey(
                keyring: keyring, unlocker: id, kind: secret.kind.rawValue, publicKey: publicKey))
        return Self(
            id: id, kind: secret.kind, label: label, created: DocumentCoding.now(), publicKey: Data(publicKey),
            sealing: UnlockerSealing(
                derivation: derivation, salt: salt, commitment: unlocking.commitment, privateKey: sealed))
    }

    /// An unlocker whose private half is kept elsewhere.
    static func recovery(publicKey: [UInt8], label: String, id: String) -> Self {
        Self(
            id: id, kind: .recovery, label: label, created: DocumentCoding.now(), publicKey: Data(publicKey),
            sealing: nil)
    }

    /// The private key, or nil where this secret is not this unlocker's.
    ///
    /// - Throws: `KeyringError.forged` where the secret is right and what it should open does not open.
    func privateKey(with secret: UnlockSecret, keyring: String) throws -> SecretBytes? {
        guard secret.kind == kind else { return nil }
        guard let sealing else {
            let own = try X25519.publicKey(of: secret.bytes)
            return ConstantTime.areEqual(own, Array(publicKey)) ? try secret.bytes.copy() : nil
        }
        let unlocking = try UnlockingKey(
            secret: secret, derivation: sealing.derivation, salt: sealing.salt, unlocker: id)
        guard ConstantTime.areEqual(unlocking.commitment, sealing.commitment) else { return nil }
        do {
            return try Seal.open(
                sealing.privateKey, under: unlocking.wrappingKey,
                binding: .unlockerPrivateKey(
                    keyring: keyring, unlocker: id, kind: kind.rawValue, publicKey: Array(publicKey)))
        } catch CryptoError.authenticationFailed {
            throw KeyringError(.forged(.keyring))
        }
    }
}

/// What a secret derives to: the key that wraps, and the value that commits to it.
private struct UnlockingKey: ~Copyable {
    let wrappingKey: SecretBytes
    let commitment: [UInt8]

    init(secret: UnlockSecret, derivation: UnlockerSealing.Derivation, salt: [UInt8], unlocker: String) throws {
        let key = try Self.derive(secret: secret, derivation: derivation, salt: salt)
        let commitment = try HKDF.derive(from: key, label: "strongroom/unlocker/commitment/v1/\(unlocker)")
        let wrappingKey = try HKDF.derive(from: key, label: "strongroom/unlocker/wrap/v1")
        self.commitment = commitment.withUnsafeBytes { Array($0) }
        self.wrappingKey = wrappingKey
    }

    private static func derive(
        secret: UnlockSecret, derivation: UnlockerSealing.Derivation, salt: [UInt8]
    ) throws -> SecretBytes {
        switch derivation {
        case .scrypt(let cost): try Scrypt.derive(from: secret.bytes, salt: salt, cost: cost)
        case .pbkdf2(let iterations): try PBKDF2.derive(from: secret.bytes, salt: salt, iterations: iterations)
        case .hkdf: try HKDF.derive(from: secret.bytes, salt: salt, label: "strongroom/unlocker/key-file/v1")
        }
    }
}
