package import DurableFiles
import Foundation
package import Strongroom
package import SystemPackage

/// The states of the disk that a power loss may leave of a change to a store, each opened by whoever comes next.
package enum StoreCrashes {
    /// Records `change`, and looks at each state that it may leave.
    ///
    /// - Parameters:
    ///   - root: the directory with the store, `store`, and its key file, `key`.
    ///   - limit: how many states to look at; a sample where there are more.
    ///   - check: looks at one state; gets the store, opened without its global database, and the directory it is in.
    /// - Returns: how often `check` said what.
    package static func enumerate(
        _ name: String, in root: FilePath, limit: Int = .max, _ change: () async throws -> Void,
        check: (Store, FilePath) async throws -> String
    ) async throws -> [String: Int] {
        let initial = try TestFiles.snapshot(root, ignoring: ["-shm"])
        let probe = RecordingProbe()
        try await SystemCalls.$probe.withValue(probe) { try await change() }
        return try await enumerate(name, initial, probe.effects, root, limit: limit, check: check)
    }

    /// The same, of changes that have been recorded.
    package static func enumerate(
        _ name: String, _ initial: [String: [UInt8]], _ effects: [DiskEffect], _ root: FilePath, limit: Int = .max,
        check: (Store, FilePath) async throws -> String
    ) async throws -> [String: Int] {
        let enumerator = CrashEnumerator(initial: initial, effects: effects)
        let states = limit == .max ? Array(enumerator.states()) : enumerator.sample(limit)
        var outcomes: [String: Int] = [:]
        for state in states {
            let directory = try TemporaryDirectory()
            try state.materialise(at: directory.path, insteadOf: root)
            let store = try Store.openWithoutGlobal(
                at: directory.appending("store"), with: .keyFile(directory.appending("key")),
                options: StoreOptions(recovery: .never))
            outcomes[try await check(store, directory.path), default: 0] += 1
            try store.lock()
        }
        print("crash enumeration, \(name): \(states.count) disk states after \(effects.count) changes: \(outcomes)")
        return outcomes
    }
}
