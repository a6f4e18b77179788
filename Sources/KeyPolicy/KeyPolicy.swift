// What a policy says, as pure values. Nothing here reads a clock, a key or a disk.

public import CryptoPrimitives

/// How keys are protected and when they are due.
public struct KeyPolicy: Sendable, Hashable {
    /// How a passphrase becomes a key.
    public enum PassphraseDerivation: Sendable, Hashable {
        case scrypt(ScryptCost)
        case pbkdf2(iterations: Int)
    }

    /// The kinds of unlocker.
    public enum UnlockerKind: String, Sendable, Hashable, CaseIterable, Codable {
        case passphrase
        case keyFile
        case recovery
    }

    /// When an opened database is checked page by page.
    public enum IntegrityCheck: String, Sendable, Hashable, CaseIterable {
        case never, afterCrash, always
    }

    /// The name in the file.
    public let name: String
    /// The lowercase hex SHA-256 of the file's bytes: 64 characters.
    public let digest: String
    /// How a new passphrase unlocker is derived.
    public let passphraseDerivation: PassphraseDerivation
    /// The shortest passphrase that is accepted, in bytes.
    public let minimumPassphraseBytes: Int
    /// The kinds of unlocker that may be added.
    public let allowedUnlockers: Set<UnlockerKind>
    /// How many unlockers there must be at least.
    public let requiredUnlockers: Int
    /// After how many days the root key is due for rotation.
    public let maximumRootKeyAgeDays: Int
    /// After how many days a data key is due for rotation.
    public let maximumDataKeyAgeDays: Int
    /// How many days a retired key is kept before it may be destroyed.
    public let retirementGraceDays: Int
    /// The page format of new databases.
    public let pageFormat: PageFormat
    /// The page cache of each connection, in MiB.
    public let cacheMebibytes: Int
    /// When an opened database is checked page by page.
    public let integrityCheck: IntegrityCheck
    /// How many snapshots of each database are kept.
    public let snapshotRetention: SnapshotRetention

    /// How many snapshots of a database are kept; one that any of these keeps is kept.
    public struct SnapshotRetention: Sendable, Hashable {
        /// So many of the newest, at least one.
        public let last: Int
        /// The newest of so many days.
        public let daily: Int
        /// The newest of so many weeks.
        public let weekly: Int
        /// The newest of so many months.
        public let monthly: Int
    }
}

/// How SQLCipher lays out and authenticates the pages of one database.
public struct PageFormat: Sendable, Hashable {
    /// How a page is authenticated.
    public enum Authentication: String, Sendable, Hashable, CaseIterable, Codable {
        case hmacSHA512 = "hmac-sha512"
        case hmacSHA256 = "hmac-sha256"

        /// The hash under the HMAC.
        public var hash: HashAlgorithm { self == .hmacSHA512 ? .sha512 : .sha256 }
    }

    /// The page sizes in bytes: those of SQLite but for 512, of which SQLCipher's reserve leaves less than SQLite needs.
    public static let sizes = [1024, 2048, 4096, 8192, 16384, 32768, 65536]

    /// The page size in bytes, one of ``sizes``.
    public let size: Int
    /// How a page is authenticated.
    public let authentication: Authentication

    /// A page format, or nil where `size` is not one of ``sizes``.
    public init?(size: Int, authentication: Authentication) {
        guard Self.sizes.contains(size) else { return nil }
        self.size = size
        self.authentication = authentication
    }
}
