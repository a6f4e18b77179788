import Synchronization
package import SystemPackage

/// The names in a directory of any size, so many at once and in no order. A name that is added or removed meanwhile may be
/// among them or not.
package final class DirectoryReader: Sendable {
    private let directory: Mutex<SystemCalls.OpenDirectory>
    private let path: FilePath

    package init(_ path: FilePath) throws(DurableFilesError) {
        self.path = path
        directory = Mutex(try DurableFilesError.wrapping(.list, path) { try SystemCalls.OpenDirectory(path) })
    }

    /// - Parameter descriptor: is closed with it.
    private init(_ path: FilePath, descriptor: CInt) throws(DurableFilesError) {
        self.path = path
        directory = Mutex(
            try DurableFilesError.wrapping(.list, path) { try SystemCalls.OpenDirectory(path, descriptor: descriptor) })
    }

    /// The next names, `count` at most; none after the last.
    package func next(_ count: Int) throws(DurableFilesError) -> [FileName] { try nextEntries(count).map(\.name) }

    /// The same, with what the directory says that each is.
    package func nextEntries(_ count: Int) throws(DurableFilesError) -> [DirectoryEntry] {
        try DurableFilesError.wrapping(.list, path) {
            try directory.withLock { directory throws(Errno) in
                var entries: [DirectoryEntry] = []
                while entries.count < count, let entry = try directory.next() { entries.append(entry) }
                return entries
            }
        }
    }

    /// A directory in this one. A symbolic link is not followed.
    package func directory(_ name: FileName) throws(DurableFilesError) -> DirectoryReader {
        let descriptor = try DurableFilesError.wrapping(.list, path.appending(name)) {
            try directory.withLock { directory throws(Errno) in try directory.descriptor(ofDirectory: name) }
        }
        return try DirectoryReader(path.appending(name), descriptor: descriptor)
    }

    /// A file in this directory. A symbolic link is not followed.
    package func file(_ name: FileName) throws(DurableFilesError) -> DataFile {
        try DataFile(path.appending(name)) { flags throws(Errno) in
            try directory.withLock { directory throws(Errno) in try directory.open(name, flags) }
        }
    }

    /// What is in this directory under a name. A symbolic link is not followed.
    package func kind(of name: FileName) throws(DurableFilesError) -> StrictFiles.Kind {
        try DurableFilesError.wrapping(.open, path.appending(name)) {
            StrictFiles.Kind(try directory.withLock { directory throws(Errno) in try directory.status(of: name) })
        }
    }
}

/// A name in a directory.
package struct DirectoryEntry: Sendable {
    package let name: FileName
    /// Whether the directory says that it is a regular file. It may be one where that is not said.
    package let isRegularFile: Bool
}
