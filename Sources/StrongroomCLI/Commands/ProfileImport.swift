import ArgumentParser
import Strongroom

struct ProfileImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a profile from a SQLite or SQLCipher file, which is left as it is.",
        discussion: """
            The copy is compared with the file, table by table, before it counts as done. The original stays where it \
            is: where it is plaintext, destroying it is up to you. Nothing that the file brings is run.

            A file of SQLCipher is tried with the defaults of its versions 4, 3, 2 and 1; where an app changed them, say how.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Option(help: ArgumentHelp("The file is of SQLCipher; read its passphrase from here.", valueName: "n"))
    var sourcePassphraseFd: Int32?
    @Option(help: ArgumentHelp("The file is of SQLCipher; this prints its passphrase.", valueName: "cmd"))
    var sourcePassphraseCommand: String?
    @OptionGroup(title: "SQLCipher") var cipher: CipherOptions
    @Option(
        help: ArgumentHelp(
            "Leave this table, index, view, trigger or virtual table out. May be given more than once.",
            valueName: "name"))
    var skip: [String] = []
    @Argument var name: String
    @Argument(completion: .file()) var file: String

    private struct Output: Encodable {
        struct Table: Encodable {
            let name: String
            let rows: Int
        }
        let profile: ProfileOutput
        let source: String
        let tables: [Table]
        let rows: Int
        struct Skipped: Encodable {
            let kind: ImportObject.Kind
            let name: String
        }
        let skipped: [Skipped]
    }

    func run() throws {
        let source = try source()
        let bar = ProgressBar(common)
        let (info, report) = try unlock.withStore(common) { store in
            try store.importProfile(named: name, from: source, skipping: Set(skip)) { progress in
                bar.show(progress.phase.label, done: progress.rows, total: progress.totalRows)
            }
        }
        bar.finish()
        let output = Output(
            profile: ProfileOutput(info), source: report.kind.rawValue,
            tables: report.tables.map { .init(name: $0.name, rows: $0.rows) }, rows: report.rows,
            skipped: report.skipped.map { .init(kind: $0.kind, name: $0.name) })
        try Terminal.result(output, common) {
            print("\(info.id)  \(info.name)")
            print("Imported \(report.tables.count) tables, \(report.rows) rows; every row was read back and compared.")
            for object in report.skipped { print("Left out: \(object.kind.rawValue) \(Terminal.plain(object.name))") }
        }
        if report.kind == .plaintext, !common.quiet, !common.json {
            Terminal.note("The original is still there, and is still plaintext.")
        }
    }

    private func source() throws -> ImportSource {
        let settings = try cipher.settings()
        if let sourcePassphraseFd {
            return ImportSource(
                FilePath(file), passphrase: try SecretInput.passphrase(descriptor: sourcePassphraseFd),
                settings: settings)
        }
        if let sourcePassphraseCommand {
            return ImportSource(
                FilePath(file), passphrase: try SecretInput.passphrase(command: sourcePassphraseCommand),
                settings: settings)
        }
        guard settings == nil else {
            throw ValidationError("Settings of SQLCipher need --source-passphrase-fd or --source-passphrase-command.")
        }
        return ImportSource(FilePath(file))
    }
}

/// How an app had SQLCipher make its file, where that is no version's default.
struct CipherOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The version of SQLCipher whose defaults hold: 1, 2, 3 or 4.", valueName: "n"))
    var cipherVersion: Int?
    @Option(help: ArgumentHelp("Iterations of the key derivation (PRAGMA kdf_iter).", valueName: "n"))
    var kdfIter: Int?
    @Option(help: ArgumentHelp("The page size (PRAGMA cipher_page_size).", valueName: "bytes"))
    var pageSize: Int?
    @Option(
        help: ArgumentHelp(
            "What authenticates a page: on (the version's own), off, sha1, sha256 or sha512 (PRAGMA cipher_hmac_algorithm).",
            valueName: "how"))
    var hmac: String?
    @Option(
        help: ArgumentHelp(
            "How many bytes are not encrypted (PRAGMA cipher_plaintext_header_size).", valueName: "bytes"))
    var plaintextHeaderSize: Int?
    @Option(
        help: ArgumentHelp(
            "The salt, 32 hex digits, where it is not in the file (PRAGMA cipher_salt).", valueName: "hex"))
    var salt: String?

    /// Nil where nothing was said.
    func settings() throws -> ImportSource.CipherSettings? {
        guard
            cipherVersion != nil || kdfIter != nil || pageSize != nil || hmac != nil || plaintextHeaderSize != nil
                || salt != nil
        else { return nil }
        guard let version = ImportSource.CipherSettings.Version(rawValue: cipherVersion ?? 4) else {
            throw ValidationError("--cipher-version is 1, 2, 3 or 4.")
        }
        var settings = ImportSource.CipherSettings(version: version)
        settings.kdfIterations = kdfIter
        settings.pageSize = pageSize
        settings.plaintextHeaderSize = plaintextHeaderSize
        if let hmac, hmac != "on" {
            guard let known = ImportSource.CipherSettings.Authentication(rawValue: hmac) else {
                throw ValidationError("--hmac is on, off, sha1, sha256 or sha512.")
            }
            settings.authentication = known
        }
        if let salt {
            guard let bytes = Self.bytes(salt) else { throw ValidationError("--salt is 32 hex digits.") }
            settings.salt = bytes
        }
        guard settings.isValid else {
            throw ValidationError(
                "--page-size is a power of two from 512 to 65536, --kdf-iter at least 1, --plaintext-header-size 0 to 96 in steps of 16."
            )
        }
        return settings
    }

    private static func bytes(_ digits: String) -> [UInt8]? {
        let values = digits.compactMap(\.hexDigitValue)
        guard values.count == 32, digits.count == 32 else { return nil }
        return stride(from: 0, to: 32, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
}

extension TransferProgress.Phase {
    var label: String {
        switch self {
        case .checkingSource: "checking the source"
        case .copying: "copying"
        case .verifying: "reading back and comparing"
        }
    }
}
