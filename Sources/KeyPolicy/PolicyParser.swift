// From YAML to a KeyPolicy. Yams reads the YAML; this says what may stand in it, and where something else does.

package import CryptoPrimitives
import ShippedKeyPolicies
import Yams

extension KeyPolicy {
    /// The longest policy that is read, in bytes.
    public static let maximumFileBytes = 65_536

    /// The names of the policies that come with Strongroom.
    public static let shippedNames = ShippedPolicyFiles.all.map(\.name)

    /// The bytes of a policy that comes with Strongroom.
    ///
    /// - Throws: `KeyPolicyError` where there is none of that name.
    public static func shippedBytes(named name: String) throws(KeyPolicyError) -> [UInt8] {
        guard let file = ShippedPolicyFiles.all.first(where: { $0.name == name }) else {
            throw KeyPolicyError(.unknownPolicyName, file: name)
        }
        return file.bytes
    }

    /// Reads a policy.
    ///
    /// - Parameters:
    ///   - bytes: the file, UTF-8 YAML.
    ///   - file: what errors call it.
    /// - Throws: `KeyPolicyError`, naming file, line and key.
    public init(parsing bytes: [UInt8], file: String) throws(KeyPolicyError) {
        guard bytes.count <= Self.maximumFileBytes else {
            throw KeyPolicyError(.isLongerThan(Self.maximumFileBytes), file: file)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw KeyPolicyError(.notUTF8, file: file) }
        let root = try PolicySection.root(of: text, file: file)

        _ = try root.choice("format", of: ["strongroom/key-policy"])
        _ = try root.integer("version", in: 1...1)
        name = try root.name("name")
        let passphrase = try root.section("passphrase")
        let algorithm = try passphrase.choice("algorithm", of: ["scrypt", "pbkdf2-hmac-sha512"])
        let logN = try passphrase.integer("scryptLogN", in: ScryptCost.logNBounds)
        let iterations = try passphrase.integer("pbkdf2Iterations", in: PBKDF2.iterationBounds)
        do {
            passphraseDerivation =
                algorithm == "scrypt" ? .scrypt(try ScryptCost(logN: logN)) : .pbkdf2(iterations: iterations)
            digest = try Self.digest(of: bytes)
        } catch {
            throw KeyPolicyError(.outOfRange(allowed: "a cost that libcrypto takes"), file: file, key: "passphrase")
        }
        minimumPassphraseBytes = try passphrase.integer("minimumBytes", in: 8...1024)
        try passphrase.finish()

        let unlockers = try root.section("unlockers")
        allowedUnlockers = try unlockers.choices("allowed", of: UnlockerKind.self)
        requiredUnlockers = try unlockers.integer("required", in: 1...16)
        try unlockers.finish()

        let ages = try root.section("maximumAgeDays")
        maximumRootKeyAgeDays = try ages.integer("rootKey", in: 1...36_500)
        maximumDataKeyAgeDays = try ages.integer("dataKey", in: 1...36_500)
        try ages.finish()

        let retirement = try root.section("retirement")
        retirementGraceDays = try retirement.integer("graceDays", in: 0...36_500)
        try retirement.finish()

        let page = try root.section("page")
        let size = try page.choice("size", of: PageFormat.sizes.map(String.init))
        let authentication = try page.choice("authentication", of: PageFormat.Authentication.self)
        guard let format = PageFormat(size: Int(size) ?? 0, authentication: authentication) else {
            throw KeyPolicyError(.outOfRange(allowed: "a page size of SQLite"), file: file, key: "page.size")
        }
        pageFormat = format
        try page.finish()

        let cache = try root.section("cache")
        cacheMebibytes = try cache.integer("mebibytes", in: 1...4096)
        try cache.finish()

        integrityCheck = try root.choice("integrityCheck", of: IntegrityCheck.self)

        let snapshots = try root.section("snapshots")
        snapshotRetention = SnapshotRetention(
            last: try snapshots.integer("keepLast", in: 1...10_000),
            daily: try snapshots.integer("keepDaily", in: 0...10_000),
            weekly: try snapshots.integer("keepWeekly", in: 0...10_000),
            monthly: try snapshots.integer("keepMonthly", in: 0...10_000))
        try snapshots.finish()

        let files = try root.section("files")
        _ = try files.choice("mode", of: ["0600"])
        _ = try files.choice("directoryMode", of: ["0700"])
        try files.finish()
        try root.finish()
    }

    /// The lowercase hex SHA-256 of a policy file: 64 characters.
    package static func digest(of bytes: [UInt8]) throws(CryptoError) -> String {
        Hex.encode(try SHA256.hash(bytes))
    }

    /// Reads a policy that comes with Strongroom.
    ///
    /// - Throws: `KeyPolicyError` where there is none of that name.
    public init(shipped name: String) throws(KeyPolicyError) {
        try self.init(parsing: Self.shippedBytes(named: name), file: name)
    }
}

/// One mapping of the file, which knows what was asked of it, so that whatever is left over is unknown.
private final class PolicySection {
    private let file: String
    private let path: String
    private let line: Int?
    private var values: [String: Node] = [:]
    private var lines: [String: Int] = [:]

