// Where the program begins and ends: one place for hardening, one for errors and exit codes.

import ArgumentParser
import ErrorReporting
import Foundation
import Strongroom

@main
struct StrongroomCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strongroom",
        abstract: "Encrypted profiles: SQLite databases under SQLCipher, with keys from a file keyring.",
        discussion: """
            Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 findings, 2 usage, \
            3 incomplete, 10 not found, 11 in use, 12 could not unlock, 13 damaged, 14 no snapshot, 15 against policy, \
            16 not SQLCipher, 70 internal, 74 refused by the system.
            """,
        version: "0.1.0",
        subcommands: [
            Init.self, ProfileCommand.self, UnlockerCommand.self, KeyCommand.self, PolicyCommand.self,
            SnapshotCommand.self,
            Verify.self, Diagnose.self, Repair.self, GarbageCollection.self, QuarantineCommand.self, ScanCommand.self,
        ])

    @OptionGroup var common: CommonOptions

    static func main() async {
        Terminal.holdDescriptors()
        ProcessHardening.apply()
        Logging.toStandardError()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            try Terminal.finish()
        } catch {
            Foundation.exit(report(error))
        }
    }

    /// Tells the error and answers the exit code.
    private static func report(_ error: any Error) -> Int32 {
        if let error = error as? any ReportableError {
            Terminal.error(error)
            return error.category.rawValue
        }
        if let finding = error as? Finding { return finding.category.rawValue }
        switch exitCode(for: error) {
        case .success:
            print(fullMessage(for: error))
            return 0
        case .validationFailure:
            Terminal.note(fullMessage(for: error))
            return ErrorCategory.usage.rawValue
        default:
            Terminal.note("error[internal]: \(type(of: error)). hint: this is a fault in Strongroom; please report it.")
            return ErrorCategory.internal.rawValue
        }
    }
}

/// Ends a command whose output says already what was found.
struct Finding: Error {
    let category: ErrorCategory
}
