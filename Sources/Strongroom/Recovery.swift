// From a damaged database to what can be done about it. Nothing is written here.

import DurableFiles
import Foundation
import Keyring
import PageCipher
import Snapshots

/// One look at one damaged database. The caller holds its lock, and keeps rotations away.
struct Recovery {
    let store: Store
    let files: DatabaseFiles
    let envelope: Envelope

    private var diagnosis: Diagnosis { Diagnosis(files: files, envelope: envelope, keyring: store.keyring) }

    /// How a plan is carried out.
    enum Means {
        case nothing
        /// The pages as they should be.
        case pages(PageSource, DataKeyInfo, isClosed: Bool)
        case snapshot(Snapshot)
    }

    /// - Parameter ignoringRepair: whether to say what is left where page by page did not do.
    func plan(for condition: DatabaseCondition, ignoringRepair: Bool = false) throws -> (RecoveryPlan, Means) {
        if condition == .journalForeign {
            let behind = try diagnosis.ofAllPages(ignoringJournal: true)
            guard behind != .healthy else { return (.movingJournal(files.scope), .nothing) }
            var (plan, means) = try self.plan(for: behind)
            plan.movesJournal = true
            return (plan, means)
        }
        var plan = RecoveryPlan(files.scope, condition, condition == .healthy ? .none : .refuse)
        guard condition.isProvenDamage, let active = try files.keyInForce(envelope) else { return (plan, .nothing) }
        let list = try store.snapshotDirectory(of: files.scope).list().snapshots
        let isClosed = try !files.hasPendingWAL() && files.session(envelope) == .closed
        let wal = try soundWAL(under: active)
        if let wal {
            // A WAL that is another database's says nothing about this one; what was in its own is not known.
            guard wal.isOfThisDatabase else { return (plan, .nothing) }
            plan.lostTransactions = wal.lostTransactions
        }
        if let source = try repairedPages(&plan, active, wal, list), !ignoringRepair {
            plan.action = .repair
            plan.isLossless = plan.lostTransactions == 0
            return (plan, .pages(source, active, isClosed: isClosed))
        }
        return try restore(plan, active, list, isClosed: isClosed)
    }

    /// The database with a whole WAL laid over it; nil where it is not this database's, not whole, or older than the main file.
    func pagesWithWAL() throws -> (PageSource, DataKeyInfo)? {
        guard let active = try files.keyInForce(envelope), try files.hasPendingWAL() else { return nil }
        let scan = try diagnosis.scanWAL(under: active)
        guard scan.damage == nil else { return nil }
        let main = try DataFile(files.main)
        let layout = active.pageFormat.layout
        let source: PageSource
        do {
            source = try PageSource(
                main, pageSize: layout.size, pageCount: scan.pageCount ?? main.length() / layout.size,
                wal: DataFile(files.wal), frames: scan.newestFrames, patches: [:])
        } catch {
            // A page is in neither of them.
            guard case PageCipherError.walDamaged = error else { throw error }
            return nil
        }
        let key = try store.keyring.dataKey(generation: active.generation, of: envelope).makePageKey()
        let alone = try PageSource(main, pageSize: layout.size)
        let (before, after) = (try alone.pageBytes(1), try source.pageBytes(1))
        func schema(_ page: [UInt8]) throws -> Int? {
            try page.withUnsafeBytes { page in
                try key.authenticate(SealedPage(page, number: 1)).map { try key.header(of: $0).schemaCookie }
            }
        }
        // A database whose schema is newer than that of the WAL was changed since.
        let earlier = try schema(before) ?? 0
        guard let later = try schema(after), before == after || later >= earlier else { return nil }
        return (source, active)
    }

    // MARK: The WAL

    private struct SoundWAL {
        let frames: [Int: Int]
        let pageCount: Int?
        let lostTransactions: Int
        let isOfThisDatabase: Bool
    }

    /// What of the WAL can be kept; nil where there is none.
    private func soundWAL(under active: DataKeyInfo) throws -> SoundWAL? {
        guard try files.hasPendingWAL() else { return nil }
        let scan = try diagnosis.scanWAL(under: active)
        guard scan.damage != nil else {
            return SoundWAL(
                frames: scan.newestFrames, pageCount: scan.pageCount, lostTransactions: 0, isOfThisDatabase: true)
        }
        let key = try store.keyring.dataKey(generation: active.generation, of: envelope)
        let found = try WALRecovery(of: DataFile(files.wal), with: key.makePageKey())
        return SoundWAL(
            frames: found.frames, pageCount: found.pageCount, lostTransactions: found.lostTransactions,
            isOfThisDatabase: found.isOfThisDatabase)
    }

    // MARK: Page by page

