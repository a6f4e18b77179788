// How much still fits on a disk, asked before work begins that needs a known amount: what is not begun leaves nothing to clean up.

import Glibc
package import SystemPackage

package enum Room {
    /// How many bytes this user can still write into files of a directory. A quota may leave less.
    package static func available(in directory: FilePath) throws(DurableFilesError) -> Int {
        try DurableFilesError.wrapping(.open, directory) {
            let room = try SystemCalls.room(in: directory)
            let (bytes, isTooLarge) = UInt64(room.f_bavail).multipliedReportingOverflow(by: UInt64(room.f_frsize))
            return isTooLarge ? .max : Int(clamping: bytes)
        }
    }

    /// That `bytes` more would fit.
    ///
    /// - Throws: `DurableFilesError`, whose code is `disk_full` and which says how much is needed and how much there is.
    package static func require(_ bytes: Int, in directory: FilePath) throws(DurableFilesError) {
        let available = try available(in: directory)
        guard available >= bytes else {
            throw DurableFilesError(.noRoom(needed: bytes, available: available), directory)
        }
    }

    /// Whether so little is left that a failure to write is no surprise. SQLite says of some of these only that there was an
    /// input/output error.
    package static func isUsedUp(in directory: FilePath) -> Bool {
        (try? available(in: directory)).map { $0 < 128 << 10 } ?? false
    }

    /// `12.3 MB`, for people.
    package static func text(_ bytes: Int) -> String {
        let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
        var (value, unit) = (Double(bytes), 0)
        while value >= 999.95 { (value, unit) = (value / 1_000, unit + 1) }
        if unit == 0 { return "\(bytes) bytes" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
