import CLinux
import Glibc
package import SystemPackage

/// A file open for reading at any offset: databases, which are too large to be read whole.
package final class DataFile: Sendable {
    fileprivate let file: SystemCalls.OpenFile
    /// The same file, opened past the page cache; nil where that is not wanted or not possible.
    private let direct: SystemCalls.OpenFile?

    /// Where it is.
    package var path: FilePath { file.path }
    /// The length when it was opened, in bytes.
    package let lengthAtOpening: Int

    /// Opens a regular file; a symbolic link is refused.
    ///
    /// - Parameter pastCache: whether reads that are aligned (see ``NewDataFile/alignment``) are to come from the disk itself.
    package convenience init(_ path: FilePath, pastCache: Bool = false) throws(DurableFilesError) {
        try self.init(path, pastCache: pastCache) { flags throws(Errno) in try SystemCalls.open(path, flags) }
    }

    /// - Parameter open: opens the file with flags.
    init(
        _ path: FilePath, pastCache: Bool = false, _ open: (CInt) throws(Errno) -> SystemCalls.OpenFile
    ) throws(DurableFilesError) {
        (file, lengthAtOpening) = try DurableFilesError.wrapping(.open, path) {
            let file = try open(O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            let status = try SystemCalls.status(of: file)
            guard status.isRegular else { throw DurableFilesError(.isNotRegular, path) }
            return (file, Int(status.st_size))
        }
        direct = pastCache ? SystemCalls.openPastCache(file, O_RDONLY) : nil
    }

    /// Which file it is, whatever its name.
    package var identity: FileIdentity? { try? FileIdentity(SystemCalls.status(of: file)) }

    /// The length now, in bytes.
    package func length() throws(DurableFilesError) -> Int {
        try DurableFilesError.wrapping(.read, file.path) { Int(try SystemCalls.status(of: file).st_size) }
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// - Returns: how many bytes were there; fewer than asked for where the file ends.
    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DurableFilesError) -> Int {
        try DurableFilesError.wrapping(.read, file.path) {
            let isAligned = NewDataFile.isAligned(buffer.baseAddress, buffer.count, offset)
            return try StrictFiles.readAll(isAligned ? direct ?? file : file, from: offset, into: buffer)
        }
    }

    /// The first `count` bytes from `offset` on; fewer where the file ends.
    package func bytes(at offset: Int, count: Int) throws(DurableFilesError) -> [UInt8] {
        try DurableFilesError.wrapping(.read, file.path) {
            var bytes = [UInt8](repeating: 0, count: count)
            let found = try bytes.withUnsafeMutableBytes { try read(at: offset, into: $0) }
            return Array(bytes.prefix(found))
        }
    }
}

/// A file that is being made, written at any offset by any thread.
///
/// Writes that are aligned (see ``alignment``) go past the page cache where the file system can do that: a large file that
/// is written once would push everything else out of it, and what is read back later comes from the disk.
package final class NewDataFile: Sendable {
    /// What address, offset and length of a write must be multiples of to go past the page cache, in bytes.
    package static let alignment = 4_096

    private let file: SystemCalls.OpenFile
    /// The same file, opened past the page cache; nil where that is not possible.
    private let direct: SystemCalls.OpenFile?

    /// Makes a new file (0600).
    ///
    /// - Throws: `DurableFilesError` with `.alreadyExists` where something is there.
    package init(_ path: FilePath) throws(DurableFilesError) {
        file = try DurableFilesError.wrapping(.write, path) {
            try SystemCalls.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
        }
        direct = SystemCalls.openPastCache(file, O_WRONLY)
    }

    /// Where it is.
    package var path: FilePath { file.path }

    /// Lets this empty file share everything that `source` holds, without a byte being copied.
    ///
    /// - Returns: false where the file system cannot do that; nothing has happened then.
    package func clone(_ source: DataFile) -> Bool {
        (try? SystemCalls.clone(source.file, to: file)) != nil
    }

    /// Sets the length, in bytes; what was not written yet reads as zeros.
    package func setLength(_ length: Int) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.write, file.path) { try SystemCalls.truncate(file, to: Int64(length)) }
    }

    /// Sets the length, in bytes, and takes the room for it: a disk that is too full is noticed here, and writing to room
    /// that is there already does not wait for more to be found (docs/decisions/0008-direct-writes.md).
    package func reserve(_ length: Int) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.write, file.path) {
            do { try SystemCalls.reserve(file, length: Int64(length)) } catch .noSpace {
                let available = try Room.available(in: DurableFiles.parent(of: file.path))
                throw DurableFilesError(.noRoom(needed: length, available: available), file.path)
            }
        }
    }

    /// Writes all of `bytes` from `offset` on.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.write, file.path) {
            var written = 0
            while written < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                let isAligned = Self.isAligned(rest.baseAddress, rest.count, offset + written)
                written += try SystemCalls.write(
                    rest, to: isAligned ? direct ?? file : file, at: Int64(offset + written))
            }
        }
    }

    fileprivate static func isAligned(_ address: UnsafeRawPointer?, _ count: Int, _ offset: Int) -> Bool {
        [Int(bitPattern: address), count, offset].allSatisfy { $0.isMultiple(of: alignment) }
    }

    /// Makes what was written durable; its name is durable after the directory has been synced too.
    package func sync() throws(DurableFilesError) {
        try DurableFilesError.wrapping(.sync, file.path) { try SystemCalls.sync(file) }
    }
}

