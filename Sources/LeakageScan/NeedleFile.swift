// A file of secrets that are to be looked for. It is read as strictly as a key file.

import DurableFiles
import Secrets
public import SystemPackage

/// Reads needle files: lines of `hex:DIGITS`, `text:WORDS`, blank or beginning with `#`; any other file is one secret of raw bytes.
public enum NeedleFile {
    private static let maximumBytes = 1 << 20

    /// Reads a file that belongs to us and is closed to others (0600).
    ///
    /// - Parameter firstNumber: what the first secret is numbered.
    /// - Throws: `DurableFilesError` where others can read it; `ScanError` where a line is wrong, or a secret cannot be looked for.
    public static func read(_ path: FilePath, firstNumber: Int = 1) throws -> [Needle] {
        let content = try StrictFiles.readSecret(path, limit: maximumBytes)
        return try ScanError.at(path) { try content.withUnsafeBytes { try needles($0, firstNumber) } }
    }

    private static func needles(_ bytes: UnsafeRawBufferPointer, _ firstNumber: Int) throws -> [Needle] {
        guard starts(bytes, with: "hex:") || starts(bytes, with: "text:") || bytes.first == UInt8(ascii: "#") else {
            return [try Needle("needle \(firstNumber)", .key, copy(bytes))]
        }
        var needles: [Needle] = []
        var start = 0
        var line = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0a) ?? bytes.count
            line += 1
            var text = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            if text.last == 0x0d { text = UnsafeRawBufferPointer(rebasing: text.dropLast()) }
            start = end + 1
            if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
            let name = "needle \(firstNumber + needles.count)"
            if starts(text, with: "hex:") {
                needles.append(
                    try Needle(name, .key, decoded(UnsafeRawBufferPointer(rebasing: text.dropFirst(4)), line)))
            } else if starts(text, with: "text:") {
                needles.append(try Needle(name, .text, copy(UnsafeRawBufferPointer(rebasing: text.dropFirst(5)))))
            } else {
                throw ScanError(.needleFileMalformed(line: line))
            }
        }
        return needles
    }

    private static func starts(_ bytes: UnsafeRawBufferPointer, with prefix: String) -> Bool {
        bytes.starts(with: prefix.utf8)
    }

    private static func copy(_ bytes: UnsafeRawBufferPointer) throws -> SecretBytes {
        try SecretBytes(count: bytes.count) { $0.copyMemory(from: bytes) }
    }

    private static func decoded(_ digits: UnsafeRawBufferPointer, _ line: Int) throws -> SecretBytes {
        guard digits.count.isMultiple(of: 2) else { throw ScanError(.needleFileMalformed(line: line)) }
        return try SecretBytes(count: digits.count / 2) { target in
            for index in target.indices {
                guard let high = Symbols.hexValue(digits[2 * index]), let low = Symbols.hexValue(digits[2 * index + 1])
                else {
                    throw ScanError(.needleFileMalformed(line: line))
                }
                target[index] = high << 4 | low
            }
        }
    }
}
