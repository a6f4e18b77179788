// What may be kept as a preference. Secrets may not: a database is where data is, and this is the place where apps put a
// token "for now". A rule of thumb, which errs on the side of refusing.

import Foundation

extension PreferenceKey {
    /// What is a secret's name, whatever stands between its parts.
    private static let sensitiveFragments = ["token", "secret", "password", "credential", "apikey", "privatekey"]

    /// Takes a key.
    ///
    /// - Throws: `RehearsalError.preferenceKeyInvalid`, `.preferenceKeySensitive`.
    public init(_ text: String) throws(RehearsalError) {
        guard (1...Preference.maximumKeyCharacters).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed)
        else {
            throw RehearsalError(.preferenceKeyInvalid)
        }
        let letters = text.lowercased().filter { !"._:-".contains($0) }
        guard !Self.sensitiveFragments.contains(where: letters.contains) else {
            throw RehearsalError(.preferenceKeySensitive)
        }
        description = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        SensitiveText.isLetterOrDigit(byte) || "._:-".utf8.contains(byte)
    }
}

extension PreferenceValue {
    /// Takes a value.
    ///
    /// - Throws: `RehearsalError.preferenceValueTooLarge`, `.preferenceValueSensitive`.
    public init(_ text: String) throws(RehearsalError) {
        guard text.utf8.count <= Preference.maximumValueBytes else { throw RehearsalError(.preferenceValueTooLarge) }
        guard !SensitiveText.looksSensitive(text) else { throw RehearsalError(.preferenceValueSensitive) }
        self.text = text
    }
}

/// Text that looks like key material or a credential.
enum SensitiveText {
    /// What such a thing begins with, and how many more letters and digits it then has at least.
    private static let prefixes: [(prefix: String, rest: Int)] = [
        ("akia", 16), ("asia", 16), ("ghp_", 20), ("gho_", 20), ("ghu_", 20), ("ghs_", 20), ("ghr_", 20),
        ("github_pat_", 20),
        ("glpat-", 16), ("xoxb-", 10), ("xoxp-", 10), ("xoxa-", 10), ("xoxs-", 10), ("sk-", 20), ("sk_live_", 16),
        ("rk_live_", 16), ("aiza", 30), ("ya29.", 16), ("npm_", 30), ("hf_", 30), ("srkey1-", 16),
        ("age-secret-key-1", 16),
        ("$2a$", 20), ("$2b$", 20), ("$2y$", 20), ("$argon2", 20), ("$6$", 20), ("$5$", 20), ("$scrypt$", 20),
    ]
    private static let names = [
        "password", "passwd", "secret", "token", "credential", "api_key", "apikey", "api-key", "private_key",
    ]

    static func looksSensitive(_ text: String) -> Bool {
        let lower = text.lowercased()
        if lower.contains("-----begin ") || hasCredentialInURL(lower) || assignsSecret(lower) { return true }
        var words: [Substring] = []
        for word in text.split(whereSeparator: { $0.isWhitespace || "\"'`,;()[]{}<>=".contains($0) }) {
            if hasKnownPrefix(word.lowercased()) || isWebToken(word) || hasHexKey(word) || hasBase64Key(word) {
                return true
            }
            words.append(word)
        }
        return hasAuthorization(words) || hasRecoveryWords(words)
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch Digit(byte) {
        case .capital, .small, .figure: true
        case .sign, nil: false
        }
    }

    private static func hasKnownPrefix(_ word: String) -> Bool {
        prefixes.contains { prefix, rest in word.hasPrefix(prefix) && word.utf8.count >= prefix.utf8.count + rest }
    }

