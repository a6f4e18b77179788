import Glibc
public import SystemPackage
import Synchronization

/// A lock between processes that ends with its holder: the kernel drops it, so a crash leaves nothing to clean up.
///
/// Two locks of one process exclude each other as well.
public final class FileLock: Sendable {
    private let file: Mutex<SystemCalls.OpenFile?>

    /// Takes the lock on the file at `path`, which is made where there is none and stays behind when the lock ends.
    ///
    /// - Parameters:
    ///   - path: the lock file.
    ///   - shared: whether others may hold it at the same time that want to share it too.
    ///   - patienceMilliseconds: how long to wait for another holder; 0 answers at once.
    /// - Throws: `DurableFilesError` with `.isLocked` where another holds it.
    public init(_ path: FilePath, shared: Bool = false, patienceMilliseconds: Int = 0) throws(DurableFilesError) {
        file = Mutex(try Self.acquire(path, shared: shared, patienceMilliseconds: patienceMilliseconds))
    }

    /// Lets the lock go. Does nothing the second time.
    public func release() {
        file.withLock { $0 = nil }
    }

    private static func acquire(
        _ path: FilePath, shared: Bool, patienceMilliseconds: Int
    ) throws(DurableFilesError) -> SystemCalls.OpenFile {
        try DurableFilesError.wrapping(.lock, path) {
            // Not blocking, so that a FIFO in its place is refused rather than waited for.
            let file = try SystemCalls.open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK)
            try StrictFiles.requireOwnFile(file)
            for waited in stride(from: 0, through: patienceMilliseconds, by: 10) {
                if try SystemCalls.tryLock(file, shared: shared) {
                    if !shared { note(file) }
                    return file
                }
                if waited < patienceMilliseconds { usleep(10_000) }
            }
            throw DurableFilesError(.isLocked(process: holder(of: path)), path)
        }
    }

    /// Writes down who holds the lock, for the message that the next one gets. It is a courtesy: nothing relies on it.
    private static func note(_ file: SystemCalls.OpenFile) {
        let text = Array("\(getpid())\n".utf8)
        try? SystemCalls.truncate(file, to: 0)
        _ = try? text.withUnsafeBytes { bytes throws(Errno) in try SystemCalls.write(bytes, to: file, at: 0) }
    }

    private static func holder(of path: FilePath) -> Int32? {
        guard let bytes = try? StrictFiles.read(path, at: 0, count: 32) else { return nil }
        return Int32(String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" })
    }
}
