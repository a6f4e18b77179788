// What is still to be looked at, in pieces that threads take one after the other. Directories are read as they are met, so that it
// stays small however many files there are.

import DurableFiles
import Glibc
import Synchronization
import SystemPackage

/// A piece of work for one thread.
enum WorkPiece: Sendable {
    /// A file, of which nothing has been looked at.
    case file(OpenedFile, isHeldToCiphertext: Bool)
    /// A part of a file; whether that is an archive whose entries stand in it as they are.
    case segment(OpenedFile, Range<Int>, isStored: Bool)
    /// The file again, as an archive.
    case archive(OpenedFile, ArchiveKind)
    /// The file again, held to being ciphertext.
    case ciphertext(OpenedFile)
    case memory(ProcessMemory, Range<UInt>)
    case stream(Int32, Artifact)
}

/// A file that is being looked at.
final class OpenedFile: Sendable {
    let data: DataFile
    let artifact: Artifact
    let length: Int

    init(_ data: DataFile, _ artifact: Artifact) {
        self.data = data
        self.artifact = artifact
        length = data.lengthAtOpening
    }
}

final class WorkQueue: Sendable {
    /// Something that is not taken apart yet.
    private enum Pending: Sendable {
        /// A target of the scan.
        case path(FilePath, shown: String)
        /// What stands in a directory.
        case entry(DirectoryEntry, DirectoryReader, shown: String)
        case directory(DirectoryReader, shown: String)
        /// The rest of a file.
        /// - isStored: whether it is an archive whose entries stand in it as they are.
        case rest(OpenedFile, isStored: Bool, next: Int)
        case piece(WorkPiece)
        case memory(ProcessMemory, next: Int, offset: UInt)
        case storedArchive(FilePath, FileIdentity?, Artifact)
    }

    private struct State: ~Copyable {
        var pending: [Pending] = []
        /// How many threads are taking something apart, of which more may come.
        var threadsTakingApart = 0
        var storedArchives: [Pending] = []
    }

    private let state: Mutex<State>
    private let options: ScanOptions
    private let collector: Collector
    private let names: Mutex<Names>

    /// Names are looked at by whoever reads a directory.
    private struct Names: ~Copyable { let check: NameCheck }

    init(_ targets: [ScanTarget], _ options: ScanOptions, _ collector: Collector) throws {
        self.options = options
        self.collector = collector
        let scanner = ByteScanner(collector.detectors.matchers, minimumBytes: collector.detectors.minimumBytes)
        names = Mutex(Names(check: NameCheck(scanner, collector)))
        var pending: [Pending] = []
        for target in targets.reversed() {
            switch target {
            case .path(let path): pending.append(.path(path, shown: path.shown))
            case .process(let process):
                pending.append(.memory(try ProcessMemory(process, collector), next: 0, offset: 0))
            case .descriptor(let descriptor, let name):
                pending.append(.piece(.stream(descriptor, Artifact(file: name))))
            }
        }
        let first = pending
        state = Mutex(State(pending: first))
    }

    private enum Turn: Sendable {
        case piece(WorkPiece)
        case takeApart(Pending)
        case wait
        case end
    }

    /// The next piece; nil where nothing is left.
    func next() throws -> WorkPiece? {
        while true {
            switch state.withLock({ state in turn(&state) }) {
            case .piece(let piece): return piece
            case .end: return nil
            // Rare and short: another thread is reading a directory, or opening the last file.
            case .wait: usleep(20)
            case .takeApart(let pending):
                // Files are opened and directories read while others go on.
                var found: [Pending] = []
                var piece: WorkPiece?
                defer {
                    let more = found
                    // Of a file there is more once its first segment has been read.
                    let isDone = if case .file? = piece { false } else { true }
                    state.withLock { state in
                        state.pending += more
                        if isDone { state.threadsTakingApart -= 1 }
                    }
                }
                piece = try takeApart(pending, &found)
                if let piece { return piece }
            }
        }
    }

    private func turn(_ state: inout State) -> Turn {
        while let pending = state.pending.popLast() {
            switch pending {
            case .piece(let piece): return .piece(piece)
            case .path, .entry, .directory, .storedArchive:
                state.threadsTakingApart += 1
                return .takeApart(pending)
            case .rest(let file, let isStored, let start):
                let end = min(file.length, start + SegmentScanner.segmentBytes)
                if end < file.length { state.pending.append(.rest(file, isStored: isStored, next: end)) }
                return .piece(.segment(file, start..<end, isStored: isStored))
            case .memory(let memory, let index, let offset):
                guard index < memory.regions.count else { continue }
                let region = memory.regions[index]
                let start = region.lowerBound + offset
                let end = min(region.upperBound, start + UInt(SegmentScanner.segmentBytes))
                state.pending.append(
                    end < region.upperBound
                        ? .memory(memory, next: index, offset: end - region.lowerBound)
                        : .memory(memory, next: index + 1, offset: 0))
                return .piece(.memory(memory, start..<end))
            }
        }
        return state.threadsTakingApart > 0 ? .wait : .end
    }

