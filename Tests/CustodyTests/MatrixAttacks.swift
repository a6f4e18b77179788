// What an attacker puts in the place of a file: every variant of every file, made once a run.

import Foundation
import SystemPackage
import TestSupport

enum MatrixAttack: String, CaseIterable, Sendable {
    case older
    case otherScope = "other scope"
    case otherStore = "other store"
    case absent, empty
    case forged = "forged, no key"
    case forgedWithVerifyKey = "verify key"
    case forgedWithRemovedSecret = "removed secret"
}

/// One file of the store, and what takes its place.
struct MatrixVariant: Sendable {
    let role: String
    let attack: MatrixAttack
    /// Tells variants of one attack apart.
    let name: String
    /// What is put where; nil for nothing. The first is the role's own file.
    let changes: [(path: String, bytes: [UInt8]?)]

    /// Whether it is about a page in the middle, which is authenticated when it is read.
    var isOfOnePage: Bool { role.hasPrefix("database ") && ["a bit", "pages exchanged"].contains(name) }

    var description: String { "\(role) ← \(attack.rawValue) (\(name))" }
}

/// All variants, with what the forger says that must never be found under a new MAC.
struct MatrixAttacks: Sendable {
    private(set) var variants: [MatrixVariant] = []
    /// Root keys of the attacker's own, and data keys' ids.
    private(set) var foreignRoots: [String] = []
    /// Root keys that the removed unlocker opened.
    private(set) var knownRoots: [String: String] = [:]

    private let template: MatrixTemplate
    private let other: MatrixTemplate
    private let place: FilePath
    private let forger: Forger

    /// - Parameter place: a directory for the forger's files.
    init(_ template: MatrixTemplate, _ other: MatrixTemplate, in place: FilePath) throws {
        self.template = template
        self.other = other
        self.place = place
        forger = try Forger.shared.get()
        try template.present.write(to: place.appending("present"))
        for (name, tree) in template.moments { try tree.write(to: place.appending("moment \(name)")) }
        addOlder()
        addOthers()
        for role in roles {
            guard let bytes = template.present[template.path(role)] else {
                if !role.hasPrefix("restore") { add(role, .empty, "empty", [(template.path(role), [])]) }
                continue
            }
            add(role, .absent, "absent", [(template.path(role), nil)])
            if !bytes.isEmpty { add(role, .empty, "empty", [(template.path(role), [])]) }
        }
        for role in roles where role.hasPrefix("restore") { add(role, .empty, "empty", [(template.path(role), [])]) }
        try addForgeries()
    }

    /// Every role that a file of the present, or an absent one, has.
    var roles: [String] {
        template.paths.filter { role, path in
            // Where one of these stands, something happened; the others are always there.
            let comesAndGoes =
                ["wal ", "journal ", "restore "].contains { role.hasPrefix($0) } && !role.hasSuffix(" gone")
            let isFile =
                template.present[path] != nil
                && (!role.hasSuffix(" gone") || path.contains("/keyring/") || path.hasPrefix("backup/"))
            return comesAndGoes || isFile
        }.keys.sorted()
    }

    private mutating func add(
        _ role: String, _ attack: MatrixAttack, _ name: String, _ changes: [(path: String, bytes: [UInt8]?)]
    ) {
        // What is the present is no attack.
        if changes.allSatisfy({ template.present[$0.path] == $0.bytes }) { return }
        variants.append(MatrixVariant(role: role, attack: attack, name: name, changes: changes))
    }

    // MARK: What needs no forger

    private mutating func addOlder() {
        for role in roles {
            let path = template.path(role)
            var seen: Set<[UInt8]> = []
            for (name, tree) in template.moments {
                guard let bytes = tree[path], seen.insert(bytes).inserted else { continue }
                add(role, .older, name, [(path, bytes)])
            }
        }
        // A journal that has acted, with a database that stands ready: at one moment it was this one.
        let place = "store/profiles/\(template.ids["beta"].map { "\($0)" } ?? "")"
        let note = template.present.files.filter { $0.key.hasPrefix(place) && $0.key.hasSuffix("/restore.json") }.max {
            $0.key < $1.key
        }
        for moment in ["beta restored again", "snapshots", "all rotated"] {
            let database = template.moments.first { $0.name == moment }?.tree["\(place)/profile.db"]
            add(
                "restore beta", .older, "with the database of: \(moment)",
                [("\(place)/restore.json", note?.value), ("\(place)/profile.db.restoring", database)])
        }
        add("restore beta", .older, "alone", [("\(place)/restore.json", note?.value)])
        add("restore alpha", .otherScope, "beta's", [(template.path("restore alpha"), note?.value)])
        add("restore global", .otherScope, "beta's", [(template.path("restore global"), note?.value)])
    }

