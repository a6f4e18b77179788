import CryptoPrimitives
import Foundation
import Secrets
import SystemPackage
import Testing

@testable import LeakageScan

/// A directory that goes when the test is over.
final class ScanDirectory {
    let path: FilePath

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "strongroom-scan-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = FilePath(url.path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }

    func write(_ bytes: [UInt8], to name: String) throws -> FilePath {
        let file = path.appending(name)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file.string))
        return file
    }

    /// Runs a line of bash in the directory.
    func shell(_ command: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", "cd '\(path)' && \(command)"]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(command)")
    }
}

@Suite struct ScanTests {
    private let directory: ScanDirectory
    private let key: Throwaway

    init() throws {
        directory = try ScanDirectory()
        key = try Throwaway()
    }

    private func scan(
        _ targets: [ScanTarget]? = nil, selfTest: Bool = false, _ change: (inout ScanOptions) -> Void = { _ in }
    ) throws -> ScanResult {
        var options = ScanOptions()
        change(&options)
        return try Scan(needles: [key.needle], options: options).run(
            targets ?? [.path(directory.path)], selfTest: selfTest)
    }

    // MARK: Places

    @Test func aTreeIsLookedThrough() throws {
        _ = try directory.write(Array("nothing".utf8), to: "a/b/clean.txt")
        let leak = try directory.write(Array("key=".utf8) + LeakForm.hexLower.write(key.bytes), to: "a/c/leak.txt")
        let result = try scan(selfTest: true)
        #expect(result.findings.map(\.place) == [ScanPlace(file: leak.string, entries: [], offset: 4, length: 64)])
        #expect(result.findings[0].form == ["hex", "raw"] && result.findings[0].isWhole == true)
        #expect(result.findings[0].needle == "throwaway" && result.findings[0].isMasked == false)
        #expect(result.outcome == .findings)
        #expect(result.coverage.files == 2 && result.coverage.directories == 4 && result.gapCount == 0)
        #expect(result.recall?.isWhole == true)
    }

