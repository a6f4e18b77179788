import ArgumentParser

struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Take, verify, restore, hand on and prune encrypted snapshots.",
        discussion: """
            A snapshot is the database's own ciphertext with a manifest: it is never decrypted on its way. DATABASE is a \
            profile's id or name, or 'global'. SNAPSHOT is an id, a name, the name of a set, or 'latest'.
            """,
        subcommands: [
            SnapshotCreate.self, SnapshotListing.self, SnapshotVerify.self, SnapshotRestore.self, SnapshotPrune.self,
            SnapshotExporting.self, SnapshotVerifyKey.self,
        ])
}
