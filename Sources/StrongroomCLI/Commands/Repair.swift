import ArgumentParser
import Keyring
import Strongroom

struct Repair: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Repair a damaged database: page by page where that loses nothing, else by its latest good snapshot.",
        discussion: """
            The plan is shown first. Nothing that was acknowledged is given up without --accept-loss. What was there is kept in \
            corrupted/. A wrong key, a file of somebody else's or a missing disk is no damage, and nothing is moved for it.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Flag(help: "Show the plan, and change nothing.") var dryRun = false
    @Flag(help: "Go on where something that was acknowledged cannot be brought back.") var acceptLoss = false
    @Flag(help: "Go on without a WAL that is missing, or move one that does not belong to corrupted/.")
    var withoutWal = false
    @Flag(help: "Lay a WAL over the database that was found beside it, although it had been closed properly.")
    var withWal = false
    @OptionGroup var database: DatabaseArgument

    private struct Output: Encodable {
        let plan: RecoveryPlan
        let done: RecoveryEvent?
    }

    func validate() throws {
        guard !(withWal && withoutWal) else { throw ValidationError("Give one of --with-wal, --without-wal.") }
    }

    func run() async throws {
        let output = try await unlock.withStoreForSnapshots(common) { store in
            let scope = try database.scope(in: store)
            if !dryRun, withoutWal || withWal { try await store.settleWAL(of: scope, withWal ? .with : .without) }
            let plan = try await store.recoveryPlan(of: scope)
            if !common.json { show(plan) }
            guard !dryRun, plan.action != .none else { return Output(plan: plan, done: nil) }
            return Output(plan: plan, done: try await store.repair(scope, acceptingLoss: acceptLoss))
        }
        try Terminal.result(output, common) { show(output.done) }
        if dryRun, output.plan.action != .none { throw Finding(category: .findings) }
    }

    private func show(_ plan: RecoveryPlan) {
        print("\(plan.scope): \(plan.condition.name)")
        if plan.movesJournal {
            print("  a rollback journal stands beside it that is not ours; it is moved to corrupted/ and kept")
        }
        if plan.badPages > 0 {
            let found = plan.foundPages
            let places = [
                (found.inHeader, "by its known first bytes"), (found.exchanged, "from each other's place"),
                (found.unused, "as unused"), (found.inSnapshots, "from snapshots, the exact version"),
            ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            print(
                "  \(plan.badPages) bad page(s); come back: \(places.isEmpty ? "none" : places.joined(separator: ", ")); gone: \(plan.lostPages)"
            )
        }
        if plan.lostTransactions > 0 {
            print("  \(plan.lostTransactions) acknowledged transaction(s) at the end of the WAL cannot be kept")
        }
        switch plan.action {
        case .none: print("  nothing needs to be done")
        case .repair:
            print("  plan: put it together again; \(plan.isLossless ? "nothing is lost" : "the rest is as it was")")
        case .restore: show(plan, plan.snapshot)
        case .moveJournal: print("  plan: move it; the database itself is as it should be, and nothing is lost")
        case .refuse:
            print("  plan: none. This is no damage that may be recovered from; the hint of the error says more")
        case .noSnapshot: print("  plan: none. It cannot be put together again, and there is no good snapshot")
        }
    }

    private func show(_ plan: RecoveryPlan, _ snapshot: Snapshot?) {
        guard let snapshot else { return }
        print("  plan: the snapshot \(snapshot.id) of \(Terminal.time(snapshot.created)) UTC takes its place;")
        if plan.isLossless {
            print("        nothing was changed since it was taken: nothing is lost")
        } else {
            print("        \(Self.duration(plan.secondsLost ?? 0)) lie between it and the last change of the files:")
            print("        what was written in that time is lost, but for rows that can be salvaged")
        }
    }

    private func show(_ event: RecoveryEvent?) {
        guard let event else { return }
        if let journal = event.journal { print("The journal is in corrupted/\(journal), kept.") }
        guard event.plan.action != .moveJournal else { return print("Done.") }
        print("Done. What was there before is in corrupted/\(event.quarantine), kept.")
        if let salvage = event.salvage {
            print(
                "\(salvage.rows) row(s) of \(salvage.tables) table(s) could be read from it, \(salvage.incompleteTables) not whole: "
                    + "salvaged.db there, under the profile's own key.")
        }
    }

    private static func duration(_ seconds: Int) -> String {
        let (minutes, rest) = seconds.quotientAndRemainder(dividingBy: 60)
        let (hours, restOfHour) = minutes.quotientAndRemainder(dividingBy: 60)
        let (days, restOfDay) = hours.quotientAndRemainder(dividingBy: 24)
        if days > 0 { return "\(days) d \(restOfDay) h" }
        if hours > 0 { return "\(hours) h \(restOfHour) min" }
        return minutes > 0 ? "\(minutes) min \(rest) s" : "\(rest) s"
    }
}
