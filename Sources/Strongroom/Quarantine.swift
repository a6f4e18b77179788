// corrupted/: what was moved out of the way. Nothing in it is ever deleted by Strongroom.

import DurableFiles
public import Foundation
import Snapshots
import SystemPackage

/// One directory in `corrupted/`: what a restore, a recovery or an operator's decision put out of force.
public struct Quarantine: Sendable, Hashable {
    /// What put it there.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// A snapshot was restored.
        case restore
        /// A damaged database was repaired page by page.
        case repair
        /// A WAL was moved away.
        case wal
        /// A journal that is not ours, or not to be acted on, was moved away.
        case journal
    }

    /// What put it there.
    public let kind: Kind
    /// When, by the clock of then.
    public let date: Date

    /// `<kind>-<timestamp>`.
    public let name: String

    init(_ kind: Kind) {
        self.kind = kind
        date = Date()
        name = "\(kind.rawValue)-\(Timestamp.text(date))"
    }

    /// Reads a name, or answers nil where it is none.
    init?(_ name: String) {
        guard let end = name.firstIndex(of: "-"), let kind = Kind(rawValue: String(name[..<end])),
            let date = Timestamp.date(name[name.index(after: end)...])
        else { return nil }
        self.kind = kind
        self.date = date
        self.name = name
    }
}

extension DatabaseFiles {
    /// What stands in `corrupted/`, oldest first.
    func quarantines() throws -> [Quarantine] {
        guard try StrictFiles.exists(corrupted) else { return [] }
        return try DurableFiles.names(in: corrupted).compactMap { $0.text.flatMap(Quarantine.init) }.sorted {
            $0.date < $1.date
        }
    }

    /// Makes the directory.
    func make(_ quarantine: Quarantine) throws -> FilePath {
        let path = corrupted.appending(quarantine.name)
        try DurableFiles.createDirectory(corrupted, allowExisting: true)
        try DurableFiles.createDirectory(path, allowExisting: true)
        return path
    }
}
