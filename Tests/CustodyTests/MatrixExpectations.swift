// Which errors an attack may be told by, and the documented limits.

import Foundation

/// What is not noticed, as docs/security/custody.md says.
enum MatrixLimit: String, CaseIterable, Sendable {
    case verifyKeyWrites = "who holds a verify key changes pages of the live database"
    case verifyKeyHolders = "who holds a verify key deceives others who verify with it"
    case rotatedKey = "who kept a data key signs snapshots under it"
    case sameMoment = "a database and its envelope are put back to one moment"
    case noWitness = "an older envelope, and its database is gone"
    case cutWAL = "a WAL that is cut looks like a power loss"
    case noSession = "the WAL is gone, and with it the envelope that says there was one"
    case unknownKey = "a restore in the place of a database that its envelope has no key for"
    case olderKeyring = "the keyring and all envelopes are put back to one moment, and signed anew"

    /// The limit that explains what came of a case; nil where none does.
    ///
    /// - Parameter isSigned: whether something that is not current is under a new MAC.
    static func of(_ test: MatrixCase, signing isSigned: Bool) -> MatrixLimit? {
        let older = Set(test.variants.filter { $0.attack == .older }.map(\.role))
        let absent = Set(test.variants.filter { $0.attack == .absent }.map(\.role))
        for scope in ["alpha", "beta", "global"] where older.contains("envelope \(scope)") {
            if older.contains("database \(scope)") { return .sameMoment }
            if absent.contains("database \(scope)") { return .noWitness }
            if absent.contains("wal \(scope)"), !isSigned { return .noSession }
            if isSigned, test.operation.name == "restore \(scope) in place" { return .unknownKey }
        }
        for scope in ["alpha", "beta", "global"] where absent.contains("envelope \(scope)") {
            if absent.contains("wal \(scope)"), !isSigned { return .noSession }
        }
        for variant in test.variants {
            let kind = variant.role.split(separator: " ").first.map(String.init) ?? ""
            switch (kind, variant.attack) {
            case ("pages", .forgedWithVerifyKey), ("manifest", .forgedWithVerifyKey):
                if test.operation.name == "verify key" { return .verifyKeyHolders }
            case ("pages", .forgedWithRemovedSecret), ("manifest", .forgedWithRemovedSecret):
                if !isSigned { return test.operation.name == "verify key" ? .verifyKeyHolders : .rotatedKey }
            case ("wal", .empty):
                if !isSigned { return .cutWAL }
            case ("database", .forgedWithVerifyKey), ("wal", .forgedWithVerifyKey):
                if !isSigned { return .verifyKeyWrites }
            case ("keyring", .forgedWithRemovedSecret):
                if variant.changes.count > 1, test.phase == .closed { return .olderKeyring }
            default: break
            }
        }
        return nil
    }
}

extension MatrixVariant {
    fileprivate var isMissingManifest: Bool { attack == .absent && role.hasPrefix("manifest ") }
}

/// The codes that an attack may be told by, whichever command comes upon it. What is told besides is wrong: it would lead an operator
/// to the wrong file.
enum MatrixCodes {
    static func allows(_ code: String, _ test: MatrixCase) -> Bool {
        if test.variants.contains(where: { allowed(for: $0).contains(code) }) { return true }
        if code == "snapshot_none", test.variants.count(where: \.isMissingManifest) > 1 { return true }
        // Of what is damaged twice, a recovery says that nothing can be brought back, or not all.
        return test.operation.isRecovery
            && ["db_recovery_no_snapshot", "loss_not_accepted", "snapshot_none"].contains(code)
    }

    private static func allowed(for variant: MatrixVariant) -> Set<String> {
        let words = variant.role.split(separator: " ").map(String.init)
        let kind = words[0] == "backup" || words[0] == "verify" ? words.prefix(2).joined(separator: " ") : words[0]
        return Set((table[kind]?[variant.attack] ?? "").split(separator: " ").map(String.init))
    }

    private static let envelope: [MatrixAttack: String] = [
        .absent: "envelope_missing", .empty: "envelope_damaged", .older: "envelope_rolled_back",
        .otherScope: "envelope_of_another_scope", .otherStore: "envelope_of_another_keyring",
        .forged: "envelope_forged envelope_rolled_back",
        .forgedWithRemovedSecret: "envelope_forged envelope_rolled_back",
    ]