    /// The role of the same kind in another scope.
    private static func sibling(_ role: String) -> [String] {
        let words = role.split(separator: " ").map(String.init)
        guard words.count > 1 else { return [] }
        let scopes = ["alpha": ["beta", "gone"], "beta": ["alpha"], "global": ["alpha"], "gone": ["alpha"]]
        return words.indices.flatMap { index in
            (scopes[words[index]] ?? []).map { other in
                var changed = words
                changed[index] = other
                return changed.joined(separator: " ")
            }
        }
    }

    private mutating func addOthers() {
        let session = template.moments.first { $0.name == "in session" }?.tree
        let otherSession = other.moments.first { $0.name == "in session" }?.tree
        for role in roles {
            let path = template.path(role)
            var siblings = Self.sibling(role)
            if role.hasSuffix(" old") { siblings.append(role.dropLast(3) + "new") }
            if role.hasSuffix(" new") { siblings.append(role.dropLast(3) + "old") }
            for sibling in siblings {
                guard let source = template.paths[sibling] else { continue }
                if let bytes = template.present[source] ?? session?[source] {
                    add(role, .otherScope, sibling, [(path, bytes)])
                }
            }
            guard let source = other.paths[role] else { continue }
            if let bytes = other.present[source] ?? otherSession?[source] {
                add(role, .otherStore, "the same", [(path, bytes)])
            }
        }
    }

    // MARK: Forgeries

    private func file(_ role: String, at moment: String? = nil) -> FilePath {
        place.appending(moment.map { "moment \($0)" } ?? "present").pushing(FilePath(template.path(role)))
    }

    /// Asks for one file and reads it.
    private func forge(_ command: String, _ request: [String: Any]) throws -> [UInt8] {
        let out = place.appending("out")
        try forger(command, request.merging(["out": out]) { $1 })
        return try FileTree.read(out.string)
    }

    private func edit(_ path: [Any], _ value: Any? = nil) -> [String: Any] { Forger.edit(path, value) }

    private mutating func addForgeries() throws {
        let removed = place.appending("present").appending("removed")
        for moment in ["snapshots", "gone shredded"] {
            let opened = try forger("open-keyring", ["keyring": file("keyring", at: moment), "keyFile": removed])
            knownRoots.merge(try opened.value("roots", as: [String: String].self)) { $1 }
        }
        for role in roles {
            let kind = role.split(separator: " ").first.map(String.init) ?? role
            switch role.hasPrefix("backup ") ? String(role.dropFirst(7).split(separator: " ")[0]) : kind {
            case "keyring": try addKeyrings(role)
            case "envelope": try addDocuments(role, [edit(["epoch"], 1_000)], [edit(["session"], "open")])
            case "store": try addStoreFiles(role)
            case "certificate": try addDocuments(role, [edit(["outcome"], "shredded")], [edit(["filesExamined"], 7)])
            case "manifest": try addManifests(role)
            case "verified":
                let bytes = try forge(
                    "resum", ["file": file(role), "edits": [edit(["verified"], "2030-01-01T00:00:00Z")]])
                add(role, .forged, "newer", [(template.path(role), bytes)])
            case "database", "pages": try addPages(role)
            case "wal": try addWALs(role)
            case "journal":
                add(
                    role, .forged, "shortens",
                    [(template.path(role), try forge("journal", ["pages": 2, "pageSize": 1024]))])
            case "restore": try addJournals(role)
            case "policy":
                let weak = String(decoding: template.present[template.path(role)] ?? [], as: UTF8.self)
                    .replacing("required: 1", with: "required: 2")
                add(role, .forged, "edited", [(template.path(role), Array(weak.utf8))])
            case "verify":
                add(role, .forged, "other keys", [(template.path(role), flipped(template.path(role)))])
            default: break
            }
        }
    }

    private func flipped(_ path: String) -> [UInt8] {
        var bytes = template.present[path] ?? []
        bytes[bytes.count - 1] ^= 1
        return bytes
    }

    /// A document with edits: its sum right, and under a root key that was rotated since.
    private mutating func addDocuments(_ role: String, _ edits: [[String: Any]]...) throws {
        let path = template.path(role)
        for (number, edits) in edits.enumerated() {
            let request: [String: Any] = ["file": file(role), "edits": edits]
            add(role, .forged, "edit \(number)", [(path, try forge("resum", request))])
            for (version, root) in knownRoots.sorted(by: { $0.key < $1.key }) {
                let signed = try forge("sign", request.merging(["root": root, "version": Int(version) ?? 0]) { $1 })
                add(role, .forgedWithRemovedSecret, "edit \(number), root \(version)", [(path, signed)])
                let claimed = try forge("sign", request.merging(["root": root]) { $1 })
                add(
                    role, .forgedWithRemovedSecret, "edit \(number), root \(version) for the active one",
                    [(path, claimed)])
            }
        }
    }

