import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import KeyPolicy
@testable import Keyring
@testable import Strongroom

@Suite struct StoreTests {
    @Test func aStoreIsMadeOpenedAndLocked() throws {
        let test = try TestStore()
        let store = try test.open()
        #expect(try store.profiles().isEmpty)
        try store.writeGlobal {
            try $0.execute(
                sql: "CREATE TABLE preference (k TEXT PRIMARY KEY, v TEXT); INSERT INTO preference VALUES ('a', 'b')")
        }
        #expect(try store.readGlobal { try String.fetchOne($0, sql: "SELECT v FROM preference") } == "b")
        try store.lock()
        #expect(code { _ = try store.profiles() } == "store_locked")
        let again = try test.open()
        #expect(again.id == store.id)
        #expect(try again.readGlobal { try String.fetchOne($0, sql: "SELECT v FROM preference") } == "b")
    }

    @Test func filesAreClosedToOthersAndNameNobody() throws {
        let test = try TestStore()
        _ = try test.makeProfile(named: "Somebody's name")
        for file in try TestFiles.tree(test.path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: file.string)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file)")
            #expect(!file.string.contains("Somebody"))
            #expect(ByteSearch.count(Array("Somebody".utf8), in: try TestFiles.read(file)) == 0)
        }
    }

    @Test func theKeyringMayBeElsewhere() throws {
        let directory = try TemporaryDirectory()
        let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
        let keyring = directory.appending("keys")
        try Store.create(at: directory.appending("store"), keyring: keyring, unlockers: [(secret, "")]).lock()
        #expect(code { _ = try Store.open(at: directory.appending("store"), with: secret) } == "keyring_missing")
        try Store.open(at: directory.appending("store"), keyring: keyring, with: secret).lock()
    }

    @Test func wrongSecretsAreRefusedAndNothingChanges() throws {
        let test = try TestStore()
        let before = try TestFiles.snapshot(test.path)
        let wrong = try UnlockSecret.makeKeyFile(test.directory.appending("wrong"))
        #expect(code { _ = try Store.open(at: test.path, with: wrong) } == "unlock_failed")
        let phrase = try UnlockSecret.passphrase(.init(testing: Array("a passphrase that is wrong".utf8)))
        #expect(code { _ = try Store.open(at: test.path, with: phrase) } == "unlock_failed")
        #expect(try TestFiles.snapshot(test.path) == before)
    }

    @Test func badKeyFilesAreEachNamed() throws {
        let test = try TestStore()
        func opening(_ bytes: [UInt8], mode: Int = 0o600) throws -> String? {
            let path = test.directory.appending("bad")
            try? FileManager.default.removeItem(atPath: path.string)
            try TestFiles.write(bytes, to: path, mode: mode)
            return code { _ = try UnlockSecret.keyFile(path) }
        }
        #expect(try opening([]) == "file_empty")
        #expect(try opening([UInt8](repeating: 1, count: 31)) == "key_length_invalid")
        #expect(try opening([UInt8](repeating: 1, count: 5_000)) == "file_too_long")
        // In a directory that nobody else can enter, nobody else can read it.
        #expect(try opening(TestStore.key, mode: 0o644) == nil)
        #expect(chmod(test.directory.path.string, 0o755) == 0)
        #expect(try opening(TestStore.key, mode: 0o644) == "file_open_to_others")
        let link = test.directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: test.keyFile.string)
        #expect(code { _ = try UnlockSecret.keyFile(link) } == nil)
        try FileManager.default.linkItem(atPath: test.keyFile.string, toPath: test.directory.appending("second").string)
        #expect(code { _ = try UnlockSecret.keyFile(test.keyFile) } == "file_is_hard_linked")
        #expect(code { _ = try UnlockSecret.keyFile(test.directory.appending("none")) } == "file_missing")
        #expect(code { _ = try UnlockSecret.makeKeyFile(test.keyFile) } == "file_exists")
    }

    @Test func aStoreIsNotMadeOverAnother() throws {
        let test = try TestStore()
        let before = try TestFiles.snapshot(test.path)
        let secret = try UnlockSecret.keyFile(test.keyFile)
        #expect(code { _ = try Store.create(at: test.path, unlockers: [(secret, "")]) } == "store_exists")
        #expect(try TestFiles.snapshot(test.path) == before)
    }

    @Test func whatIsNotMetByThePolicyIsRefusedBeforeAnythingIsWritten() throws {
        let test = try TestStore()
        let secret = try UnlockSecret.keyFile(test.keyFile)
        let path = test.directory.appending("other")
        #expect(
            code { _ = try Store.create(at: path, policy: .shipped("strict"), unlockers: [(secret, "")]) }
                == "too_few_unlockers")
        #expect(
            code { _ = try Store.create(at: path, policy: .shipped("none"), unlockers: [(secret, "")]) }
                == "policy_unknown")
        #expect(try !StrictFiles.exists(path))
    }

    @Test func aWeakenedPolicyIsCaught() throws {
        let test = try TestStore()
        try TestFiles.edit(test.path.appending("policy.yaml")) { $0 += Array("\n# one more line\n".utf8) }
        #expect(code { _ = try test.open() } == "policy_changed")
    }

    @Test func everyFlippedByteOfTheStoreFileIsDamage() throws {
        let test = try TestStore()
        let path = test.path.appending("store.json")
        let bytes = try TestFiles.read(path)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1 << UInt8(index % 8)
            try TestFiles.write(changed, to: path)
            #expect(code { _ = try test.open() } == "store_damaged", "byte \(index)")
        }
        try FileManager.default.removeItem(atPath: path.string)
        #expect(code { _ = try test.open() } == "store_missing")
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a directory away"))
    func aStoreOfAnotherUserIsRefused() throws {
        let test = try TestStore()
        #expect(chown(test.path.string, 1, 1) == 0)
        #expect(code { _ = try test.open() } == "file_owned_by_another")
        #expect(chown(test.path.string, 0, 0) == 0)
    }

    @Test func anOlderKeyringIsNoticed() throws {
        let test = try TestStore()
        let file = test.path.appending("keyring").appending("keyring.json")
        let old = try TestFiles.read(file)
        let store = try test.open()
        try store.addUnlocker(UnlockSecret.makeKeyFile(test.directory.appending("second")), label: "second")
        try store.lock()
        try test.open().lock()
        try TestFiles.write(old, to: file)
        #expect(code { _ = try test.open() } == "keyring_rolled_back")
    }

    /// Every system call of making a store failing in turn: there is a store that opens, or none and nothing is left.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFailsWhileItIsMade(error: Errno) throws {
        let directory = try TemporaryDirectory()
        let secret = try UnlockSecret.makeKeyFile(directory.appending("key"))
        let path = directory.appending("store")
        let failed = try withEachCallFailing(error) { probe in
            let outcome = SystemCalls.$probe.withValue(probe) {
                Result { try Store.create(at: path, unlockers: [(secret, "")]).lock() }
            }
            if case .success = outcome { try Store.open(at: path, with: secret).lock() }
            if case .failure = outcome {
                if try StrictFiles.exists(path.appending("store.json")) {
                    try Store.open(at: path, with: secret).lock()
                }
            }
            try? FileManager.default.removeItem(atPath: path.string)
        }
        print("faults, store create: \(failed) system calls failed with \(error)")
        #expect(failed > 60)
    }
}
