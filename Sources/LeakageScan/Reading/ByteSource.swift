// Where a scan's bytes come from when they come one after the other.

import DurableFiles
import Glibc

/// Bytes that can be read once, in order.
protocol ByteSource: AnyObject {
    /// Fills a buffer from its beginning.
    ///
    /// - Returns: how many bytes there were; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

extension ByteSource {
    /// Fills a whole buffer, or as much of it as there are bytes.
    func fill(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var count = 0
        while count < buffer.count {
            let more = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
            if more == 0 { break }
            count += more
        }
        return count
    }
}

/// A file that an archive is read from: it can be read anywhere, which zip needs.
final class FileSource: ByteSource {
    private let file: DataFile
    let length: Int
    var position = 0

    init(_ file: DataFile) {
        self.file = file
        length = file.lengthAtOpening
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try file.read(at: position, into: buffer)
        position += count
        return count
    }
}

/// A descriptor that somebody else opened: standard input.
final class DescriptorSource: ByteSource {
    private let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    struct Failed: Error {}

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failed() }
            return count
        }
    }
}

/// Another source, of which the first bytes have been looked at already, and of which everything that is read is looked at by
/// somebody else too.
final class WatchedSource: ByteSource {
    private let source: any ByteSource
    private var first: [UInt8]
    private let watch: (UnsafeRawBufferPointer) throws -> Void

    /// - Parameter watch: sees what is read after `first`.
    init(_ source: any ByteSource, first: [UInt8], watch: @escaping (UnsafeRawBufferPointer) throws -> Void) {
        self.source = source
        self.first = first
        self.watch = watch
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if !first.isEmpty {
            let count = min(first.count, buffer.count)
            buffer.copyBytes(from: first[..<count])
            first.removeFirst(count)
            return count
        }
        let count = try source.read(into: buffer)
        try watch(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }
}
