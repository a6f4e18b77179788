import Strongroom

/// Brings a plaintext database into a store once, and opens it: from the second launch on it only opens it.
func openNotes(store: Store, plaintext: FilePath) async throws -> Profile {
    if try !store.profiles().contains(where: { $0.name == "Notes" }) {
        // Nobody may have the file open any more. Cancelling the task leaves nothing behind.
        _ = try await store.importProfile(named: "Notes", from: ImportSource(plaintext)) { progress in
            print(progress.phase, progress.rows, progress.totalRows)
        }
    }
    return try store.openProfile("Notes")  // pending migrations run here
}
