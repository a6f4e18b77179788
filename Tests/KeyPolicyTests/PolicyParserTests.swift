import Testing

@testable import KeyPolicy

@Suite struct PolicyParserTests {
    private static let text =
        (try? KeyPolicy.shippedBytes(named: "default")).map { String(decoding: $0, as: UTF8.self) } ?? ""

    /// The lines that give a key a value.
    private static let valueLines = text.split(separator: "\n").filter {
        $0.contains(": ") && !$0.drop { $0 == " " }.hasPrefix("#")
    }

    private func error(_ text: String) -> KeyPolicyError? {
        do {
            _ = try KeyPolicy(parsing: Array(text.utf8), file: "p.yaml")
            return nil
        } catch { return error }
    }

    private func edited(_ old: String, _ new: String) -> String {
        precondition(Self.text.contains(old))
        return Self.text.replacing(old, with: new)
    }

    /// The line on which `text` stands in the default policy, counted from 1.
    private func line(of text: String) -> Int? {
        Self.text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains(text) }.map {
            $0 + 1
        }
    }

    @Test(arguments: KeyPolicy.shippedNames)
    func shippedPoliciesAreValid(name: String) throws {
        #expect(try KeyPolicy(shipped: name).name == name)
    }

    @Test func saysWhatTheDefaultSays() throws {
        let policy = try KeyPolicy(shipped: "default")
        #expect(policy.passphraseDerivation == .scrypt(try .init(logN: 17)))
        #expect(policy.requiredUnlockers == 1)
        #expect(policy.pageFormat == PageFormat(size: 4096, authentication: .hmacSHA512))
        #expect(policy.integrityCheck == .afterCrash)
        #expect(policy.snapshotRetention == .init(last: 5, daily: 0, weekly: 0, monthly: 0))
        #expect(policy.digest.count == 64)
        #expect(try KeyPolicy(shipped: "strict").requiredUnlockers == 2)
        #expect(try KeyPolicy(shipped: "fips").passphraseDerivation == .pbkdf2(iterations: 600_000))
    }

    /// Every scalar of the default policy, replaced by something that cannot be right: a new key must not slip through.
    @Test func everyValueIsChecked() throws {
        var checked = 0
        for line in Self.valueLines {
            let key = line.prefix { $0 != ":" }
            let changed = Self.text.replacing(line, with: "\(key): [{}, 7.5]")
            let found = error(changed)
            #expect(found?.line == self.line(of: String(line)), "\(key)")
            #expect(found?.key?.hasSuffix(String(key.trimmingPrefix(while: { $0 == " " }))) == true, "\(key)")
            checked += 1
        }
        #expect(checked >= 17)
    }

    @Test func everyKeyIsRequired() {
        for line in Self.valueLines {
            // A section that had only this key is empty then, and no section any more.
            let reason = error(Self.text.replacing(line, with: ""))?.reason
            #expect(
                reason == .missingKey || reason == .wrongType(expected: "a section with keys of its own"), "\(line)")
        }
    }

    @Test func unknownKeysAreNamedWithTheirLine() {
        let found = error(edited("  minimumBytes: 12", "  minimumBytes: 12\n  maximumBytes: 90"))
        #expect(found?.reason == .unknownKey)
        #expect(found?.key == "passphrase.maximumBytes")
        #expect(found?.line == line(of: "minimumBytes: 12").map { $0 + 1 })
        #expect(found?.description.contains("p.yaml, line") == true)
        #expect(error(Self.text + "\nextra: 1\n")?.key == "extra")
    }

    @Test(arguments: [
        ("scryptLogN: 17", "scryptLogN: 14", "passphrase.scryptLogN"),
        ("scryptLogN: 17", "scryptLogN: 21", "passphrase.scryptLogN"),
        ("pbkdf2Iterations: 600000", "pbkdf2Iterations: 209999", "passphrase.pbkdf2Iterations"),
        ("required: 1", "required: 0", "unlockers.required"),
        ("  size: 4096", "  size: 4095", "page.size"),
        ("authentication: hmac-sha512", "authentication: none", "page.authentication"),
        ("algorithm: scrypt", "algorithm: none", "passphrase.algorithm"),
        ("integrityCheck: afterCrash", "integrityCheck: sometimes", "integrityCheck"),
        ("mode: \"0600\"", "mode: \"0644\"", "files.mode"),
        ("allowed: [passphrase, keyFile, recovery]", "allowed: []", "unlockers.allowed"),
        ("allowed: [passphrase, keyFile, recovery]", "allowed: [passphrase, none]", "unlockers.allowed"),
        ("version: 1", "version: 2", "version"),
        ("format: strongroom/key-policy", "format: other", "format"),
    ])
    func valuesOutOfRangeAreNamed(old: String, new: String, key: String) {
        let found = error(edited(old, new))
        guard case .outOfRange = found?.reason else { return #expect(Bool(false), "\(String(describing: found))") }
        #expect(found?.key == key)
        #expect(found?.line == line(of: old.trimmingPrefix(while: { $0 == " " }).description))
    }

    @Test(arguments: [
        ("scryptLogN: 17", "scryptLogN: seventeen"), ("scryptLogN: 17", "scryptLogN: \"17\""),
        ("scryptLogN: 17", "scryptLogN: 99999999999999999999"), ("required: 1", "required: 1.5"),
        ("allowed: [passphrase, keyFile, recovery]", "allowed: passphrase"),
    ])
    func wrongTypesAreNamed(old: String, new: String) {
        guard case .wrongType = error(edited(old, new))?.reason else {
            return #expect(Bool(false), "\(new): \(String(describing: error(edited(old, new))))")
        }
    }

    @Test func whatIsNoPolicy() {
        #expect(error("")?.reason == .notYAML)
        #expect(error("just text")?.reason == .notYAML)
        #expect(error("a: [")?.reason == .notYAML)
        #expect(error("- a\n- b")?.reason == .notYAML)
        #expect(error(edited("required: 1", "required: 1\n  required: 2"))?.reason == .duplicateKey)
        #expect(error(String(repeating: "#", count: 70_000))?.reason == .isLongerThan(65_536))
        #expect(throws: KeyPolicyError(.notUTF8, file: "x")) { _ = try KeyPolicy(parsing: [0xff, 0xfe], file: "x") }
        #expect(throws: KeyPolicyError(.unknownPolicyName, file: "none")) { _ = try KeyPolicy(shipped: "none") }
    }
}

@Suite struct KeyPostureTests {
    @Test func violationsAreFound() throws {
        let policy = try KeyPolicy(shipped: "strict")
        let weak = KeyPosture(
            unlockers: [.init(kind: .passphrase, derivation: .scrypt(try .init(logN: 15)))], rootKeyAgeDays: 181,
            dataKeyAgeDays: [1, 91, 400])
        #expect(
            policy.violations(in: weak) == [
                .tooFewUnlockers(found: 1, required: 2), .passphraseDerivationTooWeak(count: 1),
                .rootKeyTooOld(days: 181, maximumDays: 180),
                .dataKeysTooOld(count: 2, oldestDays: 400, maximumDays: 90),
            ])
        let sound = KeyPosture(
            unlockers: [
                .init(kind: .passphrase, derivation: .scrypt(try .init(logN: 18))),
                .init(kind: .keyFile, derivation: nil),
            ], rootKeyAgeDays: 180, dataKeyAgeDays: [90])
        #expect(policy.violations(in: sound).isEmpty)
    }
}
