// Which files are under which key of a database: docs/formats/certificate.md, "What is looked at". Nothing is decrypted.

import DurableFiles
import Keyring
import PageCipher
import SystemPackage

/// What a search through the files of one database found.
struct FilesUnderKeys {
    /// What a file is, by where it stands.
    enum Kind: String, CaseIterable { case database, snapshot, quarantined, other }

    /// How many files were looked at.
    private(set) var examined = 0
    /// How many could not be.
    private(set) var unreadable = 0
    /// How many are under which generation.
    private(set) var found: [Int: [Kind: Int]] = [:]

    private let files: DatabaseFiles
    private let keys: [CandidateKey]

    /// - Parameter candidates: the keys whose pages are looked for in files that name no key.
    init(of files: DatabaseFiles, _ envelope: Envelope, candidates: [DataKey]) throws {
        self.files = files
        keys = try envelope.dataKeys.map { info in
            try CandidateKey(info, candidates.first { $0.info.generation == info.generation })
        }
        switch files.scope {
        case .global:
            for name in try DurableFiles.names(in: files.directory)
            where name.hasPrefix("global.db") || name == "backups" || name == "corrupted" {
                try look(at: files.directory.appending(name), name, kind(of: name, in: .other))
            }
        case .profile:
            guard try StrictFiles.exists(files.directory) else { return }
            try look(in: files.directory, .other)
        }
    }

    /// How many files are under a key.
    func count(under generation: Int) -> Int { found[generation]?.values.reduce(0, +) ?? 0 }

    private func kind(of name: FileName, in parent: Kind) -> Kind {
        if parent != .other { return parent }
        if name == "backups" { return .snapshot }
        if name == "corrupted" { return .quarantined }
        return name.hasPrefix(files.mainName) ? .database : .other
    }

    private mutating func look(in directory: FilePath, _ kind: Kind) throws {
        for name in try DurableFiles.names(in: directory) {
            try look(at: directory.appending(name), name, self.kind(of: name, in: kind))
        }
    }

    private mutating func look(at path: FilePath, _ name: FileName, _ kind: Kind) throws {
        guard ![".json", ".lock", "-shm"].contains(where: name.hasSuffix) else { return }
        do {
            switch try StrictFiles.kind(of: path) {
            case .directory: try look(in: path, kind)
            case .symbolicLink, .other: unreadable += 1
            case .regular:
                let generation = try generation(of: DataFile(path), isWAL: name.hasSuffix("-wal"))
                examined += 1
                if let generation { found[generation, default: [:]][kind, default: 0] += 1 }
            }
        } catch is DurableFilesError { unreadable += 1 }
    }

    /// The generation of the key that a file is under, or nil.
    private func generation(of file: DataFile, isWAL: Bool) throws -> Int? {
        if isWAL { return try generation(ofWAL: file) }
        let first = try file.bytes(at: 0, count: KeyID.length)
        if let named = keys.first(where: { $0.info.keyID.bytes == first }) { return named.info.generation }
        let length = try file.length()
        return try keys.filter(\.canAuthenticate).first { key in
            let size = key.info.pageFormat.size
            let last = length / size
            let numbers = Set([1, 2, 3, 4, last].filter { (1...max(1, last)).contains($0) })
            return try numbers.contains { number in
                try key.isAuthentic(file.bytes(at: (number - 1) * size, count: size), number: number)
            }
        }?.info.generation
    }

    private func generation(ofWAL file: DataFile) throws -> Int? {
        try keys.filter(\.canAuthenticate).first { key in
            let size = key.info.pageFormat.size
            guard let frame = try WALScan.firstFrame(of: file, pageSize: size) else { return false }
            return key.isAuthentic(frame.page, number: frame.pageNumber)
        }?.info.generation
    }
}

/// A key whose id, and where it is given whose pages, are looked for.
private final class CandidateKey {
    let info: DataKeyInfo
    private let authenticator: PageAuthenticator?

    var canAuthenticate: Bool {
        switch authenticator {
        case .some: true
        case nil: false
        }
    }

    init(_ info: DataKeyInfo, _ key: DataKey?) throws {
        self.info = info
        authenticator = try key?.makePageAuthenticator()
    }

    func isAuthentic(_ page: [UInt8], number: Int) -> Bool {
        guard page.count == info.pageFormat.size else { return false }
        return page.withUnsafeBytes { authenticator?.authenticate(SealedPage($0, number: number)) != nil }
    }
}
