// The JSON of the keyring and of the envelopes, and the rules that JSON must follow: docs/formats/keyring.md and
// envelope.md. Nothing here holds a secret; what is sealed stays sealed.

import CryptoPrimitives
public import Foundation
import KeyPolicy

/// The life of a key (after NIST SP 800-57).
public enum KeyState: String, Sendable, Hashable, Codable, CaseIterable {
    /// Made and durable, not used yet.
    case pending
    /// New data is put under it.
    case active
    /// Still opens what is under it.
    case decryptOnly
    /// Gone; only its place in the list is left.
    case destroyed
}

/// What was begun and is not finished.
public struct RotationInfo: Sendable, Hashable, Codable {
    /// What is rotated.
    public enum Kind: String, Sendable, Codable {
        /// The root key.
        case root
        /// The data keys of all databases.
        case data
    }

    /// `rot_` and 16 base32 digits.
    public let id: String
    /// What is rotated.
    public let kind: Kind
    /// When it was begun.
    public let started: Date

    static func begin(_ kind: Kind) throws -> RotationInfo {
        RotationInfo(id: try RandomIdentifier.make(prefix: "rot_"), kind: kind, started: DocumentCoding.now())
    }
}

struct KeyringDocument: Codable, Equatable {
    static let format = "strongroom/keyring"
    static let maximumUnlockers = 64
    static let maximumRootKeys = 1_000
    static let maximumBytes = 1 << 20

    struct Unlocker: Codable, Equatable {
        let id: String
        let kind: KeyPolicy.UnlockerKind
        let label: String
        let created: Date
        let publicKey: Data
        let sealing: UnlockerSealing?
    }

    struct Recipient: Codable, Equatable {
        let unlocker: String
        let ephemeralKey: Data
        let rootKey: Data
    }

    struct RootKey: Codable, Equatable {
        let version: Int
        var state: KeyState
        let created: Date
        var endorsement: Data?
        var recipients: [Recipient]
    }

    static let criticalFields: Set<String> = ["endorsement", "rotations"]

    var format = Self.format
    var version = 1
    var critical: [String] = []
    let keyringId: String
    var sequence: Int
    let created: Date
    var updated: Date
    var unlockers: [Unlocker]
    var rootKeys: [RootKey]
    var rotations: [RotationInfo]?

    var activeRootKey: RootKey? { rootKeys.first { $0.state == .active } }

    /// Those that still open something, oldest first.
    var liveRootKeys: [RootKey] { rootKeys.filter { $0.state != .destroyed }.sorted { $0.version < $1.version } }

    /// The rules that JSON types alone do not say.
    var followsItsFormat: Bool {
        let ids = Set(unlockers.map(\.id))
        return RandomIdentifier.isValid(keyringId, prefix: "kr_") && DocumentCoding.numbers.contains(sequence)
            && (1...Self.maximumUnlockers).contains(unlockers.count) && ids.count == unlockers.count
            && unlockers.allSatisfy {
                RandomIdentifier.isValid($0.id, prefix: "ulk_") && $0.publicKey.count == X25519.keyLength
                    && ($0.sealing == nil) == ($0.kind == .recovery)
            }
            && (1...Self.maximumRootKeys).contains(rootKeys.count)
            && Set(rootKeys.map(\.version)).count == rootKeys.count
            && liveRootKeys.dropLast().allSatisfy { $0.state == .decryptOnly } && liveRootKeys.last?.state == .active
            && liveRootKeys.dropFirst().allSatisfy { $0.endorsement?.count == HashAlgorithm.sha256.length }
            && Set((rotations ?? []).map(\.kind)).count == (rotations ?? []).count
            && (rotations ?? []).allSatisfy { RandomIdentifier.isValid($0.id, prefix: "rot_") }
            && rootKeys.allSatisfy { root in
                DocumentCoding.numbers.contains(root.version)
                    && (root.state != .destroyed || root.version < liveRootKeys[0].version)
                    && root.recipients.allSatisfy { $0.ephemeralKey.count == X25519.keyLength }
                    && (root.state == .destroyed
                        ? root.recipients.isEmpty : Set(root.recipients.map(\.unlocker)) == ids)
            }
    }
}

