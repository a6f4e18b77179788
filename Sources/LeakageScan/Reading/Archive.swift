// gzip, zip, tar and their like, read with libarchive: entries one after the other, and archives within archives.

import CLibarchive
import DurableFiles
import Glibc

/// The kinds that are opened, by how they begin.
enum ArchiveKind {
    /// One stream of bytes, compressed: gzip, bzip2, xz, zstd. What is in it is looked at as any stream is, an archive among others.
    case compressed
    /// Entries, most of them compressed: zip, 7-zip.
    case entries
    /// Entries that stand in the file as they are: tar, cpio, ar.
    case stored

    /// How many bytes are needed to tell.
    static let headBytes = 512

    private static let compressions: [[UInt8]] = [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], [0x28, 0xb5, 0x2f, 0xfd]]
    private static let containers: [[UInt8]] = [
        [0x50, 0x4b, 3, 4], [0x50, 0x4b, 5, 6], [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c],
    ]
    private static let storing: [[UInt8]] = ["!<arch>\n", "070701", "070702", "070707"].map { Array($0.utf8) }

    /// What begins so; nil where it is not to be opened.
    init?(_ head: UnsafeRawBufferPointer) {
        if Self.isGzip(head) || Self.isBzip2(head) || Self.compressions.contains(where: { head.starts(with: $0) }) {
            self = .compressed
        } else if Self.containers.contains(where: { head.starts(with: $0) }) {
            self = .entries
        } else if Self.storing.contains(where: { head.starts(with: $0) })
            || head.count >= 262 && head[257..<262].elementsEqual("ustar".utf8)
        {
            self = .stored
        } else {
            return nil
        }
    }

    /// RFC 1952: two bytes, the only method there is, flags of which three are reserved. Two bytes alone begin one random file in 65,536, which
    /// would then be told as an archive that cannot be read.
    private static func isGzip(_ head: UnsafeRawBufferPointer) -> Bool {
        head.count >= 4 && head.starts(with: [0x1f, 0x8b, 8]) && head[3] & 0xe0 == 0
    }

    /// `BZh`, the size of blocks, and what a block or the end of all begins with.
    private static func isBzip2(_ head: UnsafeRawBufferPointer) -> Bool {
        guard head.count >= 10, head.starts(with: "BZh".utf8), (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(head[3])
        else { return false }
        return [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]].contains {
            head[4..<10].elementsEqual($0)
        }
    }
}

/// Reads an archive to its end.
struct ArchiveScan {
    let segments: SegmentScanner
    let options: ScanOptions
    /// How many bytes may still come out of the file that is being read.
    final class Allowance {
        var bytes: Int
        init(_ bytes: Int) { self.bytes = bytes }
    }
    let allowance: Allowance
    /// Whether to look at those entries alone that are archives, because the bytes of all others have been looked at.
    var onlyArchives = false

    private static let entryLimit = 1_000_000

    private var collector: Collector { segments.collector }

    /// Looks at every entry.
    func run(_ source: any ByteSource, _ kind: ArchiveKind, _ artifact: Artifact, depth: Int = 1) throws {
        guard depth <= options.archiveDepth else { return collector.add(.archiveTooDeep, artifact) }
        collector.count { $0.archives += 1 }
        // Of an archive that is passed over, headers are read, and what they say is skipped.
        let feed = Feed(source, blockBytes: onlyArchives ? 4 << 10 : 64 << 10)
        guard let archive = archive_read_new() else { return collector.add(.unreadable, artifact) }
        defer { archive_read_free(archive) }
        Self.allow(kind, archive)
        // The callbacks end with the archive, before the feed does.
        let opened = withExtendedLifetime(feed) { () -> CInt in
            let context = Unmanaged.passUnretained(feed).toOpaque()
            if source is FileSource {
                archive_read_set_seek_callback(archive) { Feed.seek($0, $1, $2, $3) }
                archive_read_set_skip_callback(archive) { Feed.skip($0, $1, $2) }
            }
            archive_read_set_read_callback(archive) { Feed.read($0, $1, $2) }
            archive_read_set_callback_data(archive, context)
            return archive_read_open1(archive)
        }
        defer { withExtendedLifetime(feed) {} }
        if let error = feed.error { throw error }
        guard opened == ARCHIVE_OK else { return collector.add(.archiveDamaged, artifact) }
        try entries(of: archive, artifact, depth)
        if let error = feed.error { throw error }
    }

