// Entry point of libFuzzer: `make fuzz`. One program, one target a parser, chosen by STRONGROOM_FUZZ_TARGET. A target
// fails by crashing; an error is an answer.

import CryptoPrimitives
import DurableFiles
import Foundation
import KeyPolicy
import Secrets
import SystemPackage

@testable import Keyring
@testable import PageCipher
@testable import RehearsalService
@testable import Snapshots

private let target = ProcessInfo.processInfo.environment["STRONGROOM_FUZZ_TARGET"] ?? ""
private let scratch = FilePath("/dev/shm/strongroom-fuzz-\(getpid())")

private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments>,
    _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The package manager calls the main function of an executable so; libFuzzer's driver is run from it.
@_cdecl("Fuzz_main")
public func fuzzMain(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> CInt {
    if let directory = ProcessInfo.processInfo.environment["STRONGROOM_FUZZ_SEEDS"] {
        return Seeds.write(target, to: directory) ? 0 : 1
    }
    var count = count
    var arguments = arguments
    return runFuzzer(&count, &arguments, fuzzOneInput)
}

/// One input, from libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    switch target {
    case "policy": _ = try? KeyPolicy(parsing: bytes, file: "fuzz")
    case "keyring": keyring(bytes)
    case "envelope": envelope(bytes)
    case "page": page(bytes)
    case "wal": wal(bytes)
    case "unfinished": unfinished(bytes)
    case "fulltext":
        _ = FullTextPages.isLeaf(bytes)
        _ = FullTextPages.claimedTombstones(in: bytes)
    case "manifest": manifest(bytes)
    case "recovery": recovery(bytes)
    case "message": _ = Message(.message(Data(bytes)))
    case _ where ScannerTargets.names.contains(target): ScannerTargets.run(target, bytes, scratch: scratch)
    default:
        fatalError(
            "STRONGROOM_FUZZ_TARGET is one of policy, keyring, envelope, page, wal, unfinished, fulltext, manifest, recovery, message, \(ScannerTargets.names.joined(separator: ", "))"
        )
    }
    return 0
}

/// As a whole file, and as the JSON behind its check sum, which a mutation would hardly ever reach.
private func keyring(_ bytes: [UInt8]) {
    _ = try? UnverifiedFile(bytes, as: .keyring, path: "fuzz")
    _ =
        (try? DocumentCoding.decode(
            KeyringDocument.self, from: bytes, format: KeyringDocument.format, kind: .keyring,
            knownCritical: KeyringDocument.criticalFields))?
        .followsItsFormat
}

private func envelope(_ bytes: [UInt8]) {
    _ = try? UnverifiedFile(bytes, as: .envelope, path: "fuzz")
    let document = try? DocumentCoding.decode(
        EnvelopeDocument.self, from: bytes, format: EnvelopeDocument.format, kind: .envelope)
    guard let document, document.followsItsFormat else { return }
    for key in document.keys { _ = key.info }
}

/// As a recovery key in both its forms, and as a recipient.
private func recovery(_ bytes: [UInt8]) {
    _ = try? RecoveryKey.publicKey(recipient: String(decoding: bytes, as: UTF8.self))
    guard !bytes.isEmpty, let text = try? SecretBytes(count: bytes.count, initialize: { $0.copyBytes(from: bytes) })
    else { return }
    _ = try? UnlockSecret.recoveryKey(text: text)
}

/// As a whole file; as the JSON behind its check sum, which a mutation would hardly ever reach; as a name and as a verify key.
private func manifest(_ bytes: [UInt8]) {
    _ = try? UnverifiedManifest<SnapshotManifest>(bytes, format: SnapshotManifest.format)
    let document = try? ManifestCoding.decode(
        SnapshotManifest.self, from: Data(bytes), format: SnapshotManifest.format)
    if let document, document.followsItsFormat { _ = (document.length, document.pageFormat?.layout, document.root) }
    _ = SnapshotName(String(decoding: bytes, as: UTF8.self))
    try? Data(bytes).write(to: URL(fileURLWithPath: scratch.string))
    chmod(scratch.string, 0o600)
    _ = try? VerifyKey(scratch)
}

func pageKey(_ size: Int) throws -> PageKey {
    try PageKey(
        dataKey: SecretBytes(count: 32) { $0.copyBytes(from: 0..<32) }, salt: Array(0..<16),
        layout: PageLayout(size: size, hash: .sha512))
}

/// The bytes as a sealed page, and as the plaintext of page 1: its header is read after being sealed here.
private func page(_ bytes: [UInt8]) {
    guard let key = try? pageKey(1024) else { return }
    bytes.withUnsafeBytes { _ = key.authenticate(SealedPage($0, number: 1)) }
    let plaintext = Array((bytes + [UInt8](repeating: 0, count: 1024)).prefix(1024))
    var sealed = [UInt8](repeating: 0, count: 1024)
    let iv = [UInt8](repeating: 7, count: 16)
    plaintext.withUnsafeBytes { plaintext in
        iv.withUnsafeBytes { iv in
            sealed.withUnsafeMutableBytes { try? key.seal(plaintext, number: 1, iv: iv, into: $0) }
        }
    }
    sealed.withUnsafeBytes { bytes in
        guard let authentic = key.authenticate(SealedPage(bytes, number: 1)) else {
            fatalError("what was sealed does not authenticate")
        }
        _ = try? key.header(of: authentic)
    }
}

/// The bytes as a WAL, through a file, as it is read.
private func wal(_ bytes: [UInt8]) {
    try? Data(bytes).write(to: URL(fileURLWithPath: scratch.string))
    guard let key = try? pageKey(1024), let file = try? DataFile(scratch) else { return }
    // The main file is the same bytes: its page 1 is not authentic.
    _ = try? WALScan(of: file, over: file, with: key)
    _ = try? WALRecovery(of: file, with: key)
}

/// The bytes as a WAL and as a rollback journal beside a database that nobody knows, every page of which is then read.
private func unfinished(_ bytes: [UInt8]) {
    try? Data(bytes).write(to: URL(fileURLWithPath: scratch.string))
    guard let file = try? DataFile(scratch) else { return }
    for (journal, wal) in [(file, nil), (nil, file), (file, file)] as [(DataFile?, DataFile?)] {
        guard let changes = try? UnfinishedChanges(file, journal: journal, wal: wal, isThere: { $0.count > 3 }),
            changes.isWhole
        else { continue }
        var page = [UInt8](repeating: 0, count: 1000)
        for offset in stride(from: 0, to: min(changes.length, 1 << 17), by: 1000) {
            page.withUnsafeMutableBytes { try? changes.read(at: offset, into: $0) }
        }
    }
}
