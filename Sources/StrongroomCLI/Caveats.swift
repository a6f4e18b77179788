// What each verb that changes keys does not protect. It is a part of the result: an operator who does not read it is worse off
// than before.

import Strongroom

/// Something that changes keys.
enum KeyVerb {
    case change, addUnlocker, rotateRoot, rotateData, retire, shred, backup, restore

    /// What it does not protect, a clause each.
    var caveats: [String] {
        switch self {
        case .addUnlocker: ["whoever holds the new unlocker opens everything, snapshots from before included"]
        case .change:
            [
                "it is no revocation: the old secret still opens older copies of the keyring",
                "who used it may have kept the root key: rotate the root key, and then the data keys",
            ]
        case .rotateRoot:
            [
                "data keys are the same: who has seen one still reads that database; rotate the data keys as well",
                "older copies of the keyring open with older unlockers, and hold the same data keys: find and destroy them",
                "unlockers that were not removed open the new root key too",
            ]
        case .rotateData:
            [
                "snapshots, exports and copies from before are under the old key, and open with it",
                "the old key stays in the keyring until 'key retire --destroy'",
                "who has an unlocker opens the new key too",
            ]
        case .retire:
            [
                "keyring backups and older copies of the keyring still hold the key, sealed under the root key of that time",
                "copies of databases and snapshots outside the store were not looked at, and will not open any more",
            ]
        case .shred:
            [
                "keyring backups and older copies of the keyring still hold the keys: with a copy of the files they open everything",
                "plaintext exports, and whatever an application has read",
                "file names, sizes and dates stay until the files are deleted",
            ]
        case .restore:
            [
                "unlockers that were removed after the backup was made open the keyring again, where its file came from the backup",
                "keys of profiles that were shredded after it are back; keys that were made after it are not",
            ]
        case .backup:
            [
                "it opens with the unlockers of today, also after they are changed or removed here",
                "it holds no data: copy the databases or their snapshots as well, and not to the same place",
                "keys that are made after it are not in it: make it again after each rotation and each new profile",
            ]
        }
    }
}

/// A result, and what it does not protect.
struct WithCaveats<Value: Encodable>: Encodable {
    let value: Value
    let verb: KeyVerb

    private enum CodingKeys: String, CodingKey { case notProtected }

    func encode(to encoder: any Encoder) throws {
        try value.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(verb.caveats, forKey: .notProtected)
    }
}

extension Terminal {
    /// Prints a result, and tells what it does not protect.
    static func result(
        _ value: some Encodable, of verb: KeyVerb, _ common: CommonOptions, text: () -> Void
    ) throws {
        try result(WithCaveats(value: value, verb: verb), common, text: text)
        // Beside the result and not in it, because a program may read that.
        guard !common.quiet, !common.json else { return }
        note("Not protected by this:")
        for caveat in verb.caveats { note("  - \(caveat)") }
    }
}