    /// Nothing that would start another program. A compressed stream is not asked what format is in it: one that begins with zeros
    /// would be taken for an empty tar.
    private static func allow(_ kind: ArchiveKind, _ archive: OpaquePointer) {
        let supports =
            switch kind {
            case .compressed:
                [
                    archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
                    archive_read_support_filter_zstd, archive_read_support_format_raw,
                ]
            case .entries, .stored:
                [
                    archive_read_support_format_tar, archive_read_support_format_zip, archive_read_support_format_cpio,
                    archive_read_support_format_ar, archive_read_support_format_7zip,
                ]
            }
        for support in supports { _ = support(archive) }
    }

    private func entries(of archive: OpaquePointer, _ artifact: Artifact, _ depth: Int) throws {
        let names = NameCheck(segments.scanner, collector)
        for number in 0... {
            guard number < Self.entryLimit else { return collector.add(.archiveTooLarge, artifact) }
            var entry: OpaquePointer?
            let result = archive_read_next_header(archive, &entry)
            if result == ARCHIVE_EOF { return }
            guard result == ARCHIVE_OK || result == ARCHIVE_WARN, let entry else {
                return collector.add(.archiveDamaged, artifact)
            }
            // The bytes of the archive; where they are of another encoding than this process's, as UTF-8.
            let pointer = archive_entry_pathname(entry) ?? archive_entry_pathname_utf8(entry)
            let name = pointer.map { FileName(bytes: UnsafeRawBufferPointer(start: $0, count: min(strlen($0), 4_096))) }
            let part = artifact.entry(
                try names.shown(name ?? FileName(bytes: Array("entry \(number + 1)".utf8)), in: artifact.name))
            collector.count { $0.archiveEntries += 1 }
            if archive_entry_is_encrypted(entry) == 1 {
                collector.add(.archiveEncrypted, part)
                continue
            }
            let source = EntrySource(archive, allowance)
            guard try onlyArchives ? scanIfArchive(source, part, depth) : scan(source, part, depth) else { return }
        }
    }

    private func scan(_ entry: EntrySource, _ part: Artifact, _ depth: Int) throws -> Bool {
        try reading(part) {
            try StreamScan(segments: segments, options: options, allowance: allowance).run(
                entry, part, depth: depth + 1)
        }
    }

    private func scanIfArchive(_ entry: EntrySource, _ part: Artifact, _ depth: Int) throws -> Bool {
        try reading(part) {
            var head = [UInt8](repeating: 0, count: ArchiveKind.headBytes)
            let count = try head.withUnsafeMutableBytes { try entry.fill($0) }
            head.removeLast(head.count - count)
            guard head.withUnsafeBytes({ ArchiveKind($0) }) != nil else { return }
            try StreamScan(segments: segments, options: options, allowance: allowance).run(
                WatchedSource(entry, first: head) { _ in }, part, depth: depth + 1)
        }
    }

    /// - Returns: false where no more may be read.
    private func reading(_ part: Artifact, _ body: () throws -> Void) throws -> Bool {
        do {
            try body()
            return true
        } catch let failure as EntrySource.Failure {
            switch failure {
            case .damaged: collector.add(.archiveDamaged, part)
            case .encrypted: collector.add(.archiveEncrypted, part)
            case .tooLarge:
                collector.add(.archiveTooLarge, part)
                return false
            }
            // The next entry may be whole; where it is not, its header says so.
            return failure != .damaged
        }
    }
}

/// Something that comes one byte after the other; if it is an archive, its entries as well.
struct StreamScan {
    let segments: SegmentScanner
    let options: ScanOptions
    let allowance: ArchiveScan.Allowance

    private static let blockBytes = 64 << 10

