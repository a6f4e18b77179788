// A database that a restore makes and proves before anything that is in force is touched; a drill makes one and throws it away.

import DurableFiles
import Foundation
import GRDB
import Keyring
import PageCipher
import Snapshots

/// A database that was made from a snapshot and is not in force.
struct StagedDatabase: Sendable {
    let path: FilePath
    let key: DataKey
    let policy: KeyPolicy
    let acceptsViolations: Bool

    /// Makes it, and checks all there is to check. Where that fails, what was made is for the caller to remove.
    func make(
        from snapshot: Snapshot, in directory: SnapshotDirectory, _ progress: (@Sendable (RestoreProgress) -> Void)?
    ) throws -> IntegrityFindings {
        try directory.extract(snapshot, to: path, under: key) {
            progress?(RestoreProgress(phase: .copying, pages: $0.pages, totalPages: $0.totalPages))
        }
        progress?(RestoreProgress(phase: .checking, pages: 0, totalPages: snapshot.pages))
        // SQLite looks at what was written, which the root was compared with while it was: the snapshot may be another file by now.
        // On the other cores it is read back from the disk.
        let readBack = Handover<Result<Bool, any Error>>()
        DispatchQueue.global().async {
            readBack.put(Result { try directory.readsBack(snapshot, at: path, under: key) })
        }
        let checked = Result { try SealedDatabase(DataFile(path), key: key.makePageKey()).check() }
        guard try readBack.take().get() else { throw StrongroomError(.copyDiffers, path) }
        let findings = try checked.get()
        if let violations = findings.integrityViolations, violations > 0, !acceptsViolations {
            throw SnapshotError(.integrity(violations: violations))
        }
        return findings
    }

    /// Writes to it as to any database under the key, and makes all of it durable.
    func write(_ body: (Database) throws -> Void) throws {
        try DatabaseFiles.removeCompanions(of: path)
        let before = try pageCount()
        try StrongroomError.wrapping(.copy, path) {
            let queue = try DatabaseQueue(
                path: path.string, configuration: Engine.configuration(key: key, policy: policy))
            try queue.writeWithoutTransaction { try Engine.settle($0) }
            try queue.write(body)
            // Out of WAL mode and back: both write page 1 anew, so that it is like no other and can stand for the file.
            try queue.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA journal_mode = DELETE")
                try Engine.settle(db)
                _ = try db.checkpoint(.truncate)
            }
            try queue.close()
        }
        try DatabaseFiles.removeCompanions(of: path)
        // Nothing that is written here makes it smaller.
        guard try pageCount() >= before else { throw StrongroomError(.copyDiffers, path) }
        try DurableFiles.syncFile(path)
        try DurableFiles.syncDirectory(DurableFiles.parent(of: path))
    }

    /// How many pages page 1 counts, or, where it does not, how many there are.
    private func pageCount() throws -> Int {
        let file = try DataFile(path)
        let size = key.info.pageFormat.size
        let inFile = try file.length() / size
        let pageKey = try key.makePageKey()
        let page = try file.bytes(at: 0, count: size)
        let counted = try page.withUnsafeBytes { page in
            try pageKey.authenticate(SealedPage(page, number: 1)).flatMap { try pageKey.header(of: $0).pageCount }
        }
        return min(inFile, counted ?? inFile)
    }
}

/// A place for a drill, which is held with a lock so that what a crash leaves can be told from a drill that goes on.
struct DrillPlace {
    let path: FilePath
    private let lock: FileLock
    private let lockPath: FilePath

    private static let prefix = ".drill-"

    /// Whether a drill gave a file this name, not SQLite or a lock one beside it.
    static func isName(_ name: String) -> Bool {
        name.hasPrefix(prefix) && !name.dropFirst(prefix.count).contains("-") && !name.hasSuffix(".lock")
    }

    init(in directory: FilePath) throws {
        for name in try DurableFiles.names(in: directory).compactMap(\.text)
        where name.hasPrefix(Self.prefix) && name.hasSuffix(".lock") {
            guard let lock = try? FileLock(directory.appending(name)) else { continue }
            Self.remove(directory.appending(String(name.dropLast(".lock".count))), directory.appending(name))
            lock.release()
        }
        let name = Self.prefix + Timestamp.text(Date()) + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        path = directory.appending(name)
        lockPath = directory.appending(name + ".lock")
        lock = try FileLock(lockPath)
    }

    func remove() {
        Self.remove(path, lockPath)
        lock.release()
    }

    private static func remove(_ path: FilePath, _ lockPath: FilePath) {
        try? DatabaseFiles.removeCompanions(of: path)
        for path in [path, lockPath] { try? DurableFiles.remove(path) }
    }
}
