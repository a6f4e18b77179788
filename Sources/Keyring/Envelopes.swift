// One small file a database: docs/formats/envelope.md. Opening, making or rotating one database touches its own
// envelope and no other.

import CryptoPrimitives
import DurableFiles
public import Foundation
public import KeyPolicy
package import Secrets
package import SystemPackage

/// A data key as its envelope shows it; nothing of it is secret.
public struct DataKeyInfo: Sendable, Hashable {
    /// Counted from 1.
    public let generation: Int
    /// Where it is in its life.
    public let state: KeyState
    /// When it was made.
    public let created: Date
    /// When it stopped being the active one.
    public let retired: Date?
    /// What the files under it begin with.
    public let keyID: KeyID
    /// The page format of the files under it.
    public let pageFormat: PageFormat
}

/// A data key in memory, with what is needed to use it.
package final class DataKey: Sendable, CustomStringConvertible, CustomReflectable {
    package let info: DataKeyInfo
    /// The key's 32 bytes.
    package let secret: SecretBox

    init(info: DataKeyInfo, secret: consuming SecretBytes) {
        self.info = info
        self.secret = SecretBox(secret)
    }

    /// A random key of no envelope: for a copy that is handed to somebody.
    package static func standalone(_ pageFormat: PageFormat) throws -> DataKey {
        let key = try Random.secret(count: 32)
        let info = DataKeyInfo(
            generation: 1, state: .active, created: DocumentCoding.now(), retired: nil, keyID: try id(of: key),
            pageFormat: pageFormat)
        return DataKey(info: info, secret: key)
    }

    package var description: String { "DataKey(generation \(info.generation), redacted)" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// What a database under this key begins with.
    static func id(of key: borrowing SecretBytes) throws -> KeyID {
        let derived = try HKDF.derive(from: key, label: "strongroom/kid/v1", count: KeyID.length)
        guard let id = KeyID(derived.withUnsafeBytes { Array($0) }) else {
            throw CryptoError.parameterOutOfRange(.outputLength)
        }
        return id
    }
}

/// A verified envelope.
public struct Envelope: Sendable {
    /// The database it belongs to.
    public let scope: KeyScope
    let document: EnvelopeDocument
    let rootVersion: Int

    /// Grows by one with each write.
    public var sequence: Int { document.sequence }
    /// The epoch of the database when it was last closed after a change.
    public var epoch: Int { document.epoch }
    /// Whether the database is in use; nil where the envelope is of a version that did not say.
    package var session: Session? { document.session }
    /// Whether nothing was changed since an operator went on without the WAL that was there.
    package var isWithoutWAL: Bool { document.withoutWAL == document.epoch }
    /// The keyring's sequence when the envelope was written; nil where it is of a version that did not say.
    package var keyringSequence: Int? { document.keyringSequence }
    /// The data keys, oldest first.
    public var dataKeys: [DataKeyInfo] {
        document.keys.compactMap(\.info).sorted { $0.generation < $1.generation }
    }
    /// The data key that new data is put under; nil after all were destroyed.
    public var activeDataKey: DataKeyInfo? { dataKeys.first { $0.state == .active } }
    /// The data key that a rotation has made and not brought into use yet.
    public var pendingDataKey: DataKeyInfo? { dataKeys.last { $0.state == .pending } }
    /// Whether every key was destroyed: the profile was shredded.
    public var isShredded: Bool { dataKeys.allSatisfy { $0.state == .destroyed } }
    /// Whether the active key was made in this rotation of all databases.
    package func isRotated(in rotation: String) -> Bool {
        document.keys.contains { $0.state == .active && $0.rotation == rotation }
    }
    /// The data key whose files begin with these bytes.
    public func dataKey(_ id: KeyID) -> DataKeyInfo? { dataKeys.first { $0.keyID == id } }
}

extension EnvelopeDocument.Key {
    var info: DataKeyInfo? {
        guard let pageFormat, let keyID = Hex.decode(keyId).flatMap(KeyID.init) else { return nil }
        return DataKeyInfo(
            generation: generation, state: state, created: created, retired: retired, keyID: keyID,
            pageFormat: pageFormat)
    }
}

extension UnlockedKeyring {
    func path(of scope: KeyScope) -> FilePath {
        LockedKeyring.envelopesPath(in: directory).appending("\(scope).json")
    }

    /// Makes the envelope of a new database, with one random active data key.
    ///
    /// - Throws: `KeyringError`; `DurableFilesError` with `.alreadyExists` where the database has one.
    @discardableResult
    public func createEnvelope(for scope: KeyScope, pageFormat: PageFormat) throws -> Envelope {
        let key = try Random.secret(count: 32)
        let keyID = try DataKey.id(of: key)
        let now = DocumentCoding.now()
        return try withFileLock {
            guard try !StrictFiles.exists(path(of: scope)) else {
                throw KeyringError(.malformed(.envelope), path(of: scope))
            }
            let root = try currentRootVersion()
            let sealed = try seal(key, scope: scope, generation: 1, state: .active, keyID: keyID, root: root)
            let document = EnvelopeDocument(
                critical: EnvelopeDocument.criticalFields.sorted(), keyringId: id, scope: scope.description,
                sequence: 1, epoch: 0, session: .closed, keyringSequence: sequence, created: now, updated: now,
                keys: [
                    .init(
                        generation: 1, state: .active, created: now, keyId: keyID.description,
                        pageSize: pageFormat.size, pageAuthentication: pageFormat.authentication,
                        dataKey: Data(sealed))
                ])
            return try write(document, scope: scope, root: root)
        }
    }

    /// Reads and verifies a database's envelope.
    ///
    /// - Throws: `KeyringError` where it is missing, damaged, forged, another's, or of another keyring.
    public func envelope(for scope: KeyScope) throws -> Envelope {
        do {
            return try readEnvelope(scope)
        } catch let error as KeyringError where error.reason == .locked || error.reason == .rolledBack(.envelope) {
            // What was read may have been under a root key whose rotation ended at that moment.
            return try readEnvelope(scope)
        }
    }

    /// Reads an envelope that stands in another directory than the keyring's own.
    package func envelope(for scope: KeyScope, in other: FilePath) throws -> Envelope {
        try readEnvelope(scope, at: LockedKeyring.envelopesPath(in: other).appending("\(scope).json"))
    }

    private func readEnvelope(_ scope: KeyScope, at other: FilePath? = nil) throws -> Envelope {
        let path = other ?? path(of: scope)
        let envelope = try verifiedEnvelope(scope, at: path)
        if other == nil {
            try requireSequence(of: envelope.document)
            guard envelope.sequence >= lowestSequence(of: scope) || CustodyCheck.sequence.isSkipped else {
                throw KeyringError(.rolledBack(.envelope), path)
            }
            require(sequence: envelope.sequence, of: scope)
        }
        return envelope
    }

    /// Reads an envelope and verifies it, however old it is.
    func verifiedEnvelope(_ scope: KeyScope, at path: FilePath) throws -> Envelope {
        let file = try UnverifiedFile(reading: path, as: .envelope, limit: EnvelopeDocument.maximumBytes)
        let document: EnvelopeDocument
        do {
            document = try DocumentCoding.decode(
                EnvelopeDocument.self, from: file.body, format: EnvelopeDocument.format, kind: .envelope,
                knownCritical: EnvelopeDocument.criticalFields)
        } catch { throw KeyringError(error.reason, path) }
        guard document.keyringId == id else { throw KeyringError(.belongsToAnotherKeyring(.envelope), path) }
        try requireRootKey(file.rootVersion, of: .envelope, path)
        _ = try withRootKey(file.rootVersion) { try file.verified(under: $0, format: EnvelopeDocument.format) }
        guard document.followsItsFormat else { throw KeyringError(.malformed(.envelope), path) }
        guard document.scope == scope.description else { throw KeyringError(.envelopeOfAnotherScope, path) }
        return Envelope(scope: scope, document: document, rootVersion: file.rootVersion)
    }

    /// That the keyring is no older than an envelope says it was: custody.md, rule 3.
    private func requireSequence(of document: EnvelopeDocument) throws {
        guard let witnessed = document.keyringSequence, witnessed > sequence, !CustodyCheck.sequence.isSkipped else {
            return
        }
        // Another process may have changed the keyring since this one read it.
        guard try max(readVerified().sequence, highestAcceptedSequence) >= witnessed else {
            throw KeyringError(.rolledBack(.keyring), LockedKeyring.path(in: directory))
        }
    }

    /// Notes the epoch that the database has reached, and whether it is in use.
    ///
    /// - Parameters:
    ///   - epoch: as it was unless said otherwise.
    ///   - session: as it was unless said otherwise.
    ///   - isWithoutWAL: whether the WAL that was there is given up.
    /// - Throws: `KeyringError` with `.rolledBack` where the envelope on disk is older than `envelope`.
    @discardableResult
    package func note(
        epoch: Int? = nil, session: Session? = nil, isWithoutWAL: Bool = false, in envelope: Envelope
    ) throws -> Envelope {
        try change(envelope) { document, _ in
            if let epoch { document.epoch = epoch }
            if let session { document.session = session }
            if isWithoutWAL { document.withoutWAL = document.epoch }
        }
    }

    /// Changes an envelope as it is on disk now, which must be no older than the one in hand.
    func change(
        _ envelope: Envelope, _ body: (inout EnvelopeDocument, _ current: Envelope) throws -> Void
    ) throws -> Envelope {
        try withFileLock {
            let current = try self.envelope(for: envelope.scope)
            guard current.sequence >= envelope.sequence else {
                throw KeyringError(.rolledBack(.envelope), path(of: envelope.scope))
            }
            var document = current.document
            try body(&document, current)
            document.advance(keyringSequence: sequence)
            return try write(document, scope: envelope.scope, root: current.rootVersion)
        }
    }

    /// Removes the envelope of a database that was never registered. Durable when it returns.
    package func discardEnvelope(of scope: KeyScope) throws {
        try DurableFiles.remove(path(of: scope))
        try DurableFiles.syncDirectory(LockedKeyring.envelopesPath(in: directory))
    }

    /// Opens one of an envelope's data keys.
    ///
    /// - Throws: `KeyringError` where there is no such generation, it was destroyed, or its seal does not open.
    package func dataKey(generation: Int, of envelope: Envelope) throws -> DataKey {
        // Whoever holds an envelope for long may hold one that is under a root key which was rotated since.
        let envelope = isOpen(rootVersion: envelope.rootVersion) ? envelope : try self.envelope(for: envelope.scope)
        guard let entry = envelope.document.keys.first(where: { $0.generation == generation }), let info = entry.info,
            let sealed = entry.dataKey
        else { throw KeyringError(.dataKeyUnavailable(generation: generation), path(of: envelope.scope)) }
        let binding = SealBinding.dataKey(
            keyring: id, scope: envelope.scope.description, generation: generation, state: entry.state,
            keyId: entry.keyId)
        return try withRootKey(envelope.rootVersion) { rootKey in
            do {
                let wrappingKey = try HKDF.derive(from: rootKey, label: Self.dataKeyWrapLabel)
                let key = try Seal.open(sealed, under: wrappingKey, binding: binding)
                guard try DataKey.id(of: key) == info.keyID else {
                    throw KeyringError(.malformed(.envelope), path(of: envelope.scope))
                }
                return DataKey(info: info, secret: key)
            } catch CryptoError.authenticationFailed {
                throw KeyringError(.forged(.envelope), path(of: envelope.scope))
            }
        }
    }

    /// The scope whose envelope names this key: to say whose file was found where another's should be. It reads every
    /// envelope, so it is for that message only.
    package func scope(ofKey keyID: KeyID) -> (scope: KeyScope, generation: Int)? {
        let names = (try? DurableFiles.names(in: LockedKeyring.envelopesPath(in: directory))) ?? []
        for name in names {
            guard let scope = KeyScope(ofEnvelope: name), let envelope = try? envelope(for: scope),
                let key = envelope.dataKey(keyID)
            else { continue }
            return (scope, key.generation)
        }
        return nil
    }

    static let dataKeyWrapLabel = "strongroom/data/wrap/v1"

    func seal(
        _ key: borrowing SecretBytes, scope: KeyScope, generation: Int, state: KeyState, keyID: KeyID, root: Int
    ) throws -> [UInt8] {
        let binding = SealBinding.dataKey(
            keyring: id, scope: scope.description, generation: generation, state: state, keyId: keyID.description)
        let wrappingKey = try deriveFromRootKey(root, label: Self.dataKeyWrapLabel)
        return try Seal.seal(key, under: wrappingKey, binding: binding)
    }

    func write(_ document: EnvelopeDocument, scope: KeyScope, root: Int) throws -> Envelope {
        try DurableFiles.replace(path(of: scope), with: bytes(of: document, scope: scope, root: root))
        return Envelope(scope: scope, document: document, rootVersion: root)
    }

    func bytes(of document: EnvelopeDocument, scope: KeyScope, root: Int) throws -> [UInt8] {
        guard document.followsItsFormat else { throw KeyringError(.malformed(.envelope), path(of: scope)) }
        let body = try DocumentCoding.encode(document)
        let bytes = try withRootKey(root) {
            try AuthenticatedFile.bytes(of: body, format: EnvelopeDocument.format, rootVersion: root, rootKey: $0)
        }
        guard bytes.count <= EnvelopeDocument.maximumBytes else { throw KeyringError(.tooManyKeys) }
        return bytes
    }
}

extension KeyScope {
    /// Whose envelope a file of this name is; nil where it is none.
    init?(ofEnvelope name: FileName) {
        guard let text = name.text, text.hasSuffix(".json") else { return nil }
        self.init(String(text.dropLast(".json".count)))
    }
}
