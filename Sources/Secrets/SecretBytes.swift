// The one owner of secret bytes. Everything secret lives in pages of its own, and nowhere else: no String, Data or
// array, because those leave copies behind that nobody wipes.

import CLinux
import Glibc

/// Secret bytes in memory of their own: locked, kept out of core dumps and of forked children, between guard pages,
/// and wiped when the value ends.
///
/// It cannot be copied, boxed as `Any`, printed, encoded or compared by accident; bytes are reached by closure only.
///
/// ```swift
/// let key = try SecretBytes(count: 32) { buffer in fill(buffer) }
/// key.withUnsafeBytes { bytes in use(bytes) }
/// ```
public struct SecretBytes: ~Copyable, Sendable {
    /// The largest secret that can be held, in bytes.
    public static let maximumCount = 1 << 20

    private let pages: SecretPages

    /// The number of secret bytes.
    public var count: Int { pages.count }

    /// Always the same text, whatever the secret.
    public var description: String { "SecretBytes(redacted)" }

    /// Makes a secret of `count` bytes and lets `initialize` fill it; the buffer starts out as zeros.
    ///
    /// - Parameter count: 0 to ``maximumCount`` bytes.
    /// - Throws: `SecretsError` where the memory cannot be had, and whatever `initialize` throws; the pages are wiped then.
    public init(count: Int, initialize: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
        let pages = try SecretPages(count: count)
        try initialize(pages.buffer)
        self.pages = pages
    }

    /// Makes a secret of at most `capacity` bytes; `initialize` says how many it wrote, and the rest is dropped.
    ///
    /// - Throws: `SecretsError` where the memory cannot be had, and whatever `initialize` throws.
    public init(capacity: Int, initialize: (UnsafeMutableRawBufferPointer) throws -> Int) throws {
        let whole = try SecretPages(count: capacity)
        let used = try initialize(whole.buffer)
        guard used >= 0, used <= capacity else { throw SecretsError.countOutOfRange }
        let pages = try SecretPages(count: used)
        pages.buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole.buffer[..<used]))
        self.pages = pages
    }

    /// Lends the bytes to `body`, which must neither keep the pointer nor copy what it points to into ordinary memory.
    public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(pages.buffer))
    }

    /// A second secret with the same bytes, in pages of its own.
    ///
    /// - Throws: `SecretsError` where the memory cannot be had.
    public borrowing func copy() throws -> SecretBytes {
        let source = pages.buffer
        return try SecretBytes(count: source.count) { $0.copyMemory(from: UnsafeRawBufferPointer(source)) }
    }

    /// Whether both hold the same bytes, in time that depends on their lengths only.
    public borrowing func isEqual(to other: borrowing SecretBytes) -> Bool {
        isEqual(to: UnsafeRawBufferPointer(other.pages.buffer))
    }

    /// Whether these are the secret's bytes, in time that depends on the lengths only.
    public borrowing func isEqual(to right: UnsafeRawBufferPointer) -> Bool {
        let left = pages.buffer
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
