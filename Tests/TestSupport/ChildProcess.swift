// Real processes: to be killed, crashed, locked out and searched.

package import Foundation
import Synchronization
package import SystemPackage

/// A child process with pipes.
package final class ChildProcess {
    package struct Outcome: Sendable {
        package let status: Int32
        package let wasSignalled: Bool
        package let output: [UInt8]
        package let errors: [UInt8]
        package var outputText: String { String(decoding: output, as: UTF8.self) }
        package var errorText: String { String(decoding: errors, as: UTF8.self) }

        /// The lines that begin with a word, in words; the last line may have been cut, and is left out.
        package func lines(_ word: String) -> [[Substring]] {
            outputText.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                .map { $0.split(separator: " ") }.filter { $0.first == word[...] }
        }
    }

    package let process = Process()
    package let input = Pipe()
    private let output = Pipe()
    private let errors = Pipe()

    /// Where the products of this package are: beside the test runner.
    package static let products: FilePath = {
        let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return FilePath(runner).removingLastComponent()
    }()

    package convenience init(
        _ product: String, _ arguments: [String], environment: [String: String] = [:], in directory: FilePath? = nil
    ) throws {
        try self.init(
            executable: Self.products.appending(product), arguments, environment: environment, in: directory)
    }

    package init(
        executable: FilePath, _ arguments: [String], environment: [String: String], in directory: FilePath?
    ) throws {
        process.executableURL = URL(fileURLWithPath: executable.string)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory.string) }
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        try process.run()
    }

    package var processIdentifier: Int32 { process.processIdentifier }

    /// Waits until the child prints a whole line, and answers it.
    package func line() -> String {
        var bytes: [UInt8] = []
        while let data = try? output.fileHandleForReading.read(upToCount: 1), let byte = data.first, byte != 10 {
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    package func send(_ line: String) {
        try? input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Ends it as a power cut would.
    package func kill() { Foundation.kill(process.processIdentifier, SIGKILL) }

    /// Closes its input, and answers all it prints from now on.
    package func finish() -> Outcome {
        try? input.fileHandleForWriting.close()
        let errorBytes = Mutex<[UInt8]>([])
        let reader = Thread { [handle = errors.fileHandleForReading] in
            let data = (try? handle.readToEnd()) ?? nil
            errorBytes.withLock { $0 = Array(data ?? Data()) }
        }
        reader.start()
        let data = (try? output.fileHandleForReading.readToEnd()) ?? nil
        process.waitUntilExit()
        while !reader.isFinished { usleep(500) }
        return Outcome(
            status: process.terminationStatus, wasSignalled: process.terminationReason == .uncaughtSignal,
            output: Array(data ?? Data()), errors: errorBytes.withLock { $0 })
    }

    /// Runs a line of bash to its end: for redirections.
    package static func shell(_ command: String, environment: [String: String] = [:]) throws -> Outcome {
        try ChildProcess(executable: "/bin/bash", ["-c", command], environment: environment, in: nil).finish()
    }

    /// How long a child takes from one line that begins so to the next, in microseconds: a window for random moments that
    /// fits this machine. The child is killed.
    package static func period(of child: ChildProcess, _ word: String) -> UInt64 {
        func wait() { while case let line = child.line(), !line.isEmpty, !line.hasPrefix(word) {} }
        wait()
        let start = ContinuousClock.now
        wait()
        let period = (ContinuousClock.now - start) / .microseconds(1)
        child.kill()
        _ = child.finish()
        return max(1_000, UInt64(period))
    }

    /// Runs a product to its end.
    package static func run(
        executable: FilePath, _ arguments: [String], input: String? = nil
    ) throws -> Outcome {
        let child = try ChildProcess(executable: executable, arguments, environment: [:], in: nil)
        if let input { child.send(input) }
        return child.finish()
    }

    package static func run(
        _ product: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        in directory: FilePath? = nil
    ) throws -> Outcome {
        let child = try ChildProcess(product, arguments, environment: environment, in: directory)
        if let input { child.send(input) }
        return child.finish()
    }
}

/// Looking for bytes in the memory of a child process.
package enum ProcessMemory {
    /// How often `needle` is found in what the process has mapped and can read.
    package static func occurrences(of needle: [UInt8], in process: Int32) throws -> Int {
        let maps = try TestFiles.readProc("/proc/\(process)/maps")
        let memory = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/\(process)/mem"))
        defer { try? memory.close() }
        var found = 0
        for line in maps.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count >= 2, words[1].hasPrefix("r"), !line.hasSuffix("[vvar]"), !line.hasSuffix("[vsyscall]")
            else {
                continue
            }
            let bounds = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard bounds.count == 2 else { continue }
            // In one piece: a needle may lie across any boundary within a mapping.
            guard (try? memory.seek(toOffset: bounds[0])) != nil,
                let data = try? memory.read(upToCount: Int(bounds[1] - bounds[0]))
            else { continue }
            found += ByteSearch.count(needle, in: Array(data))
        }
        return found
    }
}

/// Looking for bytes in bytes.
package enum ByteSearch {
    package static func count(_ needle: [UInt8], in haystack: [UInt8]) -> Int {
        guard !needle.isEmpty, haystack.count >= needle.count else { return 0 }
        return haystack.withUnsafeBytes { haystack in
            needle.withUnsafeBytes { needle in
                var count = 0
                var position = 0
                guard let base = haystack.baseAddress, let wanted = needle.baseAddress else { return 0 }
                while position + needle.count <= haystack.count,
                    let hit = memchr(base + position, Int32(needle[0]), haystack.count - position - needle.count + 1)
                {
                    position = UnsafeRawPointer(hit) - base
                    if memcmp(hit, wanted, needle.count) == 0 { count += 1 }
                    position += 1
                }
                return count
            }
        }
    }
}
