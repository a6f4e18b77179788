public import Foundation
public import SystemPackage

/// What a file, or a directory with everything in it, takes on the disk.
public struct DiskUse: Sendable, Hashable {
    /// In bytes, whole blocks.
    public private(set) var bytes = 0
    /// When any of it last changed.
    public private(set) var changed = Date.distantPast

    /// Looks at everything below `path`; symbolic links are counted, not followed.
    ///
    /// - Throws: `DurableFilesError` where something could not be looked at.
    public init(of path: FilePath) throws(DurableFilesError) {
        let status = try DurableFilesError.wrapping(.open, path) { try SystemCalls.status(at: path) }
        add(status)
        guard status.isDirectory else { return }
        try DurableFilesError.wrapping(.list, path) { try add(SystemCalls.OpenDirectory(path)) }
    }

    private mutating func add(_ directory: SystemCalls.OpenDirectory) throws(Errno) {
        while let entry = try directory.next() {
            let status = try directory.status(of: entry.name)
            add(status)
            if status.isDirectory { try add(directory.directory(entry.name)) }
        }
    }

    private mutating func add(_ status: stat) {
        // The system counts in pieces of 512 bytes, whatever its blocks are.
        let (more, isTooLarge) = Int(status.st_blocks).multipliedReportingOverflow(by: 512)
        let (sum, isSumTooLarge) = bytes.addingReportingOverflow(isTooLarge ? .max : more)
        bytes = isSumTooLarge ? .max : sum
        let seconds = TimeInterval(status.st_mtim.tv_sec) + TimeInterval(status.st_mtim.tv_nsec) / 1_000_000_000
        changed = max(changed, Date(timeIntervalSince1970: seconds))
    }
}
