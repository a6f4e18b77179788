// The rows of bytes in which a needle may stand once whatever encodes it has been undone. A mask of one byte needs no form of its
// own: rows are compared by the differences of neighbouring bytes.

import CryptoPrimitives
import Secrets

/// How the bytes of a needle are ordered where they were found.
public enum ByteForm: String, Sendable, Codable, CaseIterable {
    case raw
    /// Last byte first.
    case reversed
    /// Each group of four bytes turned around: 32-bit words on a little-endian machine.
    case wordsReversed = "words_reversed"
    case encryptionSchedule = "aes256_encryption_schedule"
    case encryptionScheduleWordsReversed = "aes256_encryption_schedule_words_reversed"
    case decryptionSchedule = "aes256_decryption_schedule"
    case decryptionScheduleWordsReversed = "aes256_decryption_schedule_words_reversed"
}

/// The forms of one needle, in secret memory one after the other.
final class KeyForms: Sendable {
    struct Form: Sendable {
        let form: ByteForm
        let range: Range<Int>
    }

    let forms: [Form]
    /// The bytes of all forms.
    let bytes: SecretBytes

    init(_ needle: Needle, schedules: Bool) throws {
        let count = needle.secret.count
        var lengths: [(ByteForm, Int)] = [(.raw, count), (.reversed, count)]
        let isKey = needle.kind == .key
        if isKey, count.isMultiple(of: 4) { lengths.append((.wordsReversed, count)) }
        let hasSchedules = isKey && count == 32 && schedules
        if hasSchedules {
            lengths += [
                ByteForm.encryptionSchedule, .encryptionScheduleWordsReversed, .decryptionSchedule,
                .decryptionScheduleWordsReversed,
            ].map { ($0, AES256KeySchedule.length) }
        }
        var forms: [Form] = []
        var end = 0
        for (form, length) in lengths {
            forms.append(Form(form: form, range: end..<end + length))
            end += length
        }
        let made = forms
        bytes = try SecretBytes(count: end) { target in
            try needle.secret.withUnsafeBytes { secret in
                for form in made {
                    try Self.write(form.form, of: secret, UnsafeMutableRawBufferPointer(rebasing: target[form.range]))
                }
            }
        }
        self.forms = forms
    }

    private static func write(
        _ form: ByteForm, of secret: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer
    ) throws {
        func schedule(_ direction: AES256KeySchedule.Direction, isReversed: Bool) throws {
            try AES256KeySchedule.expand(secret, direction).withUnsafeBytes { target.copyMemory(from: $0) }
            if isReversed { AES256KeySchedule.reverseWords(target) }
        }
        switch form {
        case .raw: target.copyMemory(from: secret)
        case .reversed: for index in secret.indices { target[index] = secret[secret.count - 1 - index] }
        case .wordsReversed:
            target.copyMemory(from: secret)
            AES256KeySchedule.reverseWords(target)
        case .encryptionSchedule: try schedule(.encryption, isReversed: false)
        case .encryptionScheduleWordsReversed: try schedule(.encryption, isReversed: true)
        case .decryptionSchedule: try schedule(.decryption, isReversed: false)
        case .decryptionScheduleWordsReversed: try schedule(.decryption, isReversed: true)
        }
    }
}
