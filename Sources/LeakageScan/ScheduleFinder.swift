// Expanded AES-256 keys of which nobody holds the key. In a key schedule most words are the XOR of two earlier ones (FIPS 197, section
// 5.2), whatever the key is; the round keys of the equivalent inverse cipher keep that relation, because InvMixColumns is linear.

import CByteKernels

/// Finds key schedules without knowing a key. Memory keeps them at multiples of four bytes.
enum ScheduleFinder {
    /// In bytes.
    static let length = 240

    /// How far apart relations are looked at. Those of a schedule for decryption, whose first and last round keys are related to no others, lead
    /// from 44 words in a row to others, or, at every fourth, from the next one: so one of two neighbours in each 172 bytes shows it, wherever
    /// it begins.
    private static let stride = STRONGROOM_SCHEDULE_STRIDE

    /// - Parameters:
    ///   - misalignment: how far the row's first byte is from a multiple of four.
    ///   - survey: of the row, where there is one.
    ///   - usesKernels: whether to look with a kernel where there is no survey.
    ///   - found: called with where a schedule begins.
    static func scan(
        _ bytes: UnsafeRawBufferPointer, misalignment: Int, _ survey: RowSurvey?,
        usesKernels: Bool = true, _ found: (Int, ByteForm) -> Void
    ) {
        guard let base = bytes.baseAddress, bytes.count >= length else { return }
        let first = (4 - misalignment & 3) & 3
        /// Where no schedule begins that was not seen already.
        var searched = first
        func lookAround(_ position: Int) {
            let start = max(searched, position - ((length - 40) & ~3))
            searched = search(bytes, from: start, through: min(position, bytes.count - length), found)
        }
        func lookThrough(from start: Int, to end: Int) {
            var position = start
            if usesKernels, RowSurveyor.isAvailable {
                // Where a kernel can read at each place.
                let places = max(0, end - start - 52) / stride
                let bytes = base.assumingMemoryBound(to: UInt8.self) + start
                var place = strongroom_next_schedule(bytes, places, 0)
                while place < places {
                    lookAround(start + place * stride)
                    place = strongroom_next_schedule(bytes, places, place + 1)
                }
                position += places * stride
            }
            while position &+ 44 <= end {
                if mayBeWithin(base + position) || mayBeWithin(base + (position &+ 4)) { lookAround(position) }
                position = position &+ stride
            }
        }
        guard let survey else { return lookThrough(from: first, to: bytes.count) }
        lookThrough(from: first, to: survey.surveyed.lowerBound)
        survey.forEachSchedulePlace(lookAround)
        lookThrough(from: survey.surveyed.upperBound + first, to: bytes.count)
    }

    /// Whether the word here and the next ones are related as those of a schedule are.
    @inline(__always) private static func mayBeWithin(_ at: UnsafeRawPointer) -> Bool {
        let (zeroth, first, eighth, ninth) = (word(at, 0), word(at, 4), word(at, 32), word(at, 36))
        // For encryption, the ninth word of nine that follow each other; for decryption, whose rounds stand last first, the first.
        return (ninth == first ^ eighth || first == zeroth ^ ninth) && (ninth | first) != 0
    }

    /// Looks at each place where a schedule may begin.
    ///
    /// - Returns: where the next search may begin.
    private static func search(
        _ bytes: UnsafeRawBufferPointer, from start: Int, through end: Int, _ found: (Int, ByteForm) -> Void
    ) -> Int {
        guard let base = bytes.baseAddress, start <= end else { return start }
        var position = start
        while position <= end {
            let at = base + position
            // Word 9 of a schedule for encryption; word 13 of one for decryption.
            let ninth = word(at, 36)
            if ninth == word(at, 4) ^ word(at, 32), ninth != 0, isSchedule(at, \.encryptionOffset, 9..<60) {
                found(position, .encryptionSchedule)
                return position + length
            }
            let thirteenth = word(at, 180)
            if thirteenth == word(at, 212) ^ word(at, 176), thirteenth != 0,
                isSchedule(at, \.decryptionOffset, 13..<56)
            {
                found(position, .decryptionSchedule)
                return position + length
            }
            position += 4
        }
        return position
    }

    @inline(__always) private static func word(_ at: UnsafeRawPointer, _ offset: Int) -> UInt32 {
        at.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }

    /// Whether every relation holds, and what it holds for looks like a key at all: in a row of zeros, or of one pattern again and
    /// again, relations hold as well.
    private static func isSchedule(_ at: UnsafeRawPointer, _ offset: KeyPath<Int, Int>, _ words: Range<Int>) -> Bool {
        for index in words where !index.isMultiple(of: 4) {
            guard
                word(at, index[keyPath: offset]) == word(at, (index - 8)[keyPath: offset])
                    ^ word(at, (index - 1)[keyPath: offset])
            else { return false }
        }
        let all = UnsafeRawBufferPointer(start: at, count: length)
        return Set(all.prefix(32)).count >= 16 && Set(all.suffix(32)).count >= 16 && Set(all).count >= 100
    }
}

extension Int {
    /// Where a word of a schedule for encryption stands.
    fileprivate var encryptionOffset: Int { self * 4 }
    /// Where a word of a schedule for decryption stands.
    fileprivate var decryptionOffset: Int { (14 - self / 4) * 16 + self % 4 * 4 }
}
