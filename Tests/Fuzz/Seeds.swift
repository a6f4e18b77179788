// The seed corpus, made by code: what each parser takes, so that the fuzzer begins inside it and not at its door.

import CryptoPrimitives
import Foundation
import KeyPolicy

@testable import PageCipher

enum Seeds {
    /// Writes the seeds of a target into a directory that exists.
    static func write(_ target: String, to directory: String) -> Bool {
        guard let seeds = try? seeds(of: target) else { return false }
        for (index, seed) in seeds.enumerated() {
            let url = URL(fileURLWithPath: directory).appending(path: "seed-\(index)")
            guard (try? Data(seed).write(to: url)) != nil else { return false }
        }
        return !seeds.isEmpty
    }

    private static func seeds(of target: String) throws -> [[UInt8]] {
        switch target {
        case _ where ScannerTargets.names.contains(target): try ScannerTargets.seeds(of: target)
        case "policy": try KeyPolicy.shippedNames.map { try KeyPolicy.shippedBytes(named: $0) }
        case "message":
            [
                #"{"jsonrpc":"2.0","method":"preference_profile_set","params":{"key":"ui.x","value":"eyJ.a:b@c=ghp_00ff"},"id":"1"}"#,
                #"[{"jsonrpc":"2.0","method":"run_list","params":{"projectId":1,"before":{"recordedAt":"2026-11-24T12:00:00Z","id":7}},"id":null},1]"#,
                #"{"jsonrpc":"2.0","method":"run_attach_audio","params":{"runId":1,"mediaType":"audio/ogg","content":"AAE="},"id":-1.5e3}"#,
            ].map { Array($0.utf8) }
        case "keyring", "envelope": try vector("\(target)-v1.json")
        case "manifest":
            try vector("snapshot-v1.json") + [
                Array("strongroom/verify-key/v1\n".utf8) + [UInt8](repeating: 7, count: 96),
                Array("profile-prof_abcdefghij234567-manual-20261123T235959.123Z".utf8),
            ]
        case "recovery":
            [
                "srkey1-aaaq-eaye-auda-ocaj-bifq-ydio-b4ib-ceqt-cqkr-mfyy-denb-wha5-dyp4-ew5r",
                "srpub1-r5am-llnw-r4sw-esxf-wiko-u5t2-n3eu-3au5-hv5v-4gwr-xjxt-4ijy-fbpy-zkfq",
                "babad bamag bibaj bimal boban bomar bubat bumaz dabid damig dibij dimil dobin domir dubit dumiz sanir rajub",
            ].map { Array($0.utf8) }
        case "page": [[UInt8](PageLayout.plaintextMagic) + (16..<100).map { UInt8($0) }]
        case "wal":
            try [true, false].flatMap { isBig in try [1, 2, 5].map { try wal(frames: $0, isBigEndian: isBig) } }
        case "unfinished":
            try [true, false].map { try wal(frames: 3, isBigEndian: $0) } + [journal(pages: 3), journal(pages: 1)]
        case "fulltext":
            [
                [0, 0, 0, 9, 0xff, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 4, 0, 0, 1, 0, 0],
                [0, 0, 0, 9, 1, 1, 1, 0, 1, 1, 1, 4],
                [0, 4, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 4, 3],
            ]
        default: []
        }
    }

    /// A vector of the format documents: the whole file, and the JSON in it.
    private static func vector(_ name: String) throws -> [[UInt8]] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let bytes = Array(try Data(contentsOf: root.appending(path: "docs/formats/vectors/\(name)")))
        let body = bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")).map { Array(bytes[..<$0]) } ?? bytes
        return [bytes, body]
    }

    /// A hot journal of pages of 512 bytes.
    private static func journal(pages: UInt32) -> [UInt8] {
        func big(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
        var bytes: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
        bytes += big(pages) + big(7) + big(pages) + big(512) + big(512)
        bytes += [UInt8](repeating: 0, count: 512 - bytes.count)
        for page in 1...pages {
            bytes += big(page) + [UInt8](repeating: UInt8(page), count: 512)
            bytes += big(7 + 2 * page)
        }
        return bytes
    }

    /// A WAL that is whole: every frame ends a transaction, and its page is authentic.
    private static func wal(frames: Int, isBigEndian: Bool) throws -> [UInt8] {
        let key = try pageKey(1024)
        func big(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
        let salts = big(0x0102_0304) + big(0x0506_0708)
        var bytes = big(isBigEndian ? 0x377f_0683 : 0x377f_0682) + big(3_007_000) + big(1024) + big(0) + salts
        var sum = WALChecksum()
        sum.add(bytes[...], isBigEndian: isBigEndian)
        bytes += big(sum.first) + big(sum.second)
        for number in 1...frames {
            var page = [UInt8](repeating: 0, count: 1024)
            let plaintext = [UInt8](repeating: UInt8(number), count: 1024)
            try plaintext.withUnsafeBytes { plaintext in
                try [UInt8](repeating: 9, count: 16).withUnsafeBytes { iv in
                    try page.withUnsafeMutableBytes { try key.seal(plaintext, number: number, iv: iv, into: $0) }
                }
            }
            let head = big(UInt32(number)) + big(UInt32(frames))
            sum.add(head[...], isBigEndian: isBigEndian)
            sum.add(page[...], isBigEndian: isBigEndian)
            bytes += head + salts + big(sum.first) + big(sum.second) + page
        }
        return bytes
    }
}
