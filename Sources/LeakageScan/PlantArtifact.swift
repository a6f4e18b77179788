// Kinds of files for leaks that are made on purpose. Containers are written here in their simplest form (stored, not compressed, but for
// gzip, which libarchive writes), so that what reads them is not what wrote them.

import CLibarchive
import CryptoPrimitives

/// A kind of artifact that a leak is planted into.
public enum PlantArtifact: String, Sendable, CaseIterable, Codable {
    /// Lines of a log.
    case text
    /// Noise, as memory or an unknown file has it.
    case noise
    /// Mostly zeros, as a core file has it.
    case zeros
    /// The first bytes of a file, and the last.
    case beginning, end
    /// Across the place where one thread's part of a file ends and another one's begins.
    case border
    /// A page of a SQLite database.
    case databasePage = "database_page"
    case gzip
    case zip
    case tar
    case gzipInTar = "gzip_in_tar"

    /// - Parameter isAligned: whether the leak must stand at a multiple of four bytes.
    package func make(with leak: [UInt8], isAligned: Bool, margin: Int = 400) throws -> [UInt8] {
        switch self {
        case .text: return Self.log(margin, isAligned) + leak + Array("\nlevel=info msg=\"done\"\n".utf8)
        case .noise:
            // Not a printable character on either side, which would be part of the text.
            return try Self.noise(margin, isAligned) + leak + [0] + Random.bytes(count: margin)
        case .zeros: return [UInt8](repeating: 0, count: 4 * (margin / 4)) + leak + [UInt8](repeating: 0, count: margin)
        case .beginning: return try leak + [0] + Random.bytes(count: margin)
        case .end: return try Self.noise(margin, isAligned) + leak
        case .border:
            let before = max(0, SegmentScanner.firstBorder(Self.borderStreamBytes) - leak.count / 2)
            return try Self.noise(before, isAligned) + leak + [0] + Random.bytes(count: SegmentScanner.margin + margin)
        case .databasePage: return Self.page(with: leak, isAligned)
        case .gzip: return try Self.pack(Self.log(margin, isAligned) + leak, ARCHIVE_FORMAT_RAW, gzip: true)
        case .zip: return try Self.pack(Self.log(margin, isAligned) + leak, ARCHIVE_FORMAT_ZIP, gzip: false)
        case .tar: return try Self.pack(Self.log(margin, isAligned) + leak, ARCHIVE_FORMAT_TAR_USTAR, gzip: false)
        case .gzipInTar:
            return try Self.pack(
                Self.pack(Self.log(margin, isAligned) + leak, ARCHIVE_FORMAT_RAW, gzip: true), ARCHIVE_FORMAT_TAR_USTAR,
                gzip: false)
        }
    }

    /// How long the segments are with which a leak across a border is looked for.
    static let borderStreamBytes = 1 << 14

    private static func noise(_ count: Int, _ isAligned: Bool) throws -> [UInt8] {
        try Random.bytes(count: isAligned ? count & ~3 : count | 1).dropLast() + [isAligned ? 0 : 0x80]
    }

    private static func log(_ count: Int, _ isAligned: Bool) -> [UInt8] {
        let line = Array("2026-01-02T03:04:05Z level=debug component=store msg=\"opened\"\n".utf8)
        let lines = (0..<(count / line.count + 1)).flatMap { _ in line }
        let prefix = Array("state: ".utf8)
        let filling = isAligned ? (4 - (lines.count + prefix.count) % 4) % 4 : 0
        return lines + [UInt8](repeating: UInt8(ascii: " "), count: filling) + prefix
    }

    /// A leaf of a table with the leak in its last cell.
    private static func page(with leak: [UInt8], _ isAligned: Bool) -> [UInt8] {
        var page = [UInt8](repeating: 0, count: 8_192)
        let start = (page.count - leak.count - 64) & ~3
        page[0] = 13
        page[4] = 1
        page[5] = UInt8(truncatingIfNeeded: start >> 8)
        page[6] = UInt8(truncatingIfNeeded: start)
        page.replaceSubrange(start..<start + leak.count, with: leak)
        return page
    }

    struct PackingFailed: Error {}
    /// AE_IFREG, a macro that Swift does not see.
    private static let regularFile: UInt32 = 0o100_000

    /// One entry, written with libarchive.
    private static func pack(_ content: [UInt8], _ format: CInt, gzip: Bool) throws -> [UInt8] {
        guard let archive = archive_write_new(), let entry = archive_entry_new() else { throw PackingFailed() }
        defer {
            archive_entry_free(entry)
            archive_write_free(archive)
        }
        var output = [UInt8](repeating: 0, count: content.count * 2 + 65_536)
        var used = 0
        if gzip { archive_write_add_filter_gzip(archive) }
        let done = output.withUnsafeMutableBytes { output in
            archive_entry_set_pathname(entry, "state.log")
            archive_entry_set_size(entry, Int64(content.count))
            archive_entry_set_filetype(entry, Self.regularFile)
            archive_entry_set_perm(entry, 0o600)
            return archive_write_set_format(archive, format) == ARCHIVE_OK
                && archive_write_open_memory(archive, output.baseAddress, output.count, &used) == ARCHIVE_OK
                && archive_write_header(archive, entry) == ARCHIVE_OK
                && archive_write_data(archive, content, content.count) == content.count
                && archive_write_close(archive) == ARCHIVE_OK
        }
        guard done else { throw PackingFailed() }
        return Array(output[..<used])
    }
}
