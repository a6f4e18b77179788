// Work on the pages of a file, chunk by chunk, on every core. Memory is a buffer a worker, whatever the size of the file.

import Dispatch
package import DurableFiles
import Foundation
import Synchronization

/// How far work on a file is, in pages.
package struct PageProgress: Sendable {
    package let done: Int
    package let total: Int
}

/// Whole pages that were read together.
package struct PageChunk {
    /// The pages, one after the other.
    package let bytes: UnsafeRawBufferPointer
    /// The number of the first, counted from 1.
    package let firstNumber: Int
    /// The size of each, in bytes.
    package let pageSize: Int

    /// Calls `body` for each page.
    package func forEachPage(_ body: (SealedPage) throws -> Void) rethrows {
        for index in 0..<(bytes.count / pageSize) {
            let page = UnsafeRawBufferPointer(rebasing: bytes[(index * pageSize)..<((index + 1) * pageSize)])
            try body(SealedPage(page, number: firstNumber + index))
        }
    }
}

package struct ParallelPages {
    private static let chunkTargetBytes = 1 << 20

    /// The length of every chunk but the last, in bytes.
    package var chunkBytes: Int { pagesAtOnce * pageSize }
    private let pagesAtOnce: Int

    /// The file.
    package let file: DataFile
    /// The size of a page, in bytes.
    package let pageSize: Int
    /// How many whole pages there are.
    package let pageCount: Int
    /// How many threads work.
    package let workers: Int

    package init(_ file: DataFile, pageSize: Int, workers: Int? = nil) throws {
        self.file = file
        self.pageSize = pageSize
        pageCount = try file.length() / pageSize
        pagesAtOnce = max(1, Self.chunkTargetBytes / pageSize)
        let chunks = (pageCount + pagesAtOnce - 1) / pagesAtOnce
        self.workers = max(1, min(workers ?? ProcessInfo.processInfo.activeProcessorCount, chunks))
    }

    /// Lets every worker make what it needs for itself, work on chunks until none is left, and hand in its result.
    ///
    /// Chunks are handed out in order and finished in any. Cancelling the task that called ends the work with
    /// ``PageCipherError/cancelled``. A file that became shorter ends it with ``DurableFilesError``.
    ///
    /// - Parameters:
    ///   - progress: called after each chunk, by one thread at a time.
    ///   - worker: gets a function that lends the next chunk to its argument and answers false where there is none.
    /// - Returns: the workers' results, in no order.
    package func run<Result: Sendable>(
        progress: (@Sendable (PageProgress) -> Void)?,
        worker: @Sendable (_ next: ((PageChunk) throws -> Void) throws -> Bool) throws -> Result
    ) throws -> [Result] {
        let shared = Mutex(SharedWork<Result>())
        let probe = SystemCalls.probe
        withUnsafeCurrentTask { task in
            // Asking whether a task is cancelled is safe from any thread while the task runs, and it waits right here.
            nonisolated(unsafe) let task = task
            DispatchQueue.concurrentPerform(iterations: workers) { _ in
                SystemCalls.$probe.withValue(probe) {
                    do {
                        var buffer = [UInt8](repeating: 0, count: pagesAtOnce * pageSize)
                        let result = try worker { body in
                            if task?.isCancelled ?? false { throw PageCipherError.cancelled }
                            let first = shared.withLock { shared in
                                defer { shared.nextPage = min(pageCount, shared.nextPage + pagesAtOnce) }
                                return shared.error == nil ? shared.nextPage : pageCount
                            }
                            let count = min(pagesAtOnce, pageCount - first)
                            guard count > 0 else { return false }
                            try buffer.withUnsafeMutableBytes { buffer in
                                let chunk = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * pageSize)])
                                let found = try file.read(at: first * pageSize, into: chunk)
                                guard found == chunk.count else { throw DurableFilesError.shrank(file) }
                                try body(
                                    PageChunk(
                                        bytes: UnsafeRawBufferPointer(chunk), firstNumber: first + 1, pageSize: pageSize
                                    ))
                            }
                            shared.withLock { shared in
                                shared.donePages += count
                                progress?(PageProgress(done: shared.donePages, total: pageCount))
                            }
                            return true
                        }
                        shared.withLock { $0.results.append(result) }
                    } catch {
                        shared.withLock { $0.error = $0.error ?? error }
                    }
                }
            }
        }
        return try shared.withLock { shared in
            if let error = shared.error { throw error }
            return shared.results
        }
    }
}

/// What the workers share.
private struct SharedWork<Result: Sendable> {
    var nextPage = 0
    var donePages = 0
    var results: [Result] = []
    var error: (any Error)?
}
