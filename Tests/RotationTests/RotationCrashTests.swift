import Foundation
import GRDB
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles
@testable import Keyring
@testable import Strongroom

/// Every state of the disk that a power loss may leave of a rotation, and every system call failing in turn.
@Suite struct RotationCrashTests {
    /// Small pages, so that a database has several of them and few sectors.
    static func sample() throws -> RotationStore { try RotationStore(rows: 6, policy: [("size: 4096", "size: 1024")]) }

    /// The states that `change` may leave of the whole store, each opened.
    static func enumerate(
        _ name: String, _ sample: RotationStore, _ change: () async throws -> Void,
        check: (Store, FilePath) async throws -> String
    ) async throws -> [String: Int] {
        try await StoreCrashes.enumerate(
            name, in: sample.test.directory.path, limit: CrashEnumerator.sampleSize, change, check: check)
    }

    /// What SQLite writes is not seen by the enumerator, so the global database is as it was before: its envelope is brought to that.
    private func settleGlobal(_ store: Store) throws {
        let envelope = try store.keyring.envelope(for: .global)
        try store.keyring.note(epoch: store.epochOnDisk(of: envelope) ?? 0, session: .closed, in: envelope)
    }

    static func rows(_ sample: RotationStore, _ store: Store) throws -> Int {
        let profile = try store.openProfile(sample.info)
        defer { try? profile.close() }
        return try profile.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") ?? 0 }
    }

    /// Opens the profile as whoever comes next does; then nothing of the rotation is left half done.
    private func settle(_ sample: RotationStore, _ store: Store) throws -> String {
        #expect(try Self.rows(sample, store) == 6)
        let files = DatabaseFiles(sample.scope, in: store.directory)
        let envelope = try store.keyring.envelope(for: sample.scope)
        #expect(try sample.keyID(files.main) == envelope.activeDataKey?.keyID)
        #expect(try !StrictFiles.exists(files.rotating))
        #expect(envelope.dataKeys.allSatisfy { $0.state != .destroyed })
        #expect(try store.verify(sample.info).isHealthy)
        return envelope.dataKeys.map(\.state.rawValue).joined(separator: " ")
    }

    @Test func rotatingADataKey() async throws {
        let sample = try Self.sample()
        // One state of each kind in which something is left to be settled.
        let interrupted = Shared<[String: (files: [String: [UInt8]], root: FilePath)]>([:])
        let seen = Shared(0)
        let outcomes = try await Self.enumerate("data rotation", sample) {
            try await sample.store.rotateDataKey(of: sample.scope)
        } check: { store, directory in
            let files = DatabaseFiles(sample.scope, in: store.directory)
            let envelope = try store.keyring.envelope(for: sample.scope)
            let kind =
                try files.keyInForce(envelope)?.state == .pending
                ? "exchanged" : StrictFiles.exists(files.rotating) ? "copied" : nil
            if let kind, interrupted.value[kind] == nil {
                let state = (try TestFiles.snapshot(directory, ignoring: ["-shm"]), directory)
                interrupted.change { $0[kind] = state }
            }
            let outcome = try settle(sample, store)
            // And again, from whatever state that was; from some of them, because it takes long.
            guard
                seen.change({
                    $0 += 1; return $0
                }) % 4 == 0
            else { return outcome }
            let report = try await store.rotateDataKey(of: sample.scope)
            #expect(report.generation <= 3)
            #expect(try settle(sample, store).hasSuffix("active"))
            return outcome
        }
        #expect(Set(outcomes.keys) == ["active", "active pending", "decryptOnly active"])

        // Recovery itself, interrupted at every point: before the exchange of the file, and after it.
        #expect(Set(interrupted.value.keys) == ["copied", "exchanged"])
        for (kind, state) in interrupted.value {
            let directory = try TemporaryDirectory()
            try DiskState(state.files).materialise(at: directory.path, insteadOf: state.root)
            let initial = try TestFiles.snapshot(directory.path, ignoring: ["-shm"])
            let probe = RecordingProbe()
            try SystemCalls.$probe.withValue(probe) {
                let store = try Store.openWithoutGlobal(
                    at: directory.appending("store"), with: .keyFile(directory.appending("key")))
                _ = try settle(sample, store)
                try store.lock()
            }
            let again = try await StoreCrashes.enumerate(
                "recovery of a data rotation, \(kind)", initial, probe.effects, directory.path,
                limit: CrashEnumerator.sampleSize
            ) { store, _ in try settle(sample, store) }
            #expect(Set(again.keys) == [kind == "copied" ? "active pending" : "decryptOnly active"])
        }
    }

