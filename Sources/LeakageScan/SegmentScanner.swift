// A part of something long, with enough of what stands on both sides of it that nothing is cut.

import Secrets

/// One thread's means of looking.
final class SegmentScanner {
    /// How long a segment is, without its margins, in bytes.
    static let segmentBytes = 1 << 19
    /// How far the margins reach.
    static let margin = ByteScanner.maximumReach

    let scanner: ByteScanner
    let collector: Collector
    /// Room for a segment and its margins.
    let buffer: UnsafeMutableRawBufferPointer
    /// How long the segments of streams are.
    let streamBytes: Int
    /// Room for segments of streams, of which archives within archives need several at once: to ask the system for it each time took a fifth of
    /// a scan of many small archives.
    private var spareBuffers: [UnsafeMutableRawBufferPointer] = []

    /// - Parameter streamBytes: how long the segments of streams are; shorter for short streams.
    init(_ collector: Collector, streamBytes: Int = segmentBytes) {
        self.collector = collector
        self.streamBytes = streamBytes
        scanner = ByteScanner(
            collector.detectors.matchers, minimumBytes: collector.detectors.minimumBytes,
            rowBytes: streamBytes + 2 * Self.margin)
        buffer = .allocate(byteCount: streamBytes + 2 * Self.margin, alignment: 4_096)
    }

    deinit {
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        buffer.deallocate()
        for buffer in spareBuffers { buffer.deallocate() }
    }

    /// Room for a segment of a stream and its margins.
    fileprivate func takeBuffer() -> UnsafeMutableRawBufferPointer {
        spareBuffers.popLast() ?? .allocate(byteCount: streamBytes + 2 * Self.margin, alignment: 4_096)
    }

    /// - Parameter used: how much of it was ever filled, which is wiped.
    fileprivate func giveBack(_ buffer: UnsafeMutableRawBufferPointer, used: Int) {
        UnsafeMutableRawBufferPointer(rebasing: buffer[..<used]).initializeMemory(as: UInt8.self, repeating: 0)
        spareBuffers.append(buffer)
    }

    /// Where the first segment of a stream ends.
    static func firstBorder(_ streamBytes: Int) -> Int { streamBytes + margin }

    /// - Parameters:
    ///   - bytes: with margins.
    ///   - offset: where they begin in the artifact.
    ///   - core: the part of them of which this is the segment: what begins there is told here.
    ///   - isAligned: whether words of four bytes stand at multiples of four. They need not in an archive's entries.
    func scan(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, core: Range<Int>, _ artifact: Artifact, isAligned: Bool = true
    ) throws {
        var hits: [Hit] = []
        let survey = scanner.survey(bytes, misalignment: offset & 3)
        scanner.scan(bytes, survey) { hit in
            if hits.count < ScanOptions.maximumFindings { hits.append(hit) }
        }
        let found = Self.merged(hits)
        let detectors = collector.detectors
        for hit in found where core.contains(hit.source.lowerBound) {
            let isMasked = hit.match.mask.map { $0 != 0 }
            try collector.add(
                detectors.rule(of: hit.match.needle), needle: hit.match.needle,
                form: hit.encodings.encodings.map(\.name) + [hit.match.form.rawValue],
                secretBytes: hit.match.range.count, isWhole: hit.match.isWhole, isMasked: isMasked, artifact,
                offset: offset + hit.source.lowerBound, length: hit.source.count)
        }
        var schedules: [(Int, ByteForm)] = []
        ScheduleFinder.scan(bytes, misalignment: offset & 3, survey) { schedules.append(($0, $1)) }
        if !isAligned {
            for misalignment in 0..<4 where misalignment != offset & 3 {
                ScheduleFinder.scan(bytes, misalignment: misalignment, nil) { schedules.append(($0, $1)) }
            }
        }
        for (place, form) in schedules where core.contains(place) {
            let range = place..<place + ScheduleFinder.length
            // One of a key that is known is told as that.
            guard !found.contains(where: { $0.source.overlaps(range) }) else { continue }
            try collector.add(
                .keySchedule, form: [form.rawValue], artifact, offset: offset + place, length: ScheduleFinder.length)
        }
        collector.count { $0.bytes += core.count }
    }

    /// Of finds of one needle that overlap, the longest: text may be read in more than one way.
    private static func merged(_ hits: [Hit]) -> [Hit] {
        var kept: [Hit] = []
        for hit in hits.sorted(by: {
            ($0.source.lowerBound, $1.match.range.count) < ($1.source.lowerBound, $0.match.range.count)
        }) {
            if let index = kept.lastIndex(where: {
                $0.match.needle == hit.match.needle && $0.source.overlaps(hit.source)
            }) {
                if hit.match.range.count > kept[index].match.range.count { kept[index] = hit }
            } else {
                kept.append(hit)
            }
        }
        return kept
    }
}

/// Bytes that come one after the other, in pieces of any length.
final class StreamScanner {
    private let segments: SegmentScanner
    private let artifact: Artifact
    private let buffer: UnsafeMutableRawBufferPointer
    /// Where the buffer begins in the stream.
    private var offset = 0
    private var filled = 0
    /// The end of the margin before the next segment.
    private var coreStart = 0
    /// How much of the buffer was ever filled.
    private var used = 0

    init(_ segments: SegmentScanner, _ artifact: Artifact) {
        self.segments = segments
        self.artifact = artifact
        buffer = segments.takeBuffer()
    }

    deinit { segments.giveBack(buffer, used: used) }

    func add(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = min(rest.count, buffer.count - filled)
            UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            filled += count
            used = max(used, filled)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if filled == buffer.count { try scan(until: filled - SegmentScanner.margin) }
        }
    }

    /// The last part, behind which there is no margin.
    func finish() throws { try scan(until: filled) }

    private func scan(until coreEnd: Int) throws {
        guard coreEnd > coreStart else { return }
        try segments.scan(
            UnsafeRawBufferPointer(rebasing: buffer[..<filled]), at: offset, core: coreStart..<coreEnd, artifact)
        // What is kept is the margin before the next segment, and what was read of it already.
        let kept = max(0, coreEnd - SegmentScanner.margin)
        let count = filled - kept
        if count > 0, kept > 0, let base = buffer.baseAddress { base.copyMemory(from: base + kept, byteCount: count) }
        offset += kept
        filled = count
        coreStart = coreEnd - kept
    }
}
