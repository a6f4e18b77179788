// Every secret of a store, by name: what a search for leaks looks for.

import Keyring
package import Secrets
import Snapshots

extension Store {
    /// Calls `body` with every key that the store can open: of the keyring, and of every generation of every database that is not
    /// destroyed, with what is derived from each.
    ///
    /// - Parameter unusable: called with the scope of each envelope that cannot be used, whose keys are not among them.
    package func forEachSecret(
        _ body: (_ name: String, borrowing SecretBytes) throws -> Void, unusable: (_ scope: String) throws -> Void
    ) throws {
        try requireUnlocked()
        try keyring.forEachSecret(body)
        _ = try keyring.forEachScope { scopes in
            for scope in scopes {
                do {
                    let envelope = try keyring.envelope(for: scope)
                    for info in envelope.dataKeys where info.state != .destroyed {
                        let key = try keyring.dataKey(generation: info.generation, of: envelope)
                        defer { key.secret.wipe() }
                        try key.forEachSecret { try body("\($0), of \(scope)", $1) }
                    }
                } catch is KeyringError { try unusable(scope.description) }
            }
        }
    }
}
