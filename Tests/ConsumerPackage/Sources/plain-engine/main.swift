// GRDB on plain SQLite, which takes SQLCipher's pragmas without a word: the check that Strongroom makes on every
// connection must see it.

import Foundation
import GRDB

let (accepted, isKeyed, sqlite) = try DatabaseQueue().read { db in
    (
        try EngineCheck.acceptedVersion(db), try EngineCheck.isKeyed(db),
        try String.fetchOne(db, sql: "SELECT sqlite_version()") ?? ""
    )
}
guard accepted == nil, !isKeyed else {
    FileHandle.standardError.write(Data("plain-engine: plain SQLite passed for SQLCipher\n".utf8))
    exit(1)
}
print("plain-engine: SQLite \(sqlite) without SQLCipher is refused")
