// Who can read a file in effect: its mode and access list, and the directories that lead to it. For secrets that service managers, clusters
// and memory sticks bring, whose modes are not ours to choose: docs/security/policy.md, "Key files".

import CLinux
import Glibc
import Synchronization
import SystemPackage

enum EffectiveReaders {
    /// That only we and root can open the file: by its own mode and access list, or because a directory above it is closed to others.
    ///
    /// - Throws: `DurableFilesError` with `.isOwnedByAnother` or `.isOpenToOthers`.
    static func requireOnlyUs(_ file: SystemCalls.OpenFile, _ status: stat) throws {
        guard isOurs(status) else { throw DurableFilesError(.isOwnedByAnother, file.path) }
        if try isClosed(file, status, bits: 0o7) { return }
        // A directory that others cannot enter closes all that is below it. These are the directories of the file itself, not of a link.
        var place = (try? SystemCalls.place(of: file)) ?? "/"
        while place != "/" {
            place = DurableFiles.parent(of: place)
            // One that cannot be looked at closes nothing, as far as we know.
            guard let directory = try? SystemCalls.open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { continue }
            let status = try SystemCalls.status(of: directory)
            if isOurs(status), try isClosed(directory, status, bits: 0o1) { return }
        }
        throw DurableFilesError(.isOpenToOthers(mode: UInt16(status.st_mode & 0o7777)), file.path)
    }

    private static func isOurs(_ status: stat) -> Bool { status.st_uid == geteuid() || status.st_uid == 0 }

    /// Whether only we and root have any of `bits` (4 read, 2 write, 1 execute or enter).
    private static func isClosed(_ file: SystemCalls.OpenFile, _ status: stat, bits: UInt32) throws -> Bool {
        let mode = UInt32(status.st_mode)
        guard mode & bits == 0 else { return false }
        guard mode >> 3 & bits != 0 else { return true }
        // With an access list, the group's bits are its mask: the most that an entry for a user or group gives.
        guard let list = try accessList(of: file) else { return isOnlyOurs(group: status.st_gid) }
        return list.allSatisfy { entry in
            guard entry.permissions & mode >> 3 & bits != 0 else { return true }
            switch entry.tag {
            case .user: return entry.id == geteuid() || entry.id == 0
            case .owningGroup: return isOnlyOurs(group: status.st_gid)
            case .group: return isOnlyOurs(group: entry.id)
            case .owner, .mask, .others: return true
            case nil: return false
            }
        }
    }

    // MARK: Access lists

    private struct Entry {
        /// The tags of the kernel's format (acl(5), <linux/posix_acl_xattr.h>).
        enum Tag: UInt16 {
            case owner = 0x01, user = 0x02, owningGroup = 0x04, group = 0x08, mask = 0x10, others = 0x20
        }

        let tag: Tag?
        let permissions: UInt32
        let id: UInt32
    }

    /// The largest that is read, in bytes: hundreds of entries.
    private static let limit = 4_096

    /// The access list of a file; nil where it has none.
    private static func accessList(of file: SystemCalls.OpenFile) throws -> [Entry]? {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = try SystemCalls.count(.status) {
            bytes.withUnsafeMutableBytes { strongroom_read_access_list(file.descriptor, $0.baseAddress, $0.count) }
        }
        if count == 0 { return nil }
        // A version in 4 bytes; then 2 of a tag, 2 of permissions and 4 of an id, all in the order of the machine.
        guard count >= 4, (count - 4).isMultiple(of: 8) else { throw Errno.invalidArgument }
        return bytes.withUnsafeBytes { bytes in
            stride(from: 4, to: count, by: 8).map { start in
                Entry(
                    tag: .init(rawValue: bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self)),
                    permissions: UInt32(bytes.loadUnaligned(fromByteOffset: start + 2, as: UInt16.self)),
                    id: bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self))
            }
        }
    }

    // MARK: Groups

    /// Whether a group is root's or one of ours, and the system lists no other user in it. A cluster gives a pod such a group, which has no
    /// name there.
    private static func isOnlyOurs(group: gid_t) -> Bool {
        guard group == 0 || ownGroups().contains(group) else { return false }
        return members(of: group).allSatisfy { $0 == geteuid() || $0 == 0 }
    }

    private static func ownGroups() -> Set<gid_t> {
        var groups = [gid_t](repeating: 0, count: max(0, Int(getgroups(0, nil))))
        let count = Int(getgroups(CInt(groups.count), &groups))
        return Set(groups.prefix(max(0, count)) + [getegid()])
    }

    /// The users that are in a group, as far as the system lists them.
    private static func members(of group: gid_t) -> Set<uid_t> {
        users.withLock { _ in
            var names: Set<String> = []
            if let entry = getgrgid(group) {
                var next = entry.pointee.gr_mem
                while let name = next?.pointee {
                    names.insert(String(cString: name))
                    next = next?.advanced(by: 1)
                }
            }
            var members: Set<uid_t> = []
            setpwent()
            defer { endpwent() }
            while let user = getpwent() {
                let isNamed = user.pointee.pw_name.map { names.contains(String(cString: $0)) } ?? false
                if user.pointee.pw_gid == group || isNamed { members.insert(user.pointee.pw_uid) }
            }
            return members
        }
    }

    /// The C library goes through its lists with one place for all threads.
    private static let users = Mutex(())
}
