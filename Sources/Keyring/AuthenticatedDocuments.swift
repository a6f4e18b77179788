// Files of other rooms that are authenticated under the root key, such as store.json.

import DurableFiles
package import SystemPackage

/// A document that ends in the same line as the keyring file does: docs/formats/keyring.md.
package protocol AuthenticatedDocument: Codable {
    /// The value of its `format` field.
    static var format: String { get }
    /// What errors call it.
    static var file: KeyringError.File { get }
    /// The longest that is read, in bytes.
    static var maximumBytes: Int { get }
}

extension AuthenticatedDocument {
    /// Reads the document without showing that it is authentic, to find out what is needed to do so.
    package init(unverifiedFrom path: FilePath) throws {
        self = try Self.decode(UnverifiedFile(reading: path, as: Self.file, limit: Self.maximumBytes), path)
    }

    fileprivate static func decode(_ file: UnverifiedFile, _ path: FilePath) throws -> Self {
        do {
            return try DocumentCoding.decode(Self.self, from: file.body, format: format, kind: Self.file)
        } catch { throw KeyringError(error.reason, path) }
    }
}

extension UnlockedKeyring {
    /// Reads a document and verifies it.
    package func read<Document: AuthenticatedDocument>(_ type: Document.Type, from path: FilePath) throws -> Document {
        let file = try UnverifiedFile(reading: path, as: Document.file, limit: Document.maximumBytes)
        let document = try Document.decode(file, path)
        try requireRootKey(file.rootVersion, of: Document.file, path)
        _ = try withRootKey(file.rootVersion) { try file.verified(under: $0, format: Document.format) }
        return document
    }

    /// Writes a document, authenticated under the active root key.
    package func write<Document: AuthenticatedDocument>(_ document: Document, to path: FilePath) throws {
        let body = try DocumentCoding.encode(document)
        try withFileLock {
            let root = try currentRootVersion()
            let bytes = try withRootKey(root) {
                try AuthenticatedFile.bytes(of: body, format: Document.format, rootVersion: root, rootKey: $0)
            }
            try DurableFiles.replace(path, with: bytes)
        }
    }

    /// Writes a document again under the active root key, where it is under an older one.
    ///
    /// - Throws: as ``read(_:from:)``.
    package func renew<Document: AuthenticatedDocument>(_ type: Document.Type, at path: FilePath) throws {
        let file = try UnverifiedFile(reading: path, as: Document.file, limit: Document.maximumBytes)
        guard file.rootVersion != activeRootVersion else { return }
        try write(read(type, from: path), to: path)
    }
}
