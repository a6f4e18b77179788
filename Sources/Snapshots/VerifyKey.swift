// A key for a backup host, which is to see that its snapshots are whole and is not to read them: docs/formats/snapshot.md,
// "Files beside it".

import CryptoPrimitives
import DurableFiles
import ErrorReporting
import Keyring
import PageCipher
import Secrets
public import SystemPackage

/// The page keys of one database: they verify its snapshots, and read nothing. With them and access to the live database's files its
/// pages can be changed so that they verify as healthy: they belong on no machine that has it.
public final class VerifyKey: Sendable {
    private static let magic = Array("strongroom/verify-key/v1\n".utf8)
    private static let entryLength = KeyID.length + PageAuthenticator.keyLength
    private static let maximumEntries = 1_000

    private let pageKeys: [KeyID: SecretBox]

    /// Reads the file that ``write(to:)`` made.
    ///
    /// - Throws: `SnapshotError.verifyKeyMalformed`; `DurableFilesError` where others could have read it.
    public init(_ path: FilePath) throws {
        let limit = Self.magic.count + Self.maximumEntries * Self.entryLength
        let secret = try StrictFiles.readSecret(path, limit: limit)
        let malformed = SnapshotError(.verifyKeyMalformed, path)
        pageKeys = try secret.withUnsafeBytes { bytes in
            let entries = bytes.dropFirst(Self.magic.count)
            guard bytes.prefix(Self.magic.count).elementsEqual(Self.magic), !entries.isEmpty,
                entries.count.isMultiple(of: Self.entryLength)
            else { throw malformed }
            var keys: [KeyID: SecretBox] = [:]
            for start in stride(from: entries.startIndex, to: entries.endIndex, by: Self.entryLength) {
                guard let id = KeyID(Array(bytes[start..<(start + KeyID.length)])) else { throw malformed }
                let key = UnsafeRawBufferPointer(
                    rebasing: bytes[(start + KeyID.length)..<(start + Self.entryLength)])
                keys[id] = SecretBox(try SecretBytes(count: key.count) { $0.copyMemory(from: key) })
            }
            return keys
        }
    }

    /// Authenticates every page of a snapshot, with no keyring and no store.
    ///
    /// - Parameters:
    ///   - path: the snapshot's `.db` or `.json` file.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `SnapshotError` where the manifest cannot be trusted, or is under a key that is not in here; what is
    ///   wrong with the pages is in the report.
    public func verify(
        _ path: FilePath, progress: (@Sendable (SnapshotProgress) -> Void)? = nil
    ) async throws -> SnapshotReport {
        try await BlockingWork.run { try self.verifyNow(path, progress) }
    }

    private func verifyNow(
        _ path: FilePath, _ progress: (@Sendable (SnapshotProgress) -> Void)?
    ) throws -> SnapshotReport {
        guard let name = path.stem else { throw SnapshotError(.notFound, path) }
        let directory = DurableFiles.parent(of: path)
        let manifestPath = directory.appending(name + ".json")
        guard try StrictFiles.exists(manifestPath) else { throw SnapshotError(.manifestMissing, manifestPath) }
        let manifest: SnapshotManifest
        let box: SecretBox
        do {
            // Copied from elsewhere, it may belong to anybody: who may read it is not for us to say.
            let bytes = try DataFile(manifestPath).bytes(at: 0, count: SnapshotManifest.maximumBytes)
            let unverified = try UnverifiedManifest<SnapshotManifest>(bytes, format: SnapshotManifest.format)
            guard unverified.document.name == name else { throw SnapshotError(.manifestMisplaced) }
            guard let keyID = unverified.document.keyID, let found = pageKeys[keyID] else {
                throw SnapshotError(.verifyKeyUnknown)
            }
            box = found
            guard let verified = try box.withSecret({ try unverified.verified(underPageKey: $0) }) else {
                throw KeyringError(.locked)
            }
            guard verified.followsItsFormat else { throw SnapshotError(.manifestMalformed) }
            manifest = verified
        } catch let error as SnapshotError {
            throw SnapshotError(error.reason, manifestPath)
        }
        guard let layout = manifest.pageFormat?.layout else { throw SnapshotError(.manifestMalformed, manifestPath) }
        return try SnapshotPages.verify(directory.appending(name + ".db"), are: manifest, progress: progress) {
            var made: PageAuthenticator?
            _ = try box.withSecret { made = try PageAuthenticator(pageKey: $0, layout: layout) }
            guard let made else { throw KeyringError(.locked) }
            return made
        }
    }
}

extension SnapshotDirectory {
    /// Writes the verify key of this database to a new file (0600).
    package func writeVerifyKey(to path: FilePath) throws {
        let generations = envelope.dataKeys.filter { $0.state != .destroyed }
        let keys = try generations.map { try keyring.dataKey(generation: $0.generation, of: envelope) }
        let secret = try VerifyKey.bytes(of: keys)
        try DurableFiles.create(path, holding: secret)
    }
}

extension VerifyKey {
    fileprivate static func bytes(of keys: [DataKey]) throws -> SecretBytes {
        try SecretBytes(count: magic.count + keys.count * entryLength) { output in
            output.copyBytes(from: magic)
            for (index, key) in keys.enumerated() {
                let start = magic.count + index * entryLength
                UnsafeMutableRawBufferPointer(rebasing: output[start..<(start + KeyID.length)])
                    .copyBytes(from: key.info.keyID.bytes)
                try key.pageKey().withUnsafeBytes { pageKey in
                    UnsafeMutableRawBufferPointer(rebasing: output[(start + KeyID.length)..<(start + entryLength)])
                        .copyMemory(from: pageKey)
                }
            }
        }
    }
}
