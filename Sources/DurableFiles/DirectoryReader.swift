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
    package func next(_ count: Int) throws(DurableFilesError) -> [String] {
        try DurableFilesError.wrapping(.list, path) {
            try directory.withLock { directory throws(Errno) in
                var names: [String] = []
                while names.count < count, let name = try directory.next() { names.append(name) }
                return names
            }
        }
    }
}
