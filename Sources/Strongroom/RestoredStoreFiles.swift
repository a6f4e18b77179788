// A part of bringing a keyring back: KeyringRestoration.swift.

import DurableFiles
import KeyPolicy
import Keyring
import SystemPackage

/// The store's own file and its policy: which of those on disk and in the backup are in force.
struct RestoredStoreFiles {
    private let directory: FilePath
    private let document: StoreDocument
    /// Whether the store's own file came from the backup.
    let isFromBackup: Bool
    /// The policy, where it is to come from the backup.
    let policyFromBackup: [UInt8]?

    init(
        _ directory: FilePath, _ backup: UnlockedKeyring, _ current: UnlockedKeyring?, acceptingPolicy accepted: String?
    ) throws {
        self.directory = directory
        let path = Store.documentPath(in: directory)
        func verified(_ keyring: UnlockedKeyring?, _ path: FilePath) -> StoreDocument? {
            keyring.flatMap { try? $0.read(StoreDocument.self, from: path) }
        }
        let claimed = try? StoreDocument(unverifiedFrom: path)
        let copy = verified(backup, backup.directory.appending("store.json"))
        let onDisk =
            verified(current, path) ?? verified(backup, path) ?? (CustodyCheck.storeVerified.isSkipped ? claimed : nil)
        let policyPath = Store.policyPath(in: directory)
        let policy = Result { try StrictFiles.read(policyPath, limit: KeyPolicy.maximumFileBytes) }
        let digest = try (try? policy.get()).map { try KeyPolicy.digest(of: $0) }
        if let found = onDisk ?? copy {
            document = found
            isFromBackup = onDisk == nil
        } else if let claimed, let accepted, accepted == digest, accepted == claimed.policy.digest {
            document = claimed
            isFromBackup = false
        } else {
            throw KeyringError(claimed == nil ? .missing(.store) : .storeUnverifiable, path)
        }
        guard digest != document.policy.digest else {
            policyFromBackup = nil
            return
        }
        let kept = try? StrictFiles.read(
            backup.directory.appending("policy.yaml"), limit: KeyPolicy.maximumFileBytes)
        guard let kept, try KeyPolicy.digest(of: kept) == document.policy.digest else {
            // Where there is none that could be read, that is what is wrong with it.
            _ = try policy.get()
            throw StrongroomError(.policyChanged, policyPath)
        }
        policyFromBackup = kept
    }

    /// That the backup is of this store, as far as the store's own file tells.
    static func requireSameKeyring(_ directory: FilePath, _ backup: UnlockedKeyring) throws {
        let claimed = try? StoreDocument(unverifiedFrom: Store.documentPath(in: directory))
        guard claimed?.keyringId ?? backup.id == backup.id else {
            throw KeyringError(.belongsToAnotherKeyring(.backup), backup.directory)
        }
    }

    /// Puts them in their places, signed under the active root key.
    func write(with keyring: UnlockedKeyring) throws {
        let policyPath = Store.policyPath(in: directory)
        if let policyFromBackup {
            try Store.setAside(policyPath)
            try DurableFiles.replace(policyPath, with: policyFromBackup)
        }
        let path = Store.documentPath(in: directory)
        if let found = try? keyring.read(StoreDocument.self, from: path), found == document { return }
        try Store.setAside(path)
        try keyring.write(document, to: path)
    }
}
