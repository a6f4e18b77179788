import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import TestSupport
import Testing

@testable import Keyring

@Suite struct RecoveryKeyTests {
    private func text(_ secret: borrowing SecretBytes) -> String {
        secret.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// docs/formats/recovery-key.md: the private key 00 01 … 1f. Its public half is what RFC 7748's function gives; verify.py computes
    /// all of it again.
    @Test func vector() throws {
        let secret = try SecretBytes(testing: Array(0..<32))
        let key = RecoveryKey(
            privateKey: secret, publicKey: try X25519.publicKey(of: SecretBytes(testing: Array(0..<32))))
        #expect(Hex.encode(key.publicKey) == "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f")
        #expect(try text(key.text()) == "srkey1-aaaq-eaye-auda-ocaj-bifq-ydio-b4ib-ceqt-cqkr-mfyy-denb-wha5-dyp4-ew5r")
        #expect(
            try text(key.words())
                == "babad bamag bibaj bimal boban bomar bubat bumaz dabid damig dibij dimil dobin domir dubit dumiz sanir rajub"
        )
        #expect(
            try key.recipient == "srpub1-r5am-llnw-r4sw-esxf-wiko-u5t2-n3eu-3au5-hv5v-4gwr-xjxt-4ijy-fbpy-zkfq")
    }

    @Test func whatIsWrittenDownIsReadBack() throws {
        for _ in 0..<50 {
            let key = try RecoveryKey.random()
            for form in [try text(key.text()), try text(key.text(forQR: true)), try text(key.words())] {
                for variant in [
                    form, form.uppercased(),
                    " " + form.prefix(7) + form.dropFirst(7).replacing("-", with: " - \t") + "\n",
                ] {
                    let read = try UnlockSecret.recoveryKey(text: SecretBytes(testing: Array(variant.utf8)))
                    #expect(try X25519.publicKey(of: read.bytes) == key.publicKey, "\(variant)")
                }
            }
            #expect(try RecoveryKey.publicKey(recipient: key.recipient) == key.publicKey)
            #expect(try RecoveryKey.publicKey(recipient: key.recipient.uppercased()) == key.publicKey)
        }
    }

    @Test func mistakesAreNoticed() throws {
        let key = try RecoveryKey.random()
        let form = try text(key.text())
        let words = try text(key.words())
        let all = Array(words)
        var bad = [
            "", "srkey1-", String(form.dropLast()), form + "a", form.replacing("srkey1", with: "srkey2"),
            try key.recipient,
            String(words.dropLast(6)), words + " babab", "0" + form.dropFirst(), String(repeating: "a", count: 5_000),
        ]
        for position in stride(from: 7, to: form.count, by: 3) {
            var changed = Array(form)
            guard changed[position] != "-" else { continue }
            changed[position] = changed[position] == "a" ? "b" : "a"
            bad.append(String(changed))
        }
        for position in stride(from: 0, to: all.count, by: 5) where all[position] != " " {
            var changed = all
            changed[position] =
                position % 6 % 2 == 0 ? (all[position] == "b" ? "d" : "b") : (all[position] == "a" ? "i" : "a")
            bad.append(String(changed))
        }
        for text in bad {
            #expect(
                reason { _ = try UnlockSecret.recoveryKey(text: SecretBytes(testing: Array(text.utf8))) }
                    == .recoveryTextInvalid, "\(text)")
            #expect(
                reason { _ = try RecoveryKey.publicKey(recipient: text) } == .recoveryTextInvalid
                    || text == (try? key.recipient))
        }
    }

    @Test func aKeyringOpensWithIt() throws {
        let test = try TestKeyring()
        let keyring = try test.create()
        let key = try RecoveryKey.random()
        try keyring.addRecoveryRecipient(
            publicKey: RecoveryKey.publicKey(recipient: key.recipient), label: "safe", policy: test.policy)
        let words = try key.words()
        try test.unlock(.recoveryKey(text: words)).lock()
    }
}
