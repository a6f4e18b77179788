// A set of snapshots holds one lock a profile, and the usual limit is a thousand files.

import Glibc

/// How many files this process may have open.
package enum OpenFileLimit {
    /// As many as the system lets it have without asking for more privileges.
    package static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
