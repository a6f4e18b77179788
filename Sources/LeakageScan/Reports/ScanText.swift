// Sentences that more than one report has.

/// What is found, in words.
public enum ScanText {
    /// One sentence: what, how it is written, how much of it.
    public static func sentence(_ finding: Finding) -> String {
        var text = finding.needle.map { "\($0): \(finding.rule.summary)" } ?? finding.rule.summary
        if !finding.form.isEmpty {
            text += " Written as \(finding.form.joined(separator: " of "))" + mask(finding) + "."
        }
        if let bytes = finding.secretBytes {
            text += finding.isWhole == true ? " All \(bytes) bytes." : " \(bytes) bytes of it."
        }
        return text
    }

    /// In a few words, for a table.
    public static func short(_ finding: Finding) -> String {
        let what = finding.needle ?? String(finding.rule.summary.dropLast())
        let form = finding.form.isEmpty ? "" : " as \(finding.form.joined(separator: " of "))\(mask(finding))"
        let bytes =
            finding.secretBytes.map { finding.isWhole == true ? ", all \($0) bytes" : ", \($0) bytes of it" } ?? ""
        return what + form + bytes
    }

    private static func mask(_ finding: Finding) -> String { finding.isMasked == true ? ", XORed with one byte" : "" }

    /// What a gap means, and what to do.
    public static func advice(_ reason: ScanGapReason) -> String {
        switch reason {
        case .unreadable: "could not be read: check owner and permissions"
        case .notAFile: "is no file: a device, FIFO, socket or a link that is not followed"
        case .sparse: "has holes, which were read as zeros: copy it whole to be sure"
        case .tooLarge: "is longer than --maximum-file-bytes"
        case .changed: "changed while it was read: scan it again when nobody writes to it"
        case .archiveDamaged: "is a damaged archive, or not one at all: unpack it by hand"
        case .archiveEncrypted: "is encrypted: unpack it and scan what is in it"
        case .archiveTooDeep: "is an archive within too many archives: unpack it and scan what is in it"
        case .archiveTooLarge: "unpacks to more than the limit: unpack it and scan what is in it"
        case .memoryUnreadable: "has memory that the kernel does not lend"
        case .tooManyFindings: "more findings than are kept: accept or remove some, and scan again"
        }
    }
}
