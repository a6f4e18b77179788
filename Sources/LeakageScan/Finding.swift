// What a scan says: rule, place and length. There is no field for what was found.

/// What a finding is about.
public enum ScanRule: String, Sendable, Codable, CaseIterable {
    /// Sixteen bytes or more of a key in a row.
    case keyMaterial = "key-material"
    /// A passphrase, whole.
    case passphrase
    /// An expanded AES-256 key, whoever's it is.
    case keySchedule = "aes256-key-schedule"
    /// A secret in the name of a file or of an entry of an archive.
    case secretInName = "secret-in-name"
    /// A SQLite database that is not encrypted.
    case sqliteHeader = "sqlite-header"
    /// A page of a SQLite database that is not encrypted.
    case treePage = "sqlite-b-tree-page"
    /// Bytes that are not evenly distributed, as ciphertext is.
    case unevenBytes = "bytes-not-random"
    /// More printable characters in a row than ciphertext has.
    case printableRun = "printable-run"
    /// The same sixteen bytes more than once.
    case repeatedBlocks = "repeated-blocks"

    /// What it means, in one sentence.
    public var summary: String {
        switch self {
        case .keyMaterial: "Bytes of a key stand here."
        case .passphrase: "A passphrase stands here."
        case .keySchedule: "An expanded AES-256 key stands here."
        case .secretInName: "The name itself holds a secret."
        case .sqliteHeader: "This is a SQLite database that is not encrypted."
        case .treePage: "A page of a SQLite database stands here that is not encrypted."
        case .unevenBytes: "These bytes are not evenly distributed, as ciphertext is."
        case .printableRun: "More printable characters stand in a row than ciphertext has."
        case .repeatedBlocks: "The same sixteen bytes stand here more than once, which ciphertext never has."
        }
    }
}

/// Where something stands.
public struct ScanPlace: Sendable, Codable, Hashable {
    /// A path as it was given or met, `process N`, or `standard input`. A name that holds a secret is withheld.
    public let file: String
    /// Within an archive: the names of entries, outermost first.
    public let entries: [String]
    /// From the beginning of the file, entry or address space, in bytes.
    public let offset: Int
    /// How long what was found is as it stands there, encoded, in bytes.
    public let length: Int

    /// `file!entry@offset`.
    public var text: String { ([file] + entries).joined(separator: "!") + "@\(offset)" }
}

/// One thing that was found.
public struct Finding: Sendable, Codable, Hashable {
    /// What it is about.
    public let rule: ScanRule
    /// What the secret is called; nil where the rule needs none.
    public let needle: String?
    /// How it is written, outermost first, such as `base64`, `hex`, `raw`; empty where the rule is about something else.
    public let form: [String]
    /// How many bytes of the secret stand there; nil where that is not known.
    public let secretBytes: Int?
    /// Whether that is all of it.
    public let isWhole: Bool?
    /// Whether each byte is XORed with one and the same byte.
    public let isMasked: Bool?
    /// Where.
    public let place: ScanPlace
    /// 32 hex digits: names this finding in a baseline. A MAC under a key of the secret itself: it tells nothing to who has not got it.
    public let fingerprint: String
}

/// Why something was not looked at, or not all of it.
public enum ScanGapReason: String, Sendable, Codable, CaseIterable {
    case unreadable
    /// A device, FIFO or socket.
    case notAFile = "not_a_file"
    /// A file with holes: what the file system left out was not read.
    case sparse
    case tooLarge = "too_large"
    /// It changed or shrank while it was read.
    case changed
    case archiveDamaged = "archive_damaged"
    case archiveEncrypted = "archive_encrypted"
    /// Archives within archives, deeper than the limit.
    case archiveTooDeep = "archive_too_deep"
    /// An archive that unpacks to more than the limit.
    case archiveTooLarge = "archive_too_large"
    case memoryUnreadable = "memory_unreadable"
    /// More findings than are kept.
    case tooManyFindings = "too_many_findings"
}

/// Something that was not looked at, or not all of it. A scan with one is never clean.
public struct ScanGap: Sendable, Codable, Hashable {
    /// Where.
    public let place: String
    /// Why.
    public let reason: ScanGapReason
}

/// How much was looked at.
public struct ScanCoverage: Sendable, Codable, Hashable {
    /// Regular files.
    public internal(set) var files = 0
    /// Directories.
    public internal(set) var directories = 0
    /// Symbolic links, which are not followed.
    public internal(set) var symbolicLinks = 0
    /// Archives, and entries in them.
    public internal(set) var archives = 0, archiveEntries = 0
    /// Bytes of files, memory and streams, and those that came out of archives.
    public internal(set) var bytes = 0
    /// Regions of memory.
    public internal(set) var memoryRegions = 0
    /// Files that were held to being ciphertext, and how many pages of 4096 bytes they have.
    public internal(set) var ciphertextFiles = 0, ciphertextPages = 0
}

/// How evenly the bytes of a file that should be ciphertext are distributed, from its beginning to its end.
public struct EntropyMap: Sendable, Codable, Hashable {
    /// The path.
    public let file: String
    /// How many bytes each cell stands for.
    public let bytesPerCell: Int
    /// For each cell the least even page in it: how many standard deviations its chi-square is from what random bytes have.
    public let deviations: [Double]
}

/// What a scan found, and what it could not look at.
public struct ScanResult: Sendable {
    /// What was found, by place.
    public internal(set) var findings: [Finding]
    /// What was found and is accepted by a baseline.
    public internal(set) var accepted: [Finding] = []
    /// What was not looked at.
    public internal(set) var gaps: [ScanGap]
    /// How many gaps there are; no more than a thousand are listed.
    public internal(set) var gapCount: Int
    /// How much was looked at.
    public internal(set) var coverage: ScanCoverage
    /// One for each file that was held to being ciphertext.
    public internal(set) var entropy: [EntropyMap]
    /// How many needles were looked for.
    public internal(set) var needles: Int
    /// What the self-test found of what it planted; nil where there was none.
    public internal(set) var recall: RecallCertificate?

    /// What it comes to.
    public enum Outcome: String, Sendable, Codable { case clean, findings, incomplete }

    /// Findings outweigh gaps, and nothing is clean without a whole self-test.
    public var outcome: Outcome {
        if !findings.isEmpty { return .findings }
        return gapCount > 0 || recall?.isWhole != true ? .incomplete : .clean
    }
}
