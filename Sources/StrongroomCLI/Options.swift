import ArgumentParser
import ErrorReporting
import Foundation
import Strongroom

/// What every verb takes, before or after its name.
struct CommonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The store; STRONGROOM_STORE names it otherwise.", valueName: "dir"))
    var store: String?

    @Option(help: ArgumentHelp("The keyring, where it is kept apart from the store.", valueName: "dir"))
    var keyring: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "No progress, no notes; results and errors only.")
    var quiet = false

    func storePath() throws -> FilePath {
        guard let path = store ?? ProcessInfo.processInfo.environment["STRONGROOM_STORE"], !path.isEmpty else {
            throw ValidationError("Name the store with --store DIR or STRONGROOM_STORE.")
        }
        return FilePath(path)
    }

    var keyringPath: FilePath? { keyring.map { FilePath($0) } }
}

/// How a verb gets at the keys. One of these, or else a prompt.
struct UnlockOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Unlock with this key file.", valueName: "path"))
    var keyFile: String?

    @Option(help: ArgumentHelp("Read the passphrase from this file descriptor.", valueName: "n"))
    var passphraseFd: Int32?

    @Option(help: ArgumentHelp("Take the passphrase from what this command prints.", valueName: "cmd"))
    var passphraseCommand: String?

    @Option(help: ArgumentHelp("Unlock with this credential of the service manager.", valueName: "name"))
    var credential: String?

    @Option(help: ArgumentHelp("Unlock with the recovery key, as text or words, in this file.", valueName: "path"))
    var recoveryKeyFile: String?

    @Option(help: ArgumentHelp("Read the recovery key from this file descriptor.", valueName: "n"))
    var recoveryKeyFd: Int32?

    @Option(
        help: ArgumentHelp(
            "Try this unlocker only; otherwise those of the secret's kind, the cheapest first.", valueName: "id"))
    var unlocker: String?

    /// Whether a way to unlock was named, so that nothing needs to be asked for.
    var isGiven: Bool { count > 0 }

    private var count: Int {
        [
            keyFile != nil, passphraseFd != nil, passphraseCommand != nil, credential != nil, recoveryKeyFile != nil,
            recoveryKeyFd != nil,
        ].count { $0 }
    }

    func validate() throws {
        guard count <= 1 else {
            throw ValidationError(
                "Give one of --key-file, --passphrase-fd, --passphrase-command, --credential, --recovery-key-file, --recovery-key-fd."
            )
        }
    }

    func secret() throws -> UnlockSecret {
        if let keyFile { return try .keyFile(FilePath(keyFile)) }
        if let passphraseFd { return try .passphrase(SecretInput.passphrase(descriptor: passphraseFd)) }
        if let passphraseCommand { return try .passphrase(SecretInput.passphrase(command: passphraseCommand)) }
        if let credential { return try .keyFile(SecretInput.credentialPath(credential)) }
        if let recoveryKeyFile { return try .recoveryKey(text: SecretInput.file(FilePath(recoveryKeyFile))) }
        if let recoveryKeyFd { return try .recoveryKey(text: SecretInput.passphrase(descriptor: recoveryKeyFd)) }
        return try .passphrase(SecretInput.passphrase(prompt: "Passphrase: "))
    }

    func open(_ common: CommonOptions) throws -> Store {
        // An operator sees the plan of a recovery before anything is done.
        try Store.open(
            at: common.storePath(), keyring: common.keyringPath, with: secret(), unlocker: unlocker,
            onTry: announcer(common), options: StoreOptions(recovery: .never))
    }

    /// Says which unlocker is tried, where more than one takes long. The id follows its format; the label is not shown, because the
    /// keyring is not verified yet.
    func announcer(_ common: CommonOptions) -> UnlockTryHandler? {
        guard !common.quiet else { return nil }
        return { attempt in
            guard attempt.slowCandidates > 1 else { return }
            Terminal.note("Trying unlocker \(attempt.position) of \(attempt.candidates): \(attempt.unlocker.id)")
        }
    }

    /// Opens the store, and locks it again whatever happens.
    func withStore<Result>(_ common: CommonOptions, _ body: (Store) throws -> Result) throws -> Result {
        let store = try open(common)
        return try Self.locking(store, Swift.Result { try body(store) })
    }

    /// The same for work that goes on in the background.
    func withStore<Result>(
        _ common: CommonOptions, _ body: (Store) async throws -> Result
    ) async throws -> Result {
        let store = try open(common)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(store))
        } catch { result = .failure(error) }
        return try Self.locking(store, result)
    }

    /// The same for work that goes on in the background; where only the global database is broken, without it.
    func withStoreForSnapshots<Result>(
        _ common: CommonOptions, _ body: (Store) async throws -> Result
    ) async throws -> Result {
        let secret = try secret()
        let store: Store
        do {
            store = try Store.open(
                at: common.storePath(), keyring: common.keyringPath, with: secret, unlocker: unlocker,
                onTry: announcer(common), options: StoreOptions(recovery: .never))
        } catch let error as StrongroomError {
            guard error.isAboutGlobalDatabase else { throw error }
            Terminal.error(error)
            Terminal.note("Going on without the global database: name 'global' or the id of a profile.")
            store = try Store.openWithoutGlobal(
                at: common.storePath(), keyring: common.keyringPath, with: secret, unlocker: unlocker,
                onTry: announcer(common), options: StoreOptions(recovery: .never))
        }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(store))
        } catch { result = .failure(error) }
        return try Self.locking(store, result)
    }

    private static func locking<Result>(
        _ store: Store, _ result: Swift.Result<Result, any Error>
    ) throws -> Result {
        let locking = Swift.Result { try store.lock() }
        let value = try result.get()
        try locking.get()
        return value
    }
}

