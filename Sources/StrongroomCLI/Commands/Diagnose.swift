import ArgumentParser
import Foundation
import Keyring
import Strongroom

struct Diagnose: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the condition of the store, of its keys, and of a profile: every page is authenticated.",
        discussion: """
            Nothing that is printed says what is in a database, where it is, or what its keys are: it can be sent to somebody who helps. \
            Exit code 1 where something is wrong with a database, or an older keyring was accepted and not acknowledged.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(
        help: ArgumentHelp(
            "A profile's id or name; its id, where the global database cannot be read.", valueName: "profile"))
    var profile: String?

    func run() async throws {
        let found = try await unlock.withStoreForSnapshots(common) { store in
            guard let profile, case .profile(let id) = try DatabaseArgument.scope(profile, in: store) else {
                return try store.diagnostics()
            }
            return try store.diagnostics(profile: id)
        }
        try Terminal.result(found, common) { show(found) }
        if found.hasFindings { throw Finding(category: .findings) }
    }

    private func show(_ found: Diagnostics) {
        let engine = found.engine
        let posture = found.posture
        let fix = engine.hasWALResetFix ? "with" : "without"
        line(
            "engine",
            "SQLCipher \(engine.sqlcipherVersion), SQLite \(engine.sqliteVersion) (\(fix) the WAL fix of 3.51.3; flaws known at \(engine.flawsKnownAt))"
        )
        let violations = posture.violations.map { $0.map(\.code).joined(separator: ", ") }
        line(
            "policy",
            "\(posture.policy.name), \(violations.map { $0.isEmpty ? "followed" : $0 } ?? "not known whether followed")"
        )
        let rotations =
            posture.unfinishedRotations == 0 ? "" : "; \(posture.unfinishedRotations) rotation(s) not finished"
        line(
            "keys",
            "root key \(posture.rootKeyVersion), \(posture.rootKeyAgeDays) days old; \(posture.unlockers) unlocker(s)\(rotations)"
        )
        line(
            "memory",
            posture.isMemoryLocked
                ? "secrets are locked in memory" : "secrets could not be locked: raise RLIMIT_MEMLOCK")
        let left =
            posture.unregisteredProfiles.map {
                $0 == 0
                    ? "" : "; \($0) unknown director\($0 == 1 ? "y" : "ies"): 'strongroom gc --dry-run' says what of"
            } ?? ""
        line("profiles", posture.profiles.map { "\($0)\(left)" } ?? "not known: the global database cannot be read")
        for state in posture.acceptedOlderStates ?? [] {
            line(
                "OLDER",
                "a keyring of sequence \(state.sequence) was accepted on \(Terminal.time(state.date)) UTC, after \(state.newestSequenceSeen) had been seen"
            )
            line(
                "",
                "back to life: up to \(state.unlockers) unlocker(s), \(state.rootKeys) root key(s), \(state.dataKeys) data key(s), \(state.profiles) profile(s)"
            )
            line("", "'strongroom key acknowledge' ends this note")
        }
        for database in [found.global, found.profile].compactMap({ $0 }) { show(database) }
    }

    private func show(_ database: Diagnostics.DatabaseState) {
        print("")
        let pages = database.damagedPages.map { " (\($0) bad page(s))" } ?? ""
        line(
            "\(database.scope)",
            "\(name(database.condition))\(pages)\(database.hasPendingChanges ? ", changes pending in the WAL" : "")")
        if database.integrityCheck != .notRun {
            let keys =
                database.foreignKeyViolations.map { ", \($0) row(s) with a foreign key that leads nowhere" } ?? ""
            line("check", "\(database.integrityCheck.rawValue)\(keys)")
        }
        if let applied = database.appliedMigrationCount, applied > 0 || database.expectedMigrationCount != nil {
            let expected = database.expectedMigrationCount.map { " of \($0)" } ?? ""
            let gap = database.continuityError.map { "; step \($0.position) is not the app's" } ?? ""
            line(
                "schema",
                "\(applied)\(expected) migrations\(database.latestMigration.map { ", latest \($0)" } ?? "")\(gap)")
        }
        if let cipher = database.cipher {
            let due = cipher.isKeyDue ? ", due for rotation" : ""
            line("cipher", "pages of \(cipher.pageSize) bytes, AES-256-CBC, \(cipher.pageAuthentication.rawValue)")
            line("data key", "generation \(cipher.keyGeneration), \(cipher.keyAgeDays) days old\(due)")
        }
        if let snapshots = database.snapshots { line("snapshots", text(snapshots)) }
        if let recovery = database.lastRecovery {
            line(
                "last time",
                "\(recovery.kind.rawValue) on \(Terminal.time(recovery.date)) UTC; what was there before is in corrupted/"
            )
        }
    }

    private func text(_ snapshots: Diagnostics.Snapshots) -> String {
        let unusable = snapshots.unusable == 0 ? "" : ", \(snapshots.unusable) more cannot be used"
        guard let newest = snapshots.newest else { return "none\(unusable)" }
        let verified = snapshots.lastVerified.map { "last verified \(Terminal.time($0))" } ?? "never verified"
        return "\(snapshots.count), newest \(Terminal.time(newest)) UTC, \(verified)\(unusable)"
    }

    private func name(_ state: Diagnostics.State) -> String {
        switch state {
        case .condition(let condition): condition.name
        case .error(let code): "\(code)"
        }
    }

    private func line(_ heading: String, _ text: String) {
        print(heading.padding(toLength: max(10, heading.count + 1), withPad: " ", startingAt: 0) + text)
    }
}
