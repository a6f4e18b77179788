// Every secret that an unlocked keyring holds or derives, by name: for who looks for leaks of them.

import CryptoPrimitives
package import Secrets

extension UnlockedKeyring {
    /// Calls `body` with each secret of the keyring itself: the private key of the unlocker that opened it, the root keys, and what is
    /// derived from these.
    package func forEachSecret(_ body: (_ name: String, borrowing SecretBytes) throws -> Void) throws {
        let isOpen: Void? = try withUnlockerKey { try body("private key of unlocker \(openedBy)", $0) }
        guard isOpen != nil else { throw KeyringError(.locked) }
        for info in rootKeyInfos where info.state != .destroyed {
            try withRootKey(info.version) { rootKey in
                try body("root key \(info.version)", rootKey)
                for label in Self.rootKeyLabels {
                    try body(
                        "root key \(info.version), derived: \(label.name)",
                        HKDF.derive(from: rootKey, label: label.label))
                }
            }
        }
    }

    /// What is derived from a root key for more than a moment.
    private static var rootKeyLabels: [(name: String, label: String)] {
        ["keyring", "envelope", "store", "restore", "certificate", "snapshot-verified"].map {
            ("MAC key of \($0)", "strongroom/mac/v1/strongroom/\($0)")
        } + [("wrapping key of data keys", dataKeyWrapLabel), ("proof key", "strongroom/root/proof/v1")]
    }
}

extension UnlockSecret {
    /// Lends the bytes of the secret.
    package func withSecret<Result>(_ body: (borrowing SecretBytes) throws -> Result) rethrows -> Result {
        try body(bytes)
    }
}
