import ArgumentParser
import Strongroom

struct SnapshotExporting: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Hand one snapshot to somebody, under a key of its own.",
        discussion: """
            The pages are re-encrypted to a fresh key, which is written to a new key file of 32 bytes: send the two on \
            different ways. The key of the database is not in either. Stock SQLCipher opens the file with the raw key.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The file to write; it ends in .db.", valueName: "file"), completion: .file())
    var out: String
    @Option(help: ArgumentHelp("The key file to make (0600).", valueName: "path"), completion: .file())
    var newKeyFile: String
    @OptionGroup var database: DatabaseArgument
    @Argument(help: "An id, a name, the name of a set, or 'latest'.") var snapshot: String

    func run() async throws {
        let bar = ProgressBar(common)
        let exported = try await unlock.withStoreForSnapshots(common) { store in
            let found = try await store.snapshot(snapshot, of: database.scope(in: store))
            return try await store.exportSnapshot(found, to: FilePath(out), newKeyFile: FilePath(newKeyFile)) {
                bar.show("re-encrypting", done: $0.pages, total: $0.totalPages, unit: "pages")
            }
        }
        bar.finish()
        try Terminal.result(exported, common) {
            print("Exported \(exported.pages) pages of \(exported.name), every one authenticated.")
            print(
                "SQLCipher: the raw key, then cipher_page_size = \(exported.pageSize), cipher_hmac_algorithm = "
                    + "\(exported.pageAuthentication == "hmac-sha512" ? "HMAC_SHA512" : "HMAC_SHA256")")
        }
        Terminal.note("Whoever has both files can read it, for good: rotating the profile's key does not change that.")
    }
}
