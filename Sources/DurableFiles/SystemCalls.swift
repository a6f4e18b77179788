// Every system call that reads or changes a file of ours stands here, and nowhere else. So the tests can let the
// n-th one fail, and can write down what reached the disk in which order and rebuild what a power loss may leave.

import CLinux
import Glibc
package import SystemPackage

/// A call that can be made to fail.
package enum SystemCall: String, Sendable, CaseIterable {
    case open, close, read, write, fsync, truncate, clone, rename, link, unlink, makeDirectory, removeDirectory, status,
        lock,
        list
}

/// A change of the disk, as a power loss sees it.
package enum DiskEffect: Sendable, Equatable {
    case created(FilePath)
    case wrote(FilePath, offset: Int64, bytes: [UInt8])
    case truncated(FilePath, length: Int64)
    /// Somebody else wrote the file, such as SQLite: these are its bytes now.
    case rewritten(FilePath, bytes: [UInt8])
    case syncedFile(FilePath)
    case renamed(from: FilePath, to: FilePath)
    case linked(from: FilePath, to: FilePath)
    case unlinked(FilePath)
    case madeDirectory(FilePath)
    case removedDirectory(FilePath)
    case syncedDirectory(FilePath)
}

/// Watches the system calls of a task, and may let one fail. For tests.
package protocol SystemCallProbe: Sendable {
    /// Called before each call; an error number returned here is what the call then fails with.
    func errorBefore(_ call: SystemCall) -> Errno?
    /// Called after each change of the disk.
    func didChange(_ effect: DiskEffect)
}

