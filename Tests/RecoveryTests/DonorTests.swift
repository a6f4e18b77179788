import DurableFiles
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import PageCipher
@testable import Snapshots
@testable import Strongroom

/// Rule 4: a page comes into force only from a snapshot under the root of its manifest.
@Suite struct DonorTests {
    private static let sample = Result { try DrillStore() }
    private let drill: DrillStore
    private static let size = DrillStore.pageSize

    init() throws { drill = try Self.sample.get().copy() }
    private init(_ drill: DrillStore) { self.drill = drill }

    /// The pages of the only snapshot, or of one of several in the order in which they were made.
    private func snapshot(_ index: Int = 0) throws -> FilePath {
        let names = try DurableFiles.names(in: drill.files.backups).filter { $0.hasSuffix(".db") }.sorted()
        return drill.files.backups.appending(names[index])
    }

    private func holder() async throws -> VerifyKeyHolder {
        let path = drill.test.directory.appending("verify.key")
        let store = try drill.test.open()
        try await store.writeVerifyKey(of: drill.scope, to: path)
        try store.lock()
        return try VerifyKeyHolder(path)
    }

    /// Four bits of a page, tagged anew with the verify key. Most of the page is what it was.
    private func forge(_ page: Int, _ file: FilePath, _ holder: VerifyKeyHolder) throws {
        let live = try TestFiles.read(drill.files.main)
        var bytes = try TestFiles.read(file)
        try holder.change(page: page, at: (page - 1) * Self.size, in: &bytes, ofDatabaseWith: live) { page in
            for bit in 0..<4 { page[300] ^= 1 << UInt8(bit) }
        }
        try TestFiles.write(bytes, to: file)
    }

    private func damage(_ page: Int) throws {
        try TestFiles.edit(drill.files.main) { $0[(page - 1) * Self.size + 700] ^= 1 }
    }

