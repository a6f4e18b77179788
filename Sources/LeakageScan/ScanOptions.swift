/// How a scan is made.
public struct ScanOptions: Sendable {
    /// Files that are longer are reported as gaps; nil for no limit.
    public var maximumFileBytes: Int?
    /// Whether databases, their WALs and journals, and files that are named one by one, are to be ciphertext.
    public var expectsCiphertext = false
    /// How deep archives within archives are opened.
    public var archiveDepth = 8
    /// To how many bytes one archive may unpack.
    public var archiveBytes = 16 << 30
    /// How many threads look.
    public var threads: Int

    /// How many findings are kept.
    static let maximumFindings = 10_000
    /// How many gaps are listed.
    static let maximumGaps = 1_000

    /// - Parameter threads: one a core, unless said otherwise.
    public init(threads: Int = 0) {
        self.threads = threads > 0 ? threads : Cores.count
    }
}
