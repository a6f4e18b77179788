import Glibc
import Synchronization

/// Replies, one a line, on what was standard output. From here on, what anybody else prints goes to standard error: a line that is
/// no reply would break the conversation.
final class ReplyLines: Sendable {
    private let descriptor: CInt
    private let isBroken = Mutex(false)

    init() {
        descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        dup2(STDERR_FILENO, STDOUT_FILENO)
    }

    /// Writes a line whole, after any other.
    ///
    /// - Returns: false where nobody reads any more.
    @discardableResult
    func write(_ line: consuming [UInt8]) -> Bool {
        line.append(UInt8(ascii: "\n"))
        return isBroken.withLock { isBroken in
            var written = 0
            while !isBroken, written < line.count {
                let count = line.withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written)
                }
                if count < 0, errno == EINTR { continue }
                if count < 0 { isBroken = true } else { written += count }
            }
            return !isBroken
        }
    }
}
