import TestSupport
import Testing

@testable import Keyring

/// pending, active, decrypt-only, destroyed.
@Suite struct DataKeyLifecycleTests {
    let keyring: UnlockedKeyring
    let first: Envelope
    let test: TestKeyring

    init() throws {
        test = try TestKeyring()
        keyring = try test.create()
        first = try keyring.createEnvelope(for: .global, pageFormat: test.policy.pageFormat)
    }

    private func secret(_ generation: Int, _ envelope: Envelope) throws -> [UInt8] {
        try keyring.dataKey(generation: generation, of: envelope).secret.withSecret {
            $0.withUnsafeBytes { Array($0) }
        } ?? []
    }

    @Test func aKeyGoesThroughItsLife() throws {
        let old = try secret(1, first)
        let pending = try keyring.addPendingDataKey(to: first)
        #expect(pending.dataKeys.map(\.state) == [.active, .pending])
        #expect(try secret(2, pending) != old)
        let fresh = try secret(2, pending)

        let active = try keyring.activateDataKey(generation: 2, of: pending)
        #expect(active.dataKeys.map(\.state) == [.decryptOnly, .active])
        #expect(try secret(1, active) == old && secret(2, active) == fresh)

        let destroyed = try keyring.destroyDataKey(generation: 1, of: active)
        #expect(destroyed.dataKeys.map(\.state) == [.destroyed, .active])
        #expect(throws: KeyringError(.dataKeyUnavailable(generation: 1))) {
            do { _ = try secret(1, destroyed) } catch let error as KeyringError { throw KeyringError(error.reason) }
        }
        // What is on disk says the same.
        #expect(try keyring.envelope(for: .global).dataKeys == destroyed.dataKeys)
    }

    @Test func theActiveKeyIsNotDestroyedAndNoOtherActivated() throws {
        #expect(throws: KeyringError.self) { try keyring.destroyDataKey(generation: 1, of: first) }
        #expect(throws: KeyringError.self) { try keyring.activateDataKey(generation: 1, of: first) }
        #expect(throws: KeyringError.self) { try keyring.activateDataKey(generation: 9, of: first) }
        #expect(try keyring.envelope(for: .global).sequence == 1)
    }
}
