import CLibcrypto
package import Secrets

/// The expanded round keys of AES-256 (FIPS 197, section 5.2): what an implementation keeps in memory, and what is looked for
/// there. Nothing is encrypted with these.
package enum AES256KeySchedule {
    /// Fifteen round keys of 16 bytes.
    package static let length = 240

    /// Which way a schedule is used.
    package enum Direction: Sendable, CaseIterable {
        case encryption
        /// Of the equivalent inverse cipher (FIPS 197, section 5.3.5).
        case decryption
    }

    /// The schedule of a key of 32 bytes, in the byte order of the standard.
    ///
    /// - Throws: `CryptoError`, `SecretsError`.
    package static func expand(_ key: UnsafeRawBufferPointer, _ direction: Direction) throws -> SecretBytes {
        guard key.count == 32 else { throw CryptoError.parameterOutOfRange(.keyLength) }
        let isSwapped = try isHostOrderSwapped()
        return try SecretBytes(count: length) { output in
            guard
                strongroom_aes256_schedule(
                    key.baseAddress?.assumingMemoryBound(to: UInt8.self), direction == .decryption ? 1 : 0,
                    output.baseAddress?.assumingMemoryBound(to: UInt8.self)) == 1
            else { throw CryptoError.libcryptoRefused(.encrypt) }
            if isSwapped { reverseWords(output) }
        }
    }

    /// Turns each group of four bytes around.
    package static func reverseWords(_ bytes: UnsafeMutableRawBufferPointer) {
        for start in stride(from: 0, through: bytes.count - 4, by: 4) {
            bytes.swapAt(start, start + 3)
            bytes.swapAt(start + 1, start + 2)
        }
    }

    /// Whether this libcrypto keeps words the other way round than the standard writes them: the first word of a schedule for
    /// encryption is the first of the key.
    private static func isHostOrderSwapped() throws(CryptoError) -> Bool {
        let key = (0..<32).map { UInt8($0) }
        var schedule = [UInt8](repeating: 0, count: length)
        guard strongroom_aes256_schedule(key, 0, &schedule) == 1 else { throw .libcryptoRefused(.encrypt) }
        return schedule[0] == 3
    }
}
