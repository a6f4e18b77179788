import Secrets
import TestSupport
import Testing

@testable import CryptoPrimitives

@Suite struct MisuseTests {
    private func secret(_ count: Int) throws -> SecretBytes {
        try SecretBytes(testing: (0..<count).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test func everyChangedBitOfASealedValueIsCaught() throws {
        let key = try secret(32)
        let sealed = try AESGCM.seal(secret(20), key: key, associatedData: [1, 2, 3])
        for byte in sealed.indices {
            for bit in 0..<8 {
                var changed = sealed
                changed[byte] ^= 1 << bit
                #expect(throws: CryptoError.authenticationFailed) {
                    _ = try AESGCM.open(changed, key: key, associatedData: [1, 2, 3])
                }
            }
        }
        #expect(throws: CryptoError.authenticationFailed) {
            _ = try AESGCM.open(sealed, key: key, associatedData: [1, 2])
        }
        #expect(throws: CryptoError.authenticationFailed) { _ = try AESGCM.open([], key: key, associatedData: []) }
        #expect(throws: CryptoError.authenticationFailed) {
            _ = try AESGCM.open(Array(sealed.dropLast()), key: key, associatedData: [1, 2, 3])
        }
    }

    @Test func twoSealsOfTheSameValueDiffer() throws {
        let key = try secret(32)
        #expect(
            try AESGCM.seal(secret(8), key: key, associatedData: [])
                != AESGCM.seal(secret(8), key: key, associatedData: []))
    }

    @Test(arguments: [0, 16, 31, 33])
    func keysOfTheWrongLengthAreRefused(count: Int) throws {
        #expect(throws: CryptoError.parameterOutOfRange(.keyLength)) {
            _ = try AESGCM.seal(try secret(1), key: try secret(count), associatedData: [])
        }
        #expect(throws: CryptoError.self) { _ = try X25519.publicKey(of: try secret(count)) }
    }

    /// N = 2^40 would take 128 terabytes: the answer must come before any of it is asked for.
    @Test(arguments: [(40, 8, 1), (14, 8, 1), (21, 8, 1), (17, 0, 1), (17, 17, 1), (17, 8, 0), (17, 8, 5), (-1, 8, 1)])
    func absurdCostsAreRefused(logN: Int, r: Int, p: Int) {
        #expect(throws: CryptoError.parameterOutOfRange(.scryptCost)) {
            _ = try ScryptCost(logN: logN, blockSize: r, parallelism: p)
        }
    }

    @Test func weakParametersAreRefused() throws {
        let salt = [UInt8](repeating: 1, count: 16)
        let cost = try ScryptCost(logN: 15)
        #expect(throws: CryptoError.parameterOutOfRange(.inputLength)) {
            _ = try Scrypt.derive(from: try secret(0), salt: salt, cost: cost)
        }
        #expect(throws: CryptoError.parameterOutOfRange(.saltLength)) {
            _ = try Scrypt.derive(from: try secret(8), salt: [1, 2], cost: cost)
        }
        #expect(throws: CryptoError.parameterOutOfRange(.iterations)) {
            _ = try PBKDF2.derive(from: try secret(8), salt: salt, iterations: 1_000)
        }
        #expect(throws: CryptoError.parameterOutOfRange(.outputLength)) {
            _ = try HKDF.derive(from: try secret(8), salt: salt, info: [], count: 255 * 32 + 1)
        }
    }

    /// A peer whose key forces the shared secret to zero (RFC 7748 section 6.1).
    @Test func pointsOfSmallOrderAreRefused() throws {
        #expect(throws: CryptoError.self) {
            _ = try X25519.sharedSecret(
                privateKey: X25519.makePrivateKey(), publicKey: [UInt8](repeating: 0, count: 32))
        }
    }

    @Test func encodings() {
        #expect(Hex.decode("00ff10") == [0, 255, 16])
        #expect(Hex.decode("0") == nil && Hex.decode("0g") == nil && Hex.decode("AB") == nil)
        #expect(Base32.encode(Array("fooba".utf8)) == "mzxw6ytb")
        #expect(Base32.isValid("abc234") && !Base32.isValid("abc1") && !Base32.isValid("ABC"))
    }
}
