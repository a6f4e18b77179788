import Dispatch

/// Runs what waits for locks and disks on a thread of its own, so that tasks keep theirs.
func offPool<Result: Sendable>(_ work: @Sendable @escaping () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Swift.Result { try work() }) }
    }
}
