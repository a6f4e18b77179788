import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles

/// Names that are not UTF-8. Read as text they would all become the same name, which another file may have.
@Suite struct FileNameTests {
    private let directory: TemporaryDirectory
    private static let strange = FileName(bytes: [0x66, 0xff])
    private static let decoy = FileName(bytes: Array("f\u{fffd}".utf8))

    init() throws {
        directory = try TemporaryDirectory()
        try TestFiles.write([1], named: Self.strange, in: directory.path)
        try TestFiles.write([2], named: Self.decoy, in: directory.path)
    }

    @Test func eachNameIsItsOwn() throws {
        #expect(try DurableFiles.names(in: directory.path).sorted() == [Self.decoy, Self.strange].sorted())
        for (name, byte) in [(Self.strange, 1), (Self.decoy, 2)] as [(FileName, UInt8)] {
            #expect(try StrictFiles.read(directory.path.appending(name), limit: 10) == [byte])
            let file = try DirectoryReader(directory.path).file(name)
            #expect(try file.bytes(at: 0, count: 10) == [byte])
            #expect(directory.path.appending(name).name == name)
        }
        try DurableFiles.remove(directory.path.appending(Self.strange))
        #expect(try DurableFiles.names(in: directory.path) == [Self.decoy])
    }

    @Test func aTreeGoesWithAllOfThem() throws {
        let inner = directory.path.appending(FileName(bytes: [0xfe]))
        try DurableFiles.createDirectory(inner)
        try TestFiles.write([3], named: Self.strange, in: inner)
        try DurableFiles.removeTree(directory.path)
        #expect(try !StrictFiles.exists(directory.path))
    }

    @Test(
        arguments: [
            ([0x61, 0xff, 0x62], #"a\xffb"#), ([0xc3, 0xa9], "é"), ([0xc3], #"\xc3"#), ([0x5c, 0x80], #"\\\x80"#),
            ([0xed, 0xa0, 0x80], #"\xed\xa0\x80"#), ([0x01, 0xff], "\u{1}\\xff"),
        ] as [([UInt8], String)])
    func whatIsNoTextIsShownByItsBytes(bytes: [UInt8], shown: String) {
        let name = FileName(bytes: bytes)
        #expect(name.shown == shown)
        #expect((name.text == nil) == shown.contains("\\"))
        #expect(FilePath("/x").appending(name).shown == "/x/" + shown)
    }
}

/// What stands in a place where a directory or a lock of ours is expected.
@Suite struct LinkTests {
    private let directory: TemporaryDirectory
    private let outside: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        outside = directory.appending("outside")
        try DurableFiles.createDirectory(outside)
        try TestFiles.write([1, 2, 3], to: outside.appending("file"))
    }

    @Test func aLinkIsNotEmptied() throws {
        let tree = directory.appending("tree")
        try DurableFiles.createDirectory(tree)
        try FileManager.default.createSymbolicLink(
            atPath: tree.appending("in it").string, withDestinationPath: outside.string)
        let link = directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: outside.string)
        #expect(throws: DurableFilesError(.isSymbolicLink, link)) { try DurableFiles.removeTree(link) }
        try DurableFiles.removeTree(tree)
        #expect(try TestFiles.read(outside.appending("file")) == [1, 2, 3])
        #expect(try !StrictFiles.exists(tree))
    }

    @Test func aLockFileIsNoOtherFile() throws {
        let path = directory.appending("lock")
        try FileManager.default.linkItem(atPath: outside.appending("file").string, toPath: path.string)
        #expect(throws: DurableFilesError(.isHardLinked, path)) { try FileLock(path) }
        #expect(try TestFiles.read(outside.appending("file")) == [1, 2, 3])
        try FileManager.default.removeItem(atPath: path.string)
        try FileManager.default.createSymbolicLink(
            atPath: path.string, withDestinationPath: outside.appending("file").string)
        #expect(throws: DurableFilesError(.isSymbolicLink, path)) { try FileLock(path) }
        try FileManager.default.removeItem(atPath: path.string)
        #expect(mkfifo(path.string, 0o600) == 0)
        #expect(throws: DurableFilesError(.isNotRegular, path)) { try FileLock(path) }
        try FileManager.default.removeItem(atPath: path.string)
        try TestFiles.write([], to: path, mode: 0o666)
        #expect(throws: DurableFilesError(.isOpenToOthers(mode: 0o666), path)) { try FileLock(path) }
        try FileManager.default.removeItem(atPath: path.string)
        try FileLock(path).release()
    }
}
