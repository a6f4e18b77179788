// Every page and the WAL, authenticated without SQLite: no connection is opened, none is poisoned, nothing is written.

import DurableFiles
import GRDB
import KeyPolicy
import Keyring
import PageCipher

/// What a verification found: numbers and names of kinds, no content.
public struct VerificationReport: Sendable, Encodable {
    /// A page that is not what was written.
    public struct Page: Sendable, Codable, Hashable {
        /// Counted from 1.
        public let number: Int
        /// `wrong_tag`, `zeroed`, `torn`, `beyond_end`.
        public let kind: String
    }

    /// The WAL beside the database.
    public struct WAL: Sendable, Codable {
        /// Frames up to the last commit.
        public let committedFrames: Int
        /// Frames in all, those of earlier rounds included.
        public let frames: Int
        /// `header`, `broken_chain`, `foreign_page`, `page_size`, `commit_size`; nil where nothing is wrong.
        public let damage: String?
        /// The frame at which that was seen, counted from 1.
        public let damagedFrame: Int?
    }

    /// `global` or a profile's id.
    public let scope: String
    /// `healthy`, or what is wrong: see the runbook.
    public let condition: DatabaseCondition
    /// Whole pages in the file.
    public let pages: Int
    /// The page size, in bytes.
    public let pageSize: Int
    /// Pages that are bad, those that are missing included.
    public let badPageCount: Int
    /// The first of these by number, ten thousand at most.
    public let badPages: [Page]
    /// Nil where there is none, or it is empty.
    public let wal: WAL?

    /// Whether anything is wrong.
    public var isHealthy: Bool { condition == .healthy }
}

/// How far a verification is.
public struct VerificationProgress: Sendable, Hashable {
    /// Pages done.
    public let pages: Int
    /// Pages in all.
    public let totalPages: Int
}

extension Store {
    /// Authenticates every page of a profile that nobody has open, and its WAL. It does not stop at the first bad page,
    /// and writes nothing.
    ///
    /// - Parameters:
    ///   - info: the profile.
    ///   - progress: called now and then, by one thread at a time.
    /// - Throws: `StrongroomError.profileInUse` where it is open; `KeyringError` where its envelope cannot be used;
    ///   `PageCipherError.cancelled` where the task was. Damage is in the report, and is no error.
    public func verify(
        _ info: ProfileInfo, progress: (@Sendable (VerificationProgress) -> Void)? = nil
    ) throws -> VerificationReport {
        try requireUnlocked()
        let files = try files(of: .profile(info.id))
        // A directory that is gone has no lock to take, and is reported as what it is: missing.
        let lock = try StrictFiles.exists(files.directory) ? lockProfile(files) : nil
        defer { lock?.release() }
        return try verification(of: files).report(progress)
    }

    /// The same for the global database.
    public func verifyGlobal(progress: (@Sendable (VerificationProgress) -> Void)? = nil) throws -> VerificationReport {
        try requireUnlocked()
        let files = try files(of: .global)
        let lock = try lockGlobal(files)
        defer { lock.release() }
        return try verification(of: files).report(progress)
    }

    private func verification(of files: DatabaseFiles) throws -> Verification {
        Verification(
            diagnosis: Diagnosis(files: files, envelope: try keyring.envelope(for: files.scope), keyring: keyring))
    }
}

extension Profile {
    /// Authenticates every page of the open profile while reads and writes go on: writers wait for one checkpoint, and
    /// from then on the main file does not change until this returns, because a read transaction pins it.
    ///
    /// - Throws: `StrongroomError`, `PageCipherError.cancelled`. Damage is in the report, and is no error.
    public func verify(progress: (@Sendable (VerificationProgress) -> Void)? = nil) throws -> VerificationReport {
        let verification = Verification(diagnosis: try open.diagnosis())
        return try StrongroomError.wrapping(.query, nil) {
            try withPinnedMainFile {
                let report = try verification.report(progress)
                // A reader that held the checkpoint up may have let it go on under our eyes: look again before it is said.
                return report.isHealthy ? report : try verification.report(progress)
            }
        }
    }

    /// Runs `body` on the calling thread, so that cancelling its task is noticed, while a reader on another thread holds
    /// a transaction open.
    private func withPinnedMainFile<Result>(_ body: () throws -> Result) throws -> Result {
        let hold = try open.holdOpen()
        defer { hold.release() }
        let pin = try database.writeWithoutTransaction { db in
            _ = try db.checkpoint(.truncate)
            return try DatabasePin(database) { _ in }
        }
        defer { pin.release() }
        return try body()
    }
}

/// One look at one database.
private struct Verification: Sendable {
    let diagnosis: Diagnosis

    func report(_ progress: (@Sendable (VerificationProgress) -> Void)?) throws -> VerificationReport {
        let files = diagnosis.files
        let format = diagnosis.envelope.activeDataKey?.pageFormat
        let first = try diagnosis.ofFirstPage()
        // Of what is behind it, the pages are still listed.
        let behind = first == .journalForeign ? try diagnosis.ofFirstPage(ignoringJournal: true) : first
        switch behind {
        // A file that is not this database's has no pages of ours to list.
        case .missing, .plaintext, .unknownKey, .keyOfAnotherDatabase, .wrongKey, .rolledBack, .shredded:
            return report(first, format: format, scan: nil, wal: nil)
        case .healthy, .headerDamaged, .pagesDamaged, .truncated, .walDamaged, .walMissing, .walUnexpected,
            .journalForeign, .metadataDamaged:
            break
        }
        guard let active = try files.keyInForce(diagnosis.envelope) else {
            return report(.unknownKey, format: nil, scan: nil, wal: nil)
        }
        let scan = try diagnosis.scan(DataFile(files.main), under: active) { done in
            progress?(VerificationProgress(pages: done.done, totalPages: done.total))
        }
        let wal = try files.hasPendingWAL() ? diagnosis.scanWAL(under: active) : nil
        var condition = try diagnosis.verdict(on: scan, under: active)
        if condition == .healthy, wal?.damage != nil { condition = .walDamaged }
        if condition == .healthy || first == .journalForeign { condition = first }
        return report(condition, format: active.pageFormat, scan: scan, wal: wal)
    }

    private func report(
        _ condition: DatabaseCondition, format: PageFormat?, scan: PageScan?, wal: WALScan?
    ) -> VerificationReport {
        VerificationReport(
            scope: diagnosis.files.scope.description, condition: condition, pages: scan?.pageCount ?? 0,
            pageSize: format?.size ?? 0, badPageCount: scan?.badPageCount ?? 0,
            badPages: scan?.badPages.map { .init(number: $0.number, kind: $0.kind.rawValue) } ?? [],
            wal: wal.map {
                .init(
                    committedFrames: $0.committedFrames, frames: $0.frames, damage: $0.damage?.rawValue,
                    damagedFrame: $0.damagedFrame)
            })
    }
}
