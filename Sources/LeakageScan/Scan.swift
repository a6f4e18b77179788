// A scan from beginning to end.

import DurableFiles
import Foundation
import Synchronization

/// Looks for secrets, in every form in which they leak, and for plaintext where ciphertext is expected.
///
/// ```swift
/// let scan = try Scan(needles: [Needle("data key", .key, secret)])
/// let result = try scan.run([.path("/var/log")])
/// ```
public struct Scan: Sendable {
    let detectors: Detectors
    private let options: ScanOptions

    /// - Parameters:
    ///   - needles: what is looked for. Schedules of keys are looked for without any.
    ///   - kit: keys that are not at hand.
    ///   - options: how.
    /// - Throws: `ScanError`; `SecretsError` where there is no memory for the needles.
    public init(needles: [Needle] = [], kit: BlindKit? = nil, options: ScanOptions = ScanOptions()) throws {
        detectors = try Detectors(needles: needles, kit: kit)
        self.options = options
    }

    /// Looks through all of the targets.
    ///
    /// - Parameters:
    ///   - targets: files, directories, processes, descriptors.
    ///   - selfTest: whether to plant throwaway keys first and see whether they are found; without that nothing is ever clean.
    ///   - progress: called now and then, by any thread.
    /// - Throws: `ScanError` where a process cannot be looked at, or the task was cancelled.
    public func run(
        _ targets: [ScanTarget], selfTest: Bool = true, progress: (@Sendable (ScanCoverage) -> Void)? = nil
    ) throws -> ScanResult {
        let recall = selfTest ? try SelfTest.run() : nil
        let collector = Collector(detectors, progress: progress)
        let queue = try WorkQueue(targets, options, collector)
        try work(queue, collector)
        if queue.takeStoredArchives() { try work(queue, collector) }
        var result = collector.result()
        result.recall = recall
        return result
    }

    /// Threads of our own: what they do is waiting for a disk and filling a core, in turns.
    private func work(_ queue: WorkQueue, _ collector: Collector) throws {
        let failure = Mutex<(any Error)?>(nil)
        let options = options
        let finished = DispatchGroup()
        for _ in 0..<max(1, options.threads) {
            finished.enter()
            let thread = Thread {
                defer { finished.leave() }
                let worker = Worker(queue, collector, options)
                while failure.withLock({ $0 == nil }) {
                    do {
                        guard let piece = try queue.next() else { return }
                        try worker.take(piece)
                    } catch {
                        failure.withLock { $0 = $0 ?? error }
                    }
                }
            }
            // Archives within archives are read within each other.
            thread.stackSize = 8 << 20
            thread.start()
        }
        while finished.wait(timeout: .now() + .milliseconds(100)) == .timedOut {
            if Task.isCancelled { failure.withLock { $0 = $0 ?? ScanError(.cancelled) } }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }
}

/// What one thread does.
private final class Worker {
    private let queue: WorkQueue
    private let collector: Collector
    private let options: ScanOptions
    private let segments: SegmentScanner

    init(_ queue: WorkQueue, _ collector: Collector, _ options: ScanOptions) {
        self.queue = queue
        self.collector = collector
        self.options = options
        segments = SegmentScanner(collector)
    }

    func take(_ piece: WorkPiece) throws {
        switch piece {
        case .file(let file, let isHeldToCiphertext):
            let first = 0..<min(file.length, SegmentScanner.segmentBytes)
            var isKnown = false
            func add(_ kind: ArchiveKind?) {
                isKnown = true
                queue.add(restOf: file, kind, from: first.upperBound, isHeldToCiphertext: isHeldToCiphertext)
            }
            defer { if !isKnown { add(nil) } }
            try scan(file, first) { read in
                let kind = ArchiveKind(UnsafeRawBufferPointer(rebasing: read.prefix(ArchiveKind.headBytes)))
                add(kind)
                return kind == .stored
            }
        case .segment(let file, let range, let isStored): try scan(file, range) { _ in isStored }
        case .memory(let memory, let range): try scan(memory, range)
        case .archive(let file, let kind):
            try reading(file.artifact) {
                var scan = ArchiveScan(segments: segments, options: options, allowance: .init(options.archiveBytes))
                // Where nothing was found in the file as it is, nothing is in an entry of it.
                scan.onlyArchives = kind == .stored && !collector.hasFindings(in: file.artifact)
                try scan.run(FileSource(file.data), kind, file.artifact)
            }
        case .stream(let descriptor, let artifact):
            try reading(artifact) {
                try StreamScan(segments: segments, options: options, allowance: .init(options.archiveBytes))
                    .run(DescriptorSource(descriptor), artifact, depth: 1)
            }
        case .ciphertext(let file): try reading(file.artifact) { try CiphertextCheck(file, collector).run() }
        }
    }

    /// What cannot be read is a gap, and no reason to stop.
    private func reading(_ artifact: Artifact, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch is DurableFilesError {
            collector.add(.unreadable, artifact)
        } catch is DescriptorSource.Failed {
            collector.add(.unreadable, artifact)
        }
    }

    /// - Parameter isStored: is given what was read, and says whether that is of an archive whose entries stand in it as they are.
    private func scan(
        _ file: OpenedFile, _ range: Range<Int>, _ isStored: (UnsafeRawBufferPointer) -> Bool
    ) throws {
        let start = max(0, range.lowerBound - SegmentScanner.margin)
        let end = min(file.length, range.upperBound + SegmentScanner.margin)
        let wanted = UnsafeMutableRawBufferPointer(rebasing: segments.buffer[..<(end - start)])
        try reading(file.artifact) {
            let count = try file.data.read(at: start, into: wanted)
            if start + count < range.upperBound { collector.add(.changed, file.artifact) }
            let read = UnsafeRawBufferPointer(rebasing: wanted[..<count])
            let isAligned = !isStored(read)
            let core = range.lowerBound - start..<max(range.lowerBound - start, min(count, range.upperBound - start))
            try segments.scan(read, at: start, core: core, file.artifact, isAligned: isAligned)
        }
    }

    private func scan(_ memory: ProcessMemory, _ range: Range<UInt>) throws {
        let region = memory.region(of: range.lowerBound)
        let margin = UInt(SegmentScanner.margin)
        let start = range.lowerBound - min(margin, range.lowerBound - region.lowerBound)
        let end = range.upperBound + min(margin, region.upperBound - range.upperBound)
        let wanted = UnsafeMutableRawBufferPointer(rebasing: segments.buffer[..<Int(end - start)])
        let count = memory.read(at: start, into: wanted)
        if count < Int(range.upperBound - start) { collector.add(.memoryUnreadable, memory.artifact) }
        let before = Int(range.lowerBound - start)
        let core = before..<max(before, min(count, Int(range.upperBound - start)))
        try segments.scan(
            UnsafeRawBufferPointer(rebasing: wanted[..<count]), at: Int(bitPattern: start), core: core, memory.artifact)
    }
}
