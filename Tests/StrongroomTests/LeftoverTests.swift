import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Snapshots
@testable import Strongroom

/// What interrupted work leaves, made here as the interruption would leave it.
@Suite struct LeftoverTests {
    private let test: TestStore
    private let store: Store
    private let info: ProfileInfo
    private let files: DatabaseFiles

    init() async throws {
        test = try TestStore()
        store = try test.open()
        info = try store.createProfile(named: "kept")
        files = DatabaseFiles(.profile(info.id), in: store.directory)
        let profile = try store.openProfile(info)
        try await profile.database.write { try $0.execute(sql: "CREATE TABLE t (v); INSERT INTO t VALUES (1), (2)") }
        try profile.close()
    }

    private func found(
        shredded: Bool = false, dry: Bool = false, now: Date = Date()
    ) async throws -> [Leftover.Kind: Leftover.Outcome] {
        let report = try await store.removeLeftovers(includingShredded: shredded, isDryRun: dry, now: now)
        return Dictionary(report.leftovers.map { ($0.kind, $0.outcome) }, uniquingKeysWith: { one, _ in one })
    }

    /// Nothing of what is in use changes.
    private func expectWhole() async throws {
        let profile = try store.openProfile(info)
        #expect(try await profile.database.read { try Int.fetchOne($0, sql: "SELECT sum(v) FROM t") } == 3)
        try profile.close()
        #expect(try await found().isEmpty)
    }

    @Test func thereIsNothingInAStoreThatWasNeverInterrupted() async throws {
        _ = try await store.createSnapshot(of: files.scope)
        try await store.rotateDataKey(of: files.scope)
        let before = try TestFiles.snapshot(store.directory)
        #expect(try await found().isEmpty)
        #expect(try TestFiles.snapshot(store.directory) == before)
    }

    @Test func whatIsNotFinishedGoes() async throws {
        let other = try store.createProfile(named: "unfinished")
        let place = DatabaseFiles(.profile(other.id), in: store.directory)
        // As it is between the making of its database and its registration.
        try await store.writeGlobal { try ProfileRegistry.remove(other.id, $0) }
        for path in [files.rotating, files.restoring, files.restoring.withSuffix("-wal")] {
            try TestFiles.write([UInt8](repeating: 1, count: 10_000), to: path)
        }
        try DurableFiles.createDirectory(files.backups)
        let drill = files.backups.appending(".drill-20261126T170122.255Zabc")
        for path in [drill, drill.withSuffix(".lock"), drill.withSuffix("-journal")] {
            try TestFiles.write([1], to: path)
        }
        let snapshot = files.backups.appending(SnapshotName(files.scope, .manual, at: Date()).description)
        for suffix in [".partial", ".db"] { try TestFiles.write([1, 2], to: snapshot.withSuffix(suffix)) }
        let temporary = [
            store.directory, store.keyring.directory, LockedKeyring.envelopesPath(in: store.keyring.directory),
            files.directory, files.backups,
        ].map { $0.appending(".x.json.abc.tmp") }
        for path in temporary { try TestFiles.write([1], to: path) }

        let all: Set<Leftover.Kind> = [
            .unfinishedProfile, .unfinishedRotation, .unfinishedRestore, .unfinishedDrill, .unfinishedSnapshot,
            .temporaryFile,
        ]
        let later = Date() + 7_200
        let before = try TestFiles.snapshot(store.directory)
        let dry = try await store.removeLeftovers(isDryRun: true, now: later)
        #expect(Set(dry.leftovers.map(\.kind)) == all && dry.leftovers.allSatisfy { $0.outcome == .wouldRemove })
        #expect(dry.bytes > 20_000)
        #expect(dry.leftovers.count { $0.kind == .temporaryFile } == temporary.count, "\(dry.leftovers)")
        let after = try TestFiles.snapshot(store.directory)
        #expect(Set(after.keys) == Set(before.keys))
        #expect(after.filter { before[$0.key] != $0.value && !$0.key.hasSuffix(".partial") }.isEmpty)
        // What was written a moment ago may be being written.
        #expect(try await found()[.temporaryFile] == nil)
        #expect(temporary.allSatisfy { (try? StrictFiles.exists($0)) == true })
        #expect(try await found(now: later) == [.temporaryFile: .removed])
        #expect(try !StrictFiles.exists(place.directory) && !StrictFiles.exists(files.rotating))
        #expect(try DurableFiles.names(in: files.backups).isEmpty)
        #expect(throws: KeyringError.self) { try store.keyring.envelope(for: place.scope) }
        try await expectWhole()
    }

    @Test func whatIsInUseStays() async throws {
        let profile = try store.openProfile(info)
        try TestFiles.write([1], to: files.rotating)
        #expect(try await found() == [.unfinishedRotation: .inUse])
        try profile.close()
        #expect(try await found() == [.unfinishedRotation: .removed])
        try await expectWhole()
    }

    /// A profile is registered while its leftovers are looked for: its lock is held until then, and the list is asked again under the lock.
    @Test func whatIsRegisteredMeanwhileStays() async throws {
        let registered = try #require(try await store.readGlobal { try ProfileRegistry.find(info.id, $0) })
        try await store.writeGlobal { try ProfileRegistry.remove(info.id, $0) }
        let lock = try FileLock(files.lock)
        async let searched = found()
        // Less than the patience for the lock of a profile. Where the search has not begun by then, it finds nothing at all.
        try await Task.sleep(for: .milliseconds(120))
        try await store.writeGlobal { try ProfileRegistry.add(registered, name: ProfileName("kept"), $0) }
        lock.release()
        let outcomes = try await searched
        #expect(outcomes.isEmpty || outcomes == [.unfinishedProfile: .inUse])
        try await expectWhole()
    }

