// The memory of a process, as /proc shows it.

import Glibc
import SystemPackage

/// What a process has mapped and can read.
final class ProcessMemory: Sendable {
    let artifact: Artifact
    let regions: [Range<UInt>]
    private let descriptor: Int32

    /// - Throws: `ScanError.processMissing`; `.processNotOwn` where it belongs to another user, or is this one, which holds what is
    ///   looked for.
    init(_ process: Int32, _ collector: Collector) throws {
        let directory = "/proc/\(process)"
        var status = stat()
        guard process > 0, stat(directory, &status) == 0 else { throw ScanError(.processMissing) }
        guard process != getpid(), status.st_uid == geteuid() else { throw ScanError(.processNotOwn) }
        artifact = Artifact(file: "process \(process)")
        let maps = try? DescriptorSource.whole(of: directory + "/maps")
        descriptor = open(directory + "/mem", O_RDONLY | O_CLOEXEC)
        guard let maps, descriptor >= 0 else {
            if descriptor >= 0 { close(descriptor) }
            throw ScanError(.processNotOwn)
        }
        regions = Self.regions(maps)
        let count = regions.count
        collector.count { $0.memoryRegions += count }
    }

    deinit { close(descriptor) }

    /// Lines such as `7f12-7f34 r-xp 00000000 08:01 123 /lib/x.so`.
    private static func regions(_ maps: [UInt8]) -> [Range<UInt>] {
        maps.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
            guard words.count >= 2, words[1].first == UInt8(ascii: "r") else { return nil }
            // The kernel's own, which it does not lend.
            let name = words.count > 5 ? String(decoding: words[5], as: UTF8.self) : ""
            guard name != "[vvar]", name != "[vsyscall]", name != "[vvar_vclock]" else { return nil }
            let bounds = words[0].split(separator: UInt8(ascii: "-"))
                .compactMap { UInt(String(decoding: $0, as: UTF8.self), radix: 16) }
            guard bounds.count == 2, bounds[0] < bounds[1] else { return nil }
            return bounds[0]..<bounds[1]
        }
    }

    /// Fills a buffer from an address on.
    ///
    /// - Returns: how many bytes could be read.
    func read(at address: UInt, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        while count < buffer.count {
            let step = pread(
                descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count,
                off_t(Int(bitPattern: address) &+ count))
            if step < 0, errno == EINTR { continue }
            if step <= 0 { break }
            count += step
        }
        return count
    }

    /// The region that holds an address.
    func region(of address: UInt) -> Range<UInt> { regions.first { $0.contains(address) } ?? address..<address }
}

extension DescriptorSource {
    /// A file of /proc, whose length is not known before it has been read.
    static func whole(of path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failed() }
        defer { close(descriptor) }
        let source = DescriptorSource(descriptor)
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try block.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { return bytes }
            bytes += block[..<count]
        }
    }
}
