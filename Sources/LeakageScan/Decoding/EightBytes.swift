// Eight bytes looked at as one number, where there are no kernels or too little for one to do.

struct EightBytes {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let uppermost: UInt64 = ones &* 0x80

    let value: UInt64

    /// The eight bytes at a position; nil where there are fewer.
    @inline(__always) init?(_ bytes: UnsafeRawBufferPointer, at position: Int) {
        guard position &+ 8 <= bytes.count else { return nil }
        value = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
    }

    private init(_ value: UInt64) { self.value = value }

    /// Whether one of them is this byte.
    @inline(__always) func contain(_ byte: UInt8) -> Bool {
        let others = value ^ (Self.ones &* UInt64(byte))
        return (others &- Self.ones) & ~others & Self.uppermost != 0
    }

    /// Some bits of each.
    @inline(__always) func masked(_ bits: UInt8) -> EightBytes { EightBytes(value & (Self.ones &* UInt64(bits))) }

    var areASCII: Bool { value & Self.uppermost == 0 }

    /// Whether none is below a blank, which control characters are.
    var havePrintableValues: Bool { (value &- Self.ones &* 0x20) & ~value & Self.uppermost == 0 }
}