    private mutating func addKeyrings(_ role: String) throws {
        let path = template.path(role)
        try addDocuments(role, [edit(["unlockers", 0, "label"], "forged")], [edit(["sequence"], 999)])
        for endorsed in ["missing", "random", "known"] {
            for destroys in [true, false] {
                let known: [String: Any] = ["version": 2, "root": knownRoots["2"] ?? ""]
                let out = place.appending("out")
                let made = try forger(
                    "takeover",
                    [
                        "keyring": file(role), "out": out, "endorsed": endorsed, "known": known, "destroys": destroys,
                        "by": 50,
                    ])
                foreignRoots.append(try made.value("root"))
                add(
                    role, endorsed == "known" ? .forgedWithRemovedSecret : .forged,
                    "takeover, endorsement \(endorsed)\(destroys ? "" : ", others stay")",
                    [(path, try FileTree.read(out.string))])
            }
        }
        add(role, .forged, "more unlockers", [(path, try forge("unlockers", ["keyring": file(role), "count": 6]))])
        // The keyring of when the unlocker was still there, as if it were the newest.
        for moment in ["snapshots", "gone shredded", "unlocker removed"] {
            let source = file("keyring", at: moment)
            guard let root = knownRoots[moment == "snapshots" ? "1" : "2"] else { continue }
            let bytes = try forge("sign", ["file": source, "root": root, "edits": [edit(["sequence"], 999)]])
            add(role, .forgedWithRemovedSecret, "of: \(moment), sequence raised", [(path, bytes)])
            guard role == "keyring", let tree = template.moments.first(where: { $0.name == moment })?.tree else {
                continue
            }
            // With everything that is under its root key, but for the databases.
            let envelopes =
                template.paths.values.filter { $0.hasPrefix("store/keyring/envelopes/") } + [template.path("store")]
            add(
                role, .forgedWithRemovedSecret, "of: \(moment), sequence raised, with envelopes and store file",
                [(path, bytes)] + envelopes.sorted().map { ($0, tree[$0]) })
        }
    }

    private mutating func addStoreFiles(_ role: String) throws {
        let policyRole = role == "store" ? "policy" : "backup policy"
        let weak = Array(
            String(decoding: template.present[template.path(policyRole)] ?? [], as: UTF8.self)
                .replacing("rootKey: 365", with: "rootKey: 36500").utf8)
        let edits = [edit(["policy", "digest"], TestDigest.sha256(weak))]
        try addDocuments(role, edits, [edit(["policy", "name"], "forged")])
        let policyPath = template.path(policyRole)
        add(
            role, .forged, "with a weaker policy",
            [(template.path(role), try forge("resum", ["file": file(role), "edits": edits])), (policyPath, weak)])
        for (version, root) in knownRoots.sorted(by: { $0.key < $1.key }) {
            let bytes = try forge(
                "sign", ["file": file(role), "edits": edits, "root": root, "version": Int(version) ?? 0])
            add(
                role, .forgedWithRemovedSecret, "with a weaker policy, root \(version)",
                [(template.path(role), bytes), (policyPath, weak)])
        }
    }

    /// The entry of the verify key that a file of pages is under; nil where the attacker has none.
    private func entry(of bytes: [UInt8]) throws -> String? {
        let id = bytes.prefix(16).map { String(format: "%02x", $0) }.joined()
        let entries: [String] = try forger("verify-key", ["file": place.appending("present").appending("verify.key")])
            .value("entries")
        return entries.first { $0.hasPrefix(id) }
    }

    private mutating func addPages(_ role: String) throws {
        let (path, source) = (template.path(role), file(role))
        let request: [String: Any] = ["file": source, "pageSize": 1024]
        // Where there are so few pages, rows are in the third one.
        let count = (template.present[path]?.count ?? 0) / 1024
        let flip: [String: Any] = request.merging([
            "number": min(4, count), "bits": [5003, 7200], "entry": String(repeating: "0", count: 96),
        ]) { $1 }
        add(role, .forged, "a bit", [(path, try forge("page", flip.merging(["retag": false]) { $1 }))])
        add(role, .forged, "pages exchanged", [(path, try forge("swap", request.merging(["a": 2, "b": 3]) { $1 }))])
        add(role, .forged, "cut", [(path, try forge("truncate", request.merging(["pages": 2]) { $1 }))])
        add(role, .forged, "garbage", [(path, try forge("garbage", ["bytes": 4096]))])
        guard let bytes = template.present[path], let entry = try entry(of: bytes) else { return }
        let page = try forge("page", flip.merging(["entry": entry]) { $1 })
        add(role, .forgedWithVerifyKey, "a page", [(path, page)])
        guard role.hasPrefix("pages ") else { return }
        let manifest = "manifest " + role.dropFirst(6)
        let pages = place.appending("forged pages")
        try TestFiles.write(page, to: pages)
        let made = try forge("manifest", ["file": file(manifest), "pages": pages, "entry": entry])
        add(role, .forgedWithVerifyKey, "a page and the manifest", [(path, page), (template.path(manifest), made)])
        guard let key = try knownDataKey(of: bytes) else { return }
        let signed = place.appending("forged manifest")
        try TestFiles.write(made, to: signed)
        add(
            role, .forgedWithRemovedSecret, "a page and the manifest under a retired data key",
            [
                (path, page),
                (
                    template.path(manifest),
                    try forge("sign", ["file": signed, "dataKey": key, "edits": [edit(["ordinal"], 99)]])
                ),
            ])
    }

