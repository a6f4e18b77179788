// The app behind pipes: a shell in any language starts it, and speaks JSON-RPC 2.0 with it (docs/formats/rehearsal.md).

import ArgumentParser
import Dispatch
import Foundation
import Logging
import Rehearsal
import Strongroom

@main
struct RehearsalService: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rehearsal",
        abstract: "The rehearsal app without a face: JSON-RPC 2.0 on standard input and output, one message a line.",
        discussion: """
            The store must be there: 'strongroom init' makes one. Closing standard input ends the service, and so do SIGTERM and \
            SIGINT: what is under way is finished first. Nothing but replies goes to standard output. Exit codes are those of \
            'strongroom'.
            """,
        version: "0.1.0")

    @Option(help: ArgumentHelp("The store; STRONGROOM_STORE names it otherwise.", valueName: "dir"))
    var store: String?

    @Option(help: ArgumentHelp("The keyring, where it is kept apart from the store.", valueName: "dir"))
    var keyring: String?

    @Option(help: ArgumentHelp("Unlock with this key file.", valueName: "path"))
    var keyFile: String?

    @Option(help: ArgumentHelp("Read the passphrase from this file descriptor, which is not 0 to 2.", valueName: "n"))
    var passphraseFd: Int32?

    func validate() throws {
        guard (keyFile == nil) != (passphraseFd == nil) else {
            throw ValidationError("Give one of --key-file and --passphrase-fd.")
        }
        guard passphraseFd.map({ $0 > 2 }) ?? true else {
            throw ValidationError("Standard input is for messages: give the passphrase on another file descriptor.")
        }
    }

    private func secret() throws -> UnlockSecret {
        if let passphraseFd { return try .passphrase(SecretBytes(readingFrom: passphraseFd)) }
        return try .keyFile(FilePath(keyFile ?? ""))
    }

    func run() async throws {
        guard let directory = store ?? ProcessInfo.processInfo.environment["STRONGROOM_STORE"], !directory.isEmpty
        else {
            throw ValidationError("Name the store with --store DIR or STRONGROOM_STORE.")
        }
        let app = try RehearsalApp(
            store: FilePath(directory), keyring: keyring.map { FilePath($0) }, unlockedWith: secret())
        let lines = MessageLines(from: STDIN_FILENO)
        let signals = [SIGTERM, SIGINT].map { number in
            // The source sees what would have ended the process.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { lines.stop() }
            source.resume()
            return source
        }
        await Conversation(with: app, lines: lines, replies: ReplyLines()).run()
        for source in signals { source.cancel() }
        try await app.close()
    }

    static func main() async {
        ProcessHardening.apply()
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .warning
            return handler
        }
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch {
            Foundation.exit(report(error))
        }
    }

    /// Tells the error and answers the exit code.
    private static func report(_ error: any Error) -> Int32 {
        func tell(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
        if let error = error as? any ReportableError {
            tell(error.description)
            return error.category.rawValue
        }
        switch exitCode(for: error) {
        case .success:
            print(fullMessage(for: error))
            return 0
        case .validationFailure:
            tell(fullMessage(for: error))
            return ErrorCategory.usage.rawValue
        default:
            tell("error[internal]: \(type(of: error)). hint: this is a fault in the app; please report it.")
            return ErrorCategory.internal.rawValue
        }
    }
}