extension DataFile {
    /// Whether the file system left a part of the file out, which reads as zeros.
    package var hasHoles: Bool {
        guard lengthAtOpening > 0 else { return false }
        // At the end of every file there is a hole. Where the file system cannot tell, nothing was left out.
        let hole = strongroom_seek_part(file.descriptor, 0, 0)
        return hole >= 0 && hole < Int64(lengthAtOpening)
    }

    /// Whether any process holds a lock on a byte of this range. SQLite locks bytes of its files while it uses them.
    package func isLocked(from start: Int, count: Int) -> Bool {
        strongroom_is_range_locked(file.descriptor, Int64(start), Int64(count)) != 0
    }
}

extension DurableFilesError {
    /// The file became shorter while it was read.
    package static func shrank(_ file: DataFile) -> DurableFilesError {
        DurableFilesError(.system(.read, .ioError), file.path)
    }
}

/// Which file it is on this machine.
package struct FileIdentity: Sendable, Hashable {
    private let device: UInt64
    private let inode: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

/// What a file was like at a moment: if two of these are equal, nobody wrote to it in between.
package struct FileFingerprint: Sendable, Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let length: Int64
    /// When it was last written to, in seconds since 1970.
    package let changedSeconds: Int
    private let changedNanoseconds: Int

    /// The fingerprint of what is at `path`, or nil where nothing is.
    package init?(of path: FilePath) throws(DurableFilesError) {
        guard try StrictFiles.exists(path) else { return nil }
        let status = try DurableFilesError.wrapping(.open, path) { try SystemCalls.status(at: path) }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        length = Int64(status.st_size)
        changedSeconds = Int(status.st_mtim.tv_sec)
        changedNanoseconds = Int(status.st_mtim.tv_nsec)
    }

    /// Whether both are names of one file.
    package func isSameFile(as other: FileFingerprint?) -> Bool {
        other.map { $0.device == device && $0.inode == inode } ?? false
    }
}

/// Places that do not reach a disk.
package enum MemoryDirectories {
    /// A directory in memory (tmpfs) that we may write to, or nil where this machine has none.
    package static func find() -> FilePath? {
        ["/dev/shm", "/run/user/\(geteuid())"].map { FilePath($0) }.first { path in
            path.withPlatformString { strongroom_is_memory_backed($0) != 0 && access($0, W_OK) == 0 }
        }
    }
}

extension DurableFiles {
    /// Takes the place of a file that is being made, so that nobody else's can be: an empty new file (0600).
    ///
    /// - Parameter length: so many zeros.
    package static func createEmpty(_ path: FilePath, length: Int = 0) throws(DurableFilesError) {
        try DurableFilesError.wrapping(.write, path) {
            let file = try SystemCalls.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
            if length > 0 { try SystemCalls.truncate(file, to: Int64(length)) }
        }
    }
}
