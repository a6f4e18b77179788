import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import KeyPolicy
@testable import Keyring

/// The keyring's writes, cut at every point and failing at every call.
@Suite struct KeyringCrashTests {
    let test: TestKeyring
    init() throws { test = try TestKeyring() }

    /// Every state of the disk after `change`, opened with a key that opened the keyring before.
    private func enumerate(
        _ name: String, expecting sequences: ClosedRange<Int>, _ change: (UnlockedKeyring) throws -> Void
    ) throws {
        let keyring = try test.create()
        let initial = try TestFiles.snapshot(test.path)
        let probe = RecordingProbe()
        try SystemCalls.$probe.withValue(probe) { try change(keyring) }
        let states = CrashEnumerator(initial: initial, effects: probe.effects).states()
        var found: Set<Int> = []
        for state in states {
            let directory = try TemporaryDirectory()
            try state.materialise(at: directory.path, insteadOf: test.path)
            let opened = try LockedKeyring(in: directory.path).unlock(with: TestKeyring.key())
            found.insert(opened.sequence)
            #expect(sequences.contains(opened.sequence))
            for scope in try TestFiles.tree(directory.path.appending("envelopes")).compactMap({
                KeyScope($0.stem ?? "")
            }) {
                _ = try opened.dataKey(generation: 1, of: opened.envelope(for: scope))
            }
        }
        print("crash enumeration, \(name): \(states.count) disk states, every one the old or a new keyring, whole")
        #expect(found == Set(sequences), "each outcome was seen")
        #expect(states.count >= 10)
    }

