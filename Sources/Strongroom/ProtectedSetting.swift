// What SQL may not change on a connection that has its key, with the reason for each, in one table:
// docs/decisions/0023-a-keyed-connection-keeps-its-format.md.

/// Something that SQL asked for on an encrypted connection and that is refused, because it would break a promise.
public struct ProtectedSetting: Sendable, Hashable {
    /// Which promise it would break.
    public enum Reason: String, Sendable {
        /// Pages of two formats in one file, which nothing reads again.
        case format
        /// A file under a key that no keyring has.
        case key
        /// Content outside of the encrypted file.
        case plaintext
        /// Acknowledged changes that a power loss takes.
        case durability
        /// Nothing else could read meanwhile: no reader of the pool, no snapshot, no rotation.
        case sharing
        /// A limit that every database of the process would have from then on, and that nothing takes back.
        case process
        /// A schema that is edited by hand, or that runs code by itself.
        case schema
        /// Foreign code in the process that has the keys.
        case code
        /// Not in the table: SQLite ignores it, or it is newer than this version of Strongroom.
        case unknown
    }

    /// The name as it stands in the table; nothing of the SQL that was refused.
    public let name: String
    /// Which promise it would break.
    public let reason: Reason

    /// An ATTACH of a database file without a key.
    static let plaintextAttach = Self(name: "ATTACH", reason: .plaintext)
    /// Something temporary of a name of ours.
    static let ownName = Self(name: Bookkeeping.table, reason: .schema)
    static let loadExtension = Self(name: "load_extension", reason: .code)

    var summary: String {
        switch reason {
        case .format: "\(name) is protected: another page format would make the database unreadable"
        case .key: "\(name) is protected: the keyring would not have the key"
        case .plaintext where self == .plaintextAttach:
            "ATTACH is protected: a database that is attached without a key takes content in plaintext"
        case .plaintext: "\(name) is protected: content would be written in plaintext"
        case .durability: "\(name) is protected: a power loss would take what was acknowledged"
        case .sharing: "\(name) is protected: no other connection could read, and no snapshot could be taken"
        case .process: "\(name) is protected: every database of this process would have it, until it ends"
        case .schema where self == .ownName:
            "\(name) is protected: Strongroom's own table would be hidden or acted upon"
        case .schema: "\(name) is protected: the database might not open again, or run what it should not"
        case .code: "\(name) is protected: foreign code would run in the process that has the keys"
        case .unknown: "\(name) is protected: it is not known to be harmless"
        }
    }

    var hint: String {
        switch reason {
        case .format: "the policy sets the format when a profile is made; export and import to change it"
        case .key: "'strongroom key rotate --data', or Profile.rotateDataKey(), gives a database another key"
        case .plaintext where self == .plaintextAttach:
            "give the file a KEY of its own; an app can open its store with StoreOptions.allowsPlaintextAttach"
        case .plaintext: "'strongroom profile export --plaintext' writes plaintext where that is wanted"
        case .durability: "leave it as it is; put many changes into one transaction where it is slow"
        case .sharing: "leave it as it is; a transaction keeps other writers out"
        case .process: "limit the memory of the whole process instead; cache_size is each connection's own"
        case .schema where self == .ownName: "use another name"
        case .schema: "change the schema with CREATE, ALTER and DROP"
        case .code: "register functions through GRDB"
        case .unknown: "check its name"
        }
    }

    /// What SQLite tells of it.
    var message: String { "\(summary); \(hint)" }

    /// The setting that a message is about.
    init?(message: String) {
        guard let end = message.range(of: " is protected: ") else { return nil }
        let name = message[..<end.lowerBound]
        let known = PragmaTable.rules.compactMap { name, rule in rule.reason.map { Self(name: name, reason: $0) } }
        let all = known + PragmaTable.others + [.plaintextAttach, .ownName, .loadExtension]
        guard let found = all.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    init(name: String, reason: Reason) {
        self.name = name
        self.reason = reason
    }
}

/// What a pragma may do on a connection that has its key.
enum PragmaRule {
    /// Anything.
    case free
    /// It may be asked for, and not set.
    case readOnly(ProtectedSetting.Reason)
    /// It may be asked for, and set to these values, in lower case.
    case only([String], ProtectedSetting.Reason)
    /// The same, and for an attached database, by its name, to any: that file is the app's own.
    case onlyInMain([String], ProtectedSetting.Reason)
    /// It may not even be asked for: without a value it does something too.
    case never(ProtectedSetting.Reason)

    var reason: ProtectedSetting.Reason? {
        switch self {
        case .free: nil
        case .readOnly(let reason), .only(_, let reason), .onlyInMain(_, let reason), .never(let reason): reason
        }
    }

    /// - Parameters:
    ///   - value: what it is to be set to, in lower case; nil where it is asked for.
    ///   - isAttached: whether an attached database was named.
    func permits(_ value: String?, isAttached: Bool) -> Bool {
        switch self {
        case .free: true
        case .readOnly: value == nil
        case .only(let values, _): value.map { values.contains($0) } ?? true
        case .onlyInMain(let values, _): isAttached || (value.map { values.contains($0) } ?? true)
        case .never: false
        }
    }
}

enum PragmaTable {
    private static let off = ["0", "off", "no", "false"]