    /// Beside a decoy whose name is what text would make of it, in a directory with such a name, and in an archive.
    @Test func namesThatAreNotText() throws {
        try directory.shell(
            #"mkdir $'d\xff' 'd\#u{fffd}'; printf clean | tee $'d\xff/f\#u{fffd}' 'd\#u{fffd}/f' >'d\#u{fffd}/x'"#)
        let leak = try directory.write(LeakForm.raw.write(key.bytes), to: "leak")
        try directory.shell(#"cp leak $'d\xff/f\xfe'; tar czf archive.tgz $'d\xff'; rm leak"#)
        let result = try scan(selfTest: true)
        #expect(leak.lastComponent == "leak" && result.outcome == .findings)
        let places = result.findings.map { "\($0.place.file)\($0.place.entries.map { " > \($0)" }.joined())" }
        // The archive is looked through as one stream as well.
        #expect(
            Set(places) == [
                "\(directory.path)/d\\xff/f\\xfe", "\(directory.path)/archive.tgz > data",
                "\(directory.path)/archive.tgz > data > d\\xff/f\\xfe",
            ])
    }

    @Test func nothingIsCleanWithoutASelfTest() throws {
        _ = try directory.write(Array("nothing".utf8), to: "clean.txt")
        #expect(try scan(selfTest: true).outcome == .clean)
        #expect(try scan(selfTest: false).outcome == .incomplete)
    }

    /// A leak across each border between segments, and at the very beginning and end.
    @Test(arguments: [LeakForm.raw, .hexCArray, .base64Wrapped, .utf16LittleHex, .jsonEscapes, .scheduleDecryption])
    func bordersHideNothing(form: LeakForm) throws {
        let leak = try form.write(key.bytes)
        let border = SegmentScanner.segmentBytes
        var bytes = [UInt8](repeating: 0x20, count: 2 * border + 1_000)
        var places = [0, bytes.count - leak.count & ~3 - 4]
        for shift in stride(from: 0, through: leak.count, by: max(4, leak.count / 8 & ~3)) {
            places.append(border - shift)
        }
        for place in places {
            bytes.replaceSubrange(place..<place + leak.count, with: leak)
            let file = try directory.write(bytes, to: "large")
            let result = try scan()
            let isNear = result.findings.allSatisfy { abs($0.place.offset - place) < 10 || form == .jsonEscapes }
            #expect(result.findings.count == 1 && isNear, "\(form) at \(place): \(result.findings)")
            // The same bytes, one after the other.
            let descriptor = open(file.string, O_RDONLY)
            let streamed = try scan([.descriptor(descriptor, name: "standard input")])
            close(descriptor)
            #expect(streamed.findings.map(\.place.offset) == result.findings.map(\.place.offset), "\(form) at \(place)")
            bytes.replaceSubrange(place..<place + leak.count, with: [UInt8](repeating: 0x20, count: leak.count))
        }
    }

    @Test func theMemoryOfAProcessIsLookedThrough() throws {
        let file = try directory.write(key.bytes, to: "key")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            "-c", "x=$(od -A n -v -t x1 '\(file)' | tr -d ' \\n'); echo ready; read; echo $x > /dev/null",
        ]
        let output = Pipe()
        let input = Pipe()
        process.standardOutput = output
        process.standardInput = input
        try process.run()
        _ = try output.fileHandleForReading.read(upToCount: 6)
        let result = try scan([.process(process.processIdentifier)])
        #expect(
            result.findings.contains {
                $0.form == ["hex", "raw"] && $0.place.file == "process \(process.processIdentifier)"
            })
        #expect(result.coverage.memoryRegions > 5)
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        #expect(throws: ScanError(.processMissing)) { try scan([.process(process.processIdentifier)]) }
        #expect(throws: ScanError(.processNotOwn)) { try scan([.process(getpid())]) }
    }

    // MARK: Archives

    @Test func archivesWithinArchivesAreOpened() throws {
        _ = try directory.write(LeakForm.base64.write(key.bytes), to: "in/secret.txt")
        try directory.shell("python3 -m zipfile -c b.zip in && tar czf a.tar.gz b.zip && rm -r in b.zip")
        let result = try scan()
        #expect(result.findings.map(\.form) == [["base64", "raw"]])
        #expect(result.findings.first?.place.entries.suffix(2) == ["b.zip", "in/secret.txt"])
        // gzip, tar, zip.
        #expect(result.gapCount == 0 && result.coverage.archives == 3)
        let shallow = try scan { $0.archiveDepth = 2 }
        #expect(shallow.findings.isEmpty && shallow.gaps.map(\.reason) == [.archiveTooDeep])
        #expect(shallow.outcome == .incomplete)
    }

    /// Entries that stand in an archive as they are are looked at with the file; where something is found, the entry is told as well.
    @Test(arguments: ["tar cf", "ar rc"]) func whatAnEntryHoldsIsFoundInTheFileAndInTheEntry(command: String) throws {
        _ = try directory.write(try Random.bytes(count: 70_001), to: "first.o")
        _ = try directory.write(LeakForm.base64.write(key.bytes), to: "second.o")
        try directory.shell("\(command) a.archive first.o second.o && rm first.o second.o")
        let result = try scan()
        #expect(Set(result.findings.map(\.place.entries)) == [[], ["second.o"]])
        #expect(result.gapCount == 0 && result.coverage.archives == 1 && result.coverage.archiveEntries == 2)
        #expect(result.findings.map(\.form) == [["base64", "raw"], ["base64", "raw"]])
    }

    @Test func anArchiveWithinAnEntryThatStandsAsItIsIsOpened() throws {
        _ = try directory.write(LeakForm.hexLower.write(key.bytes), to: "secret.txt")
        try directory.shell("gzip secret.txt && tar cf a.tar secret.txt.gz && rm secret.txt.gz")
        let result = try scan()
        #expect(result.findings.map(\.place.entries.count) == [2] && result.coverage.archives == 2)
        try directory.shell("truncate -s 700 a.tar")
        #expect(try scan().gaps.map(\.reason) == [.archiveDamaged])
    }

    /// Words are aligned in an entry, and need not be in the archive.
    @Test func aScheduleIsFoundHoweverItsEntryIsAligned() throws {
        for (before, shift) in [(2, 0), (4, 0), (2, 4), (4, 96)] {
            let schedule = try LeakForm.scheduleDecryption.write(try Random.bytes(count: 32))
            _ = try directory.write(try Random.bytes(count: before), to: "first.o")
            let second = try Random.bytes(count: shift) + schedule + Random.bytes(count: 3_000)
            _ = try directory.write(second, to: "second.o")
            try directory.shell("rm -f a.a && ar rc a.a first.o second.o && rm first.o second.o")
            #expect(try scan().findings.map(\.rule).allSatisfy { $0 == .keySchedule })
            #expect(try scan().findings.contains { $0.place.entries == ["second.o"] && $0.place.offset == shift })
        }
    }

    @Test func anArchiveThatUnpacksToTooMuchIsAGap() throws {
        try directory.shell("head -c 3000000 /dev/zero | gzip > bomb.gz")
        let result = try scan(selfTest: true) { $0.archiveBytes = 1_000_000 }
        #expect(result.gaps.map(\.reason) == [.archiveTooLarge] && result.outcome == .incomplete, "\(result.gaps)")
    }

    /// A stream that begins with zeros looks like an empty tar, and is none.
    @Test func zerosBeforeALeakInACompressedFileHideNothing() throws {
        _ = try directory.write([UInt8](repeating: 0, count: 20_000) + LeakForm.hexLower.write(key.bytes), to: "core")
        try directory.shell("gzip core")
        #expect(try scan().findings.map(\.place.offset) == [20_000])
    }

    @Test func aDamagedArchiveIsAGap() throws {
        _ = try directory.write(try Random.bytes(count: 40_000), to: "noise")
        try directory.shell(
            "gzip -k noise && truncate -s 30000 noise.gz && zip -q -r z.zip noise 2>/dev/null || python3 -m zipfile -c z.zip noise; truncate -s 20000 z.zip; rm noise"
        )
        let result = try scan(selfTest: true)
        #expect(Set(result.gaps.map(\.reason)) == [.archiveDamaged], "\(result.gaps)")
        #expect(result.outcome == .incomplete)
    }

    // MARK: What cannot be looked at

    /// Ciphertext begins like anything now and then: what cannot be an archive is none.
    @Test(
        arguments: [
            [0x1f, 0x8b, 0x07, 0x00], [0x1f, 0x8b, 0x08, 0x20], [0x1f, 0x8b], Array("BZh0".utf8),
            Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26],
            Array("BZh91234567".utf8),
        ] as [[UInt8]])
    func whatOnlyBeginsLikeAnArchiveIsNoGap(head: [UInt8]) throws {
        _ = try directory.write(head + Random.bytes(count: 3_000), to: "noise")
        let result = try scan()
        #expect(result.gapCount == 0 && result.coverage.archives == 0, "\(result.gaps)")
    }

    @Test func archivesOfEveryCompressionAreOpened() throws {
        _ = try directory.write(key.bytes, to: "a")
        try directory.shell(
            "/usr/bin/python3 -c 'import bz2, gzip, lzma; [open(m.__name__, \"wb\").write(m.compress(open(\"a\", \"rb\").read())) for m in (bz2, gzip, lzma)]'"
        )
        let result = try scan()
        #expect(result.coverage.archives == 3 && result.findings.count >= 4 && result.gapCount == 0, "\(result.gaps)")
    }

    @Test func whatIsNoFileIsAGap() throws {
        try directory.shell(
            "mkfifo fifo && ln -s /etc/hostname link && truncate -s 10M sparse && head -c 100 /dev/zero > plain")
        let result = try scan(selfTest: true) { $0.maximumFileBytes = 1 << 30 }
        #expect(
            Set(result.gaps.map { "\(FilePath($0.place).lastComponent?.string ?? ""): \($0.reason.rawValue)" }) == [
                "fifo: not_a_file", "sparse: sparse",
            ])
        #expect(result.coverage.symbolicLinks == 1 && result.outcome == .incomplete)
        let limited = try scan { $0.maximumFileBytes = 50 }
        #expect(Set(limited.gaps.map(\.reason)) == [.notAFile, .tooLarge])
        #expect(try scan([.path(directory.path.appending("nowhere"))]).gaps.map(\.reason) == [.unreadable])
        #expect(try scan([.path("/dev/null")]).gaps.map(\.reason) == [.notAFile])
        #expect(try scan([.path(directory.path.appending("link"))]).gaps.map(\.reason) == [.notAFile])
    }

    @Test func aNameThatHoldsASecretIsWithheld() throws {
        let hex = String(decoding: try LeakForm.hexLower.write(key.bytes), as: UTF8.self)
        _ = try directory.write(LeakForm.raw.write(key.bytes), to: "\(hex).txt")
        let result = try scan()
        #expect(Set(result.findings.map(\.rule)) == [.secretInName, .keyMaterial])
        let json = String(decoding: try JSONEncoder().encode(result.findings), as: UTF8.self)
        #expect(!json.contains(hex) && json.contains("(name withheld)"))
    }

    // MARK: Fingerprints

    @Test func fingerprintsAreOfTheSecretAndThePlace() throws {
        let leak = try LeakForm.hexLower.write(key.bytes)
        _ = try directory.write(leak, to: "a")
        _ = try directory.write(leak, to: "b")
        let first = try scan().findings
        #expect(Set(first.map(\.fingerprint)).count == 2)
        #expect(try scan().findings == first)
        let other = try Needle("throwaway", .key, SecretBytes(count: 32) { $0.copyBytes(from: key.bytes.reversed()) })
        let second = try Scan(needles: [other]).run([.path(directory.path)], selfTest: false).findings
        #expect(second.map(\.place) == first.map(\.place))
        #expect(Set(second.map(\.fingerprint)).isDisjoint(with: first.map(\.fingerprint)))
    }

    // MARK: The self-test

    @Test func theSelfTestFindsAll() throws {
        let certificate = try SelfTest.run()
        #expect(certificate.isWhole, "\(certificate.rows.filter { $0.found != $0.planted })")
        #expect(certificate.planted == LeakForm.allCases.count * PlantArtifact.allCases.count)
    }
}