    static func root(of text: String, file: String) throws(KeyPolicyError) -> PolicySection {
        do {
            guard let node = try Yams.compose(yaml: text) else { throw KeyPolicyError(.notYAML, file: file) }
            return try PolicySection(node, path: "", file: file)
        } catch let error as KeyPolicyError {
            throw error
        } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
            throw KeyPolicyError(
                .duplicateKey, file: file, line: context.mark.line, key: duplicates.first)
        } catch let YamlError.scanner(_, _, mark, _) {
            throw KeyPolicyError(.notYAML, file: file, line: mark.line)
        } catch let YamlError.parser(_, _, mark, _) {
            throw KeyPolicyError(.notYAML, file: file, line: mark.line)
        } catch {
            throw KeyPolicyError(.notYAML, file: file)
        }
    }

    private init(_ node: Node, path: String, file: String) throws(KeyPolicyError) {
        self.file = file
        self.path = path
        line = node.mark?.line
        guard let mapping = node.mapping else {
            throw path.isEmpty
                ? KeyPolicyError(.notYAML, file: file, line: line)
                : KeyPolicyError(
                    .wrongType(expected: "a section with keys of its own"), file: file, line: line, key: path)
        }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else {
                throw KeyPolicyError(.wrongType(expected: "a plain name"), file: file, line: key.mark?.line, key: path)
            }
            values[name] = value
            lines[name] = key.mark?.line
        }
    }

    func section(_ key: String) throws(KeyPolicyError) -> PolicySection {
        try PolicySection(take(key), path: full(key), file: file)
    }

    func integer(_ key: String, in bounds: ClosedRange<Int>) throws(KeyPolicyError) -> Int {
        guard let scalar = try take(key).scalar, scalar.style == .plain, let value = Int(scalar.string) else {
            throw error(.wrongType(expected: "a whole number"), key)
        }
        guard bounds.contains(value) else {
            let allowed =
                bounds.lowerBound == bounds.upperBound
                ? "\(bounds.lowerBound)" : "from \(bounds.lowerBound) to \(bounds.upperBound)"
            throw error(.outOfRange(allowed: allowed), key)
        }
        return value
    }

    func choice(_ key: String, of allowed: [String]) throws(KeyPolicyError) -> String {
        guard let value = try take(key).scalar?.string else {
            throw error(.wrongType(expected: "one of \(allowed.joined(separator: ", "))"), key)
        }
        guard allowed.contains(value) else {
            throw error(.outOfRange(allowed: "one of \(allowed.joined(separator: ", "))"), key)
        }
        return value
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, of type: Choice.Type
    ) throws(KeyPolicyError) -> Choice {
        let value = try choice(key, of: Choice.allCases.map(\.rawValue))
        guard let choice = Choice(rawValue: value) else { throw error(.wrongType(expected: "a known word"), key) }
        return choice
    }

    func choices<Choice: RawRepresentable<String> & CaseIterable & Hashable>(
        _ key: String, of type: Choice.Type
    ) throws(KeyPolicyError) -> Set<Choice> {
        let allowed = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        guard let sequence = try take(key).sequence else {
            throw error(.wrongType(expected: "a list of \(allowed)"), key)
        }
        var choices: Set<Choice> = []
        for node in sequence {
            guard let choice = node.scalar.flatMap({ Choice(rawValue: $0.string) }) else {
                throw error(.outOfRange(allowed: "a list of \(allowed)"), key)
            }
            choices.insert(choice)
        }
        guard !choices.isEmpty else { throw error(.outOfRange(allowed: "a list of at least one of \(allowed)"), key) }
        return choices
    }

    /// A short plain name: letters, digits and hyphens.
    func name(_ key: String) throws(KeyPolicyError) -> String {
        guard let value = try take(key).scalar?.string else { throw error(.wrongType(expected: "a name"), key) }
        guard (1...64).contains(value.utf8.count), value.utf8.allSatisfy(Self.isNameByte) else {
            throw error(.outOfRange(allowed: "1 to 64 letters, digits and hyphens"), key)
        }
        return value
    }

    /// That every key of the section was asked for.
    func finish() throws(KeyPolicyError) {
        guard let unknown = values.keys.min(by: { (lines[$0] ?? 0) < (lines[$1] ?? 0) }) else { return }
        // What is no name may be anything, a secret among others: only its line is told.
        let isName = unknown.utf8.count <= 40 && unknown.utf8.allSatisfy(Self.isNameByte)
        throw isName ? error(.unknownKey, unknown) : KeyPolicyError(.unknownKey, file: file, line: lines[unknown])
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private func take(_ key: String) throws(KeyPolicyError) -> Node {
        guard let node = values.removeValue(forKey: key) else {
            throw KeyPolicyError(.missingKey, file: file, line: line, key: full(key))
        }
        return node
    }

    private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func error(_ reason: KeyPolicyError.Reason, _ key: String) -> KeyPolicyError {
        KeyPolicyError(reason, file: file, line: lines[key] ?? line, key: full(key))
    }
}
