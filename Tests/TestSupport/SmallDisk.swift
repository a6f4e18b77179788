import Foundation
package import SystemPackage

/// A file system of a few megabytes, in memory, which can be filled up. Only root may mount one.
package final class SmallDisk: Sendable {
    package let path: FilePath
    private let directory: TemporaryDirectory

    /// Whether this process may mount one.
    package static let isPossible: Bool = (try? SmallDisk(bytes: 1 << 20)) != nil

    package init(bytes: Int) throws {
        directory = try TemporaryDirectory()
        path = directory.appending("disk")
        try FileManager.default.createDirectory(
            atPath: path.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try Self.run("mount", ["-t", "tmpfs", "-o", "size=\(bytes),mode=0700", "tmpfs", path.string])
    }

    deinit { try? Self.run("umount", ["-l", path.string]) }

    private var filler: FilePath { path.appending("filler") }

    /// Leaves no byte free.
    package func fill() throws {
        let file = try FileDescriptor.open(
            filler, .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
        try file.closeAfter {
            for size in [1 << 16, 1 << 12] {
                let piece = [UInt8](repeating: 0xff, count: size)
                do { while true { _ = try file.writeAll(piece) } } catch Errno.noSpace {}
            }
        }
    }

    /// Takes what ``fill()`` wrote away.
    package func empty() throws { try FileManager.default.removeItem(atPath: filler.string) }

    private static func run(_ name: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Errno.notPermitted }
    }
}
