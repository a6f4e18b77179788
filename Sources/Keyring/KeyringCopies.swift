// Envelopes on their way between a keyring and its backup. Nothing is unsealed on the way out; on the way back what is sealed under
// a root key of that time is sealed anew.

import CryptoPrimitives
import DurableFiles
import Foundation
package import SystemPackage

extension UnlockedKeyring {
    /// Copies the sealed files of this keyring into a new directory: envelopes, certificates, and the keyring's own file last, so that
    /// a copy that was interrupted is none.
    ///
    /// - Returns: how many envelopes there are, and which of them cannot be used and were copied as they are.
    ///
    /// - Parameter others: files that belong to the store and go with them, by name.
    package func copySealedFiles(
        to target: FilePath, with others: [(name: String, bytes: [UInt8])]
    ) throws -> (envelopes: Int, unusable: [RewrapFailure]) {
        try DurableFiles.createDirectory(target)
        var unusable: [RewrapFailure] = []
        var count = 0
        try DurableFiles.createDirectory(LockedKeyring.envelopesPath(in: target))
        try forEachScope { scopes in
            var files: [(path: FilePath, bytes: [UInt8])] = []
            for scope in scopes {
                do { _ = try envelope(for: scope) } catch let error as KeyringError {
                    unusable.append(RewrapFailure(scope: scope, code: error.code))
                }
                let bytes = try StrictFiles.read(path(of: scope), limit: EnvelopeDocument.maximumBytes)
                files.append((LockedKeyring.envelopesPath(in: target).appending("\(scope).json"), bytes))
            }
            try DurableFiles.replaceAll(files)
            count += scopes.count
        }
        try copyDirectory("certificates", to: target)
        for other in others { try DurableFiles.replace(target.appending(other.name), with: other.bytes) }
        let bytes = try withFileLock {
            try readVerified()
            return try StrictFiles.read(
                LockedKeyring.path(in: directory), limit: KeyringDocument.maximumBytes)
        }
        try DurableFiles.replace(LockedKeyring.path(in: target), with: bytes)
        return (count, unusable)
    }

    private func copyDirectory(_ name: String, to target: FilePath) throws {
        let source = directory.appending(name)
        guard try StrictFiles.exists(source) else { return }
        try DurableFiles.createDirectory(target.appending(name))
        let reader = try DirectoryReader(source)
        while case let names = try reader.next(256), !names.isEmpty {
            try DurableFiles.replaceAll(
                names.filter { $0.hasSuffix(".json") }.map { file in
                    (
                        target.appending(name).appending(file),
                        try StrictFiles.read(source.appending(file), limit: EnvelopeDocument.maximumBytes)
                    )
                })
        }
    }

    /// Puts an envelope of a backup in the place of one that is missing or cannot be used, sealed under the active root key.
    ///
    /// - Parameters:
    ///   - session: whether the database is in use, which the backup cannot know.
    ///   - seen: the highest sequence that an envelope of this database is known to have had.
    package func adopt(
        _ envelope: Envelope, from backup: UnlockedKeyring, session: Session, sequenceAbove seen: Int
    ) throws {
        guard backup.id == id else { throw KeyringError(.belongsToAnotherKeyring(.envelope)) }
        try withFileLock {
            let root = try currentRootVersion()
            var document = envelope.document
            for index in document.keys.indices where document.keys[index].dataKey != nil {
                let key = try backup.dataKey(generation: document.keys[index].generation, of: envelope)
                let sealed = try key.secret.withSecret {
                    try seal(
                        $0, scope: envelope.scope, generation: key.info.generation, state: key.info.state,
                        keyID: key.info.keyID, root: root)
                }
                guard let sealed else { throw KeyringError(.locked) }
                document.keys[index].dataKey = Data(sealed)
            }
            document.sequence = max(document.sequence, seen)
            document.session = session
            document.advance(keyringSequence: sequence)
            _ = try write(document, scope: envelope.scope, root: root)
        }
    }

