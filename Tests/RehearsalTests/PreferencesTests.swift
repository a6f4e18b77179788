import Foundation
import TestSupport
import Testing

@testable import Rehearsal

@Suite struct PreferencesTests {
    @Test(arguments: [
        "a", "ui.theme", "A-Z_0:9.x", String(repeating: "k", count: 160), "coach.weekly_target", "sec.tion",
    ])
    func goodKeysAreTaken(key: String) throws {
        #expect(try PreferenceKey(key).description == key)
    }

    @Test(arguments: ["", String(repeating: "k", count: 161), "a b", "a/b", "é", "a\n", "a\0", "ключ", "a=b", "a,b"])
    func badKeysAreRefused(key: String) {
        #expect(code { _ = try PreferenceKey(key) } == "preference_key_invalid")
    }

    /// Each fragment, at each place, in each case, with each sign between its parts.
    @Test(arguments: [
        "token", "secret", "password", "credential", "api_key", "apikey", "private_key", "api.key", "api-key",
        "api:key", "private.key",
        "private-key", "private:key", "privatekey", "pass.word", "sec-ret", "to:ken", "cred.ent-ial", "credentials",
    ])
    func keysOfSecretsAreRefused(fragment: String) {
        for key in [
            fragment, "ui.\(fragment)", "\(fragment).x", "a:\(fragment)-b", fragment.uppercased(), "x\(fragment)y",
        ] {
            #expect(code { _ = try PreferenceKey(key) } == "preference_key_sensitive_forbidden", "\(key)")
        }
    }

    @Test func valuesHaveABound() throws {
        // In bytes, not in characters.
        _ = try PreferenceValue(String(repeating: "é", count: 16_384))
        #expect(
            code { _ = try PreferenceValue(String(repeating: "é", count: 16_384) + "x") }
                == "preference_value_too_large")
        _ = try PreferenceValue("")
    }

    private static func random(_ count: Int) -> Data { Data((0..<count).map { _ in .random(in: .min ... .max) }) }

    /// Random keys, as they are usually written.
    @Test(arguments: [16, 24, 32, 64])
    func keysAreRefusedInWhateverFormTheyAre(bytes: Int) throws {
        var missed: [String: Int] = [:]
        let attempts = 4_000
        for _ in 0..<attempts {
            let key = Self.random(bytes)
            let hex = key.map { String(format: "%02x", $0) }
            let base64 = key.base64EncodedString()
            let url = base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            let forms = [
                "hex": hex.joined(), "HEX": hex.joined().uppercased(), "a hex": "key \(hex.joined()) end",
                "hex:": hex.joined(separator: ":"), "base64": base64, "base64url": url, "json": "{\"k\":\"\(base64)\"}",
            ]
            for (name, form) in forms where !SensitiveText.looksSensitive(form) { missed[name, default: 0] += 1 }
        }
        let rates = missed.sorted { $0.key < $1.key }.map { "\($0.key) \(Double($0.value) * 100 / Double(attempts)) %" }
        print(
            "keys of \(bytes) bytes that a preference would take: \(rates.isEmpty ? "none" : rates.joined(separator: ", "))"
        )
        // A rule of thumb: of the shortest keys in base64, a few have no digit or look like words.
        for (name, count) in missed {
            #expect(count * 100 <= attempts * (bytes == 16 ? 6 : bytes == 24 ? 2 : 1), "\(name): \(count)")
        }
        #expect(missed.keys.filter { $0.lowercased().contains("hex") } == [])
    }

    @Test(arguments: [
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc", "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "glpat-0123456789abcdefghij", "xoxb-123456789012-abcdef", "sk-abcdefghijklmnopqrstuvwx",
        "sk_live_abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "password=hunter22", "\"token\": \"abcdef12\"",
        "api_key : abcdef12",
        "https://user:pass@example.org/x", "Authorization: Bearer abcdef0123456789", "Basic dXNlcjpwYXNzd29yZA==",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "srkey1-aaaa-bbbb-cccc-dddd-eeee",
        "babad bobod gabag dabad babob lusab bapat babad bobod gabag dabad babob", "postgres://a:b@localhost",
    ])
    func credentialsAreRefused(value: String) {
        #expect(code { _ = try PreferenceValue(value) } == "preference_value_sensitive_forbidden")
    }

    /// What people and apps do keep.
    @Test(arguments: [
        "dark", "", "en_GB", "1", "3.14159265358979323846264338327950288", "2026-11-24T12:00:00Z",
        "123e4567-e89b-12d3-a456-426614174000", "/home/alice/Music/Talks2024/Recordings/FinalVersion3",
        "https://example.org/a?b=c",
        "C:\\Users\\Alice\\Documents", "A sentence about a password, and how to choose one: well.", "#ff00ff80",
        "[1,2,3,4]",
        "{\"window\":{\"x\":10,\"y\":20,\"width\":1280}}", "com.example.SomeRatherLongIdentifier.settingsPanel",
        "user@example.org",
        "00000000000000000000000000000000000000000000", "The token ring network", "Répétition générale du 24 novembre",
        "aVeryLongCamelCaseIdentifierThatSomebodyHasChosen", "SNAKE_CASE_NAME_OF_SOMETHING_RATHER_LONG_2024",
        "font-size:12px; color:red",
    ])
    func ordinaryValuesAreTaken(value: String) {
        #expect(throws: Never.self) { try PreferenceValue(value) }
    }
}
