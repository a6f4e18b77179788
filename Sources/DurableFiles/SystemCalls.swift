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

    static func status(of file: OpenFile) throws(Errno) -> stat {
        var status = stat()
        try call(.status) { fstat(file.descriptor, &status) }
        return status
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
            if length > 0 { try call(.truncate) { fallocate(file.descriptor, 0, 0, off_t(length)) } }
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

    /// A directory that is being read, entry by entry.
    final class OpenDirectory {
        private let stream: OpaquePointer

        init(_ path: FilePath) throws(Errno) {
            if let error = probe?.errorBefore(.list) { throw error }
            guard let stream = path.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
            self.stream = stream
        }

        deinit { closedir(stream) }

        /// The next entry, without `.` and `..`, in no order; nil after the last.
        func next() throws(Errno) -> DirectoryEntry? {
            while true {
                errno = 0
                guard let entry = readdir(stream) else {
                    guard errno == 0 else { throw Errno(rawValue: errno) }
                    return nil
                }
                let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                guard name != ".", name != ".." else { continue }
                return DirectoryEntry(name: name, isRegularFile: CInt(entry.pointee.d_type) == CInt(DT_REG))
            }
        }
    }

    /// Runs a call that answers 0 or a descriptor, again where a signal interrupted it.
    @discardableResult
    private static func call(_ name: SystemCall, _ body: () -> CInt) throws(Errno) -> CInt {
        CInt(try count(name) { Int(body()) })
    }

    private static func count(_ name: SystemCall, _ body: () -> Int) throws(Errno) -> Int {
        if let error = probe?.errorBefore(name) { throw error }
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = Errno(rawValue: errno)
            guard code == .interrupted else { throw code }
        }
    }
}