    /// The same for a profile that is open; what SQLite writes by itself is not seen here, but by the tests that kill.
    @Test func rotatingTheKeyOfAnOpenProfile() async throws {
        let sample = try Self.sample()
        let profile = try sample.store.openProfile(sample.info)
        _ = try await profile.database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        let outcomes = try await Self.enumerate("rotation of an open profile", sample) {
            try await profile.rotateDataKey()
        } check: { store, _ in
            try settle(sample, store)
        }
        #expect(Set(outcomes.keys) == ["active", "active pending", "decryptOnly active"])
        try profile.close()
    }

    /// The system may say that a rename failed which took place: then the connections are with a file that has no name any more.
    @Test func aRenameThatTookPlaceAndIsSaidToHaveFailed() async throws {
        let sample = try Self.sample()
        let profile = try sample.store.openProfile(sample.info)
        let probe = RenamingProbe(from: sample.files.rotating, to: sample.main)
        let outcome = await SystemCalls.$probe.withValue(probe) {
            await code {
                try await profile.rotateDataKey { if $0.phase == .exchanging { probe.isArmed.change { $0 = true } } }
            }
        }
        #expect(outcome == "exchange_incomplete")
        let write = await code {
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('lost')") }
        }
        #expect(write != nil, "nothing is acknowledged that is not kept")
        try profile.close()
        #expect(try settle(sample, sample.store) == "decryptOnly active")
    }

    private final class RenamingProbe: SystemCallProbe {
        let isArmed = Shared(false)
        private let source: FilePath
        private let target: FilePath

        init(from source: FilePath, to target: FilePath) {
            self.source = source
            self.target = target
        }

        func errorBefore(_ call: SystemCall) -> Errno? {
            guard call == .rename,
                isArmed.change({ armed in
                    defer { armed = false }; return armed
                })
            else { return nil }
            return rename(source.string, target.string) == 0 ? .ioError : .invalidArgument
        }

        func didChange(_ effect: DiskEffect) {}
    }

    /// What is destroyed is what was to be, whole, and nothing else; the certificate follows.
    @Test func retiring() async throws {
        let sample = try RotationStore(
            rows: 6, policy: [("size: 4096", "size: 1024"), ("graceDays: 30", "graceDays: 0")])
        for _ in 0..<2 { try await sample.store.rotateDataKey(of: sample.scope) }
        let retire: (Store) async throws -> RetirementReport = {
            try await $0.retireDataKeys(of: [sample.scope], destroying: true)
        }
        let outcomes = try await Self.enumerate("retirement", sample) {
            _ = try await retire(sample.store)
        } check: { store, directory in
            let states = try store.keyring.envelope(for: sample.scope).dataKeys.map(\.state)
            #expect(states.last == .active)
            #expect(try Self.rows(sample, store) == 6)
            _ = try await retire(store)
            let certificates = try TestFiles.tree(store.keyring.directory.appending("certificates"))
                .filter { $0.string.hasSuffix(".json") }
            #expect(certificates.count == 2)
            for path in certificates { #expect(try store.certificate(at: path).outcome == .destroyed) }
            #expect(try Self.rows(sample, store) == 6)
            return states.map(\.rawValue).joined(separator: " ")
        }
        #expect(
            Set(outcomes.keys) == [
                "decryptOnly decryptOnly active", "destroyed decryptOnly active", "destroyed destroyed active",
            ])
    }