    /// The pages as they should be; nil where some of them are nowhere.
    private func repairedPages(
        _ plan: inout RecoveryPlan, _ active: DataKeyInfo, _ wal: SoundWAL?, _ list: [Snapshot]
    ) throws -> PageSource? {
        let main = try DataFile(files.main)
        let layout = active.pageFormat.layout
        let key = try store.keyring.dataKey(generation: active.generation, of: envelope)
        let scan = try PageScan(of: main, layout: layout) { try key.makePageAuthenticator() }
        // More bad pages than are listed.
        let unlisted = scan.badPageCount - scan.badPages.count
        let frames = wal?.frames ?? [:]
        let inMain = scan.pageCount
        var bad = Set(scan.badPages.map(\.number)).subtracting(frames.keys)
        // Where so much is gone a snapshot is the shorter way. The numbers are looked at before anything is as large as they are:
        // page 1 may say any, and be authentic.
        let limit = LostPages.limit(layout)
        if let count = wal?.pageCount {
            bad = bad.filter { $0 <= count }
            let absent = AbsentPages(upTo: count, behind: inMain, except: frames, layout)
            guard bad.count + absent.count <= limit else { return plan.giveUp(pages: bad.count + absent.count) }
            bad.formUnion(absent.numbers)
        }
        guard bad.count + unlisted <= limit else { return plan.giveUp(pages: bad.count + unlisted) }
        var pages = try LostPages(main, missing: bad, key: key.makePageKey())
        var donors = try Donors(list, under: active, in: store.snapshotDirectory(of: files.scope))
        try donors.look(for: &pages)
        var count = wal?.pageCount ?? max(inMain + (scan.trailingBytes > 0 ? 1 : 0), frames.keys.max() ?? 0)
        // The WAL's own page 1 is newer than what is found elsewhere.
        if wal?.pageCount == nil, frames[1] == nil, let counted = try pages.header()?.pageCount {
            let absent = AbsentPages(upTo: counted, behind: inMain, except: frames, layout)
            guard absent.count <= limit else { return plan.giveUp(pages: bad.count + unlisted + absent.count) }
            pages.add(absent.numbers)
            try donors.look(for: &pages)
            count = counted
        }
        if frames.isEmpty { try pages.replaceUnused() }
        let missing = pages.missing.filter { $0 <= count }
        let found = pages.found.filter { $0.key <= count }
        plan.note(found.values.map(\.source))
        plan.lostPages = missing.count + unlisted
        plan.badPages = plan.foundPages.count + plan.lostPages
        guard plan.lostPages == 0, count > 0, try pages.header() != nil || frames[1] != nil else { return nil }
        return try PageSource(
            main, pageSize: layout.size, pageCount: count, wal: frames.isEmpty ? nil : DataFile(files.wal),
            frames: frames,
            patches: found.mapValues(\.bytes))
    }

    // MARK: A snapshot

    private func restore(
        _ unfinished: RecoveryPlan, _ active: DataKeyInfo, _ list: [Snapshot], isClosed: Bool
    ) throws -> (RecoveryPlan, Means) {
        var plan = unfinished
        let directory = try store.snapshotDirectory(of: files.scope)
        for snapshot in list.reversed() {
            guard let report = try? directory.verify(snapshot), report.isHealthy else { continue }
            plan.action = .restore
            plan.snapshot = snapshot
            // Each close after a change counts the epoch up: so nothing was changed since this one was taken.
            plan.isLossless =
                isClosed && snapshot.epoch == envelope.epoch && snapshot.keyGeneration == active.generation
            plan.secondsLost = plan.isLossless ? 0 : max(0, Int(try lastChange().timeIntervalSince(snapshot.created)))
            return (plan, .snapshot(snapshot))
        }
        plan.action = .noSnapshot
        return (plan, .nothing)
    }

    /// When the files were last written to.
    private func lastChange() throws -> Date {
        try [files.main, files.wal].compactMap { path in
            try FileFingerprint(of: path).map { Date(timeIntervalSince1970: Double($0.changedSeconds)) }
        }.max() ?? Date()
    }
}

/// Pages that a database is to have, and that stand neither in its main file nor in its WAL.
private struct AbsentPages {
    /// How many there are.
    let count: Int
    private let range: Range<Int>
    private let frames: [Int: Int]
    private let lockPage: Int

    init(upTo last: Int, behind inMain: Int, except frames: [Int: Int], _ layout: PageLayout) {
        range = inMain + 1..<max(inMain, last) + 1
        self.frames = frames
        lockPage = layout.lockPageNumber
        let range = range
        count = range.count - frames.keys.count { range.contains($0) } - (range.contains(lockPage) ? 1 : 0)
    }

    /// Their numbers: not before ``count`` was looked at.
    var numbers: some Sequence<Int> { range.lazy.filter { frames[$0] == nil && $0 != lockPage } }
}

/// Snapshots under the key in force, newest first: pages of another key are other pages. Each is read once, and not before it is
/// needed.
private struct Donors {
    private let snapshots: [Snapshot]
    private let directory: SnapshotDirectory
    private var opened: [RootedPages?] = []

    init(_ list: [Snapshot], under active: DataKeyInfo, in directory: SnapshotDirectory) {
        snapshots = list.reversed().filter { $0.keyGeneration == active.generation }
        self.directory = directory
    }

    mutating func look(for pages: inout LostPages) throws {
        for (index, snapshot) in snapshots.enumerated() where !pages.missing.isEmpty {
            // One whose tags are not those of its manifest is of no use.
            if index == opened.count { opened.append(try? directory.rootedPages(of: snapshot)) }
            if var donor = opened[index] { try pages.look(in: &donor, index: index) }
        }
    }
}

extension RecoveryPlan {
    fileprivate mutating func giveUp(pages: Int) -> PageSource? {
        badPages = pages
        lostPages = pages
        return nil
    }

    fileprivate mutating func note(_ sources: [LostPages.Source]) {
        for source in sources {
            switch source {
            case .header: foundPages.inHeader += 1
            case .misplaced: foundPages.exchanged += 1
            case .unused: foundPages.unused += 1
            case .donor: foundPages.inSnapshots += 1
            }
        }
    }
}
