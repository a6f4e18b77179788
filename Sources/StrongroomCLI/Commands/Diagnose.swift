import ArgumentParser
import Strongroom

struct Diagnose: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the condition of the store, of its keys, and of a profile: every page is authenticated.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("A profile's id or name.", valueName: "profile")) var profile: String?

    func run() throws {
        let found = try unlock.withStore(common) { store in
            try store.diagnostics(profile: profile.map { try store.profile($0) })
        }
        try Terminal.result(found, common) { show(found) }
        if found.hasFindings { throw Finding(category: .findings) }
    }

    private func show(_ found: Diagnostics) {
        let engine = found.engine
        let posture = found.posture
        print("engine    SQLCipher \(engine.sqlcipherVersion) (SQLite \(engine.sqliteVersion))")
        print(
            "          WAL fix of SQLite 3.51.3: \(engine.hasWALResetFix ? "in" : "not in; one process and one writer at a time keep data safe")"
        )
        print(
            "policy    \(posture.policy), \(posture.violations.isEmpty ? "followed" : posture.violations.joined(separator: ", "))"
        )
        print(
            "keys      root key \(posture.rootKeyVersion), \(posture.rootKeyAgeDays) days old; \(posture.unlockers) unlocker(s)"
        )
        print(
            "memory    \(posture.isMemoryLocked ? "secrets are locked in memory" : "secrets could not be locked in memory: raise RLIMIT_MEMLOCK")"
        )
        print("profiles  \(posture.profiles) registered, \(posture.unregisteredProfiles) left by something interrupted")
        for database in [found.global, found.profile].compactMap({ $0 }) { show(database) }
    }

    private func show(_ database: Diagnostics.DatabaseState) {
        print("")
        print("database  \(database.scope)")
        let pages = database.damagedPages.map { " (\($0) pages)" } ?? ""
        print(
            "condition \(database.condition)\(pages)\(database.hasPendingChanges ? ", changes pending in the WAL" : "")"
        )
        if let size = database.pageSize, let authentication = database.pageAuthentication {
            print("pages     \(size) bytes, \(authentication)")
        }
        if let generation = database.keyGeneration, let age = database.keyAgeDays {
            print(
                "data key  generation \(generation), \(age) days old\(database.isKeyDue == true ? ", due for rotation" : "")"
            )
        }
    }
}
