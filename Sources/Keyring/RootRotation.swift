// A new root key, and everything that is under an older one written again: docs/formats/keyring.md, "Rotating the root key".
// The caller holds rotation.lock exclusively.

import CryptoPrimitives
import DurableFiles
import ErrorReporting
import Foundation
import Secrets
package import SystemPackage

/// How far the envelopes are.
package struct RewrapProgress: Sendable {
    package let done: Int
    package let total: Int
}

/// An envelope that could not be put under the active root key.
package struct RewrapFailure: Sendable {
    package let scope: KeyScope
    /// The code of the error.
    package let code: String
}

extension UnlockedKeyring {
    /// What is written and made durable together.
    private static var batch: Int { 256 }

    /// Notes that a rotation has begun, unless one of this kind was begun already: that one goes on then.
    ///
    /// A rotation of the root key begins with the new root key, sealed to every unlocker.
    package func begin(_ kind: RotationInfo.Kind) throws -> (rotation: RotationInfo, isResumed: Bool) {
        try withFileLock {
            var document = try readVerified()
            if let begun = document.rotations?.first(where: { $0.kind == kind }) { return (begun, true) }
            let rotation = try RotationInfo.begin(kind)
            document.rotations = (document.rotations ?? []) + [rotation]
            guard kind == .root else {
                try write(document)
                return (rotation, false)
            }
            let rootKey = try addRootKey(to: &document)
            try write(document, newRootKey: rootKey)
            rootKey.wipe()
            return (rotation, false)
        }
    }

    /// Notes that a rotation is over. Does nothing where there is none.
    package func end(_ kind: RotationInfo.Kind) throws {
        try withFileLock {
            var document = try readVerified()
            guard document.rotations?.contains(where: { $0.kind == kind }) ?? false else { return }
            document.end(kind)
            try write(document)
        }
    }

    /// Destroys every root key but the active one, where nothing is under them any more.
    package func endRootRotation(destroyingOlder: Bool) throws {
        try withFileLock {
            var document = try readVerified()
            document.end(.root)
            if destroyingOlder {
                for index in document.rootKeys.indices where document.rootKeys[index].state == .decryptOnly {
                    document.rootKeys[index].state = .destroyed
                    document.rootKeys[index].recipients = []
                }
            }
            try write(document)
        }
    }

    private func addRootKey(to document: inout KeyringDocument) throws -> SecretBox {
        guard document.rootKeys.count < KeyringDocument.maximumRootKeys,
            let active = document.rootKeys.firstIndex(where: { $0.state == .active })
        else { throw KeyringError(.tooManyKeys) }
        let previous = document.rootKeys[active].version
        let version = previous + 1
        let rootKey = try Random.secret(count: 32)
        var recipients: [KeyringDocument.Recipient] = []
        for unlocker in document.unlockers {
            recipients.append(
                try RootKeySealing.seal(
                    rootKey, version: version, to: Array(unlocker.publicKey), unlocker: unlocker.id, keyring: id))
        }
        let endorsement = try withRootKey(previous) {
            try RootKeyEndorsement.make(
                of: rootKey, version: version, by: $0, previousVersion: previous, keyring: id)
        }
        document.rootKeys[active].state = .decryptOnly
        document.rootKeys.append(
            .init(
                version: version, state: .active, created: DocumentCoding.now(), endorsement: Data(endorsement),
                recipients: recipients))
        return SecretBox(rootKey)
    }

    /// Puts every envelope under the active root key that is not. One that cannot be read is reported and left as it is.
    ///
    /// - Parameters:
    ///   - skipped: databases whose envelopes stay as they are.
    ///   - requireCurrent: throws for an envelope that is an older one, which is reported then.
    package func rewrapEnvelopes(
        skipping skipped: Set<KeyScope> = [], requireCurrent: (Envelope) throws -> Void = { _ in },
        progress: (RewrapProgress) -> Void = { _ in }
    ) throws -> [RewrapFailure] {
        let directory = LockedKeyring.envelopesPath(in: directory)
        let total = try forEachScope { _ in }
        var failures: [RewrapFailure] = []
        var done = 0
        progress(RewrapProgress(done: 0, total: total))
        try forEachScope { scopes in
            try withFileLock {
                let root = try currentRootVersion()
                var files: [(path: FilePath, bytes: [UInt8])] = []
                for scope in scopes where !skipped.contains(scope) {
                    do {
                        if let bytes = try rewrapped(scope, root, requireCurrent) {
                            files.append((path(of: scope), bytes))
                        }
                    } catch let error as any ReportableError {
                        failures.append(RewrapFailure(scope: scope, code: error.code))
                    }
                }
                try DurableFiles.replaceAll(files)
            }
            done += scopes.count
            progress(RewrapProgress(done: min(done, total), total: total))
        }
        try DurableFiles.syncDirectory(directory)
        return failures
    }

    /// How many envelopes are not under the active root key, those that cannot be read included.
    package func envelopesUnderOlderRootKeys() throws -> Int {
        var count = 0
        try forEachScope { scopes in
            for scope in scopes {
                let file = try? UnverifiedFile(
                    reading: path(of: scope), as: .envelope, limit: EnvelopeDocument.maximumBytes)
                if file?.rootVersion != activeRootVersion { count += 1 }
            }
        }
        return count
    }

    /// Whether a database has an envelope, whatever is in it.
    package func hasEnvelope(of scope: KeyScope) throws -> Bool { try StrictFiles.exists(path(of: scope)) }

    /// The scopes that have an envelope, so many at once.
    @discardableResult
    package func forEachScope(in other: FilePath? = nil, _ body: ([KeyScope]) throws -> Void) throws -> Int {
        let reader = try DirectoryReader(LockedKeyring.envelopesPath(in: other ?? directory))
        var total = 0
        while true {
            let names = try reader.next(Self.batch)
            guard !names.isEmpty else { return total }
            let scopes = names.compactMap { KeyScope(ofEnvelope: $0) }
            total += scopes.count
            try body(scopes)
        }
    }

    /// The envelope under `root`; nil where it is already.
    private func rewrapped(
        _ scope: KeyScope, _ root: Int, _ requireCurrent: (Envelope) throws -> Void
    ) throws -> [UInt8]? {
        let found = try UnverifiedFile(
            reading: path(of: scope), as: .envelope, limit: EnvelopeDocument.maximumBytes)
        guard found.rootVersion != root else { return nil }
        let envelope = try envelope(for: scope)
        try requireCurrent(envelope)
        var document = envelope.document
        for index in document.keys.indices where document.keys[index].dataKey != nil {
            try reseal(&document.keys[index], as: document.keys[index].state, envelope, root)
        }
        document.advance(keyringSequence: sequence)
        return try bytes(of: document, scope: scope, root: root)
    }
}

extension KeyringDocument {
    fileprivate mutating func end(_ kind: RotationInfo.Kind) {
        rotations = rotations?.filter { $0.kind != kind }
        if rotations?.isEmpty ?? false { rotations = nil }
    }
}