    /// Every pragma of SQLite 3.46.1 and SQLCipher 4.6.1, and some that other builds have.
    static let rules: [String: PragmaRule] = {
        var rules: [String: PragmaRule] = [
            // SQLCipher takes no notice of a page size in use, and SQLite rewrites the pages in the new one.
            "page_size": .readOnly(.format),
            // What leaves memory. A temporary file is not encrypted.
            "temp_store": .only(["2", "memory"], .plaintext),
            "temp_store_directory": .readOnly(.plaintext),
            "data_store_directory": .readOnly(.plaintext),
            "mmap_size": .only(["0"], .plaintext),
            // These write SQL, with the values in it, to a file or to standard output.
            "cipher_log": .never(.plaintext), "cipher_log_level": .never(.plaintext),
            "cipher_log_source": .never(.plaintext), "cipher_profile": .never(.plaintext),
            "parser_trace": .never(.plaintext), "sql_trace": .never(.plaintext), "vdbe_trace": .never(.plaintext),
            "vdbe_debug": .never(.plaintext), "vdbe_listing": .never(.plaintext), "vdbe_addoptrace": .never(.plaintext),
            // Without a WAL no reader reads beside a writer, and a commit is not what custody believes it to be.
            "journal_mode": .onlyInMain(["wal"], .durability),
            "synchronous": .onlyInMain(["2", "3", "full", "extra"], .durability),
            "locking_mode": .onlyInMain(["normal"], .sharing), "lock_proxy_file": .readOnly(.sharing),
            // It can be made smaller and never larger: then not even a close has memory.
            "hard_heap_limit": .readOnly(.process),
            "writable_schema": .only(off + ["reset"], .schema),
            "trusted_schema": .only(off, .schema),
            "schema_version": .readOnly(.schema),
            // What SQLCipher can be asked.
            "cipher_version": .free, "cipher_provider": .free, "cipher_provider_version": .free,
            "cipher_fips_status": .free, "cipher_settings": .free, "cipher_default_settings": .free,
            "cipher_integrity_check": .free,
            // Another database opens it, or encrypts it all anew.
            "activate_extensions": .never(.key), "key": .never(.key), "hexkey": .never(.key), "textkey": .never(.key),
            "rekey": .never(.key), "hexrekey": .never(.key), "textrekey": .never(.key),
            "cipher_store_pass": .never(.key), "cipher_salt": .readOnly(.key),
            "cipher_add_random": .never(.key), "cipher_license": .never(.key),
            "cipher_migrate": .never(.format),
            // Wipes and locks the memory of keys and pages, for the whole process.
            "cipher_memory_security": .readOnly(.plaintext),
        ]
        // Of this connection, or, with `default` in its name, of every one that the process opens from then on.
        for name in [
            "cipher", "cipher_compatibility", "cipher_default_compatibility", "cipher_default_hmac_algorithm",
            "cipher_default_kdf_algorithm", "cipher_default_kdf_iter", "cipher_default_page_size",
            "cipher_default_plaintext_header_size", "cipher_default_use_hmac", "cipher_hmac_algorithm",
            "cipher_hmac_pgno", "cipher_hmac_salt_mask", "cipher_kdf_algorithm", "cipher_page_size",
            "cipher_plaintext_header_size", "cipher_use_hmac", "fast_kdf_iter", "kdf_iter", "rekey_cipher",
            "rekey_kdf_iter",
        ] { rules[name] = .readOnly(.format) }
        for name in [
            "analysis_limit", "application_id", "auto_vacuum", "automatic_index", "busy_timeout", "cache_size",
            "cache_spill", "case_sensitive_like", "cell_size_check", "checkpoint_fullfsync", "collation_list",
            "compile_options", "count_changes", "data_version", "database_list", "default_cache_size",
            "defer_foreign_keys", "empty_result_callbacks", "encoding", "foreign_key_check", "foreign_key_list",
            "foreign_keys", "freelist_count", "full_column_names", "fullfsync", "function_list",
            "ignore_check_constraints", "incremental_vacuum", "index_info", "index_list", "index_xinfo",
            "integrity_check", "journal_size_limit", "legacy_alter_table", "legacy_file_format", "lock_status",
            "max_page_count", "module_list", "optimize", "page_count", "pragma_list", "query_only", "quick_check",
            "read_uncommitted", "recursive_triggers", "reverse_unordered_selects", "secure_delete",
            "short_column_names", "shrink_memory", "soft_heap_limit", "stats", "table_info", "table_list",
            "table_xinfo", "threads", "user_version", "wal_autocheckpoint", "wal_checkpoint",
        ] { rules[name] = .free }
        return rules
    }()

    /// What stands for a pragma that is not in the table. Its own name may be anything.
    static let others = [
        ProtectedSetting(name: "an unknown cipher pragma", reason: .format),
        ProtectedSetting(name: "an unknown pragma", reason: .unknown),
    ]

    /// What is refused, or nil.
    static func refusal(of name: String, value: String?, isAttached: Bool) -> ProtectedSetting? {
        let name = name.lowercased()
        guard let rule = rules[name] else { return name.hasPrefix("cipher") ? others.first : others.last }
        guard let reason = rule.reason, !rule.permits(value?.lowercased(), isAttached: isAttached) else { return nil }
        return ProtectedSetting(name: name, reason: reason)
    }
}
