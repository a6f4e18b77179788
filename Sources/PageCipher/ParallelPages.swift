// Work on the pages of a file, chunk by chunk, on every core. Memory is a buffer a worker, whatever the size of the file.

import Dispatch
import DurableFiles
import Foundation
import Glibc
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

    /// Whether these are the same bytes; nothing in them is secret.
    func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
        guard let left = bytes.baseAddress, let right = other.baseAddress else { return bytes.count == other.count }
        return bytes.count == other.count && memcmp(left, right, bytes.count) == 0
    }

    /// Calls `body` for each page.
    package func forEachPage(_ body: (SealedPage) throws -> Void) rethrows {
        for index in 0..<(bytes.count / pageSize) {
            let page = UnsafeRawBufferPointer(rebasing: bytes[(index * pageSize)..<((index + 1) * pageSize)])
            try body(SealedPage(page, number: firstNumber + index))
        }
    }
}

package struct ParallelPages {
    /// A chunk is a group of the root over the tags.
    private static let chunkTargetBytes = 1 << 20

    /// How many pages a chunk has, but the last.
    static func pagesInGroup(pageSize: Int) -> Int { max(1, chunkTargetBytes / pageSize) }

    /// The length of every chunk but the last, in bytes.
    package var chunkBytes: Int { pagesAtOnce * pageSize }
    private let pagesAtOnce: Int

    private let source: PageSource
    private let pageSize: Int
    /// How many whole pages there are.
    package let pageCount: Int
    /// How many threads work.
    package let workers: Int

    /// - Parameters:
    ///   - workers: how many threads; one a core unless said otherwise.
    ///   - workersPerCore: how many threads a core, where `workers` is nil.
    package init(_ source: PageSource, workers: Int? = nil, workersPerCore: Int = 1) {
        self.source = source
        pageSize = source.pageSize
        pageCount = source.pageCount
        pagesAtOnce = Self.pagesInGroup(pageSize: pageSize)
        let chunks = (pageCount + pagesAtOnce - 1) / pagesAtOnce
        self.workers = max(1, min(workers ?? workersPerCore * ProcessInfo.processInfo.activeProcessorCount, chunks))
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
        worker: @Sendable @escaping (_ next: ((PageChunk) throws -> Void) throws -> Bool) throws -> Result
    ) throws -> [Result] {
        let shared = Mutex(SharedWork<Result>())
        let probe = SystemCalls.probe
        withUnsafeCurrentTask { task in
            // Asking whether a task is cancelled is safe from any thread while the task runs, and it waits right here.
            nonisolated(unsafe) let task = task
            Self.onThreads(workers) {
                SystemCalls.$probe.withValue(probe) {
                    do {
                        // Aligned, so that it can be written on from past the page cache.
                        let buffer = UnsafeMutableRawBufferPointer.allocate(
                            byteCount: pagesAtOnce * pageSize, alignment: NewDataFile.alignment)
                        defer { buffer.deallocate() }
                        let result = try worker { body in
                            if task?.isCancelled ?? false { throw PageCipherError.cancelled }
                            let first = shared.withLock { shared in
                                defer { shared.nextPage = min(pageCount, shared.nextPage + pagesAtOnce) }
                                return shared.error == nil ? shared.nextPage : pageCount
                            }
                            let count = min(pagesAtOnce, pageCount - first)
                            guard count > 0 else { return false }
                            let chunk = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * pageSize)])
                            try source.read(from: first + 1, into: chunk)
                            try body(
                                PageChunk(
                                    bytes: UnsafeRawBufferPointer(chunk), firstNumber: first + 1, pageSize: pageSize))
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

extension ParallelPages {
    /// Runs `body` once on each of so many threads, and waits for all of them. Threads of its own, because a pool has no more
    /// than there are cores, and some of these are to wait for the disk.
    private static func onThreads(_ count: Int, _ body: @Sendable @escaping () -> Void) {
        guard count > 1 else { return body() }
        let group = DispatchGroup()
        for _ in 0..<count {
            group.enter()
            Thread {
                body()
                group.leave()
            }.start()
        }
        group.wait()
    }
}

/// What the workers share.
private struct SharedWork<Result: Sendable> {
    var nextPage = 0
    var donePages = 0
    var results: [Result] = []
    var error: (any Error)?
}
