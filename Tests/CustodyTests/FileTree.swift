// The files of a store in memory: they are written out once for each case of the matrix, and compared afterwards. In text and plain
// system calls: a debug build takes a hundred times as long over `FilePath`.

import Foundation
import Glibc
import SystemPackage

/// Every regular file below a directory, by its path in there.
struct FileTree: Sendable {
    typealias Bytes = [UInt8]

    private(set) var files: [String: Bytes] = [:]
    private var directories: [String] = []

    subscript(path: String) -> Bytes? { files[path] }

    init() {}

    init(of root: FilePath) throws { try read(root.string, "") }

    private mutating func read(_ root: String, _ prefix: String) throws {
        guard let stream = opendir(prefix.isEmpty ? root : "\(root)/\(prefix)") else { throw Errno(rawValue: errno) }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = prefix.isEmpty ? name : "\(prefix)/\(name)"
            if entry.pointee.d_type == UInt8(DT_DIR) {
                directories.append(path)
                try read(root, path)
            } else if !path.hasSuffix("-shm") {
                files[path] = try Self.read("\(root)/\(path)")
            }
        }
    }

    static func read(_ path: String) throws -> Bytes {
        let file = Glibc.open(path, O_RDONLY)
        guard file >= 0 else { throw Errno(rawValue: errno) }
        defer { close(file) }
        let length = Int(lseek(file, 0, SEEK_END))
        return Bytes(unsafeUninitializedCapacity: length) { buffer, count in
            count = max(0, pread(file, buffer.baseAddress, length, 0))
        }
    }

    private static func write(_ bytes: Bytes, to path: String) throws {
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { throw Errno(rawValue: errno) }
        defer { close(file) }
        guard bytes.isEmpty || Glibc.write(file, bytes, bytes.count) == bytes.count else {
            throw Errno(rawValue: errno)
        }
    }

    /// Puts a file in a place in one step, as an attacker would who exchanges it.
    static func put(_ bytes: Bytes?, at path: String) throws {
        guard let bytes else {
            if unlink(path) != 0, errno != ENOENT { throw Errno(rawValue: errno) }
            return
        }
        try write(bytes, to: path + ".exchange")
        guard rename(path + ".exchange", path) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Writes it out below a directory that is not there yet.
    func write(to root: FilePath) throws {
        let root = root.string
        for place in [root] + directories.map({ "\(root)/\($0)" }) {
            guard mkdir(place, 0o700) == 0 else { throw Errno(rawValue: errno) }
        }
        for (path, bytes) in files { try Self.write(bytes, to: "\(root)/\(path)") }
    }

    /// What differs between two moments; locks hold nothing.
    func changes(since before: FileTree) -> Set<String> {
        var changed: Set<String> = []
        for (path, bytes) in files where before.files[path] != bytes && !path.hasSuffix(".lock") {
            changed.insert(path)
        }
        for path in before.files.keys where files[path] == nil && !path.hasSuffix(".lock") { changed.insert(path) }
        return changed
    }
}
