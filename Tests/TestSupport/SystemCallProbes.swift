package import DurableFiles
import Synchronization
package import SystemPackage

/// Lets the n-th system call fail, once.
package final class FailingProbe: SystemCallProbe {
    private let failing: Int
    private let error: Errno
    private let calls: Set<SystemCall>
    private let seen = Mutex(0)

    package init(failing n: Int, with error: Errno, calls: Set<SystemCall> = Set(SystemCall.allCases)) {
        failing = n
        self.error = error
        self.calls = calls
    }

    /// How many calls there were.
    package var count: Int { seen.withLock { $0 } }

    /// Whether the call that was to fail was reached.
    package var hasFailed: Bool { count >= failing }

    package func errorBefore(_ call: SystemCall) -> Errno? {
        guard calls.contains(call) else { return nil }
        return seen.withLock { seen in
            seen += 1
            return seen == failing ? error : nil
        }
    }

    package func didChange(_ effect: DiskEffect) {}
}

/// Writes down what changes on the disk, in order.
package final class RecordingProbe: SystemCallProbe {
    private let recorded = Mutex<[DiskEffect]>([])

    package init() {}

    package var effects: [DiskEffect] { recorded.withLock { $0 } }

    package func errorBefore(_ call: SystemCall) -> Errno? { nil }
    package func didChange(_ effect: DiskEffect) { recorded.withLock { $0.append(effect) } }
}

/// The same for work that goes on in the background; says how many calls were made to fail.
///
/// - Parameter name: what is printed.
/// - Returns: how many calls were made to fail.
package func withEachCallFailing(
    of name: String, _ error: Errno, limit: Int = 2_000, _ body: (FailingProbe) async throws -> Void
) async throws -> Int {
    var failed = 0
    while failed < limit {
        let probe = FailingProbe(failing: failed + 1, with: error)
        try await body(probe)
        if !probe.hasFailed { break }
        failed += 1
    }
    print("faults, \(name): \(failed) system calls failed with \(error)")
    return failed
}

/// Runs `body` with call 1 failing, then call 2, and so on until none is left to fail.
///
/// - Returns: how many calls were made to fail.
package func withEachCallFailing(
    _ error: Errno, calls: Set<SystemCall> = Set(SystemCall.allCases), limit: Int = 2_000,
    _ body: (FailingProbe) throws -> Void
) throws -> Int {
    for n in 1...limit {
        let probe = FailingProbe(failing: n, with: error, calls: calls)
        try body(probe)
        if !probe.hasFailed { return n - 1 }
    }
    return limit
}
