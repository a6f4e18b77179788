// Passphrases come from a terminal without echo, a file descriptor, a command's output or a credential directory; never
// from an argument or the environment. From the first byte they are in secret memory and nowhere else.

import DurableFiles
import ErrorReporting
import Foundation
import Glibc
import Strongroom

/// Why a secret could not be read.
enum SecretInputError: ReportableError {
    case commandFailed
    case outputUnwritable
    case noTerminal
    case passphrasesDiffer
    case cancelled
    case noCredentialDirectory
    case credentialNameInvalid

    var code: String {
        switch self {
        case .commandFailed: "passphrase_command_failed"
        case .outputUnwritable: "output_unwritable"
        case .noTerminal: "no_terminal"
        case .passphrasesDiffer: "passphrases_differ"
        case .cancelled: "cancelled"
        case .noCredentialDirectory: "no_credential_directory"
        case .credentialNameInvalid: "credential_name_invalid"
        }
    }

    var category: ErrorCategory {
        switch self {
        case .cancelled: .incomplete
        case .outputUnwritable: .system
        default: .usage
        }
    }

    var summary: String {
        switch self {
        case .commandFailed: "the passphrase command failed"
        case .outputUnwritable: "the recovery key could not be written to standard output"
        case .noTerminal: "there is no terminal to ask for a passphrase on"
        case .passphrasesDiffer: "the two passphrases are not the same"
        case .cancelled: "it was cancelled; nothing was changed"
        case .noCredentialDirectory: "the service manager gave no credentials"
        case .credentialNameInvalid: "this is not the name of a credential"
        }
    }

    var hint: String {
        switch self {
        case .outputUnwritable: "make another one: of this one, a part may have been written"
        case .commandFailed: "run the command by itself and see what it says"
        case .noTerminal: "use --key-file, --passphrase-fd, --passphrase-command or --credential"
        case .passphrasesDiffer, .cancelled: "try again"
        case .noCredentialDirectory: "use LoadCredential= in the unit; it sets CREDENTIALS_DIRECTORY"
        case .credentialNameInvalid: "give the plain name, without a path"
        }
    }
}

enum SecretInput {
    private static let maximumBytes = UnlockSecret.maximumPassphraseBytes + 2

    /// What a file descriptor gives until its end, without a line end at the end.
    static func passphrase(descriptor: Int32) throws -> SecretBytes {
        try SecretBytes(readingFrom: descriptor, capacity: maximumBytes)
    }

    /// What a file of ours holds that is closed to others.
    static func file(_ path: FilePath) throws -> SecretBytes {
        try StrictFiles.readSecret(path, limit: UnlockSecret.maximumPassphraseBytes)
    }

    /// What a shell command prints, without a line end at the end. It must exit with 0.
    static func passphrase(command: String) throws -> SecretBytes {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        let pipe = Pipe()
        process.standardOutput = pipe
        do { try process.run() } catch { throw SecretInputError.commandFailed }
        let secret = try passphrase(descriptor: pipe.fileHandleForReading.fileDescriptor)
        try? pipe.fileHandleForReading.close()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw SecretInputError.commandFailed
        }
        return secret
    }

    /// Asks on the terminal, without echo.
    static func passphrase(prompt: String) throws -> SecretBytes {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard terminal >= 0 else { throw SecretInputError.noTerminal }
        defer { close(terminal) }
        var settings = termios()
        guard tcgetattr(terminal, &settings) == 0 else { throw SecretInputError.noTerminal }
        var silent = settings
        // Byte by byte and without signals: an interrupt comes as a byte, so that the echo is always put back.
        silent.c_lflag &= ~tcflag_t(ECHO | ISIG | ICANON)
        tcsetattr(terminal, TCSAFLUSH, &silent)
        defer {
            tcsetattr(terminal, TCSAFLUSH, &settings)
            write(terminal, "\n", 1)
        }
        write(terminal, prompt, prompt.utf8.count)
        return try SecretBytes(capacity: maximumBytes) { try readLine(terminal, into: $0) }
    }

    /// A line with the few keys that people expect: erase a character, erase all, end, interrupt.
    private static func readLine(_ terminal: Int32, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var count = 0
        while count < buffer.count, read(terminal, buffer.baseAddress.map { $0 + count }, 1) == 1 {
            switch buffer[count] {
            case 3, 28: throw SecretInputError.cancelled  // ^C, ^\
            case 4, UInt8(ascii: "\n"), UInt8(ascii: "\r"): return count
            case 21: count = 0  // ^U
            case 8, 127:
                // A character of UTF-8 is a first byte and what continues it.
                while count > 0 {
                    count -= 1
                    if buffer[count] & 0xc0 != 0x80 { break }
                }
            default: count += 1
            }
        }
        return count
    }

    /// Asks twice.
    static func newPassphrase() throws -> SecretBytes {
        let first = try passphrase(prompt: "New passphrase: ")
        let second = try passphrase(prompt: "Again: ")
        guard first.isEqual(to: second) else { throw SecretInputError.passphrasesDiffer }
        return first
    }

    /// Where the service manager put a credential.
    static func credentialPath(_ name: String) throws(SecretInputError) -> FilePath {
        guard let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"] else {
            throw .noCredentialDirectory
        }
        guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else { throw .credentialNameInvalid }
        return FilePath(directory).appending(name)
    }
}
