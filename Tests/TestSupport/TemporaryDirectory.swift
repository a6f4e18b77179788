package import DurableFiles
import Foundation
package import SystemPackage

/// A directory (0700) that goes when nobody holds it any more.
package final class TemporaryDirectory: Sendable {
    package let path: FilePath

    package init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "strongroom-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: url, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        path = FilePath(url.path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }

    package func appending(_ name: String) -> FilePath { path.appending(name) }
}

/// Plain reading and writing of test files, which need not be durable.
package enum TestFiles {
    package static func read(_ path: FilePath) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path.string)))
    }

    /// A file of /proc, whose length is not known before it has been read.
    package static func readProc(_ path: String) throws -> String {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? handle.close() }
        return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
    }

    package static func write(_ bytes: some Sequence<UInt8>, to path: FilePath, mode: Int = 0o600) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path.string))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path.string)
    }

    /// A file whose name need not be text.
    package static func write(_ bytes: [UInt8], named name: FileName, in directory: FilePath) throws {
        let file = try FileDescriptor.open(
            directory.appending(name), .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(bytes) }
    }

    /// Changes a file in place.
    package static func edit(_ path: FilePath, _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try read(path)
        change(&bytes)
        try write(bytes, to: path)
    }

    /// Every regular file under a directory.
    package static func tree(_ path: FilePath) throws -> [FilePath] {
        let enumerator = FileManager.default.enumerator(atPath: path.string)
        var files: [FilePath] = []
        while let name = enumerator?.nextObject() as? String {
            var isDirectory: ObjCBool = false
            let file = path.pushing(FilePath(name))
            if FileManager.default.fileExists(atPath: file.string, isDirectory: &isDirectory), !isDirectory.boolValue {
                files.append(file)
            }
        }
        return files.sorted { $0.string < $1.string }
    }

    /// Every file under a directory with its bytes, to show that nothing changed.
    package static func snapshot(_ path: FilePath, ignoring suffixes: [String] = [".lock", "-shm"]) throws -> [String:
        [UInt8]]
    {
        var contents: [String: [UInt8]] = [:]
        for file in try tree(path) where !suffixes.contains(where: file.string.hasSuffix) {
            contents[file.string] = try read(file)
        }
        return contents
    }
}
