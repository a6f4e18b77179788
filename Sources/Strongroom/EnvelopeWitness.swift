// An envelope's witness is its database: before an envelope is signed again, the database is asked whether the envelope is an older one.
// docs/security/custody.md, rules 2 and 3.

import DurableFiles
import Keyring
import PageCipher

extension Diagnosis {
    /// That the envelope is no older than the database says.
    ///
    /// A database that is missing, or too damaged to be read, says nothing.
    ///
    /// - Throws: `KeyringError` with `.rolledBack(.envelope)` where the database has been closed more often than the envelope knows;
    ///   `StrongroomError` with `.unknownKey` where it is under a key that the envelope does not have.
    func requireCurrentEnvelope() throws {
        if CustodyCheck.sequence.isSkipped || envelope.isShredded { return }
        guard try hasKnownKey() else { throw StrongroomError(.database(.unknownKey), files.main) }
        try requireEpochOfDatabase()
    }

    /// The same without regard to the key: for a restore, which takes the place of a database that cannot be read any more.
    func requireEpochOfDatabase() throws {
        guard try StrictFiles.exists(files.main), let active = try files.keyInForce(envelope) else { return }
        _ = try ofMetadata(under: active)
    }

    /// Whether the database is under a key of the envelope; true where there is none, or none that has a first page.
    func hasKnownKey() throws -> Bool {
        guard try StrictFiles.exists(files.main) else { return true }
        let file = try DataFile(files.main)
        let salt = try file.bytes(at: 0, count: PageLayout.saltLength)
        guard salt.count == PageLayout.saltLength, let keyID = KeyID(salt) else { return true }
        if envelope.dataKey(keyID) != nil { return true }
        // The first bytes may be all that is damaged.
        guard let active = envelope.activeDataKey else { return false }
        return try firstPageHeader(file, under: active) != nil
    }
}

extension Store {
    /// That an envelope is no older than its database says.
    ///
    /// - Throws: as ``Diagnosis/requireCurrentEnvelope()``.
    func requireCurrent(_ envelope: Envelope) throws {
        try Diagnosis(files: DatabaseFiles(envelope.scope, in: directory), envelope: envelope, keyring: keyring)
            .requireCurrentEnvelope()
    }
}