    /// It authenticates, and is the version that was there but for four bits.
    @Test func aPageThatAVerifyKeyMadeNeverComesBack() async throws {
        try await drill.takeSnapshot()
        let page = try PageMap(drill).leaves[2]
        let holder = try await holder()
        try forge(page, snapshot(), holder)
        try damage(page)
        let before = try drill.bytes()
        let store = try drill.test.open()
        let taken = try await store.snapshot("latest", of: drill.scope)
        #expect(try await store.verifySnapshot(taken).condition == "snapshot_pages_of_another_version")
        let plan = try await store.recoveryPlan(of: drill.scope)
        #expect(plan.action == .noSnapshot && plan.foundPages.inSnapshots == 0 && plan.lostPages == 1)
        #expect(
            await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "db_recovery_no_snapshot")
        #expect(try drill.bytes() == before)
        // No other way leads into force, either.
        #expect(await code { _ = try await store.restoreSnapshot(taken) } == "snapshot_pages_of_another_version")
        #expect(
            await code { _ = try await store.restoreSnapshot(taken, asProfileNamed: "again") }
                == "snapshot_pages_of_another_version")
        #expect(await code { _ = try await store.drillSnapshot(taken) } == "snapshot_pages_of_another_version")
        let files = [drill.test.directory.appending("out.db"), drill.test.directory.appending("out.key")]
        #expect(
            await code { _ = try await store.exportSnapshot(taken, to: files[0], newKeyFile: files[1]) }
                == "snapshot_pages_of_another_version")
        #expect(try drill.bytes() == before)
        try store.lock()
    }

    /// A snapshot that was touched is of no use; the one beside it is.
    @Test(arguments: [0, 1]) func theOtherSnapshotHasIt(forged: Int) async throws {
        try await drill.takeSnapshot()
        try await drill.takeSnapshot()
        let contents = try drill.contents()
        let page = try PageMap(drill).leaves[2]
        let original = try TestFiles.read(drill.files.main)[(page - 1) * Self.size..<page * Self.size]
        try forge(page, snapshot(forged), await holder())
        try damage(page)
        let store = try drill.test.open()
        let event = try #require(try await store.repair(drill.scope))
        try store.lock()
        #expect(event.plan.action == .repair && event.plan.isLossless && event.plan.foundPages.inSnapshots == 1)
        #expect(try TestFiles.read(drill.files.main)[(page - 1) * Self.size..<page * Self.size] == original)
        #expect(try drill.contents() == contents)
    }

    /// The content of other pages may be damaged: their tags are what the root is over.
    @Test func aSnapshotWithADamagedPageStillHelps() async throws {
        try await drill.takeSnapshot()
        let contents = try drill.contents()
        let pages = try PageMap(drill).leaves
        try TestFiles.edit(snapshot()) { $0[(pages[4] - 1) * Self.size + 300] ^= 1 }
        try damage(pages[2])
        let store = try drill.test.open()
        #expect(try await store.repair(drill.scope)?.plan.foundPages.inSnapshots == 1)
        try store.lock()
        #expect(try drill.contents() == contents)
    }

    /// What comes into force is what the root was compared with, whatever the snapshot is by then.
    @Test func aSnapshotThatIsExchangedDuringARestore() async throws {
        try await drill.takeSnapshot()
        let contents = try drill.contents()
        let page = try PageMap(drill).leaves[2]
        let holder = try await holder()
        let before = try TestFiles.read(drill.files.main)
        let store = try drill.test.open()
        let taken = try await store.snapshot("latest", of: drill.scope)
        let (file, scope) = (try snapshot(), drill)
        let found = await code {
            _ = try await store.restoreSnapshot(taken) { progress in
                guard progress.phase == .checking else { return }
                try? Self(scope).forge(page, file, holder)
            }
        }
        try store.lock()
        #expect(found == "copy_differs")
        #expect(try TestFiles.read(drill.files.main) == before)
        #expect(try drill.contents() == contents)
    }

    /// The first bytes of page 1 are in no tag, and name the key.
    @Test func theFirstBytesOfADonorAreOurs() async throws {
        try await drill.takeSnapshot()
        try damage(1)
        try TestFiles.edit(snapshot()) { $0[3] ^= 1 }
        let store = try drill.test.open()
        #expect(
            await code { _ = try await store.repair(drill.scope, acceptingLoss: true) } == "db_recovery_no_snapshot")
        try store.lock()
    }

    // MARK: The file while it is used

    /// Whatever becomes of the file once its tags were read, in place or in its name.
    @Test(arguments: ["this page", "another of the group", "cut", "nothing"])
    func aFileThatIsExchangedMeanwhileGivesNothing(
        what: String
    ) async throws {
        try await drill.takeSnapshot()
        let holder = try await holder()
        let store = try drill.test.open()
        let taken = try await store.snapshot("latest", of: drill.scope)
        var pages = try store.snapshotDirectory(of: drill.scope).rootedPages(of: taken)
        try store.lock()
        let good = try TestFiles.read(snapshot())
        #expect(pages.pageCount == good.count / Self.size)
        for number in [1, 5, pages.pageCount] {
            #expect(try pages.page(number) == Array(good[(number - 1) * Self.size..<number * Self.size]))
        }
        #expect(try pages.page(0) == nil && pages.page(pages.pageCount + 1) == nil && pages.page(.max) == nil)
        // Another group was read last, or none: so the file is looked at again.
        var fresh = try RootedPages(
            of: DataFile(snapshot()), pageCount: pages.pageCount, root: root(of: good),
            layout: PageLayout(size: Self.size, hash: .sha512))
        #expect(try fresh?.page(5) != nil)
        fresh = try RootedPages(
            of: DataFile(snapshot()), pageCount: pages.pageCount, root: root(of: good),
            layout: PageLayout(size: Self.size, hash: .sha512))
        switch what {
        case "this page": try forge(5, snapshot(), holder)
        case "another of the group": try forge(9, snapshot(), holder)
        case "cut": try TestFiles.edit(snapshot()) { $0.removeLast($0.count - 6 * Self.size) }
        default: break
        }
        #expect(try (fresh?.page(5) == nil) == (what != "nothing"))
    }

    private func root(of bytes: [UInt8]) throws -> TagRoot {
        let path = drill.test.directory.appending("copy-\(UUID().uuidString)")
        try TestFiles.write(bytes, to: path)
        let store = try drill.test.open()
        defer { try? store.lock() }
        let key = try store.keyring.dataKey(generation: 1, of: store.keyring.envelope(for: drill.scope))
        return try PageScan(of: DataFile(path), layout: key.info.pageFormat.layout) { try key.makePageAuthenticator() }
            .tagRoot
    }

    /// The tags of a file of another length, of another root, or of an older version of one page.
    @Test func onlyTheWholeRootWillDo() async throws {
        try await drill.takeSnapshot()
        let layout = PageLayout(size: Self.size, hash: .sha512)
        let good = try TestFiles.read(snapshot())
        let root = try root(of: good)
        let count = good.count / Self.size
        func rooted(_ pageCount: Int = count) throws -> RootedPages? {
            try RootedPages(of: DataFile(snapshot()), pageCount: pageCount, root: root, layout: layout)
        }
        #expect(try rooted() != nil)
        #expect(try rooted(count - 1) == nil && rooted(count + 1) == nil && rooted(0) == nil)
        for number in [1, 2, count / 2, count] {
            var bytes = good
            bytes[number * Self.size - 1] ^= 1
            try TestFiles.write(bytes, to: snapshot())
            #expect(try rooted() == nil, "a tag of page \(number)")
        }
        try TestFiles.write(good + [0], to: snapshot())
        #expect(try rooted() == nil)
    }
}
