// How SQLCipher made a file. Each of its versions had other defaults, and apps changed them.

extension ImportSource {
    /// How a file of SQLCipher is encrypted. What is nil is the default of the version.
    public struct CipherSettings: Sendable, Hashable {
        /// SQLCipher's main versions.
        public enum Version: Int, Sendable, CaseIterable { case one = 1, two, three, four }

        /// What authenticates a page.
        public enum Authentication: String, Sendable, CaseIterable { case off, sha1, sha256, sha512 }

        /// The version whose defaults hold.
        public var version: Version
        /// Iterations of PBKDF2.
        public var kdfIterations: Int?
        /// The page size in bytes: a power of two from 512 to 65,536.
        public var pageSize: Int?
        /// What authenticates a page.
        public var authentication: Authentication?
        /// How many bytes of the file are not encrypted: 32 in apps for iOS.
        public var plaintextHeaderSize: Int?
        /// The salt, 16 bytes, where it is not in the file.
        public var salt: [UInt8]?

        /// The defaults of a version.
        public init(version: Version) { self.version = version }

        /// Whether SQLCipher could take them.
        public var isValid: Bool {
            if let kdfIterations, !(1...100_000_000).contains(kdfIterations) { return false }
            if let pageSize, !(512...65_536).contains(pageSize) || pageSize & (pageSize - 1) != 0 { return false }
            if let plaintextHeaderSize, !(0...96).contains(plaintextHeaderSize) || plaintextHeaderSize % 16 != 0 {
                return false
            }
            return salt.map { $0.count == 16 } ?? true
        }

        /// What is tried where nothing is said, the newest first.
        static var defaults: [CipherSettings] { Version.allCases.reversed().map { CipherSettings(version: $0) } }

        /// In the order in which SQLCipher wants them. Only numbers and words of ours are in it.
        var pragmas: [String] {
            var pragmas = ["PRAGMA cipher_log_level = NONE", "PRAGMA cipher_compatibility = \(version.rawValue)"]
            if let pageSize { pragmas.append("PRAGMA cipher_page_size = \(pageSize)") }
            switch authentication {
            case nil: break
            case .off: pragmas.append("PRAGMA cipher_use_hmac = OFF")
            case .some(let known):
                pragmas.append("PRAGMA cipher_use_hmac = ON")
                let algorithm = known.rawValue.uppercased()
                pragmas.append("PRAGMA cipher_hmac_algorithm = HMAC_\(algorithm)")
            }
            if let kdfIterations { pragmas.append("PRAGMA kdf_iter = \(kdfIterations)") }
            if let plaintextHeaderSize {
                pragmas.append("PRAGMA cipher_plaintext_header_size = \(plaintextHeaderSize)")
            }
            if let salt {
                let digits = salt.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                pragmas.append("PRAGMA cipher_salt = \"x'\(digits)'\"")
            }
            return pragmas
        }

        /// For an operator: a salt is no secret, but nothing to read either.
        var summary: String {
            var parts = ["SQLCipher \(version.rawValue)"]
            if let kdfIterations { parts.append("\(kdfIterations) iterations") }
            if let pageSize { parts.append("pages of \(pageSize)") }
            if let authentication { parts.append("hmac \(authentication.rawValue)") }
            if let plaintextHeaderSize { parts.append("a plaintext header of \(plaintextHeaderSize)") }
            if salt != nil { parts.append("the salt given") }
            return parts.joined(separator: ", ")
        }
    }
}
