// Replacing a file so that, whatever happens, the old or the new one is there, whole.

import Glibc
public import Secrets
public import SystemPackage

/// Files that survive a crash at any moment.
///
/// A file is written in this order, and an old one stays until the fourth step: a temporary file beside it (0600);
/// fsync; opened anew and compared; renamed into place; fsync of the directory.
public enum DurableFiles {
    /// Replaces the file at `path`, or makes it where there is none. Its mode is 0600.
    ///
    /// - Throws: `DurableFilesError`. Before the rename the old file is as it was. Where only the last step fails, the
    ///   new file is in place but may not survive a power loss: read what is there before going on.
    public static func replace(_ path: FilePath, with bytes: [UInt8]) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.write, path) {
            try bytes.withUnsafeBytes { try write($0, to: path) { try SystemCalls.rename($0, to: path) } }
        }
    }

    /// Replaces files of one directory, or makes those that are not there, each as ``replace(_:with:)`` does, and makes all of them
    /// durable together: much faster than one after the other.
    ///
    /// - Throws: `DurableFilesError`; each file is then the old or the new one, whole.
    package static func replaceAll(_ files: [(path: FilePath, bytes: [UInt8])]) throws(DurableFilesError) {
        guard let first = files.first else { return }
        try DurableFilesError.wrapping(.write, first.path) {
            var temporary: [FilePath] = []
            defer { for path in temporary { try? SystemCalls.unlink(path) } }
            var written: [SystemCalls.OpenFile] = []
            for file in files {
                let path = temporaryPath(for: file.path)
                temporary.append(path)
                written.append(try file.bytes.withUnsafeBytes { try write($0, toNew: path) })
            }
            for file in written { try SystemCalls.sync(file) }
            written = []
            for (file, path) in zip(files, temporary) {
                try file.bytes.withUnsafeBytes { try verify(path, holds: $0) }
            }
            for file in files {
                try SystemCalls.rename(temporary[0], to: file.path)
                temporary.removeFirst()
            }
            try SystemCalls.syncDirectory(parent(of: first.path))
        }
    }

    /// Makes a new file that holds `secret`. Its mode is 0600.
    ///
    /// - Throws: `DurableFilesError` with `.alreadyExists` where something is there; it is left as it is.
    public static func create(_ path: FilePath, holding secret: borrowing SecretBytes) throws(DurableFilesError) {
        do {
            try secret.withUnsafeBytes { bytes in
                try write(bytes, to: path) { try SystemCalls.renameWithoutReplacing($0, to: path) }
            }
        } catch let error as DurableFilesError {
            throw error
        } catch { throw DurableFilesError(error as? Errno ?? .ioError, .write, path) }
    }

    /// Makes a directory (0700) and fsyncs the one it stands in.
    ///
    /// - Parameter allowExisting: whether a directory that is there already, ours and closed to others, will do.
    public static func createDirectory(_ path: FilePath, allowExisting: Bool = false) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.createDirectory, path) {
            do {
                try SystemCalls.makeDirectory(path, mode: 0o700)
            } catch .fileExists where allowExisting {
                return try StrictFiles.requireOwnDirectory(path)
            }
            try SystemCalls.syncDirectory(parent(of: path))
        }
    }

    /// Removes a file that is there; does nothing where there is none. Durable after ``syncDirectory(_:)``.
    public static func remove(_ path: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.remove, path) {
            do {
                try SystemCalls.unlink(path)
            } catch .noSuchFileOrDirectory {}
        }
    }

    /// Removes a directory with the plain files and directories in it. Symbolic links are removed, not followed.
    public static func removeTree(_ path: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.remove, path) {
            try removeContents(of: SystemCalls.OpenDirectory(path))
            try SystemCalls.removeDirectory(path)
            try SystemCalls.syncDirectory(parent(of: path))
        }
    }

    private static func removeContents(of directory: SystemCalls.OpenDirectory) throws(Errno) {
        // All names first: whether a name that is removed meanwhile is still read, no system says.
        var names: [FileName] = []
        while let entry = try directory.next() { names.append(entry.name) }
        for name in names.sorted() {
            if try directory.status(of: name).isDirectory {
                try removeContents(of: directory.directory(name))
                try directory.removeDirectory(name)
            } else {
                try directory.unlink(name)
            }
        }
    }

    /// Makes the names in a directory durable: files created, renamed and removed.
    public static func syncDirectory(_ path: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.sync, path) { try SystemCalls.syncDirectory(path) }
    }

    /// Makes a file's bytes durable that somebody else wrote, such as SQLite.
    public static func syncFile(_ path: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.sync, path) {
            let file = try SystemCalls.open(path, O_RDONLY | O_NOFOLLOW)
            try SystemCalls.noteForeignWrites(to: file)
            try SystemCalls.sync(file)
        }
    }

    /// Gives a file another name in the same file system; what had that name is gone. Durable after both directories
    /// have been synced.
    package static func rename(_ path: FilePath, to target: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.rename, path) { try SystemCalls.rename(path, to: target) }
    }

    /// Gives a file a second name, and leaves it its first where the file system knows second names. Durable after the
    /// directories have been synced.
    package static func linkOrRename(_ path: FilePath, to target: FilePath) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.rename, path) {
            do {
                try SystemCalls.link(path, to: target)
            } catch .notPermitted, .notSupported, .tooManyLinks {
                try SystemCalls.rename(path, to: target)
            }
        }
    }

    /// The names in a directory, in the order of their bytes.
    public static func names(in path: FilePath) throws(DurableFilesError) -> [FileName] {
        try DirectoryReader(path).next(.max).sorted()
    }

    /// The directory that `path` stands in; `.` for a bare name.
    ///
    /// At the last separator, and not by `removingLastComponent`, which takes two milliseconds in builds without optimisation: a quarter of the time
    /// of all tests went there.
    package static func parent(of path: FilePath) -> FilePath {
        path.withPlatformString { text in
            guard let separator = strrchr(text, CInt(UInt8(ascii: "/"))) else { return "." }
            // The root is a separator itself.
            let length = max(1, UnsafePointer(separator) - text)
            return FilePath(platformString: Array(UnsafeBufferPointer(start: text, count: length)) + [0])
        }
    }

    /// Writes the temporary file, and lets `place` put it where it belongs.
    private static func write(
        _ bytes: UnsafeRawBufferPointer, to path: FilePath, place: (FilePath) throws -> Void
    ) throws {
        let temporary = temporaryPath(for: path)
        do {
            try SystemCalls.sync(write(bytes, toNew: temporary))
            try verify(temporary, holds: bytes)
            try place(temporary)
        } catch {
            try? SystemCalls.unlink(temporary)
            throw error
        }
        try SystemCalls.syncDirectory(parent(of: path))
    }

    private static func write(
        _ bytes: UnsafeRawBufferPointer, toNew path: FilePath
    ) throws -> SystemCalls.OpenFile {
        let file = try SystemCalls.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            written += try SystemCalls.write(rest, to: file, at: Int64(written))
        }
        return file
    }

    /// How much is read back at once, in bytes.
    private static let verifiedPieceBytes = 256 << 10

    /// Reads into secret memory, because what is compared may be a key.
    private static func verify(_ path: FilePath, holds bytes: UnsafeRawBufferPointer) throws {
        let file = try SystemCalls.open(path, O_RDONLY | O_NOFOLLOW)
        var offset = 0
        while true {
            let piece = try SecretBytes(capacity: verifiedPieceBytes) {
                try StrictFiles.readAll(file, from: offset, into: $0)
            }
            let expected = UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + piece.count, bytes.count)])
            guard piece.isEqual(to: expected), piece.count > 0 || offset == bytes.count else {
                throw DurableFilesError(.readBackDiffers, path)
            }
            if piece.count == 0 { return }
            offset += piece.count
        }
    }

    /// A name beside `path` that no reader takes for a file of ours.
    private static func temporaryPath(for path: FilePath) -> FilePath {
        let random = String(UInt64.random(in: .min ... .max), radix: 36)
        return parent(of: path).appending(
            FileName(bytes: [0x2e] + (path.name?.bytes ?? []) + Array(".\(random).tmp".utf8)))
    }
}