    /// The data key that a file of pages is under, where the removed unlocker opened its envelope.
    private func knownDataKey(of bytes: [UInt8]) throws -> String? {
        let id = bytes.prefix(16).map { String(format: "%02x", $0) }.joined()
        for name in ["alpha", "beta", "global"] {
            let found = try forger(
                "data-keys", ["envelope": file("envelope \(name)", at: "gone shredded"), "roots": knownRoots])
            for (_, value) in try found.value("keys", as: [String: [String: Any]].self)
            where value["keyId"] as? String == id {
                return value["key"] as? String
            }
        }
        return nil
    }

    private mutating func addManifests(_ role: String) throws {
        let path = template.path(role)
        for (name, edits) in [("ordinal", [edit(["ordinal"], 99)]), ("epoch", [edit(["epoch"], 99)])] {
            add(role, .forged, name, [(path, try forge("resum", ["file": file(role), "edits": edits]))])
            let pages = template.path("pages " + role.dropFirst(9))
            guard let bytes = template.present[pages] else { continue }
            if let entry = try entry(of: bytes) {
                let request: [String: Any] = [
                    "file": file(role), "pages": file("pages " + role.dropFirst(9)), "entry": entry, "edits": edits,
                ]
                add(role, .forgedWithVerifyKey, name, [(path, try forge("manifest", request))])
            }
            guard let key = try knownDataKey(of: bytes) else { continue }
            let signed = try forge("sign", ["file": file(role), "dataKey": key, "edits": edits])
            add(role, .forgedWithRemovedSecret, "\(name), retired data key", [(path, signed)])
        }
    }

    private mutating func addWALs(_ role: String) throws {
        let (path, database) = (template.path(role), "database " + role.dropFirst(4))
        guard let bytes = template.present[template.path(database)] else { return }
        let count = bytes.count / 1024
        let frame: [String: Any] = ["page": 3, "commit": count, "file": file(database), "from": 2]
        add(
            role, .forged, "a page for another",
            [(path, try forge("build-wal", ["pageSize": 1024, "frames": [frame]]))])
        let own: [String: Any] = ["page": 3, "commit": 3, "file": file(database)]
        add(role, .forged, "shortens", [(path, try forge("build-wal", ["pageSize": 1024, "frames": [own]]))])
        guard let entry = try entry(of: bytes) else { return }
        let changed = place.appending("forged database")
        let request: [String: Any] = [
            "file": file(database), "pageSize": 1024, "number": 3, "bits": [1000], "entry": entry,
        ]
        try TestFiles.write(try forge("page", request), to: changed)
        let forged: [String: Any] = ["page": 3, "commit": count, "file": changed]
        add(
            role, .forgedWithVerifyKey, "a page",
            [(path, try forge("build-wal", ["pageSize": 1024, "frames": [forged]]))])
    }

    private mutating func addJournals(_ role: String) throws {
        let path = template.path(role)
        let name = String(role.dropFirst(8))
        let database = template.path("database \(name)")
        let document: [String: Any] = [
            "format": "strongroom/restore", "version": 1, "critical": [String](),
            "scope": template.ids[name].map { "\($0)" } ?? "global", "started": "2026-11-26T00:00:00Z", "epoch": 1,
            "quarantine": "restore-20261126T000000.000Z", "firstPage": String(repeating: "0", count: 64),
        ]
        let old = template.moments.first { $0.name == "gone shredded" }?.tree[database]
        add(
            role, .forged, "composed",
            [(path, try forge("compose", ["document": document])), (database + ".restoring", old)])
        for (version, root) in knownRoots.sorted(by: { $0.key < $1.key }) {
            for line in [Int(version) ?? 0, 3] {
                let bytes = try forge("compose", ["document": document, "root": root, "version": line])
                add(
                    role, .forgedWithRemovedSecret, "composed, root \(version) as \(line)",
                    [(path, bytes), (database + ".restoring", old)])
            }
        }
    }
}
