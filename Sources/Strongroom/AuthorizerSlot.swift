// SQLite has a call that sets a connection's authorizer and none that tells it. GRDB has set its own by the time we are asked, and
// goes on needing it. Where SQLite keeps it is found out with a connection of our own, once a process, and proven there.

import GRDBSQLite

/// A callback that SQLite asks about each thing that a statement would do.
typealias Authorizer =
    @convention(c) (
        UnsafeMutableRawPointer?, CInt, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
        UnsafePointer<CChar>?
    ) -> CInt

enum AuthorizerSlot {
    /// The authorizer that a connection has.
    ///
    /// - Returns: nil where it has none, or where the place of it is not known.
    static func current(of connection: OpaquePointer) -> (call: Authorizer, context: UnsafeMutableRawPointer?)? {
        guard let index, let words = Words(of: connection), words.count > index + 1,
            let call = unsafeBitCast(words[index], to: Authorizer?.self)
        else { return nil }
        return (call, UnsafeMutableRawPointer(bitPattern: words[index + 1]))
    }

    /// Which word of a connection holds the authorizer; the next one holds its context.
    private static let index: Int? = {
        var opened: OpaquePointer?
        let result = sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nil)
        defer { sqlite3_close_v2(opened) }
        guard result == SQLITE_OK, let connection = opened, let words = Words(of: connection) else { return nil }
        let permits: Authorizer = { _, _, _, _, _, _ in SQLITE_OK }
        let denies: Authorizer = { _, _, _, _, _, _ in SQLITE_DENY }
        // Two that differ, each with a context like no address.
        var found: [Int] = []
        for (call, context) in [(permits, 0x5357_1234_8765_a001), (denies, 0x5357_4321_5678_a003)] {
            guard sqlite3_set_authorizer(connection, call, UnsafeMutableRawPointer(bitPattern: context)) == SQLITE_OK
            else { return nil }
            let places = (0..<max(0, words.count - 1)).filter {
                words[$0] == unsafeBitCast(call, to: Int.self) && words[$0 + 1] == context
            }
            guard places.count == 1 else { return nil }
            found += places
        }
        return found[0] == found[1] ? found[0] : nil
    }()

    /// The memory of a connection.
    private struct Words {
        let count: Int
        private let base: UnsafeRawPointer

        init?(of connection: OpaquePointer) {
            let pointer = UnsafeMutableRawPointer(connection)
            count = Int(clamping: sqlite3_msize(pointer)) / MemoryLayout<Int>.size
            base = UnsafeRawPointer(pointer)
            guard count > 0 else { return nil }
        }

        subscript(index: Int) -> Int {
            base.load(fromByteOffset: index * MemoryLayout<Int>.size, as: Int.self)
        }
    }
}
