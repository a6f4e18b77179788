import Foundation
import GRDB
import Keyring
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// The code of the error that `body` throws, or nil.
func code(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch { return (error as? any ReportableError)?.code ?? "\(type(of: error))" }
}

extension TestStore {
    func databaseFile(_ info: ProfileInfo) -> FilePath {
        path.appending("profiles").appending(info.id.description).appending("profile.db")
    }

    /// A closed profile with a few hundred rows.
    func makeProfile(named name: String = "sample", rows: Int = 300) throws -> ProfileInfo {
        let store = try open()
        let info = try store.createProfile(named: name)
        try fill(info, in: store, rows: rows)
        try store.lock()
        return info
    }

    func fill(_ info: ProfileInfo, in store: Store, rows: Int) throws {
        let profile = try store.openProfile(info)
        try profile.database.write { db in
            try db.execute(sql: "CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, filling TEXT)")
            for _ in 0..<rows {
                try db.execute(
                    sql: "INSERT INTO t (filling) VALUES (?)",
                    arguments: [Self.canary + String(repeating: "x", count: 200)])
            }
        }
        try profile.close()
    }

    /// What must never be seen in a file.
    static let canary = "CANARY-of-the-rows-7b1e"
}