    /// A JSON Web Token: two parts that are base64 of `{"`, and a signature.
    private static func isWebToken(_ word: Substring) -> Bool {
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0].hasPrefix("eyJ") && parts[1].hasPrefix("eyJ")
    }

    /// `scheme://user:password@host`
    private static func hasCredentialInURL(_ lower: String) -> Bool {
        lower.components(separatedBy: "://").dropFirst().contains { rest in
            let authority = rest.prefix { !"/?# \t\n\"'".contains($0) }
            guard let at = authority.lastIndex(of: "@") else { return false }
            return authority[..<at].contains(":")
        }
    }

    /// `password = hunter2`, `"token": "…"`: a secret's name, a sign, and something of six characters.
    private static func assignsSecret(_ lower: String) -> Bool {
        names.contains { name in
            lower.components(separatedBy: name).dropFirst().contains { rest in
                let rest = rest.prefix(64).drop { " \"'\t".contains($0) }
                guard let sign = rest.first, ":=".contains(sign) else { return false }
                let value = rest.dropFirst().drop { " \"'\t".contains($0) }.prefix {
                    !$0.isWhitespace && !"\"',}".contains($0)
                }
                return value.count >= 6
            }
        }
    }

    /// `Bearer …`, `Basic …`
    private static func hasAuthorization(_ words: [Substring]) -> Bool {
        zip(words, words.dropFirst()).contains { scheme, value in
            ["bearer", "basic"].contains(scheme.lowercased()) && value.utf8.count >= 16
                && value.utf8.contains(where: { Digit($0) != .small })
        }
    }

    /// 16 bytes or more as hexadecimal digits, with or without `:` or `-` between bytes. A UUID is a name and no key, what has few different
    /// digits is padding, and without a letter it is a number.
    private static func hasHexKey(_ word: Substring) -> Bool {
        if UUID(uuidString: String(word)) != nil { return false }
        var digits: [UInt8] = []
        var separators = 0
        func isKey() -> Bool {
            digits.count >= 32 && Set(digits).count >= 8 && digits.contains { $0 > UInt8(ascii: "9") }
                && separators <= digits.count / 2
        }
        for byte in word.lowercased().utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): digits.append(byte)
            case UInt8(ascii: ":"), UInt8(ascii: "-"): separators += 1
            default:
                if isKey() { return true }
                digits = []
                separators = 0
            }
        }
        return isKey()
    }

    /// 16 bytes or more as base64: upper and lower case and digits in no order. `/` divides paths more often than it is a digit, but for
    /// what is exactly as long as a usual key.
    private static func hasBase64Key(_ word: Substring) -> Bool {
        word.utf8.split(separator: UInt8(ascii: ".")).contains { part in
            let isWhole = part.allSatisfy { Digit($0) != nil }
            if isWhole, [22, 32, 43, 44, 86, 88].contains(part.count), isMixed(Array(part)) { return true }
            return part.split(whereSeparator: { Digit($0) == nil || $0 == UInt8(ascii: "/") })
                .contains { $0.count >= 22 && isMixed(Array($0)) }
        }
    }

    /// Random base64 goes from one kind of digit to another two times in three, words now and then, and words run together or divided
    /// by `/` a bit more often.
    private static func isMixed(_ bytes: [UInt8]) -> Bool {
        let digits = bytes.compactMap(Digit.init)
        guard digits.contains(.capital), digits.contains(.small) else { return false }
        let changes = zip(digits, digits.dropFirst()).count { $0 != $1 }
        let isLikeWords = !digits.contains(.figure) || bytes.contains(UInt8(ascii: "/"))
        return changes * (isLikeWords ? 2 : 3) >= digits.count
    }

    /// A kind of digit of base64, in both its alphabets.
    private enum Digit {
        case capital, small, figure, sign

        init?(_ byte: UInt8) {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): self = .capital
            case UInt8(ascii: "a")...UInt8(ascii: "z"): self = .small
            case UInt8(ascii: "0")...UInt8(ascii: "9"): self = .figure
            case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"): self = .sign
            default: return nil
            }
        }
    }

    /// A recovery key in words: proquints, twelve or more in a row.
    private static func hasRecoveryWords(_ words: [Substring]) -> Bool {
        var row = 0
        for word in words.flatMap({ $0.lowercased().split(separator: "-") }) {
            row = isProquint(word) ? row + 1 : 0
            if row >= 12 { return true }
        }
        return false
    }

    private static func isProquint(_ word: Substring) -> Bool {
        word.utf8.count == 5
            && zip(word, "cvcvc").allSatisfy { letter, kind in
                (kind == "c" ? "bdfghjklmnprstvz" : "aiou").contains(letter)
            }
    }
}
