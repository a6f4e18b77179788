// Work that keeps a thread for seconds does not belong on the few threads that every task of a program shares.

import Dispatch

/// Runs blocking work for a task on a thread of its own. It is the same task there: cancelling it is noticed, and task
/// locals hold.
package enum BlockingWork {
    package static func run<Result: Sendable>(_ work: @Sendable @escaping () throws -> Result) async throws -> Result {
        try await withTaskExecutorPreference(BlockingExecutor.shared) { try work() }
    }
}

private final class BlockingExecutor: TaskExecutor {
    static let shared = BlockingExecutor()

    private let queue = DispatchQueue(label: "strongroom.blocking-work", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
