// A name in a directory. The system keeps bytes; text is only what people make of them, and two names that are not UTF-8 can
// become the same text.

public import SystemPackage

/// What a file is called in its directory: bytes, compared and opened as such.
public struct FileName: Sendable, Hashable, Comparable {
    /// Those of the name, without a NUL.
    public let bytes: [UInt8]

    /// A name that was read elsewhere, such as in an archive. Nothing is opened by it.
    package init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// The name as text; nil where it is not UTF-8, so that no other file is meant by it.
    public var text: String? { String(validating: bytes, as: UTF8.self) }

    /// The name for people: each byte that is not part of UTF-8 as `\xHH`.
    public var shown: String { FilePath.shown(bytes) }

    /// Whether its bytes begin with those of `text`.
    public func hasPrefix(_ text: String) -> Bool { bytes.starts(with: text.utf8) }

    /// Whether its bytes end with those of `text`.
    public func hasSuffix(_ text: String) -> Bool { bytes.reversed().starts(with: text.utf8.reversed()) }

    /// Calls `body` with the name as the system takes it.
    func withPlatformString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (bytes + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                // There is the NUL at least.
                characters.baseAddress.map(body)
            }
        } ?? body("")
    }

    /// In the order of their bytes.
    public static func < (one: FileName, other: FileName) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }

    /// Whether its bytes are those of `text`.
    public static func == (one: FileName, text: String) -> Bool { one.bytes.elementsEqual(text.utf8) }
}

extension FilePath {
    /// The path of a name in this directory.
    public func appending(_ name: FileName) -> FilePath {
        let parent = bytes
        let separator: [UInt8] = parent.isEmpty || parent.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        return FilePath(bytes: parent + separator + name.bytes)
    }

    /// The path for people: each byte that is not part of UTF-8 as `\xHH`.
    public var shown: String { Self.shown(bytes) }

    /// The path as text, for what takes nothing else; nil where it is not UTF-8.
    public var text: String? { String(validating: bytes, as: UTF8.self) }

    /// What the path is called in its directory; nil for the root, and for what ends in `.` or `..`.
    package var name: FileName? {
        let name = bytes.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        return name.isEmpty || name == [0x2e] || name == [0x2e, 0x2e] ? nil : FileName(bytes: name)
    }

    /// The path with `suffix` after its last byte.
    package func withSuffix(_ suffix: String) -> FilePath { FilePath(bytes: bytes + Array(suffix.utf8)) }

    package var bytes: [UInt8] {
        withPlatformString { text in
            var bytes: [UInt8] = []
            var next = text
            while next.pointee != 0 {
                bytes.append(UInt8(bitPattern: next.pointee))
                next += 1
            }
            return bytes
        }
    }

    init(bytes: [UInt8]) {
        self.init(platformString: bytes.map { CInterop.PlatformChar(bitPattern: $0) } + [0])
    }

    static func shown(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var shown = ""
        var rest = bytes[...]
        while let first = rest.first {
            // The longest character of UTF-8 that begins here.
            let length = (1...4).first { String(validating: rest.prefix($0), as: UTF8.self) != nil }
            if let length, let text = String(validating: rest.prefix(length), as: UTF8.self) {
                shown += text == "\\" ? "\\\\" : text
                rest = rest.dropFirst(length)
            } else {
                shown += "\\x" + (first < 16 ? "0" : "") + String(first, radix: 16)
                rest = rest.dropFirst()
            }
        }
        return shown
    }
}
