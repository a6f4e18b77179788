// From a data key to what PageCipher works with.

package import KeyPolicy
package import Keyring
package import PageCipher
import Secrets

extension PageFormat {
    package var layout: PageLayout { PageLayout(size: size, hash: authentication.hash) }
}

extension DataKey {
    /// The key material for pages. The salt is the key id, whatever a file's first bytes are.
    package func makePageKey() throws -> PageKey {
        var made: PageKey?
        _ = try secret.withSecret {
            made = try PageKey(dataKey: $0, salt: info.keyID.bytes, layout: info.pageFormat.layout)
        }
        guard let made else { throw KeyringError(.locked) }
        return made
    }

    /// What tells whether pages are authentic.
    package func makePageAuthenticator() throws -> PageAuthenticator {
        try PageAuthenticator(pageKey: pageKey(), layout: info.pageFormat.layout)
    }

    /// The page key, 32 bytes.
    func pageKey() throws -> SecretBytes {
        var made: SecretBytes?
        _ = try secret.withSecret { made = try PageAuthenticator.pageKey(of: $0, salt: info.keyID.bytes) }
        guard let made else { throw KeyringError(.locked) }
        return made
    }
}