    private static let table: [String: [MatrixAttack: String]] = [
        // A rehearsal says what an older backup would leave closed.
        "backup envelope": envelope.merging([
            .older: "envelope_rolled_back database_unknown_key snapshot_key_unknown"
        ]) { $1 },
        // An older envelope may not know the key that things are under now, or that the database is in use.
        "envelope": envelope.merging([
            // Without a key to the global database nothing says what was seen last.
            .absent: "envelope_missing keyring_sequence_unproven",
            .older:
                "envelope_rolled_back database_unknown_key snapshot_key_unknown database_wal_unexpected database_wal_missing "
                + "keyring_sequence_unproven",
        ]) { $1 },
        "keyring": [
            .absent: "keyring_missing", .empty: "keyring_damaged",
            // The store's own file is under a root key that an older keyring does not have.
            // From one that is several rotations behind, no endorsement leads to the backup.
            .older: "keyring_rolled_back store_of_another_keyring keyring_continuity_broken",
            .otherStore: "keyring_of_another_keyring store_of_another_keyring",
            // One that says all known root keys are destroyed makes everything look old to who has not opened it before.
            .forged: "keyring_forged keyring_malformed keyring_continuity_broken store_rolled_back",
            .forgedWithRemovedSecret:
                "keyring_forged keyring_malformed keyring_continuity_broken store_rolled_back store_of_another_keyring "
                + "database_unknown_key database_wrong_key keyring_sequence_unproven keyring_rolled_back",
        ],
        "backup keyring": [
            .absent: "keyring_missing", .empty: "keyring_damaged",
            .older: "keyring_continuity_broken envelope_forged store_unverifiable database_unknown_key",
            .otherStore: "backup_of_another_keyring",
            .forged:
                "keyring_forged keyring_malformed keyring_continuity_broken envelope_rolled_back store_unverifiable",
            .forgedWithRemovedSecret:
                "keyring_forged keyring_malformed keyring_continuity_broken envelope_forged envelope_rolled_back store_unverifiable",
        ],
        "store": [
            .absent: "store_missing", .empty: "store_damaged", .older: "store_rolled_back", .forged: "store_forged",
            .otherStore: "store_of_another_keyring store_forged backup_of_another_keyring",
            .forgedWithRemovedSecret: "store_forged store_rolled_back",
        ],
        "backup store": [
            .absent: "store_unverifiable", .empty: "store_unverifiable", .older: "store_unverifiable",
            .otherStore: "store_unverifiable",
        ],
        "policy": [
            .absent: "file_missing", .empty: "policy_changed", .older: "policy_changed", .otherStore: "policy_changed",
            .forged: "policy_changed",
        ],
        "certificate": [
            .empty: "certificate_damaged", .older: "certificate_rolled_back",
            .otherStore: "certificate_of_another_keyring certificate_forged",
            .forged: "certificate_forged certificate_rolled_back", .absent: "file_missing certificate_missing",
            .forgedWithRemovedSecret: "certificate_forged certificate_rolled_back",
        ],
        "database": [
            .absent: "database_missing", .empty: "database_truncated",
            .older: "database_rolled_back database_wrong_key database_wal_damaged",
            .otherScope: "database_key_of_another_database database_unknown_key keyring_sequence_unproven",
            .otherStore: "database_unknown_key keyring_sequence_unproven",
            // A page may be come upon by the app's own query, or by what copies pages.
            .forged:
                "database_pages_damaged database_truncated database_unknown_key database_wal_damaged DatabaseError page_not_authentic "
                + "keyring_sequence_unproven",
            .forgedWithVerifyKey: "",
        ],
        "wal": [
            .absent: "database_wal_missing", .older: "database_wal_unexpected database_wal_damaged wal_does_not_fit",
            .otherScope: "database_wal_unexpected database_wal_damaged wal_does_not_fit",
            .otherStore: "database_wal_unexpected database_wal_damaged wal_does_not_fit",
            .forged: "database_wal_unexpected database_wal_damaged wal_does_not_fit",
            .forgedWithVerifyKey: "database_wal_unexpected database_wal_damaged wal_does_not_fit",
        ],
        "journal": [.forged: "database_journal_foreign"],
        "restore": [
            .empty: "restore_damaged", .older: "restore_rolled_back",
            .otherScope: "restore_malformed restore_rolled_back",
            .forged: "restore_forged restore_rolled_back",
            .forgedWithRemovedSecret: "restore_forged restore_rolled_back",
        ],
        "manifest": [
            .absent: "snapshot_manifest_missing", .empty: "snapshot_manifest_damaged",
            .otherScope: "snapshot_manifest_misplaced snapshot_of_another_database",
            // A verify key knows of no store.
            .otherStore: "snapshot_of_another_store snapshot_manifest_misplaced verify_key_unknown",
            .forged: "snapshot_manifest_forged", .forgedWithVerifyKey: "snapshot_manifest_forged",
            .forgedWithRemovedSecret: "snapshot_manifest_forged",
        ],
        "pages": [
            .absent: "snapshot_pages_missing database_missing",
            .empty: "snapshot_key_id_differs snapshot_length_differs database_truncated",
            .otherScope:
                "snapshot_key_id_differs snapshot_length_differs snapshot_pages_of_another_version database_unknown_key",
            .otherStore: "snapshot_key_id_differs database_unknown_key",
            .forged:
                "snapshot_key_id_differs snapshot_length_differs snapshot_pages_damaged snapshot_pages_of_another_version database_unknown_key",
            .forgedWithVerifyKey: "snapshot_pages_of_another_version snapshot_manifest_forged",
            .forgedWithRemovedSecret: "snapshot_pages_of_another_version snapshot_manifest_forged",
        ],
        "verify key": [
            .absent: "file_missing", .empty: "file_empty", .otherStore: "verify_key_unknown",
            .forged: "snapshot_manifest_forged snapshot_pages_damaged",
        ],
    ]
}
