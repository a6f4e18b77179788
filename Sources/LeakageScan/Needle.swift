// What is looked for. The bytes stay in secret memory; what they are called may be shown.

public import Secrets

/// A secret that is looked for, and what it is called in reports.
public final class Needle: Sendable, CustomStringConvertible, CustomReflectable {
    /// How much of it counts.
    public enum Kind: String, Sendable, Codable {
        /// Random bytes: any sixteen of them in a row are a leak.
        case key
        /// Words that people choose: only the whole of it is.
        case text
    }

    /// Where it comes from, which decides whether a fingerprint of it may be handed out.
    public enum Origin: String, Sendable, Codable {
        /// Strongroom made it, or what it is derived from, at random: it cannot be guessed.
        case generated
        /// It was given by a person, a file or a command. It may be anything, also what can be guessed.
        case chosen
    }

    /// The shortest run of a key's bytes that is reported.
    public static let minimumKeyBytes = 16
    /// The shortest text that is looked for.
    public static let minimumTextBytes = 8
    /// The longest needle: what is longer is looked for by its first so many bytes.
    static let maximumBytes = 4_096

    /// What it is called: nothing secret.
    public let name: String
    /// How much of it counts.
    public let kind: Kind
    /// Where it comes from.
    public let origin: Origin
    let secret: SecretBytes

    /// Takes over a secret.
    ///
    /// - Parameters:
    ///   - name: 1 to 120 ASCII letters, digits, spaces and `_ . , : # ( ) -`.
    ///   - kind: random bytes, or text.
    ///   - origin: `.generated` only where the caller knows that Strongroom made it at random.
    /// - Throws: `ScanError` where it is too short or too simple to be looked for.
    public init(_ name: String, _ kind: Kind, _ secret: consuming SecretBytes, origin: Origin = .chosen) throws {
        guard Self.isName(name) else { throw ScanError(.needleNameInvalid) }
        let minimum = kind == .key ? Self.minimumKeyBytes : Self.minimumTextBytes
        guard secret.count >= minimum else { throw ScanError(.needleTooShort(minimumBytes: minimum)) }
        let different = secret.withUnsafeBytes { Set($0).count }
        guard different >= (kind == .key ? 8 : 4) else { throw ScanError(.needleTooSimple) }
        self.name = name
        self.kind = kind
        self.origin = origin
        if secret.count > Self.maximumBytes {
            self.secret = try SecretBytes(count: Self.maximumBytes) { target in
                secret.withUnsafeBytes {
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(target.count)))
                }
            }
        } else {
            self.secret = secret
        }
    }

    static func isName(_ name: String) -> Bool {
        (1...120).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: " _.,:#()-".utf8.contains(byte)
                }
            }
    }

    /// Says what it is called, never the secret.
    public var description: String { "Needle(\(name), redacted)" }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