/// Whether a database is in use, as its envelope says: custody.md, rule 6.
package enum Session: String, Sendable, Codable {
    /// Closed properly. No changes wait in a WAL.
    case closed
    /// In use since the envelope's epoch, or not closed properly after that. There is a WAL beside it.
    case open
    /// In use, and between two files: a rotation has taken it out of WAL mode. There is no WAL, and there may be a rollback journal.
    case exchanging
}

struct EnvelopeDocument: Codable, Equatable {
    static let format = "strongroom/envelope"
    static let criticalFields: Set<String> = ["session"]
    /// A tombstone of each stays: enough for a rotation a day in 27 years.
    static let maximumKeys = 10_000
    static let maximumBytes = 4 << 20

    struct Key: Codable, Equatable {
        let generation: Int
        var state: KeyState
        let created: Date
        var retired: Date?
        var rotation: String?
        let keyId: String
        let pageSize: Int
        let pageAuthentication: PageFormat.Authentication
        var dataKey: Data?

        var pageFormat: PageFormat? { PageFormat(size: pageSize, authentication: pageAuthentication) }
    }

    var format = Self.format
    var version = 1
    var critical: [String] = []
    let keyringId: String
    let scope: String
    var sequence: Int
    var epoch: Int
    /// Nil in an envelope of a version that had none.
    var session: Session?
    /// The epoch at which an operator went on without the WAL that was there; nil where that was never so.
    var withoutWAL: Int?
    /// The keyring's sequence when this was written: a witness of it.
    var keyringSequence: Int?
    let created: Date
    var updated: Date
    var keys: [Key]

    /// What each write does, whatever else it changes.
    mutating func advance(keyringSequence current: Int) {
        sequence += 1
        keyringSequence = max(keyringSequence ?? 0, current)
        critical = session == nil ? [] : Self.criticalFields.sorted()
        updated = DocumentCoding.now()
    }

    var followsItsFormat: Bool {
        KeyScope(scope) != nil && DocumentCoding.numbers.contains(sequence)
            && (keyringSequence.map(DocumentCoding.numbers.contains) ?? true)
            && (0...DocumentCoding.numbers.upperBound).contains(epoch) && (1...Self.maximumKeys).contains(keys.count)
            && Set(keys.map(\.generation)).count == keys.count && keys.filter { $0.state == .active }.count <= 1
            && keys.allSatisfy {
                DocumentCoding.numbers.contains($0.generation) && $0.pageFormat != nil
                    && ($0.dataKey == nil) == ($0.state == .destroyed)
                    && Hex.decode($0.keyId)?.count == KeyID.length
            }
    }
}

/// JSON as our files have it: sorted keys, two spaces, UTC to the second.
enum DocumentCoding {
    /// What counts upwards stays where every reader of JSON is exact, and adding one is never too much.
    static let numbers = 1...1 << 53

    /// Only what must be looked at before the rest can be.
    private struct Header: Decodable {
        let format: String
        let version: Int
        let critical: [String]
    }

    static func encode(_ document: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return Array(try encoder.encode(document))
    }

    /// Decodes after looking at format, version and critical fields, in this order.
    static func decode<Document: Decodable>(
        _ type: Document.Type, from body: [UInt8], format: String, kind: KeyringError.File,
        knownCritical: Set<String> = []
    ) throws(KeyringError) -> Document {
        let data = Data(body)
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let header = try? decoder.decode(Header.self, from: data), header.format == format else {
            throw KeyringError(.malformed(kind))
        }
        guard header.version == 1 else { throw KeyringError(.unsupportedVersion(kind)) }
        guard knownCritical.isSuperset(of: header.critical) else { throw KeyringError(.unsupportedFeature(kind)) }
        do {
            return try decoder.decode(type, from: data)
        } catch let error as KeyringError {
            throw error
        } catch {
            throw KeyringError(.malformed(kind))
        }
    }

    /// Now, as a file can hold it.
    static func now() -> Date { Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down)) }
}
