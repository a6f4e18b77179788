// store.json: docs/formats/store.md.

import CryptoPrimitives
import KeyPolicy
import Keyring

/// What is public about a store: authenticated, so that nobody who lacks the root key can weaken its policy.
struct StoreDocument: AuthenticatedDocument, Equatable {
    static let format = "strongroom/store"
    static let file = KeyringError.File.store
    static let maximumBytes = 64 << 10

    struct Policy: Codable, Equatable {
        let name: String
        /// 64 hex digits: the SHA-256 of `policy.yaml`.
        let digest: String
    }

    var format = Self.format
    var version = 1
    var critical: [String] = []
    /// `store_` and 16 base32 digits.
    let storeId: String
    let keyringId: String
    let policy: Policy

    init(keyringID: String, policy: KeyPolicy) throws {
        storeId = "store_" + Base32.encode(try Random.bytes(count: 10))
        keyringId = keyringID
        self.policy = Policy(name: policy.name, digest: policy.digest)
    }
}
