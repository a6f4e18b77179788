import ArgumentParser
import Strongroom

struct KeyStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show every key's generation, state and age, what is due, and how many files are under it.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions

    func run() throws {
        let status = try unlock.withStore(common) { try $0.keyStatus() }
        try Terminal.result(status, common) { show(status) }
        if !status.unusableEnvelopes.isEmpty { throw Finding(category: .findings) }
    }

    private func show(_ status: KeyStatus) {
        print(
            "keyring \(status.keyringId), sequence \(status.keyringSequence), \(status.unlockers.count) unlocker(s); SQLCipher \(status.engine.sqlcipherVersion) (SQLite \(status.engine.sqliteVersion))"
        )
        let backup = status.lastBackup.map { "\(Terminal.time($0.date)) UTC, at sequence \($0.keyringSequence)" }
        print("last backup of the keyring: \(backup ?? "none that this store knows of")")
        print("")
        Terminal.table(
            ["key", "generation", "state", "age", "due", "files", "key id"],
            status.rootKeys.map { key in
                [
                    "root", "\(key.version)", key.state.rawValue,
                    age(key.ageDays, key.state, of: status.maximumRootKeyAgeDays), key.isDue ? "yes" : "no", "-", "-",
                ]
            }
                + status.dataKeys.map { key in
                    [
                        key.scope, "\(key.generation)", key.state.rawValue,
                        age(key.ageDays, key.state, of: status.maximumDataKeyAgeDays), key.isDue ? "yes" : "no",
                        key.files.map { "\($0)" } ?? "-", key.keyId,
                    ]
                })
        for envelope in status.unusableEnvelopes { print("\(envelope.scope): \(envelope.code)") }
        for rotation in status.rotations {
            let verb = rotation.kind == .root ? "--root" : "--data --all"
            print(
                "A rotation of \(Terminal.time(rotation.started)) UTC is not finished: 'strongroom key rotate \(verb)' goes on with it."
            )
        }
        if status.rootKeys.contains(where: \.isDue) {
            print("warning: the root key is due: 'strongroom key rotate --root'.")
        }
        let due = status.dataKeys.count { $0.isDue }
        if due > 0 { print("warning: \(due) data key(s) are due: 'strongroom key rotate --data --all'.") }
        let old = status.dataKeys.count { $0.state == .decryptOnly }
        if old > 0 { print("\(old) old data key(s) are still there: 'strongroom key retire' says which can go.") }
    }

    /// The age of a key, and of the one in use how old it may become.
    private func age(_ days: Int, _ state: KeyState, of maximum: Int) -> String {
        state == .active ? "\(days) of \(maximum) d" : "\(days) d"
    }
}
