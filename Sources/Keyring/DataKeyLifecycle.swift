// The life of data keys (after NIST SP 800-57): pending, active, decrypt-only, destroyed. A state is part of what a key is
// sealed to, so each step seals it anew; nobody can move a key along by editing a file.

import CryptoPrimitives
import DurableFiles
import Foundation

extension UnlockedKeyring {
    /// Adds a random data key that is not used yet. Durable when it returns.
    ///
    /// - Parameter rotation: the id of the rotation of all databases that it is made in.
    package func addPendingDataKey(to envelope: Envelope, rotation: String? = nil) throws -> Envelope {
        guard let format = envelope.activeDataKey?.pageFormat ?? envelope.dataKeys.last?.pageFormat else {
            throw KeyringError(.malformed(.envelope))
        }
        let key = try Random.secret(count: 32)
        let keyID = try DataKey.id(of: key)
        return try changeKeys(of: envelope) { keys, current in
            guard keys.count < EnvelopeDocument.maximumKeys else { throw KeyringError(.tooManyKeys) }
            let generation = (keys.map(\.generation).max() ?? 0) + 1
            let sealed = try seal(
                key, scope: envelope.scope, generation: generation, state: .pending, keyID: keyID,
                root: current.rootVersion)
            keys.append(
                .init(
                    generation: generation, state: .pending, created: DocumentCoding.now(), rotation: rotation,
                    keyId: keyID.description, pageSize: format.size, pageAuthentication: format.authentication,
                    dataKey: Data(sealed)))
        }
    }

    /// Makes a pending key the active one; the one that was active still opens what is under it.
    package func activateDataKey(generation: Int, of envelope: Envelope) throws -> Envelope {
        try changeKeys(of: envelope) { keys, current in
            guard keys.contains(where: { $0.generation == generation && $0.state == .pending }) else {
                throw KeyringError(.dataKeyUnavailable(generation: generation))
            }
            for index in keys.indices {
                if keys[index].state == .active {
                    try reseal(&keys[index], as: .decryptOnly, current, current.rootVersion)
                    keys[index].retired = DocumentCoding.now()
                } else if keys[index].generation == generation {
                    try reseal(&keys[index], as: .active, current, current.rootVersion)
                }
            }
        }
    }

    /// Destroys a key that is not active. Its place in the list stays.
    package func destroyDataKey(generation: Int, of envelope: Envelope) throws -> Envelope {
        try changeKeys(of: envelope) { keys, _ in
            guard let index = keys.firstIndex(where: { $0.generation == generation }), keys[index].state != .active
            else { throw KeyringError(.dataKeyUnavailable(generation: generation)) }
            keys[index].state = .destroyed
            keys[index].dataKey = nil
        }
    }

    /// Says in which rotation of all databases the pending key is made, where an earlier rotation left one.
    package func adoptPendingDataKey(of envelope: Envelope, into rotation: String) throws -> Envelope {
        try changeKeys(of: envelope) { keys, _ in
            for index in keys.indices where keys[index].state == .pending { keys[index].rotation = rotation }
        }
    }

    /// Destroys every key. What is under them can be opened by nobody any more who has only this keyring.
    package func destroyDataKeys(of envelope: Envelope) throws -> Envelope {
        try changeKeys(of: envelope) { keys, _ in
            for index in keys.indices {
                keys[index].state = .destroyed
                keys[index].dataKey = nil
                keys[index].retired = keys[index].retired ?? DocumentCoding.now()
            }
        }
    }

    func reseal(
        _ entry: inout EnvelopeDocument.Key, as state: KeyState, _ envelope: Envelope, _ root: Int
    ) throws {
        let key = try dataKey(generation: entry.generation, of: envelope)
        let sealed = try key.secret.withSecret {
            try seal(
                $0, scope: envelope.scope, generation: entry.generation, state: state, keyID: key.info.keyID, root: root
            )
        }
        guard let sealed else { throw KeyringError(.locked) }
        entry.state = state
        entry.dataKey = Data(sealed)
    }

    private func changeKeys(
        of envelope: Envelope, _ body: (inout [EnvelopeDocument.Key], _ current: Envelope) throws -> Void
    ) throws -> Envelope {
        try change(envelope) { try body(&$0.keys, $1) }
    }
}