    /// All keys of the profile are there, or none; called again, it ends in the same.
    @Test func shredding() async throws {
        let sample = try Self.sample()
        try await sample.store.rotateDataKey(of: sample.scope)
        let outcomes = try await Self.enumerate("shredding", sample) {
            _ = try await sample.store.shredProfile(sample.info.id)
        } check: { store, _ in
            try settleGlobal(store)
            let envelope = try store.keyring.envelope(for: sample.scope)
            let live = envelope.dataKeys.count { $0.state != .destroyed }
            if live > 0 { #expect(try Self.rows(sample, store) == 6) }
            _ = try await store.shredProfile(sample.info.id)
            #expect(try store.keyring.envelope(for: sample.scope).isShredded)
            #expect(try store.profiles().isEmpty)
            for generation in 1...2 {
                let path = store.keyring.directory.appending("certificates").appending(
                    "\(sample.scope)-\(generation).json")
                #expect(try store.certificate(at: path).outcome == .shredded)
            }
            return "\(live) key(s)"
        }
        #expect(Set(outcomes.keys) == ["0 key(s)", "2 key(s)"])
    }

    /// The whole of it, with a restore that is to be finished, and a certificate.
    @Test func rotatingTheRootKeyOfAStore() async throws {
        let sample = try Self.sample()
        let outcomes = try await Self.enumerate("root rotation of a store", sample) {
            try await sample.store.rotateRootKey()
        } check: { store, directory in
            try settleGlobal(store)
            #expect(try Self.rows(sample, store) == 6)
            let states = store.keyring.rootKeyInfos.map(\.state.rawValue).joined(separator: " ")
            let isUnderWay = !store.keyring.rotations.isEmpty
            _ = try await store.rotateRootKey()
            #expect(store.keyring.rotations.isEmpty)
            #expect(store.keyring.rootKeyInfos.dropLast().allSatisfy { $0.state == .destroyed })
            try store.lock()
            let again = try Store.open(
                at: directory.appending("store"), with: .keyFile(directory.appending("key")))
            #expect(try Self.rows(sample, again) == 6)
            try again.lock()
            return states + (isUnderWay ? ", under way" : "")
        }
        #expect(Set(outcomes.keys) == ["active", "decryptOnly active, under way", "destroyed active"])
    }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfRetiringAndShreddingFails(error: Errno) async throws {
        let failed = try await withEachCallFailing(of: "retirement and shredding", error) { probe in
            // Anew each time: with each old key there is more to be looked at, and there would be no end.
            let sample = try RotationStore(
                rows: 6, policy: [("size: 4096", "size: 1024"), ("graceDays: 30", "graceDays: 0")])
            let info = try sample.store.createProfile(named: "other")
            let scope = KeyScope.profile(info.id)
            try await sample.store.rotateDataKey(of: sample.scope)
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code {
                    let report = try await sample.store.retireDataKeys(of: [sample.scope], destroying: true)
                    if let failure = report.failed.first { throw StoredFailure(code: failure.code) }
                    try await sample.store.deleteProfile(info.id)
                }
            }
            #expect(try sample.envelope().dataKeys.last?.state == .active)
            #expect(try Self.rows(sample, sample.store) == 6)
            let isListed = try sample.store.profiles().contains { $0.id == info.id }
            if outcome == nil { #expect(!isListed) }
            if !isListed { #expect(try sample.store.keyring.envelope(for: scope).isShredded) }
            try await sample.store.deleteProfile(info.id)
            #expect(try sample.store.profiles().count == 1)
            #expect(try !StrictFiles.exists(sample.test.databaseFile(info).removingLastComponent()))
        }
        #expect(failed >= 60)
    }

    private struct StoredFailure: Error { let code: String }

    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallOfADataRotationFails(error: Errno) async throws {
        let sample = try Self.sample()
        let failed = try await withEachCallFailing(of: "data rotation", error) { probe in
            let before = try sample.envelope().activeDataKey?.generation ?? 0
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code { try await sample.store.rotateDataKey(of: sample.scope) }
            }
            _ = try settle(sample, sample.store)
            let after = try sample.envelope().activeDataKey?.generation ?? 0
            if outcome == nil { #expect(after == before + 1) }
            #expect(after == before || after == before + 1)
        }
        #expect(failed >= 60)
    }

    /// With the profile open: where it fails, the app goes on under the old key; or it is told to open the profile again.
    @Test(arguments: [Errno.noSpace, .ioError])
    func whicheverCallFailsWhileTheProfileIsOpen(error: Errno) async throws {
        let sample = try Self.sample()
        var written = 6
        var told: [String: Int] = [:]
        let failed = try await withEachCallFailing(of: "rotation of an open profile", error) { probe in
            let profile = try sample.store.openProfile(sample.info)
            try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('a')") }
            written += 1
            let outcome = await SystemCalls.$probe.withValue(probe) {
                await code { try await profile.rotateDataKey() }
            }
            told[outcome ?? "done", default: 0] += 1
            let write = await code {
                try await profile.database.write { try $0.execute(sql: "INSERT INTO t (filling) VALUES ('b')") }
            }
            if outcome == "exchange_incomplete" {
                #expect(write != nil, "nothing is acknowledged that is not kept")
                let read = await code { _ = try await profile.database.read { try $0.execute(sql: "SELECT * FROM t") } }
                #expect(read != nil)

            } else {
                #expect(write == nil)
                written += 1
            }
            try profile.close()
            #expect(try Self.rows(sample, sample.store) == written)
            #expect(try sample.store.verify(sample.info).isHealthy)
            #expect(try !StrictFiles.exists(sample.files.rotating))
            let envelope = try sample.envelope()
            #expect(try sample.keyID() == envelope.activeDataKey?.keyID)
        }
        #expect(failed >= 60)
        print("what the app was told: \(told)")
        #expect(told["exchange_incomplete"] ?? 0 > 0 && told["done"] ?? 0 >= 1)
    }
}
