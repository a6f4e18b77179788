// store/reserve: room that is kept for the moment when there is none. docs/decisions/0026-room.md.

import DurableFiles
import ErrorReporting
import SystemPackage

/// A file of zeros that is removed when the disk is full, so that a profile can be listed or deleted all the same.
struct RoomReserve: Sendable {
    /// What a change of the list of profiles and of an envelope needs, several times over.
    static let bytes = 256 << 10
    /// It is made again where so much is free.
    private static let plenty = 16 << 20

    let path: FilePath

    init(in store: FilePath) { path = store.appending("reserve") }

    /// Runs `body`, and where the disk is full, once more with the room that was kept.
    ///
    /// - Parameters:
    ///   - isRepeatable: asked after a failure: whether what `body` did surely does not count.
    ///   - body: is run twice at most.
    func whereNeeded<Result>(isRepeatable: () -> Bool = { true }, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch {
            guard (error as? any ReportableError)?.code == "disk_full", isRepeatable(), release() else { throw error }
            return try body()
        }
    }

    /// Makes it where it is missing, or was not finished, and there is plenty of room. Nothing depends on it, so a failure is not told.
    func make() {
        guard (try? DataFile(path).length()) != Self.bytes,
            let available = try? Room.available(in: DurableFiles.parent(of: path)), available > Self.plenty
        else { return }
        try? DurableFiles.remove(path)
        // Zeros are written: room that is only allocated reads as a hole, which a leak scan reports.
        try? [UInt8](repeating: 0, count: Self.bytes).withUnsafeBytes { try NewDataFile(path).write($0, at: 0) }
    }

    private func release() -> Bool {
        guard (try? StrictFiles.exists(path)) == true else { return false }
        return (try? DurableFiles.remove(path)) != nil
    }
}
