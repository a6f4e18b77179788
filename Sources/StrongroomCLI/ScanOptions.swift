// What the scanning verbs share: where secrets that are looked for come from.

import ArgumentParser
import DurableFiles
import Foundation
import Keyring
import LeakageScan
import Strongroom

/// Secrets that are looked for, besides a store's own.
struct NeedleOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Look for the secrets in this file (0600): lines of hex:DIGITS or text:WORDS, or raw bytes.",
            valueName: "file"),
        completion: .file())
    var needleFile: [String] = []

    @Option(help: ArgumentHelp("Look for the passphrase that comes from this file descriptor.", valueName: "n"))
    var needlePassphraseFd: [Int32] = []

    @Option(help: ArgumentHelp("Look for the passphrase that this command prints.", valueName: "cmd"))
    var needlePassphraseCommand: [String] = []

    /// Reads them.
    func needles() throws -> [Needle] {
        var needles: [Needle] = []
        for file in needleFile { needles += try NeedleFile.read(FilePath(file), firstNumber: needles.count + 1) }
        for descriptor in needlePassphraseFd {
            needles.append(
                try Needle("passphrase \(needles.count + 1)", .text, SecretInput.passphrase(descriptor: descriptor)))
        }
        for command in needlePassphraseCommand {
            needles.append(
                try Needle("passphrase \(needles.count + 1)", .text, SecretInput.passphrase(command: command)))
        }
        return needles
    }
}

/// The secrets of a store as needles.
enum StoreNeedles {
    /// Opens the store for as long as its secrets are read. One whose global database is broken will do.
    static func read(
        _ common: CommonOptions, _ unlock: UnlockOptions
    ) throws -> (needles: [Needle], unusable: [String]) {
        let secret = try unlock.secret()
        let store = try Store.openWithoutGlobal(
            at: common.storePath(), keyring: common.keyringPath, with: secret, unlocker: unlock.unlocker,
            onTry: unlock.announcer(common), options: StoreOptions(recovery: .never))
        defer { try? store.lock() }
        return try all(of: store, unlockedWith: secret)
    }

    /// - Parameter unlockedWith: what opened the store, which is looked for as well.
    /// - Returns: the needles, and the scopes whose keys could not be read.
    private static func all(of store: Store, unlockedWith secret: UnlockSecret) throws -> (
        needles: [Needle], unusable: [String]
    ) {
        var needles: [Needle] = []
        var unusable: [String] = []
        try store.forEachSecret { name, bytes in
            // All of them were made here at random, but for a recovery key, which was given and so may be anything.
            let isGiven = secret.withSecret { given in given.isEqual(to: bytes) }
            needles.append(try Needle(name, .key, bytes.copy(), origin: isGiven ? .chosen : .generated))
        } unusable: {
            unusable.append($0)
        }
        try secret.withSecret { bytes in
            // A short or simple passphrase would be found everywhere; the search for it would say nothing.
            if secret.kind == .passphrase {
                if let needle = try? Needle("passphrase of the unlocker", .text, bytes.copy()) {
                    needles.append(needle)
                }
            } else {
                needles.append(try Needle("\(secret.kind.rawValue) of the unlocker", .key, bytes.copy()))
            }
        }
        return (needles, unusable)
    }
}