/// The system calls, each failing with the `Errno` of the system or of the probe.
package enum SystemCalls {
    /// The probe of the current task; nil outside tests.
    @TaskLocal package static var probe: (any SystemCallProbe)?

    /// An open file, closed when nobody holds it any more.
    final class OpenFile: Sendable {
        let descriptor: CInt
        let path: FilePath

        init(descriptor: CInt, path: FilePath) {
            self.descriptor = descriptor
            self.path = path
        }

        deinit { _ = Glibc.close(descriptor) }
    }

    static func open(_ path: FilePath, _ flags: CInt, mode: mode_t = 0o600) throws(Errno) -> OpenFile {
        let descriptor = try call(.open) { path.withPlatformString { Glibc.open($0, flags | O_CLOEXEC, mode) } }
        if flags & O_CREAT != 0 { probe?.didChange(.created(path)) }
        return OpenFile(descriptor: descriptor, path: path)
    }

    /// The same file once more, past the page cache; nil where that cannot be had, or another file has its path now.
    static func openPastCache(_ file: OpenFile, _ flags: CInt) -> OpenFile? {
        guard let direct = try? open(file.path, flags | O_NOFOLLOW | strongroom_open_direct),
            let (one, other) = try? (status(of: file), status(of: direct)), FileIdentity(one) == FileIdentity(other)
        else { return nil }
        return direct
    }

    static func status(of file: OpenFile) throws(Errno) -> stat {
        var status = stat()
        try call(.status) { fstat(file.descriptor, &status) }
        return status
    }

    /// What is free in the file system that a directory is in.
    static func room(in directory: FilePath) throws(Errno) -> statvfs {
        let directory = try open(directory, O_RDONLY | O_DIRECTORY)
        var room = statvfs()
        try call(.status) { fstatvfs(directory.descriptor, &room) }
        return room
    }

    /// Where an open file is now, links resolved.
    static func place(of file: OpenFile) throws(Errno) -> FilePath {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let link = "/proc/self/fd/\(file.descriptor)"
        let count = try count(.status) {
            bytes.withUnsafeMutableBytes { buffer in
                buffer.withMemoryRebound(to: CChar.self) { text in
                    text.baseAddress.map { readlink(link, $0, text.count) } ?? -1
                }
            }
        }
        let path = FilePath(bytes: Array(bytes.prefix(count)))
        // Removed or exchanged meanwhile, it is nowhere.
        guard let (one, other) = try? (status(of: file), status(at: path)), FileIdentity(one) == FileIdentity(other)
        else { throw .noSuchFileOrDirectory }
        return path
    }

    /// The status of what is at `path` itself: a symbolic link is not followed.
    static func status(at path: FilePath) throws(Errno) -> stat {
        var status = stat()
        try call(.status) { path.withPlatformString { lstat($0, &status) } }
        return status
    }

    static func read(
        _ file: OpenFile, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int {
        return try count(.read) { pread(file.descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    static func write(
        _ bytes: UnsafeRawBufferPointer, to file: OpenFile, at offset: Int64
    ) throws(Errno) -> Int {
        let written = try count(.write) { pwrite(file.descriptor, bytes.baseAddress, bytes.count, off_t(offset)) }
        probe?.didChange(.wrote(file.path, offset: offset, bytes: Array(bytes.prefix(written))))
        return written
    }

    static func truncate(_ file: OpenFile, to length: Int64) throws(Errno) {
        try call(.truncate) { ftruncate(file.descriptor, off_t(length)) }
        probe?.didChange(.truncated(file.path, length: length))
    }

    /// Gives a file its length and the room for it on the disk; only the length where the file system cannot do more.
    static func reserve(_ file: OpenFile, length: Int64) throws(Errno) {
        do {
            // Zero bytes are no length to reserve.
            if length > 0 { try call(.truncate) { strongroom_allocate(file.descriptor, length) } }
        } catch .notSupported {}
        try truncate(file, to: length)
    }

    /// Lets `target` share what `source` holds (`FICLONE`).
    static func clone(_ source: OpenFile, to target: OpenFile) throws(Errno) {
        try call(.clone) { strongroom_clone(target.descriptor, source.descriptor) }
    }

    static func sync(_ file: OpenFile) throws(Errno) {
        try call(.fsync) { fsync(file.descriptor) }
        probe?.didChange(.syncedFile(file.path))
    }

    static func syncDirectory(_ path: FilePath) throws(Errno) {
        let directory = try open(path, O_RDONLY | O_DIRECTORY)
        try call(.fsync) { fsync(directory.descriptor) }
        probe?.didChange(.syncedDirectory(path))
    }

    /// Tells the probe what somebody else wrote, which it did not see.
    static func noteForeignWrites(to file: OpenFile) throws {
        guard let probe else { return }
        var bytes = [UInt8](repeating: 0, count: Int(try status(of: file).st_size))
        _ = try bytes.withUnsafeMutableBytes { try StrictFiles.readAll(file, into: $0) }
        probe.didChange(.rewritten(file.path, bytes: bytes))
    }

    static func rename(_ source: FilePath, to target: FilePath) throws(Errno) {
        try call(.rename) { source.withPlatformString { from in target.withPlatformString { Glibc.rename(from, $0) } } }
        probe?.didChange(.renamed(from: source, to: target))
    }

    /// Fails with `.fileExists` where the target exists.
    static func renameWithoutReplacing(_ source: FilePath, to target: FilePath) throws(Errno) {
        try call(.rename) {
            source.withPlatformString { from in
                target.withPlatformString { strongroom_rename_without_replacing(from, $0) }
            }
        }
        probe?.didChange(.renamed(from: source, to: target))
    }

    /// Gives a file a second name; fails with `.fileExists` where the target exists.
    static func link(_ source: FilePath, to target: FilePath) throws(Errno) {
        try call(.link) { source.withPlatformString { from in target.withPlatformString { Glibc.link(from, $0) } } }
        probe?.didChange(.linked(from: source, to: target))
    }

    static func unlink(_ path: FilePath) throws(Errno) {
        try call(.unlink) { path.withPlatformString { Glibc.unlink($0) } }
        probe?.didChange(.unlinked(path))
    }

    static func makeDirectory(_ path: FilePath, mode: mode_t) throws(Errno) {
        try call(.makeDirectory) { path.withPlatformString { mkdir($0, mode) } }
        probe?.didChange(.madeDirectory(path))
    }

    static func removeDirectory(_ path: FilePath) throws(Errno) {
        try call(.removeDirectory) { path.withPlatformString { rmdir($0) } }
        probe?.didChange(.removedDirectory(path))
    }

    /// Takes the lock that the kernel drops when the process ends; false where another holds it.
    static func tryLock(_ file: OpenFile, shared: Bool) throws(Errno) -> Bool {
        do {
            try call(.lock) { flock(file.descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) }
            return true
        } catch .wouldBlock {
            return false
        }
    }

    /// A directory that is being read, entry by entry. What stands in it is reached by its descriptor, so that it is what was read,
    /// whatever its path has come to mean.
    final class OpenDirectory {
        private let stream: OpaquePointer
        private let descriptor: CInt
        let path: FilePath

        private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC

        /// A symbolic link is not followed.
        convenience init(_ path: FilePath) throws(Errno) {
            let descriptor: CInt
            do {
                descriptor = try SystemCalls.call(.list) { path.withPlatformString { Glibc.open($0, Self.flags) } }
            } catch {
                // The system calls a link no directory. People are told which of the two it is.
                let isLink = error == .notDirectory && (try? SystemCalls.status(at: path).isSymbolicLink) == true
                throw isLink ? .tooManySymbolicLinkLevels : error
            }
            try self.init(path, descriptor: descriptor)
        }

        /// - Parameter descriptor: is closed with it, or at once where it is no directory.
        init(_ path: FilePath, descriptor: CInt) throws(Errno) {
            guard let stream = fdopendir(descriptor) else {
                let code = Errno(rawValue: errno)
                _ = Glibc.close(descriptor)
                throw code
            }
            self.stream = stream
            self.descriptor = descriptor
            self.path = path
        }

        deinit { closedir(stream) }

        /// The descriptor of a directory in this one, which the caller closes.
        func descriptor(ofDirectory name: FileName) throws(Errno) -> CInt {
            try SystemCalls.call(.list) { name.withPlatformString { openat(descriptor, $0, Self.flags) } }
        }

        /// A directory in this one.
        func directory(_ name: FileName) throws(Errno) -> OpenDirectory {
            try OpenDirectory(path.appending(name), descriptor: descriptor(ofDirectory: name))
        }

        /// A file in this directory.
        func open(_ name: FileName, _ flags: CInt) throws(Errno) -> OpenFile {
            let opened = try SystemCalls.call(.open) {
                name.withPlatformString { openat(descriptor, $0, flags | O_CLOEXEC) }
            }
            return OpenFile(descriptor: opened, path: path.appending(name))
        }

        /// What is here under a name; a symbolic link is not followed.
        func status(of name: FileName) throws(Errno) -> stat {
            var status = stat()
            try SystemCalls.call(.status) {
                name.withPlatformString { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
            }
            return status
        }

        func unlink(_ name: FileName) throws(Errno) {
            try SystemCalls.call(.unlink) { name.withPlatformString { unlinkat(descriptor, $0, 0) } }
            SystemCalls.probe?.didChange(.unlinked(path.appending(name)))
        }

        func removeDirectory(_ name: FileName) throws(Errno) {
            try SystemCalls.call(.removeDirectory) {
                name.withPlatformString { unlinkat(descriptor, $0, AT_REMOVEDIR) }
            }
            SystemCalls.probe?.didChange(.removedDirectory(path.appending(name)))
        }

        /// The next entry, without `.` and `..`, in no order; nil after the last.
        func next() throws(Errno) -> DirectoryEntry? {
            while true {
                errno = 0
                guard let entry = readdir(stream) else {
                    guard errno == 0 else { throw Errno(rawValue: errno) }
                    return nil
                }
                let name = FileName(bytes: withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) })
                guard !(name == "."), !(name == "..") else { continue }
                return DirectoryEntry(name: name, isRegularFile: CInt(entry.pointee.d_type) == CInt(DT_REG))
            }
        }
    }

    /// Runs a call that answers 0 or a descriptor, again where a signal interrupted it.
    @discardableResult
    fileprivate static func call(_ name: SystemCall, _ body: () -> CInt) throws(Errno) -> CInt {
        CInt(try count(name) { Int(body()) })
    }

    static func count(_ name: SystemCall, _ body: () -> Int) throws(Errno) -> Int {
        if let error = probe?.errorBefore(name) { throw error }
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = Errno(rawValue: errno)
            guard code == .interrupted else { throw code }
        }
    }
}
