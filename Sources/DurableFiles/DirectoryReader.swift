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

    /// The next names, `count` at most; none after the last.
    package func next(_ count: Int) throws(DurableFilesError) -> [String] { try nextEntries(count).map(\.name) }

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
}

/// A name in a directory.
package struct DirectoryEntry: Sendable {
    package let name: String
    /// Whether the directory says that it is a regular file. It may be one where that is not said.
    package let isRegularFile: Bool
}