    /// What is to be done with a file, once its first segment has been read and shows what it is. It must be told of each file, whether
    /// that could be read or not.
    ///
    /// - Parameter start: where its second segment begins.
    func add(restOf file: OpenedFile, _ kind: ArchiveKind?, from start: Int, isHeldToCiphertext: Bool) {
        state.withLock { state in
            if isHeldToCiphertext { state.pending.append(.piece(.ciphertext(file))) }
            switch kind {
            case .stored: state.storedArchives.append(.storedArchive(file.data.path, file.data.identity, file.artifact))
            case let kind?: state.pending.append(.piece(.archive(file, kind)))
            case nil: break
            }
            if start < file.length { state.pending.append(.rest(file, isStored: kind == .stored, next: start)) }
            state.threadsTakingApart -= 1
        }
    }

    /// What can be done once every other piece has been: archives whose bytes have been looked at are opened.
    ///
    /// - Returns: whether there is anything.
    func takeStoredArchives() -> Bool {
        state.withLock { state in
            swap(&state.pending, &state.storedArchives)
            return !state.pending.isEmpty
        }
    }

    private func takeApart(_ pending: Pending, _ found: inout [Pending]) throws -> WorkPiece? {
        switch pending {
        case .path(let path, let shown): return takeApart(path, shown, &found)
        case .entry(let entry, let reader, let shown): return takeApart(entry, reader, shown, &found)
        case .directory(let reader, let shown): try takeApart(reader, shown, &found)
        case .storedArchive(let path, let identity, let artifact):
            do {
                let file = try DataFile(path)
                // Its name may have gone to another file.
                if file.identity == identity { return .archive(OpenedFile(file, artifact), .stored) }
                collector.add(.unreadable, artifact)
            } catch { collector.add(.unreadable, artifact) }
        case .rest, .piece, .memory: found.append(pending)
        }
        return nil
    }

    private static let namesAtOnce = 256

    private func takeApart(
        _ reader: DirectoryReader, _ shown: String, _ pending: inout [Pending]
    ) throws {
        let found: [DirectoryEntry]
        do {
            found = try reader.nextEntries(Self.namesAtOnce)
        } catch { return collector.add(.unreadable, Artifact(file: shown)) }
        guard !found.isEmpty else { return }
        pending.append(.directory(reader, shown: shown))
        for entry in found.sorted(by: { $0.name > $1.name }) {
            let part = try names.withLock { try $0.check.shown(entry.name, in: shown) }
            let separator = shown.hasSuffix("/") ? "" : "/"
            pending.append(.entry(entry, reader, shown: shown + separator + part))
        }
    }

    /// What stands in a directory is reached by the directory's descriptor: it may have been moved, or something else put in its place.
    private func takeApart(
        _ entry: DirectoryEntry, _ reader: DirectoryReader, _ shown: String, _ pending: inout [Pending]
    ) -> WorkPiece? {
        let artifact = Artifact(file: shown)
        do {
            switch entry.isRegularFile ? .regular : try reader.kind(of: entry.name) {
            case .regular: return take(try reader.file(entry.name), artifact, isNamed: false)
            case .directory:
                pending.append(.directory(try reader.directory(entry.name), shown: shown))
                collector.count { $0.directories += 1 }
            case .symbolicLink: collector.count { $0.symbolicLinks += 1 }
            case .other: collector.add(.notAFile, artifact)
            }
        } catch { collector.add(.unreadable, artifact) }
        return nil
    }

    /// A target of the scan.
    private func takeApart(_ path: FilePath, _ shown: String, _ pending: inout [Pending]) -> WorkPiece? {
        let artifact = Artifact(file: shown)
        do {
            switch try StrictFiles.kind(of: path) {
            case .regular: return take(try DataFile(path), artifact, isNamed: true)
            case .directory:
                pending.append(.directory(try DirectoryReader(path), shown: shown))
                collector.count { $0.directories += 1 }
            case .symbolicLink:
                collector.count { $0.symbolicLinks += 1 }
                // A link that is a target itself stands for what it leads to, which is not looked at.
                collector.add(.notAFile, artifact)
            case .other: collector.add(.notAFile, artifact)
            }
        } catch { collector.add(.unreadable, artifact) }
        return nil
    }

    private func take(_ data: DataFile, _ artifact: Artifact, isNamed: Bool) -> WorkPiece? {
        let file = OpenedFile(data, artifact)
        collector.count { $0.files += 1 }
        if let limit = options.maximumFileBytes, file.length > limit {
            collector.add(.tooLarge, artifact)
            return nil
        }
        if file.data.hasHoles { collector.add(.sparse, artifact) }
        guard file.length > 0 else { return nil }
        return .file(
            file, isHeldToCiphertext: options.expectsCiphertext && (isNamed || CiphertextCheck.isDatabase(data.path)))
    }
}
