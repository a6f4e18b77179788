// The memory under a secret. Kept apart from SecretBytes so that the order "wipe, then give back" stands in one place
// and can be watched by a test.

import CLinux
import Glibc
import Synchronization

/// Whole pages for one secret, with an inaccessible page on either side. The secret ends where the second guard
/// page begins, so that reading or writing past its end faults at once.
///
/// Two threads never write them, nor does one while another reads: under `SecretBytes` they are written only while their one owner fills
/// them, before anybody else can hold a reference, and in `deinit`, when nobody can hold one any more. Under `PlaintextPage`, which is neither
/// copyable nor Sendable, one thread has them all their life.
final class SecretPages: Sendable {
    let count: Int
    // Two threads never write what it leads to, nor does one while another reads: see above. It is itself never written.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer
    private let mappedLength: Int
    private let pageSize: Int

    /// Sees the secret's bytes just before and just after the wipe. For tests, which must watch the wipe happen.
    @TaskLocal static var wipeObserver: (@Sendable (_ phase: WipePhase, _ bytes: UnsafeRawBufferPointer) -> Void)?

    enum WipePhase: Sendable { case beforeWipe, afterWipe }

    var buffer: UnsafeMutableRawBufferPointer {
        let start = base + (mappedLength - pageSize - count)
        return UnsafeMutableRawBufferPointer(start: start, count: count)
    }

    init(count: Int) throws(SecretsError) {
        guard count >= 0, count <= SecretBytes.maximumCount else { throw .countOutOfRange }
        let pageSize = sysconf(Int32(_SC_PAGESIZE))
        let dataLength = max(1, (count + pageSize - 1) / pageSize) * pageSize
        let mappedLength = dataLength + 2 * pageSize
        guard let base = strongroom_map_private(mappedLength) else { throw .memoryUnavailable(errno) }
        guard mprotect(base, pageSize, Int32(PROT_NONE)) == 0,
            mprotect(base + (pageSize + dataLength), pageSize, Int32(PROT_NONE)) == 0,
            strongroom_advise_dont_dump(base, mappedLength) == 0,
            strongroom_advise_wipe_on_fork(base + pageSize, dataLength) == 0
        else {
            let code = errno
            munmap(base, mappedLength)
            throw .memoryUnavailable(code)
        }
        if mlock(base + pageSize, dataLength) != 0 { MemoryLock.noteFailure(errno) }
        self.count = count
        self.base = base
        self.mappedLength = mappedLength
        self.pageSize = pageSize
    }

    deinit {
        let observer = Self.wipeObserver
        observer?(.beforeWipe, UnsafeRawBufferPointer(buffer))
        // Everything between the guard pages, slack included.
        explicit_bzero(base + pageSize, mappedLength - 2 * pageSize)
        observer?(.afterWipe, UnsafeRawBufferPointer(buffer))
        munmap(base, mappedLength)
    }
}

/// Whether secrets really are locked in memory. Where the system refuses (`RLIMIT_MEMLOCK`), work goes on and the
/// caller decides how to say so: a refusal must be told, and must not stop anybody from reaching their data.
public enum MemoryLock {
    private static let first = Mutex<CInt?>(nil)
    private static let told = Mutex(false)

    /// The error number of the first refusal, or nil while every secret could be locked.
    public static var failure: CInt? { first.withLock { $0 } }

    /// The same, but only for the first caller to ask after a refusal; nil for everybody after that.
    public static func takeUnreportedFailure() -> CInt? {
        guard let failure else { return nil }
        return told.withLock { told in
            defer { told = true }
            return told ? nil : failure
        }
    }

    static func noteFailure(_ code: CInt) {
        first.withLock { if $0 == nil { $0 = code } }
    }
}
