// docs/formats/certificate.md

import DurableFiles
public import Foundation
import Keyring
public import SystemPackage

/// What was found when a data key was about to be destroyed, and that it was.
public struct RetirementCertificate: Sendable, Codable, Equatable {
    /// What was done.
    public enum Outcome: String, Sendable, Codable {
        /// No file was under the key.
        case unused
        /// No file was under the key, and it is gone.
        case destroyed
        /// The key is gone, and what is under it cannot be opened any more.
        case shredded
    }

    var format = "strongroom/certificate"
    var version = 1
    var critical: [String] = []
    /// The keyring that the key was in.
    public let keyringId: String
    /// The store that was looked through.
    public let storeId: String
    /// `global` or a profile's id.
    public let scope: String
    /// The generation of the key.
    public let generation: Int
    /// What files under it begin with: 32 hex digits.
    public let keyId: String
    /// What was done.
    public let outcome: Outcome
    /// When.
    public let date: Date
    /// When the key stopped being the active one; nil where it was until then.
    public let retired: Date?
    /// How many days the policy asked for between the two.
    public let graceDays: Int
    /// How many files were looked at.
    public let filesExamined: Int
    /// How many of these were under the key.
    public let filesUnderKey: Int
}

extension RetirementCertificate: AuthenticatedDocument {
    package static var format: String { "strongroom/certificate" }
    package static var file: KeyringError.File { .certificate }
    package static var maximumBytes: Int { 16 << 10 }

    static func directory(in keyring: FilePath) -> FilePath { LockedKeyring.certificatesPath(in: keyring) }

    func path(in keyring: FilePath) -> FilePath {
        Self.directory(in: keyring).appending("\(scope)-\(generation).json")
    }

    static func path(of scope: KeyScope, _ generation: Int, in keyring: FilePath) -> FilePath {
        directory(in: keyring).appending("\(scope)-\(generation).json")
    }

    /// The files of all certificates of a keyring.
    static func forEach(in keyring: FilePath, _ body: (FilePath) throws -> Void) throws {
        let directory = directory(in: keyring)
        guard try StrictFiles.exists(directory) else { return }
        let reader = try DirectoryReader(directory)
        while case let names = try reader.next(256), !names.isEmpty {
            for name in names where name.hasSuffix(".json") { try body(directory.appending(name)) }
        }
    }
}

extension Store {
    /// Reads a certificate and shows that it was written by somebody who holds the root key.
    ///
    /// - Throws: `KeyringError`, such as `certificate_forged`; `certificate_malformed` where it says that a key is gone which is
    ///   there; what is wrong with the database's envelope, where that cannot be asked.
    public func certificate(at path: FilePath) throws -> RetirementCertificate {
        try requireUnlocked()
        let certificate = try keyring.read(RetirementCertificate.self, from: path)
        guard let scope = KeyScope(certificate.scope), certificate.keyringId == keyring.id else {
            throw KeyringError(.belongsToAnotherKeyring(.certificate), path)
        }
        let isGone: Bool
        do {
            let key = try keyring.envelope(for: scope).dataKeys.first { $0.generation == certificate.generation }
            isGone = key.map { $0.state == .destroyed } ?? true
        } catch let error as KeyringError {
            // Where there is no envelope any more there is no key in it. One that is not to be believed says nothing.
            guard error.reason == .missing(.envelope) else { throw error }
            isGone = true
        }
        guard certificate.outcome == .unused || isGone else { throw KeyringError(.malformed(.certificate), path) }
        return certificate
    }

    func write(_ certificate: RetirementCertificate) throws {
        try DurableFiles.createDirectory(
            RetirementCertificate.directory(in: keyring.directory), allowExisting: true)
        try keyring.write(certificate, to: certificate.path(in: keyring.directory))
    }
}
