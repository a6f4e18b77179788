// docs/formats/snapshot.md, "Manifest": the fields, and the two MACs under them.

import CryptoPrimitives
import Foundation
import KeyPolicy
import Keyring
import PageCipher
import Secrets

/// What a snapshot says about itself.
package struct SnapshotManifest: Codable, Sendable, Equatable {
    static let format = "strongroom/snapshot"
    static let maximumBytes = 64 << 10
    /// What counts upwards stays where adding one is never too much.
    private static let numbers = 1...1 << 53

    struct Migrations: Codable, Sendable, Equatable {
        let applied: Int
        let latest: String?
    }

    var format = Self.format
    var version = 1
    var critical: [String] = []
    let snapshotId: String
    let storeId: String
    let scope: String
    var name: String
    let reason: String
    let set: String?
    let ordinal: Int
    let created: Date
    let epoch: Int
    var keyGeneration: Int
    var keyId: String
    let pageSize: Int
    let pageAuthentication: PageFormat.Authentication
    let pageCount: Int
    var tagRoot: String
    let migrations: Migrations?

    /// The rules that JSON types alone do not say.
    var followsItsFormat: Bool {
        KeyScope(scope) != nil && SnapshotReason(parsing: reason) != nil && Self.numbers.contains(ordinal)
            && (0...Self.numbers.upperBound).contains(epoch) && Self.numbers.contains(keyGeneration) && keyID != nil
            && pageFormat != nil && (1...Int(UInt32.max) - 1).contains(pageCount)
            && root != nil && Base32.isValid(snapshotId.dropFirst("snap_".count)) && snapshotId.hasPrefix("snap_")
    }

    var keyID: KeyID? { Hex.decode(keyId).flatMap(KeyID.init) }
    var pageFormat: PageFormat? { PageFormat(size: pageSize, authentication: pageAuthentication) }
    var root: TagRoot? { Hex.decode(tagRoot).flatMap(TagRoot.init) }
    /// The length of the file, in bytes.
    var length: Int { pageCount * pageSize }
}

/// A JSON document of the snapshots' room with its MAC lines, whole, and of which nobody knows yet whether it is authentic.
struct UnverifiedManifest<Document: Codable> {
    let document: Document
    private let audited: [UInt8]
    private let auditTag: [UInt8]
    private let authenticated: [UInt8]
    private let tag: [UInt8]

    /// Checks all that can be checked without a key.
    ///
    /// - Throws: `SnapshotError`, in the order of docs/formats/snapshot.md, "What a reader must refuse".
    init(_ bytes: [UInt8], format: String) throws(SnapshotError) {
        guard let text = String(validating: bytes, as: UTF8.self), text.hasSuffix("\n") else {
            throw SnapshotError(.manifestDamaged)
        }
        let lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        let seal = (lines.last ?? "").split(separator: " ", omittingEmptySubsequences: false)
        guard lines.count >= 3, seal.count == 6, seal[0] == "mac", seal[4] == "sha256", let sum = Hex.decode(seal[5]),
            let found = try? SHA256.hash(Array(bytes.dropLast(1 + 64 + " sha256 ".count))), found == sum
        else { throw SnapshotError(.manifestDamaged) }
        // From here on the file is as it was written; what is odd about it is not an accident.
        let audit = lines[lines.count - 2].split(separator: " ", omittingEmptySubsequences: false)
        guard audit.count == 4, audit[0] == "verify", audit[1] == "hmac-sha256", seal[1] == "hmac-sha256" else {
            throw SnapshotError(.featureUnsupported)
        }
        guard let auditTag = Hex.decode(audit[3]), let tag = Hex.decode(seal[3]), audit[2] == seal[2] else {
            throw SnapshotError(.manifestMalformed)
        }
        let body = lines.dropLast(2).joined(separator: "\n") + "\n"
        document = try ManifestCoding.decode(Document.self, from: Data(body.utf8), format: format)
        audited = Array(body.utf8)
        self.auditTag = auditTag
        authenticated = Array(bytes.dropLast(1 + 64 + " sha256 ".count + 64))
        self.tag = tag
    }

    /// The document, once its MAC under the data key fits.
    func verified(under key: DataKey) throws -> Document {
        let tags = try ManifestTag.owner(of: authenticated, key)
        guard ConstantTime.areEqual(tags, tag) else { throw SnapshotError(.manifestForged) }
        return document
    }

    /// The document, once its MAC under the page key fits.
    func verified(underPageKey pageKey: borrowing SecretBytes) throws -> Document {
        guard try ConstantTime.areEqual(ManifestTag.audit(of: audited, pageKey), auditTag) else {
            throw SnapshotError(.manifestForged)
        }
        return document
    }
}

/// Writing a document and its MAC lines, and reading the JSON of one.
enum ManifestCoding {
    private struct Header: Decodable {
        let format: String
        let version: Int
        let critical: [String]
    }

    static func bytes(of document: some Encodable, under key: DataKey) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        let body = Array(try encoder.encode(document)) + Array("\n".utf8)
        let auditTag = try ManifestTag.audit(of: body, key.pageKey())
        var bytes = body + Array("verify hmac-sha256 key=\(key.info.keyID) \(Hex.encode(auditTag))\n".utf8)
        bytes += Array("mac hmac-sha256 key=\(key.info.keyID) ".utf8)
        bytes += Array(Hex.encode(try ManifestTag.owner(of: bytes, key)).utf8)
        return bytes + Array(" sha256 \(Hex.encode(try SHA256.hash(bytes)))\n".utf8)
    }

    static func decode<Document: Decodable>(
        _ type: Document.Type, from body: Data, format: String
    ) throws(SnapshotError) -> Document {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let header = try? decoder.decode(Header.self, from: body), header.format == format else {
            throw SnapshotError(.manifestMalformed)
        }
        guard header.version == 1 else { throw SnapshotError(.versionUnsupported) }
        guard header.critical.isEmpty else { throw SnapshotError(.featureUnsupported) }
        guard let document = try? decoder.decode(type, from: body) else { throw SnapshotError(.manifestMalformed) }
        return document
    }
}

/// The two MACs: one that only the owner of the data key can make, and one for who may verify and not read.
enum ManifestTag {
    static let ownerLabel = "strongroom/snapshot/manifest/v1"
    static let auditLabel = "strongroom/snapshot/verify/v1"

    static func owner(of bytes: [UInt8], _ key: DataKey) throws -> [UInt8] {
        let tag = try key.secret.withSecret { dataKey in
            try HMAC.tag(
                of: bytes, key: HKDF.derive(from: dataKey, label: ownerLabel), algorithm: .sha256
            )
        }
        guard let tag else { throw KeyringError(.locked) }
        return tag
    }

    static func audit(of bytes: [UInt8], _ pageKey: borrowing SecretBytes) throws -> [UInt8] {
        try HMAC.tag(
            of: bytes, key: HKDF.derive(from: pageKey, label: auditLabel), algorithm: .sha256)
    }
}
