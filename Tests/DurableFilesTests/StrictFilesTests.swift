import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles

@Suite struct StrictFilesTests {
    let directory: TemporaryDirectory
    let file: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.appending("file")
        try TestFiles.write([1, 2, 3], to: file)
    }

    private func reason(_ path: FilePath, limit: Int = 100) -> DurableFilesError.Reason? {
        do {
            _ = try StrictFiles.read(path, limit: limit)
            return nil
        } catch { return error.reason }
    }

    @Test func readsAFileOfOurs() throws {
        #expect(try StrictFiles.read(file, limit: 3) == [1, 2, 3])
        #expect(try StrictFiles.readSecret(file, limit: 3).withUnsafeBytes { Array($0) } == [1, 2, 3])
    }

    @Test func refusesASymbolicLink() throws {
        let link = directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: file.string)
        #expect(reason(link) == .isSymbolicLink)
    }

    @Test func refusesASecondName() throws {
        try FileManager.default.linkItem(atPath: file.string, toPath: directory.appending("second").string)
        #expect(reason(file) == .isHardLinked)
    }

    @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o601, 0o610])
    func refusesWhatOthersCanReach(mode: Int) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.string)
        #expect(reason(file) == .isOpenToOthers(mode: UInt16(mode)))
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a file away"))
    func refusesAFileOfAnother() throws {
        #expect(chown(file.string, 1, 1) == 0)
        #expect(reason(file) == .isOwnedByAnother)
        #expect(chown(directory.path.string, 1, 1) == 0)
        #expect(throws: DurableFilesError(.isOwnedByAnother, directory.path)) {
            try StrictFiles.requireOwnDirectory(directory.path)
        }
        #expect(chown(directory.path.string, 0, 0) == 0)
    }

    @Test func refusesWhatIsNoFile() throws {
        #expect(reason(directory.path) == .isNotRegular)
        let fifo = directory.appending("fifo")
        #expect(mkfifo(fifo.string, 0o600) == 0)
        #expect(reason(fifo) == .isNotRegular)
        #expect(reason("/dev/null") == .isNotRegular)
        #expect(reason(directory.appending("none")) == .missing)
    }

    @Test func refusesWhatIsTooLongWithoutReadingIt() throws {
        #expect(reason(file, limit: 2) == .isLongerThan(2))
        let huge = directory.appending("huge")
        try TestFiles.write([], to: huge)
        #expect(truncate(huge.string, 1 << 40) == 0)
        #expect(reason(huge, limit: 1 << 20) == .isLongerThan(1 << 20))
    }

    @Test func anEmptySecretIsRefused() throws {
        try TestFiles.write([], to: file)
        #expect(throws: DurableFilesError(.isEmpty, file)) { _ = try StrictFiles.readSecret(file, limit: 100) }
    }

    @Test func absentPresentAndErrorAreThreeAnswers() throws {
        #expect(try StrictFiles.exists(file))
        #expect(try !StrictFiles.exists(directory.appending("none")))
        SystemCalls.$probe.withValue(FailingProbe(failing: 1, with: .ioError)) {
            #expect(throws: DurableFilesError.self) { _ = try StrictFiles.exists(file) }
        }
    }
}

@Suite struct FileLockTests {
    @Test func excludesASecondHolderAndEndsWithTheFirst() throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("lock")
        let first = try FileLock(path)
        #expect(throws: DurableFilesError(.isLocked(process: getpid()), path)) { _ = try FileLock(path) }
        first.release()
        let second = try FileLock(path)
        withExtendedLifetime(second) {}
    }

    @Test func waitsForAsLongAsItIsTold() throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("lock")
        let first = try FileLock(path)
        Thread.detachNewThread {
            usleep(50_000)
            first.release()
        }
        _ = try FileLock(path, patienceMilliseconds: 30_000)
    }
}
