import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import DurableFiles

/// Secrets whose modes are not ours to choose.
@Suite(.enabled(if: geteuid() == 0, "only root can make files that belong to others"))
struct EffectiveReadersTests {
    private let directory: TemporaryDirectory
    private let file: FilePath
    /// Nobody has this group, and these users are in no list.
    private static let (group, user, stranger): (gid_t, uid_t, uid_t) = (54_321, 54_322, 54_323)

    init() throws {
        directory = try TemporaryDirectory()
        file = directory.appending("secret")
        try TestFiles.write([1, 2, 3], to: file)
    }

    /// What reading says to a user; `read` where it reads.
    ///
    /// - Parameter list: what an access list has besides owner, group and others: tag, permissions, id.
    private func reading(
        _ path: FilePath? = nil, as user: uid_t, groups: [gid_t] = [], mode: mode_t, owner: uid_t = 0, group: gid_t = 0,
        list: [(tag: Int, permissions: Int, id: Int)] = [], mask: Int = 7, directoryMode: mode_t = 0o755
    ) throws -> String {
        #expect(chmod(directory.path.string, directoryMode) == 0)
        #expect(chown(file.string, owner, group) == 0 && chmod(file.string, mode) == 0)
        if !list.isEmpty {
            let fixed = [
                (1, Int(mode >> 6 & 7), -1), (4, Int(mode >> 3 & 7), -1), (16, mask, -1), (32, Int(mode & 7), -1),
            ]
            let entries = (list + fixed).sorted { $0.0 < $1.0 }
            try python(
                """
                import os, struct
                data = struct.pack("<I", 2)
                for tag, permissions, id in \(entries.map { "[\($0.0), \($0.1), \($0.2)]" }):
                    data += struct.pack("<HHI", tag, permissions, id & 0xffffffff)
                os.setxattr("\(file)", "system.posix_acl_access", data)
                """.replacing("\"[", with: "[").replacing("]\"", with: "]"))
        }
        defer { if !list.isEmpty { try? python("import os; os.removexattr('\(file)', 'system.posix_acl_access')") } }
        let child = try ChildProcess(
            "TestHelper", ["read-secret", (path ?? file).string, "\(user)"] + groups.map { "\($0)" })
        return child.finish().outputText.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func python(_ text: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", text]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test func aFileOfOurs() throws {
        #expect(try reading(as: Self.user, mode: 0o400, owner: Self.user) == "read")
        // In the group of root is nobody but root.
        #expect(try reading(as: Self.user, mode: 0o440, owner: Self.user) == "read")
        for mode: mode_t in [0o440, 0o404, 0o420, 0o401] {
            #expect(
                try reading(as: Self.user, mode: mode, owner: Self.user, group: 1) == "file_open_to_others", "\(mode)")
        }
        #expect(try reading(as: Self.user, mode: 0o444, owner: Self.stranger) == "file_owned_by_another")
    }

    /// As a service manager hands a credential to a service of its own user.
    @Test func anAccessListThatNamesUs() throws {
        let us = (tag: 2, permissions: 4, id: Int(Self.user))
        let stranger = (tag: 2, permissions: 4, id: Int(Self.stranger))
        let group = (tag: 8, permissions: 4, id: Int(Self.group))
        #expect(try reading(as: Self.user, mode: 0o400, list: [us]) == "read")
        #expect(try reading(as: Self.user, mode: 0o400, list: [us, stranger]) == "file_open_to_others")
        #expect(try reading(as: Self.user, mode: 0o400, list: [us, group]) == "file_open_to_others")
        // What the mask takes away nobody has.
        let writer = (tag: 2, permissions: 2, id: Int(Self.stranger))
        #expect(try reading(as: Self.user, mode: 0o400, list: [us, writer], mask: 4) == "read")
        #expect(try reading(as: Self.user, mode: 0o400, list: [us, writer], mask: 6) == "file_open_to_others")
    }

    /// As a cluster projects a secret: links within a directory, readable for a group that only the pod has.
    @Test func linksAndAGroupOfOurOwn() throws {
        let data = directory.appending("..data")
        try FileManager.default.createSymbolicLink(atPath: data.string, withDestinationPath: ".")
        let link = directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: "..data/secret")
        #expect(try reading(link, as: Self.user, groups: [Self.group], mode: 0o440, group: Self.group) == "read")
        #expect(
            try reading(link, as: Self.user, groups: [Self.group], mode: 0o444, group: Self.group)
                == "file_open_to_others")
        // A group that others are in as well.
        #expect(try reading(as: Self.user, groups: [1], mode: 0o440, group: 1) == "file_open_to_others")
    }

    /// As a memory stick is mounted for one user: everything on it is readable, and the way to it is closed.
    @Test func aWayThatIsClosed() throws {
        let inner = directory.appending("stick")
        try FileManager.default.createDirectory(
            atPath: inner.string, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        let moved = inner.appending("secret")
        try FileManager.default.linkItem(atPath: file.string, toPath: moved.string)
        // Two names: by the other one others may reach it.
        #expect(try reading(moved, as: 0, mode: 0o644, directoryMode: 0o700) == "file_is_hard_linked")
        try FileManager.default.removeItem(atPath: moved.string)
        #expect(try reading(as: 0, mode: 0o644, directoryMode: 0o700) == "read")
        #expect(try reading(as: 0, mode: 0o644, directoryMode: 0o711) == "file_open_to_others")
        #expect(try reading(as: 0, mode: 0o644, directoryMode: 0o710) == "read")
    }
}
