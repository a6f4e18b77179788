import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Strongroom

/// The directories of a store: no links, nobody else's, closed to others.
@Suite struct TreeTests {
    private let test: TestStore
    private let info: ProfileInfo
    private let other: ProfileInfo
    private let outside: FilePath

    init() throws {
        test = try TestStore()
        let store = try test.open()
        info = try store.createProfile(named: "one")
        other = try store.createProfile(named: "other")
        try store.lock()
        outside = test.directory.appending("outside")
    }

    private func code(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch { return (error as? any ReportableError)?.code ?? "\(error)" }
    }

    /// Moves a directory of the store away, and leaves a link to it.
    private func replaceByLink(_ path: FilePath) throws {
        try FileManager.default.moveItem(atPath: path.string, toPath: outside.string)
        try FileManager.default.createSymbolicLink(atPath: path.string, withDestinationPath: outside.string)
    }

    @Test(arguments: ["profiles", "keyring", "keyring/envelopes"]) func noDirectoryIsALink(name: String) async throws {
        try replaceByLink(test.path.pushing(FilePath(name)))
        #expect(await code { _ = try test.open() } == "file_is_symbolic_link")
    }

    @Test(arguments: ["", "profiles", "keyring", "keyring/envelopes"], [0o777, 0o710, 0o704])
    func noDirectoryIsOpenToOthers(name: String, mode: Int) async throws {
        let path = test.path.pushing(FilePath(name)).string
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect(await code { _ = try test.open() } == "file_open_to_others")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
        #expect(await code { try test.open().lock() } == nil)
    }

    /// The profile that is attacked stays closed, whatever is asked of it; nothing is changed where the link leads, and the other
    /// profile opens.
    @Test(arguments: ["", "backups", "corrupted"]) func aLinkInOneProfileClosesThatOne(name: String) async throws {
        let profile = test.path.appending("profiles").appending("\(info.id)")
        if !name.isEmpty { try DurableFiles.createDirectory(profile.appending(name)) }
        try replaceByLink(name.isEmpty ? profile : profile.appending(name))
        let store = try test.open()
        defer { try? store.lock() }
        let before = try TestFiles.snapshot(outside)
        let scope = KeyScope.profile(info.id)
        let link = "file_is_symbolic_link"
        #expect(await code { _ = try store.openProfile(info) } == link)
        #expect(await code { _ = try store.verify(info) } == link)
        #expect(await code { _ = try await store.deleteProfile(info.id) } == link)
        #expect(await code { _ = try await store.createSnapshot(of: scope) } == link)
        #expect(await code { _ = try await store.snapshots(of: scope) } == link)
        #expect(await code { _ = try await store.rotateDataKey(of: scope) } == link)
        #expect(await code { _ = try await store.repair(scope, acceptingLoss: true) } == link)
        #expect(try await store.retireDataKeys(of: [scope], destroying: true).failed.map(\.code) == [link])
        let state = try await store.diagnostics(profile: info.id).profile?.condition
        if case .error(let found) = state {
            #expect("\(found)" == link)
        } else {
            Issue.record("\(String(describing: state))")
        }
        #expect(try TestFiles.snapshot(outside) == before)
        try store.openProfile(other).close()
    }

    @Test func aPathThatIsNotTextIsRefused() async throws {
        let parent = test.directory.path.appending(FileName(bytes: [0xff]))
        try DurableFiles.createDirectory(parent)
        let path = parent.appending("store")
        #expect(
            await code {
                _ = try Store.create(at: path, unlockers: [(.keyFile(test.keyFile), "test")])
            } == "path_not_text")
        #expect(try !StrictFiles.exists(path))
        try DurableFiles.rename(test.path, to: path)
        #expect(
            await code { _ = try Store.open(at: path, with: .keyFile(test.keyFile)) } == "path_not_text")
    }
}