extension Store {
    /// Does the same for one database, or for all; of all, one that fails is told and does not stop the others.
    func forEachDatabase<Value>(
        _ name: String?, _ body: (KeyScope) async throws -> Value
    ) async throws -> (values: [Value], hasFailures: Bool) {
        if let name { return ([try await body(DatabaseArgument.scope(name, in: self))], false) }
        var values: [Value] = []
        var hasFailures = false
        for scope in try snapshotScopes() {
            do {
                values.append(try await body(scope))
            } catch {
                guard let error = error as? any ReportableError else { throw error }
                Terminal.note("\(scope):")
                Terminal.error(error)
                hasFailures = true
            }
        }
        return (values, hasFailures)
    }
}

/// A database, as an operator names it.
struct DatabaseArgument: ParsableArguments {
    @Argument(help: "A profile's id or name; or 'global'.") var database: String

    func scope(in store: Store) throws -> KeyScope { try Self.scope(database, in: store) }

    /// An id needs no look into the global database, which may be what is broken.
    static func scope(_ text: String, in store: Store) throws -> KeyScope {
        if let scope = KeyScope(text.lowercased()), try store.snapshotScopes().contains(scope) { return scope }
        return .profile(try store.profile(text).id)
    }
}

/// A new unlocker's secret.
struct NewUnlockerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Make a key file here (0600); it must not exist.", valueName: "path"))
    var newKeyFile: String?

    @Option(help: ArgumentHelp("Read the new passphrase from this file descriptor.", valueName: "n"))
    var newPassphraseFd: Int32?

    @Option(help: ArgumentHelp("Take the new passphrase from what this command prints.", valueName: "cmd"))
    var newPassphraseCommand: String?

    @Flag(help: "Ask for the new passphrase, twice.")
    var newPassphrase = false

    @Option(help: ArgumentHelp("What people call the new unlocker.", valueName: "text"))
    var label: String?

    /// Every secret that was asked for, the key file last, so that none is made where a passphrase is refused.
    func secrets() throws -> [(secret: UnlockSecret, label: String)] {
        var secrets: [(UnlockSecret, String)] = []
        if let newPassphraseFd {
            secrets.append(
                (try .passphrase(SecretInput.passphrase(descriptor: newPassphraseFd)), label ?? "passphrase"))
        }
        if let newPassphraseCommand {
            secrets.append(
                (try .passphrase(SecretInput.passphrase(command: newPassphraseCommand)), label ?? "passphrase"))
        }
        if newPassphrase { secrets.append((try .passphrase(SecretInput.newPassphrase()), label ?? "passphrase")) }
        if let newKeyFile { secrets.append((try .makeKeyFile(FilePath(newKeyFile)), label ?? "key file")) }
        return secrets
    }

    /// Whether any was asked for.
    var isGiven: Bool { count > 0 }

    private var count: Int {
        [newKeyFile != nil, newPassphraseFd != nil, newPassphraseCommand != nil, newPassphrase].count { $0 }
    }

    /// That exactly one was asked for, without making or reading it.
    func validateOne() throws -> String {
        guard count == 1 else {
            throw ValidationError(
                "Give one of --new-key-file, --new-passphrase, --new-passphrase-fd, --new-passphrase-command.")
        }
        return "-"
    }

    /// Exactly one.
    func secret() throws -> (secret: UnlockSecret, label: String?) {
        _ = try validateOne()
        guard let first = try secrets().first else { throw ValidationError("There is no new secret.") }
        return (first.secret, label)
    }

    /// Removes a key file that was made for something that then failed: it opens nothing.
    func discardKeyFile() {
        if let newKeyFile { try? FileManager.default.removeItem(atPath: newKeyFile) }
    }
}
