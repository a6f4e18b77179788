import ArgumentParser
import DurableFiles
import Foundation
import Strongroom

struct UnlockerGenerateRecovery: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-recovery",
        abstract: "Make a recovery key pair: the key is shown once, to be kept offline.",
        discussion: """
            The recipient is for 'unlocker add --recipient'; the key is for paper or a safe, and is kept nowhere else. It does not need \
            the store, and can be made on another machine. --key-out writes the key to a new file (0600) instead of showing it.
            """)

    @OptionGroup var common: CommonOptions
    @Flag(help: "Show the key as 18 words as well.") var words = false
    @Flag(help: "Show the key as a QR code as well.") var qr = false
    @Option(help: ArgumentHelp("Write the key to this new file instead.", valueName: "path"), completion: .file())
    var keyOut: String?

    private struct Output: Encodable { let recipient: String }

    func validate() throws {
        guard keyOut != nil || !common.json else {
            throw ValidationError("A key is not put into JSON: say --key-out with --json.")
        }
        guard keyOut == nil || !(words || qr) else {
            throw ValidationError("--key-out shows nothing: no --words, no --qr.")
        }
    }

    func run() throws {
        let key = try RecoveryKey.random()
        let recipient = try key.recipient
        if let keyOut { try DurableFiles.create(FilePath(keyOut), holding: key.text()) }
        try Terminal.result(Output(recipient: recipient), common) { print("recipient  \(recipient)") }
        guard keyOut == nil else { return }
        print("key        ", terminator: "")
        try Terminal.show(key.text())
        if words {
            print("words      ", terminator: "")
            try Terminal.show(key.words())
        }
        if qr { try Terminal.write(QRCode(alphanumeric: key.text(forQR: true)).drawing()) }
        Terminal.note("The key is shown this once. Whoever has it opens every keyring that has the recipient.")
    }
}

extension Terminal {
    /// A secret on a line of standard output, without its becoming text in ordinary memory.
    static func show(_ secret: borrowing SecretBytes) throws {
        try write(secret)
        print("")
    }

    /// The bytes of a secret on standard output.
    static func write(_ secret: borrowing SecretBytes) throws {
        fflush(nil)
        try secret.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let step = Glibc.write(STDOUT_FILENO, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                guard step > 0 else { throw SecretInputError.outputUnwritable }
                written += step
            }
        }
    }
}