    /// Without its envelope read, it is not known what it is.
    @Test func whatCannotBeToldStays() async throws {
        let other = try store.createProfile(named: "other")
        try await store.writeGlobal { try ProfileRegistry.remove(other.id, $0) }
        let path = LockedKeyring.envelopesPath(in: store.keyring.directory).appending("\(other.id).json")
        let bytes = try TestFiles.read(path)
        try TestFiles.edit(path) { $0[40] ^= 1 }
        let report = try await store.removeLeftovers()
        #expect(report.leftovers.map(\.outcome) == [.failed] && report.leftovers[0].code == "envelope_damaged")
        try TestFiles.write(bytes, to: path)
        #expect(try await found() == [.unfinishedProfile: .removed])
        try await expectWhole()
    }

    /// A restore that was decided is finished by the next one to open the database.
    @Test func whatAJournalSpeaksOfStays() async throws {
        let snapshot = try await store.createSnapshot(of: files.scope)
        let probe = FailingProbe(failing: 1, with: .ioError, calls: [.link])
        await SystemCalls.$probe.withValue(probe) { _ = try? await store.restoreSnapshot(snapshot) }
        #expect(try StrictFiles.exists(files.restoreJournal) && StrictFiles.exists(files.restoring))
        #expect(try await found().isEmpty)
        try await expectWhole()
    }

    @Test func whatWasOnceInUseStays() async throws {
        _ = try await store.createSnapshot(of: files.scope)
        let registered = try #require(try await store.readGlobal { try ProfileRegistry.find(info.id, $0) })
        try await store.writeGlobal { try ProfileRegistry.remove(info.id, $0) }
        #expect(try await found() == [.unfinishedProfile: .hasHistory])
        try await store.writeGlobal { try ProfileRegistry.add(registered, name: ProfileName("kept"), $0) }
        try await expectWhole()
    }

    @Test func shreddedProfilesGoWhenSomebodySaysSo() async throws {
        let other = try store.createProfile(named: "shredded")
        _ = try await store.shredProfile(other.id)
        let directory = DatabaseFiles(.profile(other.id), in: store.directory).directory
        #expect(try await found() == [.shreddedProfile: .notAsked])
        #expect(try StrictFiles.exists(directory))
        #expect(try await store.diagnostics().posture.unregisteredProfiles == 0)
        #expect(try await found(shredded: true) == [.shreddedProfile: .removed])
        #expect(try !StrictFiles.exists(directory))
        try await expectWhole()
    }

    @Test func nothingGoesWhileAnythingIsMade() async throws {
        let hold = try store.holdRotation()
        defer { hold.release() }
        await #expect(throws: KeyringError.self) { try await store.removeLeftovers() }
    }
}

@Suite struct QuarantineCareTests {
    private let test: TestStore
    private let store: Store
    private let info: ProfileInfo
    private var scope: KeyScope { .profile(info.id) }

    init() async throws {
        test = try TestStore()
        store = try test.open()
        info = try store.createProfile(named: "one")
        let profile = try store.openProfile(info)
        try await profile.database.write { try $0.execute(sql: "CREATE TABLE t (v); INSERT INTO t VALUES (1)") }
        try profile.close()
        let snapshot = try await store.createSnapshot(of: .profile(info.id))
        _ = try await store.restoreSnapshot(snapshot)
    }

    private func prune(days: Int? = nil, dry: Bool = false, now: Date = Date()) async throws -> [String] {
        let report = try await store.pruneQuarantines(of: scope, olderThanDays: days, isDryRun: dry, now: now)
        return report.removed.map { _ in "removed" } + report.kept.map(\.reason.rawValue)
    }

    @Test func whatIsThereIsShown() async throws {
        let entries = try await store.quarantines(of: scope)
        #expect(entries.count == 1 && entries[0].kind == .restore && entries[0].scope == "\(scope)")
        #expect(entries[0].files.map(\.name).contains("profile.db") && entries[0].bytes >= 4_096)
        #expect(try await store.quarantines(of: .global).isEmpty)
    }

    @Test func nothingGoesThatMayBeNeeded() async throws {
        #expect(try await prune() == ["young"])
        let later = Date() + 31 * 86_400
        #expect(try await prune(now: Date() - 31 * 86_400) == ["young"])
        // The only snapshot is from before.
        #expect(try await prune(now: later) == ["no_later_snapshot"])
        // A manifest knows seconds.
        try await Task.sleep(for: .milliseconds(1_100))
        let snapshot = try await store.createSnapshot(of: scope)
        #expect(try await prune(dry: true, now: later) == ["removed"])
        let files = DatabaseFiles(scope, in: store.directory)
        // One that is not good does not count.
        let pages = files.backups.appending("\(snapshot.name).db")
        try TestFiles.edit(pages) { $0[$0.count - 100] ^= 1 }
        #expect(try await prune(now: later) == ["no_later_snapshot"])
        try TestFiles.edit(pages) { $0[$0.count - 100] ^= 1 }
        try TestFiles.edit(files.main) { $0[$0.count - 100] ^= 1 }
        #expect(try await prune(now: later) == ["not_healthy"])
        #expect(try await store.quarantines(of: scope).count == 1)
        try TestFiles.edit(files.main) { $0[$0.count - 100] ^= 1 }
        #expect(try await prune(now: later) == ["removed"])
        #expect(try await store.quarantines(of: scope).isEmpty)
        #expect(try store.verify(info).condition == .healthy)
    }

    @Test func theAgeIsThePolicysOrWhatIsSaid() async throws {
        try await Task.sleep(for: .milliseconds(1_100))
        _ = try await store.createSnapshot(of: scope)
        #expect(try await prune(now: Date() + 29 * 86_400) == ["young"])
        #expect(try await prune(days: 0) == ["removed"])
    }
}
