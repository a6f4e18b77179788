import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Secrets

@Suite struct SecretBytesTests {
    private static let pattern: [UInt8] = (0..<48).map { UInt8(truncatingIfNeeded: 0x51 &+ $0 &* 7) }

    private func makeSecret() throws -> SecretBytes { try SecretBytes(testing: Self.pattern) }

    @Test func holdsWhatItWasGiven() throws {
        let secret = try makeSecret()
        #expect(secret.count == 48)
        #expect(secret.withUnsafeBytes { Array($0) } == Self.pattern)
        #expect(try secret.copy().isEqual(to: secret))
    }

    @Test func capacityIsCutToWhatWasWritten() throws {
        let secret = try SecretBytes(capacity: 100) { buffer in
            buffer.copyBytes(from: [1, 2, 3])
            return 3
        }
        #expect(secret.count == 3)
        #expect(throws: SecretsError.countOutOfRange) {
            _ = try SecretBytes(capacity: 3) { _ in 4 }
        }
    }

    @Test(arguments: [-1, SecretBytes.maximumCount + 1, Int.max])
    func refusesAbsurdSizes(count: Int) {
        #expect(throws: SecretsError.countOutOfRange) { _ = try SecretBytes(count: count) { _ in } }
    }

    @Test func comparesByContent() throws {
        let secret = try makeSecret()
        for index in Self.pattern.indices {
            var other = Self.pattern
            other[index] ^= 1
            #expect(!secret.isEqual(to: try SecretBytes(testing: other)))
        }
        #expect(!secret.isEqual(to: try SecretBytes(testing: Array(Self.pattern.dropLast()))))
    }

    @Test func saysNothingOfItself() throws {
        let secret = try makeSecret()
        #expect(secret.description == "SecretBytes(redacted)")
        let box = SecretBox(secret)
        var dumped = ""
        dump(box, to: &dumped)
        #expect(dumped.contains("redacted"))
        #expect("\(box)" == "SecretBox(redacted)")
        #expect(Mirror(reflecting: box).children.isEmpty)
    }

    /// The bytes are there just before the wipe (or the test could not fail) and gone just after it.
    @Test func isWipedWhenItEnds() throws {
        let seen = Mutex<[(SecretPages.WipePhase, [UInt8])]>([])
        try SecretPages.$wipeObserver.withValue({ phase, bytes in
            seen.withLock { $0.append((phase, Array(bytes))) }
        }) {
            let secret = try makeSecret()
            #expect(seen.withLock { $0.isEmpty })
            _ = secret.count
        }
        let phases = seen.withLock { $0 }
        #expect(phases.map(\.0) == [.beforeWipe, .afterWipe])
        #expect(phases.first?.1 == Self.pattern)
        #expect(phases.last?.1 == [UInt8](repeating: 0, count: 48))
    }

    @Test func isWipedWhenFillingItFails() throws {
        struct Failure: Error {}
        let wiped = Mutex(false)
        SecretPages.$wipeObserver.withValue({ phase, bytes in
            if case .afterWipe = phase { wiped.withLock { $0 = bytes.allSatisfy { $0 == 0 } } }
        }) {
            #expect(throws: Failure.self) {
                _ = try SecretBytes(count: 8) { buffer in
                    buffer[0] = 9
                    throw Failure()
                }
            }
        }
        #expect(wiped.withLock { $0 })
    }

    @Test func aWipedBoxGivesNothing() throws {
        let box = SecretBox(try makeSecret())
        #expect(box.withSecret { $0.count } == 48)
        box.wipe()
        #expect(box.withSecret { $0.count } == nil)
        #expect(box.isWiped)
    }

    /// The kernel's own word on the pages: locked, not dumped, wiped on fork. The control is ordinary memory.
    @Test func pagesAreLockedUndumpableAndWipedOnFork() throws {
        let secret = try makeSecret()
        let flags = try secret.withUnsafeBytes { try Self.flags(of: UInt(bitPattern: $0.baseAddress)) }
        #expect(flags.contains("dd"), "MADV_DONTDUMP")
        #expect(flags.contains("wf"), "MADV_WIPEONFORK")
        #expect(flags.contains("lo") || MemoryLock.failure != nil, "mlock")

        let ordinary = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 4096)
        defer { ordinary.deallocate() }
        let control = try Self.flags(of: UInt(bitPattern: ordinary))
        #expect(control.contains("rd"))
        #expect(!control.contains("dd") && !control.contains("wf") && !control.contains("lo"))
    }

    @Test func aRefusedLockIsToldOnce() {
        #expect(MemoryLock.failure == nil || MemoryLock.failure == 12)
        MemoryLock.noteFailure(12)
        #expect(MemoryLock.failure == 12)
        #expect(MemoryLock.takeUnreportedFailure() == 12)
        #expect(MemoryLock.takeUnreportedFailure() == nil)
    }

    private static func flags(of address: UInt) throws -> [Substring] {
        let maps = try TestFiles.readProc("/proc/self/smaps")
        var isInside = false
        for line in maps.split(separator: "\n") {
            let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            if bounds.count == 2 { isInside = bounds[0] <= address && address < bounds[1] }
            if isInside, line.hasPrefix("VmFlags:") { return line.dropFirst(8).split(separator: " ") }
        }
        return []
    }
}
