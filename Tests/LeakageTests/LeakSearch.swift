import Foundation
import Keyring
import LeakageScan
import Secrets
import Strongroom
import SystemPackage
import TestSupport
import Testing

/// Words that must not be where they are not meant to be.
enum Canary {
    static let row = "ROW-canary-91b7d2c4"
    static let name = "NAME canary 2f6c08ba"
    static let passphrase = "PASSPHRASE-canary-5f0c9d1e"
    static let newPassphrase = "PASSPHRASE-canary-8d22e7b3"
}

/// What is looked for in a test, and the product's own scanner to look with.
struct LeakSearch {
    private(set) var needles: [Needle] = []

    mutating func add(text: String, as name: String) throws {
        needles.append(try Needle(name, .text, SecretBytes(testing: Array(text.utf8))))
    }

    mutating func add(key: [UInt8], as name: String) throws {
        needles.append(try Needle(name, .key, SecretBytes(testing: key)))
    }

    /// Every key of a store as it is now, whatever became of its databases, and what is derived from each.
    ///
    /// - Parameter era: tells the keys of this moment from those of another one.
    mutating func addKeys(of path: FilePath, unlockedWith secret: UnlockSecret, era: String = "now") throws {
        let store = try Store.openWithoutGlobal(at: path, with: secret, options: StoreOptions(recovery: .never))
        var added: [Needle] = []
        try store.forEachSecret { name, bytes in
            added.append(try Needle("\(name) (\(era))", .key, bytes.copy()))
        } unusable: {
            Issue.record("the keys of \($0) cannot be read")
        }
        try store.lock()
        #expect(added.count > 10)
        needles += added
    }

    func keeping(_ isKept: (Needle) -> Bool) -> LeakSearch { LeakSearch(needles: needles.filter(isKept)) }

    func result(_ targets: [ScanTarget]) throws -> ScanResult {
        try Scan(needles: needles).run(targets, selfTest: false)
    }

    /// What is found, each in a line.
    func found(in targets: [ScanTarget]) throws -> [String] {
        let result = try result(targets)
        #expect(result.gapCount == 0, "\(result.gaps)")
        return Array(
            Set(
                result.findings.map {
                    "\($0.needle ?? $0.rule.rawValue) as \($0.form.joined(separator: " of ")) in \($0.place.file)"
                })
        )
        .sorted()
    }

    /// The same for text at hand.
    func found(in text: String) throws -> [String] {
        let directory = try TemporaryDirectory()
        let file = directory.appending("text")
        try TestFiles.write(Array(text.utf8), to: file)
        return try found(in: [.path(file)]).map { String($0.split(separator: " in ")[0]) }
    }

    /// The names of what is found in the memory of a process. Memory that goes while it is looked at is no gap that matters here.
    func found(inMemoryOf process: Int32) throws -> Set<String> {
        Set(try result([.process(process)]).findings.filter { $0.rule != .keySchedule }.compactMap(\.needle))
    }
}
