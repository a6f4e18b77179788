// The trees of an FTS5 index are bytes in an ordinary table, which SQLite's own check does not look into and a search trusts: three flaws
// of the linked engine are reached by pages that no FTS5 ever wrote (docs/security/engine.md). An index whose pages do not have their form
// does not come in.

import GRDBSQLite
import PageCipher

/// The form of the pages of an FTS5 index (SQLite, the comments at the head of fts5_index.c).
struct FullTextIndex {
    /// What tables a virtual table of SQLite's own modules keeps its contents in: its name and one of these.
    static let suffixes = [
        "_data", "_idx", "_content", "_docsize", "_config", "_segments", "_segdir", "_stat", "_node", "_rowid",
        "_parent",
    ]

    private static let structureID: Int64 = 10
    /// How an id is made: a segment, whether it is an index over a doclist, a height, and a page.
    private static let pageBits = Int64(FullTextPages.pageBits)
    private static let indexBit: Int64 = 36
    private static let segmentBit: Int64 = 37
    /// Segments from here on hold what was deleted of those below.
    private static let firstTombstone: Int64 = 1 << 16

    /// Whether every page of it has its form.
    ///
    /// - Parameter data: the name of the table with the pages.
    static func isSound(_ data: String, on connection: OpaquePointer) throws(StrongroomError) -> Bool {
        let pages = try RawStatement(
            "SELECT id, block FROM main.\(RawSQL.quoted(data)) NOT INDEXED", on: connection)
        var tombstones: UInt64 = 0
        var claimed: UInt64?
        while try pages.step() {
            let id = pages.integer(0)
            let block = pages.blob(1)
            let segment = id >> segmentBit
            if id == structureID {
                guard let found = FullTextPages.claimedTombstones(in: block) else { return false }
                claimed = found
            } else if segment >= firstTombstone {
                tombstones += 1
                guard block.count >= 16, block[0] == 4 || block[0] == 8 else { return false }
            } else if segment > 0 {
                let isIndex = id >> indexBit & 1 == 1
                let height = id >> pageBits & 31
                guard isIndex || height > 0 ? !block.isEmpty : FullTextPages.isLeaf(block) else { return false }
            }
        }
        // An index without a structure was never made by FTS5.
        return claimed.map { $0 <= tombstones } ?? false
    }
}
