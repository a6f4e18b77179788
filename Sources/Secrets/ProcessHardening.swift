// What a process that handles keys does first. The Swift runtime's crash report prints the memory that registers
// point to, so a crash while a key is in use would write that key to stderr: the default handlers are put back.

import CLinux
import Glibc

/// Closes the ways by which a process that holds keys could spill them when it crashes or is inspected.
public enum ProcessHardening {
    /// A measure that the system refused; everything else was done.
    public enum Measure: String, Sendable, CaseIterable {
        case coreFileLimit = "core_file_limit"
        case undumpable
        case crashReport = "crash_report"
    }

    private static let fatalSignals = [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS]

    /// No core files, no reading of the process by others of the same user, no Swift crash report, and new files
    /// for their owner only. Call it first in `main`, before a secret is read.
    ///
    /// - Returns: the measures that the system refused; empty when all are in force.
    @discardableResult
    public static func apply() -> [Measure] {
        var refused: [Measure] = []
        var noCore = rlimit(rlim_cur: 0, rlim_max: 0)
        if setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &noCore) != 0 { refused.append(.coreFileLimit) }
        if strongroom_set_dumpable(0) != 0 { refused.append(.undumpable) }
        for signal in fatalSignals where strongroom_restore_default_handler(signal) != 0 {
            refused.append(.crashReport)
            break
        }
        umask(0o077)
        // A closed pipe and a file that may not grow are reported by the write itself; the default would end the process
        // in mid-write.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        return refused
    }
}
