// What the kernels are told of bytes.

import CByteKernels

enum ByteTables {
    static let shared: strongroom_tables = {
        /// In the order of the kernels' classes.
        let classes: [(Int, (UInt8) -> Bool)] = [
            (STRONGROOM_CLASS_BASE64, { CharacterClass.table[Int($0)] & CharacterClass.base64 != 0 }),
            (STRONGROOM_CLASS_LIST, { CharacterClass.table[Int($0)] & CharacterClass.list != 0 }),
            (STRONGROOM_CLASS_HEX, { Symbols.hexValue($0) != nil }),
            (STRONGROOM_CLASS_BASE64_DIGIT, { Symbols.base64Value($0) != nil }),
            (STRONGROOM_CLASS_BASE32_DIGIT, { Symbols.base32Value($0) != nil }),
            (STRONGROOM_CLASS_ESCAPED, { "xu01234567".utf8.contains($0) }),
        ]
        var made = strongroom_tables()
        withUnsafeMutableBytes(of: &made) { members in
            for (number, isMember) in classes {
                for byte in UInt8(0)..<128 where isMember(byte) {
                    members[16 * number + Int(byte & 15)] |= 1 << (byte >> 4)
                }
            }
        }
        return made
    }()
}
