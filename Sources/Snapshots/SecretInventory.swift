// What a data key and its pages are protected with, by name: for who looks for leaks of it.

import CryptoPrimitives
package import Keyring
import PageCipher
package import Secrets

extension DataKey {
    /// Calls `body` with the key, and with each that is derived from it.
    package func forEachSecret(_ body: (_ name: String, borrowing SecretBytes) throws -> Void) throws {
        let name = "generation \(info.generation)"
        let isThere: Void? = try secret.withSecret { key in
            try body("data key, \(name)", key)
            try body("manifest key, \(name)", HKDF.derive(from: key, label: ManifestTag.ownerLabel))
        }
        guard isThere != nil else { throw KeyringError(.locked) }
        let pageKey = try pageKey()
        try body("page key, \(name)", pageKey)
        try body("verify key, \(name)", HKDF.derive(from: pageKey, label: ManifestTag.auditLabel))
    }
}