    /// The highest sequence of the keyring that an authentic envelope of it was written under: custody.md, rule 3.
    ///
    /// - Parameter directory: that of the keyring unless said otherwise.
    package func witnessedSequence(in directory: FilePath? = nil) throws -> Int {
        let directory = directory ?? self.directory
        guard try StrictFiles.exists(LockedKeyring.envelopesPath(in: directory)) else { return 0 }
        var witnessed = 0
        try forEachScope(in: directory) { scopes in
            for scope in scopes {
                let path = LockedKeyring.envelopesPath(in: directory).appending("\(scope).json")
                let document = try? verifiedEnvelope(scope, at: path).document
                witnessed = max(witnessed, document?.keyringSequence ?? 0)
            }
        }
        return witnessed
    }

    /// The sequence of the keyring that one envelope was written under; nil where it is of a version that did not say, or cannot be used.
    package func witnessedSequence(of scope: KeyScope) -> Int? {
        (try? verifiedEnvelope(scope, at: path(of: scope)))?.keyringSequence
    }

    /// Whether an envelope of this keyring holds a data key that an envelope of the other one holds too. Only who had that key can
    /// have sealed it.
    package func sharesDataKey(with other: UnlockedKeyring) throws -> Bool {
        var isShared = false
        try other.forEachScope { scopes in
            for scope in scopes where !isShared {
                guard let ours = try? verifiedEnvelope(scope, at: path(of: scope)),
                    let theirs = try? other.verifiedEnvelope(scope, at: other.path(of: scope))
                else { continue }
                for info in ours.dataKeys where info.state != .destroyed && theirs.dataKey(info.keyID) != nil {
                    guard let generation = theirs.dataKey(info.keyID)?.generation,
                        let our = try? dataKey(generation: info.generation, of: ours),
                        let their = try? other.dataKey(generation: generation, of: theirs)
                    else { continue }
                    isShared =
                        our.secret.withSecret { our in
                            their.secret.withSecret { our.isEqual(to: $0) } ?? false
                        } ?? false
                    our.secret.wipe()
                    their.secret.wipe()
                    if isShared { break }
                }
            }
        }
        return isShared
    }

    /// Whether the root keys of another copy of this keyring lead back to those of this one.
    package func isContinued(by other: UnlockedKeyring) -> Bool {
        do {
            let copy = try LockedKeyring(in: other.directory)
            _ = try copy.rootKeys(of: other.openedBy, other.unlockerKeyBox, known: heldRootKeys)
            return true
        } catch { return false }
    }

    /// Whether another copy of this keyring is further by its sequence and less far by its root key, or the other way round. Both grow
    /// together: such a copy was made by who kept an older root key, or by going on with an older keyring.
    package func contradicts(_ other: UnlockedKeyring) -> Bool {
        let (root, otherRoot) = (activeRootVersion, other.activeRootVersion)
        return root != otherRoot && (root < otherRoot) != (sequence < other.sequence)
    }

    /// Whether this copy of the keyring is further than another one.
    package func isNewer(than other: UnlockedKeyring) -> Bool {
        (activeRootVersion, sequence) > (other.activeRootVersion, other.sequence)
    }

    /// Lets the keyring's sequence be above one that was seen, so that an older file that turns up later is noticed.
    package func raiseSequence(above seen: Int) throws {
        try withFileLock {
            var document = try readVerified()
            guard document.sequence <= seen else { return }
            document.sequence = seen
            try write(document)
        }
    }
}

extension LockedKeyring {
    /// Makes a keyring directory with the file of another one, whose content must open already.
    package static func install(_ backup: UnlockedKeyring, in directory: FilePath) throws {
        try DurableFiles.createDirectory(directory, allowExisting: true)
        try DurableFiles.createDirectory(envelopesPath(in: directory), allowExisting: true)
        let bytes = try StrictFiles.read(path(in: backup.directory), limit: KeyringDocument.maximumBytes)
        try DurableFiles.replace(path(in: directory), with: bytes)
    }
}
