// What the kernels are told of bytes.

import CByteKernels

enum ByteTables {
    /// Three of eight bits, in each of the 56 ways that there are; eight of them twice.
    static let filterPatterns: [UInt8] = {
        let all = (UInt8.min ... .max).filter { $0.nonzeroBitCount == 3 }
        return all + all.prefix(64 - all.count)
    }()

    static let shared: strongroom_tables = {
        let ascii: ClosedRange<UInt8> = 0...127
        func lacks(_ isMember: Bool, _ bit: Int) -> UInt8 {
            isMember ? 0 : UInt8(bit)
        }
        let classes = ascii.map { byte in
            let known = CharacterClass.table[Int(byte)]
            return lacks(known & CharacterClass.base64 != 0, STRONGROOM_CLASS_BASE64)
                | lacks(known & CharacterClass.list != 0, STRONGROOM_CLASS_LIST)
                | lacks(known & CharacterClass.text != 0, STRONGROOM_CLASS_TEXT)
                | lacks("\\%".utf8.contains(byte), STRONGROOM_CLASS_ESCAPE)
                | lacks(known & CharacterClass.hexDigit != 0, STRONGROOM_CLASS_HEX)
                | lacks("xu01234567".utf8.contains(byte), STRONGROOM_CLASS_ESCAPED)
        }
        let behind = ascii.map { byte in
            let isHex = CharacterClass.table[Int(byte)] & CharacterClass.hexDigit != 0
            return lacks(isHex || "xu".utf8.contains(byte), STRONGROOM_CLASS_ESCAPE)
        }
        let base64 = ascii.map { Symbols.base64Value($0) ?? 128 }
        let base32 = ascii.map { Symbols.base32Value($0) ?? 128 }
        let hex = ascii.map { Symbols.hexValue($0) ?? 128 }
        var made = strongroom_tables()
        withUnsafeMutableBytes(of: &made) {
            $0.copyBytes(from: classes + behind + base64 + base32 + hex + filterPatterns)
        }
        return made
    }()
}
