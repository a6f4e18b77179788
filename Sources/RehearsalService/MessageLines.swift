// Messages as they come in: one a line, of which the last may lack its end. Reading waits on a thread of its own.

import Dispatch
import Foundation
import Glibc
import Synchronization

/// A line of input.
enum MessageLine: Sendable {
    case message(Data)
    /// Longer than any message may be; it was skipped.
    case tooLong
}

/// The lines of a file descriptor.
final class MessageLines: Sendable {
    /// The longest line, in bytes, without its end.
    static let maximumBytes = 64 << 20
    private static let chunkBytes = 1 << 16

    private struct State {
        /// What was read; what is before `start` was given out, and up to `searched` there is no line end.
        var bytes: [UInt8] = []
        var start = 0
        var searched = 0
        var isSkipping = false
        var isAtEnd = false
    }

    private let descriptor: CInt
    /// Written to in order to end the waiting.
    private let wake: (reading: CInt, writing: CInt)
    private let isStopped = Mutex(false)
    private let queue = DispatchQueue(label: "rehearsal.input")
    private let state = Mutex(State())

    init(from descriptor: CInt) {
        self.descriptor = descriptor
        var ends: [CInt] = [-1, -1]
        // Without it, a service that is told to stop waits for the next line first.
        if pipe(&ends) != 0 { ends = [-1, -1] }
        // No program that is started meanwhile is to hold them.
        for end in ends where end >= 0 { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        wake = (ends[0], ends[1])
    }

    deinit {
        for end in [wake.reading, wake.writing] where end >= 0 { close(end) }
    }

    /// Ends the input: what has not been given out is left.
    func stop() {
        isStopped.withLock { $0 = true }
        var byte: UInt8 = 0
        _ = write(wake.writing, &byte, 1)
    }

    /// The next line; nil at the end.
    func next() async -> MessageLine? {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.state.withLock { self.next(&$0) }) }
        }
    }

    private func next(_ state: inout State) -> MessageLine? {
        while !isStopped.withLock({ $0 }) {
            if let line = Self.take(&state) { return line }
            if state.isAtEnd {
                // A message that is whole although its line has no end is a message; half of one is for the parser to refuse.
                let rest = Data(state.bytes[state.start...])
                state = State(isAtEnd: true)
                return rest.isEmpty ? nil : .message(rest)
            }
            if !read(into: &state) { state.isAtEnd = true }
        }
        return nil
    }

    /// A whole line of what was read.
    private static func take(_ state: inout State) -> MessageLine? {
        guard let end = state.bytes[state.searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            if state.isSkipping || state.bytes.count - state.start > maximumBytes {
                state = State(isSkipping: true)
            }
            state.searched = state.bytes.count
            return nil
        }
        let line = state.bytes[state.start..<end]
        let isTooLong = state.isSkipping || line.count > maximumBytes
        let message = isTooLong ? MessageLine.tooLong : .message(Data(line))
        state.start = end + 1
        state.searched = end + 1
        state.isSkipping = false
        return message
    }

    /// Reads what there is, and waits until there is something.
    ///
    /// - Returns: false at the end, and where the input was stopped.
    private func read(into state: inout State) -> Bool {
        if state.start > 0 {
            // What was given out goes, and with it the memory of a long line.
            state.bytes = Array(state.bytes[state.start...])
            state.searched -= state.start
            state.start = 0
        }
        var waiting = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake.reading, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let ready = poll(&waiting, nfds_t(waiting.count), -1)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0, waiting[1].revents == 0 else { return false }
            let count = withUnsafeTemporaryAllocation(byteCount: Self.chunkBytes, alignment: 16) { chunk in
                let count = Glibc.read(descriptor, chunk.baseAddress, chunk.count)
                if count > 0 { state.bytes.append(contentsOf: chunk[..<count]) }
                return count
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            return count > 0
        }
    }
}
