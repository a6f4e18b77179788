import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles

@Suite struct ReplaceTests {
    let directory: TemporaryDirectory
    let file: FilePath
    let old = [UInt8](repeating: 0x0a, count: 1_300)
    let new = [UInt8](repeating: 0x0b, count: 2_900)

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.appending("file")
        try TestFiles.write(old, to: file)
    }

    @Test func replacesAndCloses() throws {
        try DurableFiles.replace(file, with: new)
        #expect(try TestFiles.read(file) == new)
        #expect(try FileManager.default.attributesOfItem(atPath: file.string)[.posixPermissions] as? Int == 0o600)
        #expect(try DurableFiles.names(in: directory.path).map(\.shown) == ["file"])
    }

    @Test(arguments: [0, 1 << 18, (1 << 18) + 1, 3 << 20]) func filesOfAnyLengthAreReadBack(count: Int) throws {
        let large = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try DurableFiles.replace(file, with: large)
        let isSame = try TestFiles.read(file) == large
        #expect(isSame)
    }

    @Test func createRefusesWhatIsThere() throws {
        #expect(throws: DurableFilesError(.alreadyExists, file)) {
            try DurableFiles.create(file, holding: .init(testing: new))
        }
        #expect(try TestFiles.read(file) == old)
        #expect(try DurableFiles.names(in: directory.path).map(\.shown) == ["file"])
    }

    /// Every call failing in turn, with a full disk and with a broken one: the old or the new file is there, whole, and
    /// an error that says so whenever it is the old one.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFails(error: Errno) throws {
        let failed = try withEachCallFailing(error) { probe in
            try TestFiles.write(old, to: file)
            let result = SystemCalls.$probe.withValue(probe) { Result { try DurableFiles.replace(file, with: new) } }
            let found = try TestFiles.read(file)
            #expect(found == old || found == new)
            if case .success = result { #expect(found == new) }
            for name in try DurableFiles.names(in: directory.path) where name.shown != "file" {
                try DurableFiles.remove(directory.path.appending(name))
            }
        }
        #expect(failed >= 8)
    }

    @Test func everyStateAfterAPowerLossIsTheOldOrTheNewFile() throws {
        let probe = RecordingProbe()
        try SystemCalls.$probe.withValue(probe) { try DurableFiles.replace(file, with: new) }
        let states = CrashEnumerator(initial: [file.string: old], effects: probe.effects).states()
        for state in states {
            let found = state.files[file.string]
            #expect(found == old || found == new)
        }
        print("crash enumeration, replace: \(states.count) disk states")
        #expect(states.count > 20)
    }

    /// The enumerator must be able to find fault: without the fsync before the rename, a torn file takes the old one's
    /// place; without the rename, it is torn where it stands.
    @Test func theEnumeratorCatchesACarelessReplacement() throws {
        func outcomes(_ effects: [DiskEffect]) -> Set<[UInt8]?> {
            Set(CrashEnumerator(initial: [file.string: old], effects: effects).states().map { $0.files[file.string] })
        }
        let temporary = directory.appending("temporary")
        let withoutSync = outcomes([
            .created(temporary), .wrote(temporary, offset: 0, bytes: new), .renamed(from: temporary, to: file),
            .syncedDirectory(directory.path),
        ])
        #expect(withoutSync.contains { $0 != old && $0 != new })
        let inPlace = outcomes([.wrote(file, offset: 0, bytes: new), .syncedFile(file)])
        #expect(inPlace.contains { $0 != old && $0 != new })
        let removedFirst = outcomes([.unlinked(file), .syncedDirectory(directory.path)])
        #expect(removedFirst.contains(nil))
    }

    /// What swift-system says, for every kind of path; names that are no UTF-8 too.
    @Test(arguments: [
        "file", "/", "/file", "directory/file", "/directory/file", "directory/", "//directory//file", "..", "../..",
        ".",
        "/a/b/../c",
    ])
    func theParentIsTheDirectoryThatAPathStandsIn(text: String) {
        let path = FilePath(text)
        let expected = path.removingLastComponent()
        #expect(DurableFiles.parent(of: path) == (expected.isEmpty ? "." : expected))
    }

    @Test func aParentKeepsBytesThatAreNoText() {
        let path = FilePath(platformString: [0x2f, -1, -2, 0x2f, 0x61, 0])
        #expect(DurableFiles.parent(of: path) == FilePath(platformString: [0x2f, -1, -2, 0]))
    }
}
