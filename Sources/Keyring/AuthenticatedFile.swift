// The line that every file of ours ends in: docs/formats/keyring.md, "The authenticated file".

import CryptoPrimitives
import DurableFiles
import Secrets
import SystemPackage

/// A file whose check sum fits, and whose MAC nobody has looked at yet.
struct UnverifiedFile {
    let body: [UInt8]
    let rootVersion: Int
    private let authenticated: [UInt8]
    private let tag: [UInt8]
    private let kind: KeyringError.File
    private let path: FilePath

    /// Reads the file and checks all that can be checked without a key, except what the JSON says.
    init(reading path: FilePath, as kind: KeyringError.File, limit: Int) throws {
        guard try StrictFiles.exists(path) else { throw KeyringError(.missing(kind), path) }
        let bytes = try StrictFiles.read(path, limit: limit)
        try self.init(bytes, as: kind, path: path)
    }

    init(_ bytes: [UInt8], as kind: KeyringError.File, path: FilePath) throws {
        let damaged = KeyringError(.damaged(kind), path)
        guard bytes.last == UInt8(ascii: "\n"),
            let bodyEnd = bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")),
            let line = String(validating: bytes[(bodyEnd + 1)...].dropLast(), as: UTF8.self)
        else { throw damaged }
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, words[0] == "mac", words[4] == "sha256", let sum = Hex.decode(words[5]),
            try SHA256.hash(Array(bytes.dropLast(1 + 64 + 8))) == sum
        else { throw damaged }
        // From here on the file is as it was written; what is odd about it is not an accident.
        guard words[1] == "hmac-sha256" else { throw KeyringError(.unsupportedFeature(kind), path) }
        guard words[2].hasPrefix("root="), let version = Int(words[2].dropFirst(5)), version > 0,
            let tag = Hex.decode(words[3]), tag.count == HashAlgorithm.sha256.length
        else { throw KeyringError(.malformed(kind), path) }
        body = Array(bytes[..<bodyEnd])
        rootVersion = version
        authenticated = Array(bytes.prefix(bytes.count - 1 - 64 - 8 - 64))
        self.tag = tag
        self.kind = kind
        self.path = path
    }

    /// The body, once the MAC fits.
    func verified(under rootKey: borrowing SecretBytes, format: String) throws -> [UInt8] {
        let key = try AuthenticatedFile.macKey(of: rootKey, format: format)
        guard ConstantTime.areEqual(try HMAC.tag(of: authenticated, key: key, algorithm: .sha256), tag) else {
            throw KeyringError(.forged(kind), path)
        }
        return body
    }
}

/// Writing the last line.
enum AuthenticatedFile {
    static func bytes(
        of body: [UInt8], format: String, rootVersion: Int, rootKey: borrowing SecretBytes
    ) throws -> [UInt8] {
        var bytes = body + Array("\nmac hmac-sha256 root=\(rootVersion) ".utf8)
        let tag = try HMAC.tag(of: bytes, key: macKey(of: rootKey, format: format), algorithm: .sha256)
        bytes += Array(Hex.encode(tag).utf8)
        let sum = try SHA256.hash(bytes)
        return bytes + Array(" sha256 \(Hex.encode(sum))\n".utf8)
    }

    fileprivate static func macKey(of rootKey: borrowing SecretBytes, format: String) throws -> SecretBytes {
        try HKDF.derive(from: rootKey, label: "strongroom/mac/v1/\(format)")
    }
}
