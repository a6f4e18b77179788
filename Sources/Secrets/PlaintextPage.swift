/// Memory for one page of plaintext: locked, kept out of core dumps, wiped when it ends. Unlike ``SecretBytes`` it is
/// written again and again, by one thread.
package struct PlaintextPage: ~Copyable {
    private let pages: SecretPages

    /// - Parameter size: in bytes.
    package init(size: Int) throws { pages = try SecretPages(count: size) }

    /// The bytes, valid as long as this value.
    package var buffer: UnsafeMutableRawBufferPointer { pages.buffer }
}

/// One thread has the page all its life; the compiler is told, so that it holds.
@available(*, unavailable)
extension PlaintextPage: Sendable {}
