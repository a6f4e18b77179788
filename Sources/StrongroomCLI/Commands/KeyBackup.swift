import ArgumentParser
import ErrorReporting
import Strongroom

struct KeyBackup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy the keyring to a new directory: sealed files only.",
        discussion: "Nothing in it opens without an unlocker. Keep it apart from the data, and rehearse with it.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Say what would be copied, and do nothing.") var dryRun = false
    @Argument(help: "A directory that does not exist yet.", completion: .directory) var directory: String

    func run() async throws {
        let report = try await unlock.withStore(common) { store in
            try await store.backUpKeyring(to: FilePath(directory), isDryRun: dryRun)
        }
        try Terminal.result(report, of: .backup, common) {
            print(
                "\(dryRun ? "Would copy" : "Copied") keyring \(report.keyringId), sequence \(report.sequence), with \(report.envelopes) envelope(s)."
            )
            for failure in report.unusable {
                print("\(failure.scope): \(failure.code), copied as it is (see the runbook)")
            }
        }
        if !report.unusable.isEmpty { throw Finding(category: .findings) }
    }
}

struct KeyRehearse: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rehearse",
        abstract: "Show that a keyring backup and one unlocker open every database and snapshot.",
        discussion: """
            Nothing is written, and the store's own keyring is not used: this is what would be left after it is lost. The way to unlock \
            is that of the backup. What it does not open is listed (exit code 1).
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The backup of the keyring.", valueName: "dir"), completion: .directory)
    var backup: String

    func run() async throws {
        let report = try await Store.rehearseRecovery(
            of: common.storePath(), from: FilePath(backup), with: unlock.secret(), unlocker: unlock.unlocker,
            onTry: unlock.announcer(common))
        try Terminal.result(report, common) {
            print("backup of keyring \(report.keyringId), sequence \(report.sequence), opened by \(report.unlocker)")
            print("opens \(report.databases) database(s) and \(report.snapshots) snapshot(s)")
            for failure in report.failed {
                print(
                    "does NOT open \(failure.scope)\(failure.snapshot.map { ", snapshot \($0)" } ?? ""): \(failure.code)"
                )
            }
        }
        if !report.failed.isEmpty { throw Finding(category: .findings) }
    }
}

struct KeyRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring a lost or damaged keyring back from its backup.",
        discussion: """
            What is there and can be used stays; what takes its place is moved aside. The way to unlock is one that the backup knows. \
            Databases that were changed since the backup are accepted as they are. A keyring that is older than one seen before needs \
            --accept-sequence; --dry-run shows what would come back to life.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The backup of the keyring.", valueName: "dir"), completion: .directory)
    var backup: String
    @OptionGroup var accept: AcceptSequenceOption
    @Option(
        help: ArgumentHelp(
            "Sign store.json anew with the policy of this SHA-256, where no key at hand verifies it.",
            valueName: "sha256"))
    var acceptPolicy: String?
    @Flag(help: "Say what would come from the backup, and do nothing.") var dryRun = false

    func run() async throws {
        let report = try await Store.restoreKeyring(
            of: common.storePath(), keyring: common.keyringPath, from: FilePath(backup), with: unlock.secret(),
            unlocker: unlock.unlocker, onTry: unlock.announcer(common), acceptingSequence: accept.acceptSequence,
            acceptingPolicy: acceptPolicy?.lowercased(), isDryRun: dryRun)
        try Terminal.result(report, of: .restore, common) {
            if dryRun { print("Nothing was changed. This is what would be so afterwards:") }
            print(
                report.isKeyringReplaced
                    ? "The keyring file came from the backup." : "The keyring file is whole and stays.")
            print("\(report.envelopesReplaced.count) envelope(s) came from the backup.")
            if report.isStoreFileReplaced {
                print("store.json came from the backup; what was there was not authentic.")
            }
            if report.isPolicyReplaced { print("policy.yaml came from the backup; what was there is kept beside it.") }
            report.olderState?.show(isPlan: dryRun)
            if !report.epochsBroughtUpToDate.isEmpty {
                print(
                    "\(report.epochsBroughtUpToDate.count) database(s) were changed since the backup, and are taken as they are."
                )
            }
            for failure in report.failed { print("\(failure.scope): \(failure.code) (see the runbook)") }
        }
        if !report.failed.isEmpty { throw Finding(category: .incomplete) }
    }
}
