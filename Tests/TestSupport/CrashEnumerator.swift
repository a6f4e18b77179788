// What a power loss may leave. The recorded changes of the disk are cut at every point, and for each cut every state is
// built in which a careless file system may find itself:
//
// - the bytes of a file that were not fsynced since: each 512-byte sector of each write is there or not (a missing one
//   reads as what was there before, or as zeros), in any combination;
// - the names in a directory that was not fsynced since: each creation, rename and removal is done or not, in any
//   combination.
//
// Where that is more than a limit, the extremes, each single one missing, each single one there, and a sample by a
// seeded generator are taken.

package import DurableFiles
import Foundation
package import SystemPackage

/// A disk as far as the recorded changes go: files by number, and names that lead to them.
package struct DiskState: Hashable {
    fileprivate var contents: [Int: [UInt8]] = [:]
    fileprivate var names: [String: Int] = [:]

    /// These files.
    package init(_ files: [String: [UInt8]]) {
        for (index, file) in files.sorted(by: { $0.key < $1.key }).enumerated() {
            names[file.key] = index
            contents[index] = file.value
        }
    }

    /// The bytes by path.
    package var files: [String: [UInt8]] { names.compactMapValues { contents[$0] } }

    /// Writes the state under `directory`, in place of `root`.
    package func materialise(at directory: FilePath, insteadOf root: FilePath) throws {
        for (name, bytes) in files where name.hasPrefix(root.string + "/") {
            let path = FilePath(directory.string + name.dropFirst(root.string.count))
            try FileManager.default.createDirectory(
                atPath: DurableFiles.parent(of: path).string, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            try TestFiles.write(bytes, to: path)
        }
    }
}

package struct CrashEnumerator {
    /// How many states are looked at where each takes long; all of them in a soak (`STRONGROOM_SOAK=1`).
    package static let sampleSize =
        ProcessInfo.processInfo.environment["STRONGROOM_SOAK"] == "1" ? Int.max : 160

    package static let sectorBytes = 512
    private static let combinationsLimit = 128
    private static let exhaustiveLimit = 6

    private enum NameChange {
        case add(String, file: Int)
        case move(from: String, to: String)
        case remove(String)
    }

    private struct PendingWrite {
        let file: Int
        let offset: Int
        let bytes: ArraySlice<UInt8>
    }

    private let initial: DiskState
    private let effects: [DiskEffect]

    /// - Parameters:
    ///   - initial: the files that are there, durable, before the first change.
    ///   - effects: what was recorded.
    package init(initial: [String: [UInt8]], effects: [DiskEffect]) {
        self.initial = DiskState(initial)
        self.effects = effects
    }

    /// Every state, each once.
    package func states() -> Set<DiskState> {
        var states: Set<DiskState> = []
        for cut in 0...effects.count {
            let moment = moment(after: effects.prefix(cut))
            for keptWrites in Self.combinations(of: moment.writes.count) {
                for keptChanges in Self.combinations(of: moment.changes.count) {
                    states.insert(moment.state(keptWrites, keptChanges))
                }
            }
        }
        return states
    }

    /// So many states, of cuts spread over all changes, the same each time: where each state takes long to look at, and all of
    /// them are too many to be built.
    package func sample(_ count: Int) -> [DiskState] {
        var generator = SplitMix64(state: UInt64(effects.count))
        return (0..<count).map { index in
            let stratum =
                index * (effects.count + 1) / count..<max(index + 1, (index + 1) * (effects.count + 1) / count)
            let cut = min(effects.count, Int.random(in: stratum, using: &generator))
            let moment = moment(after: effects.prefix(cut))
            return moment.state(
                Self.choice(of: moment.writes.count, &generator), Self.choice(of: moment.changes.count, &generator))
        }
    }

    /// None, all, or some of the pending things.
    private static func choice(of count: Int, _ generator: inout SplitMix64) -> [Int] {
        switch generator.next() % 4 {
        case 0: []
        case 1: Array(0..<count)
        default: (0..<count).filter { _ in generator.next() & 1 == 1 }
        }
    }

    /// What is durable after some changes, and what may or may not be.
    private struct Moment {
        var durable: DiskState
        var writes: [PendingWrite] = []
        var changes: [(directory: String, change: NameChange)] = []

        func state(_ keptWrites: [Int], _ keptChanges: [Int]) -> DiskState {
            var state = durable
            for index in keptWrites { CrashEnumerator.apply(writes[index], to: &state) }
            for index in keptChanges { CrashEnumerator.apply(changes[index].change, to: &state) }
            let reachable = Set(state.names.values)
            state.contents = state.contents.filter { reachable.contains($0.key) }
            return state
        }
    }

    private func moment(after effects: ArraySlice<DiskEffect>) -> Moment {
        var durable = initial
        var writes: [PendingWrite] = []
        var changes: [(directory: String, change: NameChange)] = []
        // What a running system sees: it says which file a path means.
        var visible = initial.names
        var nextFile = (initial.contents.keys.max() ?? -1) + 1

        for effect in effects {
            switch effect {
            case .created(let path):
                guard visible[path.string] == nil else { continue }
                visible[path.string] = nextFile
                durable.contents[nextFile] = []
                changes.append((Self.directory(of: path), .add(path.string, file: nextFile)))
                nextFile += 1
            case .wrote(let path, let offset, let bytes):
                guard let file = visible[path.string] else { continue }
                for start in stride(from: 0, to: bytes.count, by: Self.sectorBytes) {
                    let sector = bytes[start..<min(start + Self.sectorBytes, bytes.count)]
                    writes.append(PendingWrite(file: file, offset: Int(offset) + start, bytes: sector))
                }
            case .truncated(let path, let length):
                guard let file = visible[path.string] else { continue }
                let kept = (durable.contents[file] ?? []).prefix(Int(length))
                durable.contents[file] = kept + [UInt8](repeating: 0, count: Int(length) - kept.count)
                writes.removeAll { $0.file == file }
            case .rewritten(let path, let bytes):
                // In any order and any number of times: only that it is there after the sync is sure.
                if visible[path.string] == nil {
                    visible[path.string] = nextFile
                    changes.append((Self.directory(of: path), .add(path.string, file: nextFile)))
                    nextFile += 1
                }
                guard let file = visible[path.string] else { continue }
                let old = durable.contents[file] ?? []
                if old.count > bytes.count { durable.contents[file] = Array(old.prefix(bytes.count)) }
                for start in stride(from: 0, to: bytes.count, by: Self.sectorBytes) {
                    let sector = bytes[start..<min(start + Self.sectorBytes, bytes.count)]
                    guard
                        start + sector.count > old.count || Array(old[start..<(start + sector.count)]) != Array(sector)
                    else { continue }
                    writes.append(PendingWrite(file: file, offset: start, bytes: sector))
                }
            case .syncedFile(let path):
                guard let file = visible[path.string] else { continue }
                for write in writes where write.file == file { Self.apply(write, to: &durable) }
                writes.removeAll { $0.file == file }
            case .renamed(let from, let to):
                visible[to.string] = visible.removeValue(forKey: from.string)
                changes.append((Self.directory(of: to), .move(from: from.string, to: to.string)))
            case .linked(let from, let to):
                guard let file = visible[from.string] else { continue }
                visible[to.string] = file
                changes.append((Self.directory(of: to), .add(to.string, file: file)))
            case .unlinked(let path):
                visible[path.string] = nil
                changes.append((Self.directory(of: path), .remove(path.string)))
            case .syncedDirectory(let path):
                for pending in changes where pending.directory == path.string {
                    Self.apply(pending.change, to: &durable)
                }
                changes.removeAll { $0.directory == path.string }
            case .madeDirectory, .removedDirectory:
                // Directories hold nothing by themselves here; a file in a lost one is lost with its own name.
                continue
            }
        }

        return Moment(durable: durable, writes: writes, changes: changes)
    }

    private static func apply(_ write: PendingWrite, to state: inout DiskState) {
        var content = state.contents[write.file] ?? []
        let end = write.offset + write.bytes.count
        if content.count < end { content += [UInt8](repeating: 0, count: end - content.count) }
        content.replaceSubrange(write.offset..<end, with: write.bytes)
        state.contents[write.file] = content
    }

    private static func apply(_ change: NameChange, to state: inout DiskState) {
        switch change {
        case .add(let name, let file): state.names[name] = file
        case .move(let from, let to):
            guard let file = state.names.removeValue(forKey: from) else { return }
            state.names[to] = file
        case .remove(let name): state.names[name] = nil
        }
    }

    /// Which of `count` pending things happened, in order.
    private static func combinations(of count: Int) -> [[Int]] {
        let all = Array(0..<count)
        if count <= exhaustiveLimit {
            return (0..<(1 << count)).map { mask in all.filter { mask >> $0 & 1 == 1 } }
        }
        var combinations: [[Int]] = [[], all]
        for index in all.prefix(combinationsLimit) { combinations += [[index], all.filter { $0 != index }] }
        var generator = SplitMix64(state: UInt64(count))
        for _ in 0..<combinationsLimit { combinations.append(all.filter { _ in generator.next() & 1 == 1 }) }
        return combinations
    }

    private static func directory(of path: FilePath) -> String { DurableFiles.parent(of: path).string }
}

/// A small seeded generator (Steele, Lea, Flood 2014), so that a sample is the same each time.
package struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