    func run(_ source: any ByteSource, _ artifact: Artifact, depth: Int) throws {
        let stream = StreamScanner(segments, artifact)
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.blockBytes, alignment: 16)
        defer {
            block.initializeMemory(as: UInt8.self, repeating: 0)
            block.deallocate()
        }
        // As much as is needed to tell what it is.
        var count = try source.fill(UnsafeMutableRawBufferPointer(rebasing: block[..<ArchiveKind.headBytes]))
        try stream.add(UnsafeRawBufferPointer(rebasing: block[..<count]))
        let head = UnsafeRawBufferPointer(rebasing: block[..<min(count, ArchiveKind.headBytes)])
        if let kind = ArchiveKind(head) {
            let watched = WatchedSource(source, first: Array(block[..<count])) { try stream.add($0) }
            try ArchiveScan(segments: segments, options: options, allowance: allowance).run(
                watched, kind, artifact, depth: depth)
        }
        while count > 0 {
            count = try source.read(into: block)
            try stream.add(UnsafeRawBufferPointer(rebasing: block[..<count]))
        }
        try stream.finish()
    }
}

/// The bytes of the entry that an archive stands at.
private final class EntrySource: ByteSource {
    enum Failure: Error { case damaged, encrypted, tooLarge }

    private let archive: OpaquePointer
    private let allowance: ArchiveScan.Allowance

    init(_ archive: OpaquePointer, _ allowance: ArchiveScan.Allowance) {
        self.archive = archive
        self.allowance = allowance
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = archive_read_data(archive, buffer.baseAddress, buffer.count)
        guard count >= 0 else {
            throw archive_read_has_encrypted_entries(archive) > 0 ? Failure.encrypted : Failure.damaged
        }
        allowance.bytes -= count
        guard allowance.bytes >= 0 else { throw Failure.tooLarge }
        return count
    }
}

/// What libarchive reads from.
private final class Feed {
    private let source: any ByteSource
    private let block: UnsafeMutableRawBufferPointer
    /// How much of the block was ever filled.
    private var used = 0
    /// Why the source could not be read any more.
    var error: (any Error)?

    init(_ source: any ByteSource, blockBytes: Int) {
        self.source = source
        block = .allocate(byteCount: blockBytes, alignment: 16)
    }

    deinit {
        UnsafeMutableRawBufferPointer(rebasing: block[..<used]).initializeMemory(as: UInt8.self, repeating: 0)
        block.deallocate()
    }

    private static func feed(_ context: UnsafeMutableRawPointer?) -> Feed? {
        context.map { Unmanaged<Feed>.fromOpaque($0).takeUnretainedValue() }
    }

    /// The next block, for libarchive.
    static func read(
        _: OpaquePointer?, _ context: UnsafeMutableRawPointer?, _ bytes: UnsafeMutablePointer<UnsafeRawPointer?>?
    ) -> Int {
        guard let feed = feed(context) else { return -1 }
        do {
            let count = try feed.source.read(into: feed.block)
            feed.used = max(feed.used, count)
            bytes?.pointee = UnsafeRawPointer(feed.block.baseAddress)
            return count
        } catch {
            feed.error = error
            return -1
        }
    }

    /// Passes over bytes of a file, for libarchive.
    ///
    /// - Returns: how many.
    static func skip(_: OpaquePointer?, _ context: UnsafeMutableRawPointer?, _ count: Int64) -> Int64 {
        guard let file = feed(context)?.source as? FileSource, count > 0 else { return 0 }
        let skipped = min(Int(count), max(0, file.length - file.position))
        file.position += skipped
        return Int64(skipped)
    }

    /// Goes to another place of a file, for libarchive.
    static func seek(
        _: OpaquePointer?, _ context: UnsafeMutableRawPointer?, _ offset: Int64, _ whence: Int32
    ) -> Int64 {
        guard let file = feed(context)?.source as? FileSource else { return Int64(ARCHIVE_FATAL) }
        let start = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position : file.length
        let (position, isTooFar) = start.addingReportingOverflow(Int(offset))
        guard !isTooFar, (0...file.length).contains(position) else { return Int64(ARCHIVE_FATAL) }
        file.position = position
        return Int64(position)
    }
}
