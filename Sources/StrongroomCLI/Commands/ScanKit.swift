import ArgumentParser
import LeakageScan
import Strongroom

struct ScanKit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kit", abstract: "Make a blind kit: an auditor searches for the keys with it, and holds none.",
        discussion: """
            The kit has salted one-way fingerprints. What it tells of each key, in bits, is printed and bounded (docs/formats/blind-kit.md). \
            They are of keys that Strongroom made at random, and of nothing else: not of a passphrase, a key file or a recovery key, and not of \
            what --needle-file and its like give, because a fingerprint confirms a guess. Destroy it when the audit is over.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @OptionGroup var needles: NeedleOptions
    @Option(help: ArgumentHelp("A new file (0600).", valueName: "file"), completion: .file()) var out: String

    private struct Output: Encodable {
        let keys: [BlindKit.Key]
        let leftOut: [BlindKit.LeftOut]
        let maximumDisclosedBits = BlindKit.maximumDisclosedBits
    }

    func run() throws {
        var needles = try needles.needles()
        var unusable: [String] = []
        if unlock.isGiven || needles.isEmpty {
            let found = try StoreNeedles.read(common, unlock)
            needles += found.needles
            unusable = found.unusable
        }
        let (kit, leftOut) = try BlindKit.make(of: needles)
        try kit.write(to: FilePath(out))
        for scope in unusable { Terminal.note("The keys of \(scope) cannot be read and are not in the kit.") }
        try Terminal.result(Output(keys: kit.keys, leftOut: leftOut), common) {
            Terminal.table(["KEY", "BITS DISCLOSED"], kit.keys.map { [$0.name, String($0.disclosedBits)] })
            for secret in leftOut { print("Left out: \(secret.name). \(secret.reason.explanation)") }
            print(
                "At most \(BlindKit.maximumDisclosedBits) of 256 bits of any key are disclosed. Destroy the kit when the audit is over."
            )
        }
    }
}

extension BlindKit.LeftOut.Reason {
    fileprivate var explanation: String {
        switch self {
        case .notGenerated:
            "It was not made by Strongroom at random: a guess at it could be confirmed with a fingerprint."
        case .short: "It has fewer than 32 bytes."
        case .simple: "Its bytes differ too little."
        }
    }
}
