// How a secret is sealed, and to what it is bound: docs/formats/keyring.md, "Sealed values".

import CryptoPrimitives
import Secrets

/// What a sealed value is, and where it belongs: its associated data. A value moved elsewhere does not open.
struct SealBinding {
    private let fields: [String]

    static func unlockerPrivateKey(
        keyring: String, unlocker: String, kind: String, publicKey: [UInt8]
    ) -> SealBinding {
        SealBinding(fields: ["unlocker-private-key", keyring, unlocker, kind, Hex.encode(publicKey)])
    }

    static func rootKey(keyring: String, unlocker: String, version: Int) -> SealBinding {
        SealBinding(fields: ["root-key", keyring, unlocker, String(version)])
    }

    static func dataKey(
        keyring: String, scope: String, generation: Int, state: KeyState, keyId: String
    ) -> SealBinding {
        SealBinding(fields: ["data-key", keyring, scope, String(generation), state.rawValue, keyId])
    }

    var associatedData: [UInt8] { Self.join([Seal.label] + fields) }

    /// Each field as its length and its bytes, so that no two lists of fields read the same.
    static func join(_ fields: [String]) -> [UInt8] {
        fields.flatMap { field in
            let bytes = Array(field.utf8)
            return withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
        }
    }
}

/// AES-256-GCM under a key that is used once.
enum Seal {
    static let label = "strongroom/seal/v1"
    static let saltLength = 32

    static func seal(
        _ secret: borrowing SecretBytes, under wrappingKey: borrowing SecretBytes, binding: SealBinding
    ) throws -> [UInt8] {
        let salt = try Random.bytes(count: saltLength)
        let key = try HKDF.derive(from: wrappingKey, salt: salt, label: label)
        return salt + (try AESGCM.seal(secret, key: key, associatedData: binding.associatedData))
    }

    /// - Throws: `CryptoError.authenticationFailed` where the value, the key or the binding differs.
    static func open(
        _ sealed: some Collection<UInt8>, under wrappingKey: borrowing SecretBytes, binding: SealBinding
    ) throws -> SecretBytes {
        let bytes = Array(sealed)
        guard bytes.count > saltLength else { throw CryptoError.authenticationFailed }
        let key = try HKDF.derive(from: wrappingKey, salt: Array(bytes.prefix(saltLength)), label: label)
        return try AESGCM.open(Array(bytes.dropFirst(saltLength)), key: key, associatedData: binding.associatedData)
    }
}

/// Sealing a root key to the public half of an unlocker, which needs none of its secrets.
enum RootKeySealing {
    static func seal(
        _ rootKey: borrowing SecretBytes, version: Int, to publicKey: [UInt8], unlocker: String, keyring: String
    ) throws -> KeyringDocument.Recipient {
        let ephemeral = try X25519.makePrivateKey()
        let ephemeralKey = try X25519.publicKey(of: ephemeral)
        let wrappingKey = try wrappingKey(
            privateKey: ephemeral, peer: publicKey, ephemeralKey: ephemeralKey, publicKey: publicKey)
        let sealed = try Seal.seal(
            rootKey, under: wrappingKey,
            binding: .rootKey(keyring: keyring, unlocker: unlocker, version: version))
        return .init(unlocker: unlocker, ephemeralKey: .init(ephemeralKey), rootKey: .init(sealed))
    }

    static func open(
        _ recipient: KeyringDocument.Recipient, version: Int, privateKey: borrowing SecretBytes, keyring: String
    ) throws -> SecretBytes {
        let ephemeralKey = Array(recipient.ephemeralKey)
        let wrappingKey = try wrappingKey(
            privateKey: privateKey, peer: ephemeralKey, ephemeralKey: ephemeralKey,
            publicKey: X25519.publicKey(of: privateKey))
        return try Seal.open(
            recipient.rootKey, under: wrappingKey,
            binding: .rootKey(keyring: keyring, unlocker: recipient.unlocker, version: version))
    }

    private static func wrappingKey(
        privateKey: borrowing SecretBytes, peer: [UInt8], ephemeralKey: [UInt8], publicKey: [UInt8]
    ) throws -> SecretBytes {
        let shared = try X25519.sharedSecret(privateKey: privateKey, publicKey: peer)
        return try HKDF.derive(from: shared, salt: ephemeralKey + publicKey, label: "strongroom/root/wrap/v1")
    }
}

/// How a root key vouches for the next one: docs/formats/keyring.md, "Endorsements".
enum RootKeyEndorsement {
    private static let label = "strongroom/root/endorse/v1"

    static func make(
        of rootKey: borrowing SecretBytes, version: Int, by previous: borrowing SecretBytes, previousVersion: Int,
        keyring: String
    ) throws -> [UInt8] {
        let fields = SealBinding.join([label, keyring, String(previousVersion), String(version)])
        let proof = try HMAC.tag(
            of: fields, key: HKDF.derive(from: rootKey, label: "strongroom/root/proof/v1"), algorithm: .sha256)
        return try HMAC.tag(of: fields + proof, key: HKDF.derive(from: previous, label: label), algorithm: .sha256)
    }
}