    @Test func addingAnUnlocker() throws {
        try enumerate("unlocker add", expecting: 1...2) {
            try $0.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy)
        }
    }

    @Test func changingAnUnlocker() throws {
        try enumerate("unlocker change", expecting: 1...4) { keyring in
            let added = try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy)
            try keyring.changeUnlocker(added, to: TestKeyring.key(2), policy: test.policy)
        }
    }

    /// Interrupted anywhere, the rotation goes on, is itself interrupted anywhere, and goes on again; every data key opens at every
    /// moment, and no root key is destroyed that an envelope still needs.
    @Test func rotatingTheRootKey() throws {
        func rotate(_ keyring: UnlockedKeyring) throws {
            _ = try keyring.begin(.root)
            let failures = try keyring.rewrapEnvelopes()
            #expect(failures.isEmpty)
            try keyring.endRootRotation(destroyingOlder: keyring.envelopesUnderOlderRootKeys() == 0)
        }
        func check(_ path: FilePath) throws -> UnlockedKeyring {
            let opened = try LockedKeyring(in: path).unlock(with: TestKeyring.key(1))
            var count = 0
            try opened.forEachScope { scopes in
                for scope in scopes {
                    _ = try opened.dataKey(generation: 1, of: opened.envelope(for: scope))
                    count += 1
                }
            }
            #expect(count == 2)
            return opened
        }
        let keyring = try test.create([TestKeyring.key(), TestKeyring.key(1)])
        try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
        try keyring.createEnvelope(for: .profile(.random()), pageFormat: test.policy.pageFormat)
        let initial = try TestFiles.snapshot(test.path)
        let probe = RecordingProbe()
        try SystemCalls.$probe.withValue(probe) { try rotate(keyring) }
        var outcomes: [String: Int] = [:]
        var again = 0
        var interrupted: [DiskState] = []
        let states = CrashEnumerator(initial: initial, effects: probe.effects).states()
        for state in states {
            let directory = try TemporaryDirectory()
            try state.materialise(at: directory.path, insteadOf: test.path)
            let opened = try check(directory.path)
            let isUnderWay = !opened.rotations.isEmpty
            outcomes[isUnderWay ? "under way" : "\(opened.rootKeyInfos.count) root key(s)", default: 0] += 1
            if isUnderWay { interrupted.append(state) }
            try rotate(opened)
            let states = try check(directory.path).rootKeyInfos.map(\.state)
            #expect(states.last == .active && states.dropLast().allSatisfy { $0 == .destroyed })
            #expect(isUnderWay ? states.count == 2 : states.count >= 2)
        }
        #expect(Set(outcomes.keys) == ["1 root key(s)", "under way", "2 root key(s)"])
        // The first state, and one in the middle: between them every step is still to come.
        for state in [interrupted[0], interrupted[interrupted.count / 2]] {
            let directory = try TemporaryDirectory()
            try state.materialise(at: directory.path, insteadOf: test.path)
            let initial = try TestFiles.snapshot(directory.path)
            let probe = RecordingProbe()
            try SystemCalls.$probe.withValue(probe) {
                try rotate(LockedKeyring(in: directory.path).unlock(with: TestKeyring.key()))
            }
            let states = CrashEnumerator(initial: initial, effects: probe.effects).states()
            for state in states.prefix(CrashEnumerator.sampleSize) {
                let next = try TemporaryDirectory()
                try state.materialise(at: next.path, insteadOf: directory.path)
                try rotate(check(next.path))
                try check(next.path).lock()
                again += 1
            }
        }
        print("crash enumeration, root rotation: \(states.count) disk states: \(outcomes); its recovery: \(again)")
    }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfARootRotationFails(error: Errno) throws {
        let failed = try withEachCallFailing(error) { probe in
            let test = try TestKeyring()
            let keyring = try test.create()
            for _ in 0..<2 {
                try keyring.createEnvelope(for: .profile(.random()), pageFormat: test.policy.pageFormat)
            }
            _ = SystemCalls.$probe.withValue(probe) {
                Result {
                    _ = try keyring.begin(.root)
                    let failures = try keyring.rewrapEnvelopes()
                    try keyring.endRootRotation(
                        destroyingOlder: failures.isEmpty && keyring.envelopesUnderOlderRootKeys() == 0)
                }
            }
            for opened in [try test.unlock(), keyring] {
                try opened.forEachScope { scopes in
                    for scope in scopes { _ = try opened.dataKey(generation: 1, of: opened.envelope(for: scope)) }
                }
            }
            let names = try DurableFiles.names(in: test.path.appending("envelopes"))
            #expect(names.allSatisfy { $0.hasSuffix(".json") }, "nothing is left behind: \(names)")
        }
        print("faults, root rotation: \(failed) system calls failed with \(error)")
        #expect(failed > 50)
    }

    @Test func makingAndWritingAnEnvelope() throws {
        try enumerate("envelope create and epoch", expecting: 1...1) { keyring in
            let envelope = try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
            try keyring.note(epoch: 1, in: envelope)
        }
    }

    /// A keyring that was being made: either it is not there, or it opens.
    @Test func makingAKeyring() throws {
        let probe = RecordingProbe()
        try SystemCalls.$probe.withValue(probe) { _ = try test.create() }
        let states = CrashEnumerator(initial: [:], effects: probe.effects).states()
        var opened = 0
        for state in states {
            let directory = try TemporaryDirectory()
            try state.materialise(at: directory.path, insteadOf: test.path)
            do {
                try LockedKeyring(in: directory.path).unlock(with: TestKeyring.key()).lock()
                opened += 1
            } catch let error as KeyringError {
                #expect(error.reason == .missing(.keyring))
            }
        }
        print("crash enumeration, keyring create: \(states.count) disk states, \(opened) with a keyring")
        #expect(opened > 0 && opened < states.count)
    }

    /// Every system call failing in turn, with a full and with a broken disk: the keyring opens with the key it had,
    /// and where the change was said to have worked, with the new one.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFails(error: Errno) throws {
        let failed = try withEachCallFailing(error) { probe in
            let test = try TestKeyring()
            let keyring = try test.create()
            let envelope = try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
            let outcome = SystemCalls.$probe.withValue(probe) {
                Result {
                    let added = try keyring.addUnlocker(TestKeyring.key(1), label: "", policy: test.policy)
                    try keyring.changeUnlocker(added, to: TestKeyring.key(2), policy: test.policy)
                    try keyring.note(epoch: 7, in: envelope)
                }
            }
            let opened = try test.unlock()
            let epoch = try opened.envelope(for: .global).epoch
            #expect(epoch == 0 || epoch == 7)
            if case .success = outcome {
                try test.unlock(TestKeyring.key(2)).lock()
                #expect(epoch == 7)
            }
        }
        print("faults, keyring changes: \(failed) system calls failed with \(error)")
        #expect(failed > 60)
    }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFailsWhileItIsMade(error: Errno) throws {
        let failed = try withEachCallFailing(error) { probe in
            let test = try TestKeyring()
            let outcome = SystemCalls.$probe.withValue(probe) { Result { try test.create() } }
            if case .success = outcome { return try test.unlock().lock() }
            // Where there is a keyring nevertheless, it is whole.
            if try StrictFiles.exists(test.file) { try test.unlock().lock() }
        }
        #expect(failed > 15)
    }
}
