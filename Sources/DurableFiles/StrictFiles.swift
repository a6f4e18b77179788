// Reading a file that must be ours alone. What a path names can change between two calls, so everything is asked of
// the descriptor that is then read from.

import Glibc
public import Secrets
public import SystemPackage

/// Opening files that hold keys, sealed or not.
public enum StrictFiles {
    /// The bytes of a regular file that belongs to us, has one name, is no symbolic link, and is closed to others.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the longest that is read, in bytes; nothing is allocated for a longer one.
    /// - Throws: `DurableFilesError`, one reason for each way in which a file is not what it must be.
    public static func read(_ path: FilePath, limit: Int) throws(DurableFilesError) -> [UInt8] {
        try DurableFilesError.wrapping(.read, path) {
            let own = try open(path, limit: limit)
            // One byte more than it had, to see it grow.
            var bytes = [UInt8](repeating: 0, count: own.length + 1)
            let count = try bytes.withUnsafeMutableBytes { try readAll(own.file, into: $0) }
            guard count <= limit else { throw DurableFilesError(.isLongerThan(limit), path) }
            return Array(bytes.prefix(count))
        }
    }

    /// A secret that a person or a service manager put somewhere: the bytes go from the file straight into `SecretBytes`. Links are
    /// followed. Only we and root may be able to read the file in effect (docs/security/policy.md, "Key files").
    ///
    /// - Throws: `DurableFilesError`, also where the file is empty; `SecretsError` where there is no memory for it.
    public static func readSecret(_ path: FilePath, limit: Int) throws -> SecretBytes {
        let own = try DurableFilesError.wrapping(.open, path) {
            let file = try SystemCalls.open(path, O_RDONLY | O_NONBLOCK)
            let status = try requireOneName(file)
            guard status.st_size <= limit else { throw DurableFilesError(.isLongerThan(limit), path) }
            try EffectiveReaders.requireOnlyUs(file, status)
            return OwnFile(file: file, length: Int(status.st_size))
        }
        guard own.length > 0 else { throw DurableFilesError(.isEmpty, path) }
        return try SecretBytes(capacity: own.length) { buffer in
            try DurableFilesError.wrapping(.read, path) { try readAll(own.file, into: buffer) }
        }
    }

    /// That `path` is a directory of ours which others can neither read nor enter.
    public static func requireOwnDirectory(_ path: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.open, path) {
            let status = try SystemCalls.status(at: path)
            guard !status.isSymbolicLink else { throw DurableFilesError(.isSymbolicLink, path) }
            guard status.isDirectory else { throw DurableFilesError(.isNotDirectory, path) }
            try requireOwn(status, path)
        }
    }

    /// The same of each of the directories that is there.
    public static func requireOwnDirectories(_ paths: [FilePath]) throws(DurableFilesError) {
        for path in paths where try exists(path) { try requireOwnDirectory(path) }
    }

    /// Whether anything is at `path`, a dangling symbolic link included.
    ///
    /// - Throws: `DurableFilesError` where that cannot be told: absent, present and error are three answers.
    public static func exists(_ path: FilePath) throws(DurableFilesError) -> Bool {
        try DurableFilesError.wrapping(.open, path) {
            do {
                _ = try SystemCalls.status(at: path)
                return true
            } catch .noSuchFileOrDirectory {
                return false
            }
        }
    }

    /// What stands at a path.
    package enum Kind: Sendable {
        case regular, directory, symbolicLink, other

        init(_ status: stat) {
            self =
                status.isRegular
                ? .regular : status.isDirectory ? .directory : status.isSymbolicLink ? .symbolicLink : .other
        }
    }

    /// What is at `path` itself: a symbolic link is not followed.
    package static func kind(of path: FilePath) throws(DurableFilesError) -> Kind {
        try DurableFilesError.wrapping(.open, path) {
            Kind(try SystemCalls.status(at: path))
        }
    }

    /// Bytes at an offset of any regular file; fewer than asked for where it ends.
    public static func read(_ path: FilePath, at offset: Int, count: Int) throws(DurableFilesError) -> [UInt8] {
        try DurableFilesError.wrapping(.read, path) {
            let file = try SystemCalls.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            guard try SystemCalls.status(of: file).isRegular else { throw DurableFilesError(.isNotRegular, path) }
            var bytes = [UInt8](repeating: 0, count: count)
            let found = try bytes.withUnsafeMutableBytes { try readAll(file, from: offset, into: $0) }
            return Array(bytes.prefix(found))
        }
    }

    /// Reads until the buffer is full or the file ends.
    static func readAll(
        _ file: SystemCalls.OpenFile, from offset: Int = 0, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        var count = 0
        while count < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
            let step = try SystemCalls.read(file, at: Int64(offset + count), into: rest)
            if step == 0 { break }
            count += step
        }
        return count
    }

    /// An open file that has passed every check, and its length when it did.
    private struct OwnFile {
        let file: SystemCalls.OpenFile
        let length: Int
    }

    private static func open(_ path: FilePath, limit: Int) throws(DurableFilesError) -> OwnFile {
        try DurableFilesError.wrapping(.open, path) {
            // Not blocking, so that a FIFO put in a key file's place is refused rather than waited for.
            let file = try SystemCalls.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            let status = try requireOwnFile(file)
            guard status.st_size <= limit else { throw DurableFilesError(.isLongerThan(limit), path) }
            return OwnFile(file: file, length: Int(status.st_size))
        }
    }

    /// That an open file is regular, ours, has one name and is closed to others.
    @discardableResult
    static func requireOwnFile(_ file: SystemCalls.OpenFile) throws -> stat {
        let status = try requireOneName(file)
        try requireOwn(status, file.path)
        return status
    }

    private static func requireOneName(_ file: SystemCalls.OpenFile) throws -> stat {
        let status = try SystemCalls.status(of: file)
        guard status.isRegular else { throw DurableFilesError(.isNotRegular, file.path) }
        guard status.st_nlink == 1 else { throw DurableFilesError(.isHardLinked, file.path) }
        return status
    }

    private static func requireOwn(_ status: stat, _ path: FilePath) throws(DurableFilesError) {
        guard status.st_uid == geteuid() else { throw DurableFilesError(.isOwnedByAnother, path) }
        let mode = UInt16(status.st_mode & 0o7777)
        guard mode & 0o077 == 0 else { throw DurableFilesError(.isOpenToOthers(mode: mode), path) }
    }
}

extension stat {
    var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var isSymbolicLink: Bool { st_mode & S_IFMT == S_IFLNK }
}
