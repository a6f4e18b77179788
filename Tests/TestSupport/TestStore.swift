import Foundation
import KeyPolicy
import Keyring
package import Secrets
package import Strongroom
package import SystemPackage

/// A store in a directory of its own, with a key file whose bytes the test knows.
package struct TestStore {
    package let directory: TemporaryDirectory
    package var path: FilePath { directory.appending("store") }
    package var keyFile: FilePath { directory.appending("key") }

    /// - Parameter policy: edits of the default policy, as text to be replaced and its replacement.
    package init(policy edits: [(String, String)] = []) throws {
        directory = try TemporaryDirectory()
        var text = String(decoding: try KeyPolicy.shippedBytes(named: "default"), as: UTF8.self)
        for (old, new) in edits { text = text.replacing(old, with: new) }
        try TestFiles.write(Array(text.utf8), to: directory.appending("policy.yaml"))
        try TestFiles.write(Self.key, to: keyFile)
        try Store.create(
            at: path, policy: .file(directory.appending("policy.yaml")), unlockers: [(.keyFile(keyFile), "test")]
        ).lock()
    }

    /// The same store in another place.
    package init(copyOf original: TestStore) throws {
        directory = try TemporaryDirectory()
        for name in ["store", "key"] {
            try FileManager.default.copyItem(
                atPath: original.directory.appending(name).string, toPath: directory.appending(name).string)
        }
    }

    /// 32 bytes that look like nothing else.
    package static let key: [UInt8] = (0..<32).map { UInt8(truncatingIfNeeded: 0xa7 &+ $0 &* 0x3b) }

    /// - Parameter recovery: nothing is done about damage unless the test says so.
    package func open(recovery: RecoveryMode = .never) throws -> Store {
        try Store.open(at: path, with: .keyFile(keyFile), options: StoreOptions(recovery: recovery))
    }
}

extension SecretBytes {
    /// A secret from bytes that are none.
    package init(testing bytes: [UInt8]) throws {
        try self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }
}
