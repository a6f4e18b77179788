import Secrets
import TestSupport
import Testing

@testable import CryptoPrimitives

/// Published vectors; each names its source.
@Suite struct VectorTests {
    private func bytes(_ hex: String) -> [UInt8] { Hex.decode(hex) ?? [] }
    private func secret(_ hex: String) throws -> SecretBytes { try SecretBytes(testing: bytes(hex)) }
    private func hex(_ secret: borrowing SecretBytes) -> String { secret.withUnsafeBytes { Hex.encode($0) } }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16.
    @Test(arguments: [
        (
            String(repeating: "00", count: 32), String(repeating: "00", count: 12), "", "",
            "530f8afbc74536b9a963b4f1c4cb738b"
        ),
        (
            String(repeating: "00", count: 32), String(repeating: "00", count: 12), String(repeating: "00", count: 16),
            "",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        ),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ])
    func aes256GCM(key: String, nonce: String, plaintext: String, associated: String, sealed: String) throws {
        let key = try secret(key)
        let result = try AESGCM.seal(
            secret(plaintext), key: key, associatedData: bytes(associated), nonce: bytes(nonce))
        #expect(Hex.encode(result) == nonce + sealed)
        let opened = try AESGCM.open(result, key: key, associatedData: bytes(associated))
        #expect(hex(opened) == plaintext)
    }

    /// RFC 4231, test cases 1, 2 and 6.
    @Test(arguments: [
        (
            String(repeating: "0b", count: 20), "4869205468657265",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
        ),
        (
            "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        ),
        (
            String(repeating: "aa", count: 131),
            "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"
        ),
    ])
    func hmac(key: String, message: String, sha256: String, sha512: String) throws {
        #expect(Hex.encode(try HMAC.tag(of: bytes(message), key: secret(key), algorithm: .sha256)) == sha256)
        #expect(Hex.encode(try HMAC.tag(of: bytes(message), key: secret(key), algorithm: .sha512)) == sha512)
    }

    /// RFC 5869, test cases 1, 2 and 3.
    @Test(arguments: [
        (
            String(repeating: "0b", count: 22), "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        ),
        (
            (0x00...0x4f).map { Hex.encode([UInt8($0)]) }.joined(),
            (0x60...0xaf).map { Hex.encode([UInt8($0)]) }.joined(),
            (0xb0...0xff).map { Hex.encode([UInt8($0)]) }.joined(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
        (
            String(repeating: "0b", count: 22), "", "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        ),
    ])
    func hkdf(material: String, salt: String, info: String, expected: String) throws {
        let derived = try HKDF.derive(
            from: secret(material), salt: bytes(salt), info: bytes(info), count: expected.count / 2)
        #expect(hex(derived) == expected)
    }

    /// RFC 7914 section 12, the first three; the fourth takes a gigabyte.
    @Test(arguments: [
        (
            "", "", 4, 1, 1,
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        ),
        (
            "password", "NaCl", 10, 8, 16,
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        ),
        (
            "pleaseletmein", "SodiumChloride", 14, 8, 1,
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        ),
    ])
    func scrypt(passphrase: String, salt: String, logN: Int, r: Int, p: Int, expected: String) throws {
        let derived = try Scrypt.deriveUnbounded(
            from: SecretBytes(testing: Array(passphrase.utf8)), salt: Array(salt.utf8),
            cost: ScryptCost(unchecked: logN, r, p), count: 64)
        #expect(hex(derived) == expected)
    }

    /// RFC 7914 section 11 (SHA-256), and for SHA-512 the input of RFC 6070's first case, as Python's hashlib answers it.
    @Test func pbkdf2() throws {
        let sha256 = try PBKDF2.deriveUnbounded(
            from: SecretBytes(testing: Array("passwd".utf8)), salt: Array("salt".utf8), iterations: 1,
            algorithm: .sha256, count: 64)
        #expect(
            hex(sha256)
                == "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        )
        let sha512 = try PBKDF2.deriveUnbounded(
            from: SecretBytes(testing: Array("password".utf8)), salt: Array("salt".utf8), iterations: 1,
            algorithm: .sha512, count: 64)
        #expect(
            hex(sha512)
                == "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"
        )
    }

    /// RFC 7748 section 6.1.
    @Test func x25519() throws {
        let alice = try secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
        let bob = try secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
        #expect(
            Hex.encode(try X25519.publicKey(of: alice))
                == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(
            Hex.encode(try X25519.publicKey(of: bob))
                == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        #expect(hex(try X25519.sharedSecret(privateKey: alice, publicKey: X25519.publicKey(of: bob))) == shared)
        #expect(hex(try X25519.sharedSecret(privateKey: bob, publicKey: X25519.publicKey(of: alice))) == shared)
    }

    /// FIPS 180-4, the example "abc".
    @Test func sha256() throws {
        #expect(
            Hex.encode(try SHA256.hash(Array("abc".utf8)))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
