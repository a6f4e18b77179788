import Glibc

extension SecretBytes {
    /// Reads a secret from a file descriptor, such as a pipe, until its end. A line end at the end is left out.
    ///
    /// ```swift
    /// let secret = try UnlockSecret.passphrase(SecretBytes(readingFrom: 3))
    /// ```
    ///
    /// - Parameters:
    ///   - descriptor: an open file descriptor; it stays open.
    ///   - capacity: the most that is read, in bytes; what comes after is left unread. Unless said otherwise, the longest passphrase
    ///     (1,024 bytes) and a line end, so that one that is longer is seen to be, and refused.
    /// - Throws: `SecretsError.descriptorUnreadable`, and `SecretsError` where the memory cannot be had.
    public init(readingFrom descriptor: CInt, capacity: Int = 1_026) throws {
        try self.init(capacity: capacity) { buffer in
            var count = 0
            while count < buffer.count {
                let step = read(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
                if step < 0, errno == EINTR { continue }
                guard step >= 0 else { throw SecretsError.descriptorUnreadable }
                if step == 0 { break }
                count += step
            }
            if count > 0, buffer[count - 1] == UInt8(ascii: "\n") { count -= 1 }
            if count > 0, buffer[count - 1] == UInt8(ascii: "\r") { count -= 1 }
            return count
        }
    }
}
