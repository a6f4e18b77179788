// The adversary's matrix must fail when a check is left out: docs/security/custody.md. So a test can leave one out, in debug builds only.

/// A check that decides whether what was read is believed.
package enum CustodyCheck: String, Sendable, CaseIterable {
    /// The root keys of a keyring that is open lead back to those that are held.
    case continuity
    /// A store's own file is verified before it is signed again.
    case storeVerified
    /// A keyring, an envelope or a database is no older than its witnesses say.
    case sequence
    /// A journal acts on the envelope that it names.
    case journalBinding
    /// What an envelope says of the last close agrees with the WAL.
    case session
    /// A donor's pages are those under the manifest's root.
    case donorRoot
    /// The commit size of a WAL is the one in page 1.
    case commitSize
    /// A rollback journal is not for SQLite to see.
    case foreignJournal

    #if DEBUG
        /// The check that the current task leaves out; nil outside tests.
        @TaskLocal package static var skipped: CustodyCheck?
    #endif

    /// Whether the check is left out. Never in a release build.
    package var isSkipped: Bool {
        #if DEBUG
            return Self.skipped == self
        #else
            return false
        #endif
    }
}
