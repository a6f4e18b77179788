// A part of bringing a keyring back: KeyringRestoration.swift.

import DurableFiles
import ErrorReporting
import Keyring
import SystemPackage

/// Which envelopes come from the backup, and which stay.
struct EnvelopeChoice {
    private(set) var adopted: [Envelope] = []
    /// Those that stay, and that their databases are ahead of.
    private(set) var behind: [Envelope] = []
    private(set) var failed: [FailedDatabase] = []
    /// Whether the global database is under a key of its envelope.
    private(set) var knowsGlobalKey = false

    private let directory: FilePath
    private let target: FilePath
    private let backup: UnlockedKeyring
    private let chosen: UnlockedKeyring

    init(_ directory: FilePath, _ target: FilePath, backup: UnlockedKeyring, chosen: UnlockedKeyring) throws {
        self.directory = directory
        self.target = target
        self.backup = backup
        self.chosen = chosen
        var scopes: Set<KeyScope> = []
        try backup.forEachScope { scopes.formUnion($0) }
        if try StrictFiles.exists(LockedKeyring.envelopesPath(in: target)) {
            try backup.forEachScope(in: target) { scopes.formUnion($0) }
        }
        for scope in scopes.sorted(by: { $0.description < $1.description }) {
            do { try choose(scope) } catch let error as any ReportableError {
                failed.append(.init(scope: scope.description, code: error.code))
            }
        }
    }

    /// The one of the higher sequence, unless only the other one knows the key that the database is under.
    private mutating func choose(_ scope: KeyScope) throws {
        let there = Result { try chosen.envelope(for: scope, in: target) }
        let kept = Result { try backup.envelope(for: scope) }
        guard case .success(let old) = there else {
            let envelope = try kept.get()
            adopted.append(envelope)
            if scope == .global { knowsGlobalKey = try diagnosis(envelope, backup).hasKnownKey() }
            return
        }
        let isKnown = try diagnosis(old, chosen).hasKnownKey()
        if case .success(let new) = kept {
            let isBetter = try !isKnown && diagnosis(new, backup).hasKnownKey()
            if new.sequence > old.sequence || isBetter {
                adopted.append(new)
                if scope == .global { knowsGlobalKey = isKnown || isBetter }
                return
            }
        }
        if scope == .global { knowsGlobalKey = isKnown }
        do { try diagnosis(old, chosen).requireCurrentEnvelope() } catch let error as KeyringError {
            guard error.reason == .rolledBack(.envelope) else { throw error }
            behind.append(old)
        }
    }

    private func diagnosis(_ envelope: Envelope, _ keyring: UnlockedKeyring) -> Diagnosis {
        Diagnosis(files: DatabaseFiles(envelope.scope, in: directory), envelope: envelope, keyring: keyring)
    }
}
