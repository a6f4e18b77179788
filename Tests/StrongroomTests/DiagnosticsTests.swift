import Foundation
import GRDB
import KeyPolicy
import SystemPackage
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

/// What may be shown to somebody who helps.
@Suite struct DiagnosticsTests {
    private static let canary = TestStore.canary

    private static var migrations: Migrations {
        var migrations = Migrations()
        migrations.add("create-note") { db in
            try db.execute(sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, of INTEGER REFERENCES note)")
            try db.execute(sql: "INSERT INTO note (body) VALUES (?)", arguments: [canary])
        }
        migrations.add("add-mood") { try $0.execute(sql: "ALTER TABLE note ADD COLUMN mood TEXT") }
        return migrations
    }

    private let test: TestStore
    private let info: ProfileInfo

    init() throws {
        test = try TestStore()
        let store = try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(schema: StoreSchema(profile: Self.migrations), recovery: .never))
        info = try store.createProfile(named: Self.canary)
        try store.openProfile(info).close()
        try store.lock()
    }

    private func open(_ migrations: Migrations? = DiagnosticsTests.migrations) throws -> Store {
        try Store.open(
            at: test.path, with: .keyFile(test.keyFile),
            options: StoreOptions(schema: StoreSchema(profile: migrations), recovery: .never))
    }

    @Test func whatIsAtRestIsSaidInFull() async throws {
        let store = try open()
        _ = try await store.createSnapshot(of: .profile(info.id))
        let state = try await #require(store.diagnostics(profile: info.id).profile)
        #expect(state.scope == .profile(info.id) && state.condition == .condition(.healthy) && !state.hasFindings)
        #expect(state.integrityCheck == .ok && state.foreignKeyViolations == 0 && state.schemaVersion == 0)
        #expect(state.appliedMigrationCount == 2 && state.expectedMigrationCount == 2)
        #expect(
            state.latestMigration?.description == "add-mood" && state.continuityOk == true
                && state.continuityError == nil)
        #expect(state.cipher?.pageSize == 4096 && state.cipher?.pageAuthentication == .hmacSHA512)
        #expect(state.cipher?.keyGeneration == 1 && state.cipher?.keyAgeDays == 0 && state.cipher?.isKeyDue == false)
        #expect(state.snapshots?.count == 1 && state.snapshots?.newest == state.snapshots?.oldest)
        #expect(state.snapshots?.lastVerified == nil && state.snapshots?.neverVerified == 1)
        #expect(state.lastRecovery == nil && !state.hasPendingChanges)
        let later = try await store.diagnostics(profile: info.id, now: Date() + 400 * 86_400)
        #expect(later.profile?.cipher?.isKeyDue == true && later.posture.violations?.isEmpty == false)
        try store.lock()
    }

    @Test func anOpenProfileSaysTheSame() throws {
        let store = try open()
        let profile = try store.openProfile(info)
        try profile.database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA foreign_keys = OFF")
            try db.execute(sql: "INSERT INTO note (body, of) VALUES ('b', 77)")
            try db.execute(sql: "PRAGMA user_version = 5")
        }
        let state = try #require(try profile.diagnostics().profile)
        #expect(state.condition == .condition(.healthy) && state.integrityCheck == .ok)
        #expect(state.foreignKeyViolations == 1 && state.hasFindings && state.schemaVersion == 5)
        #expect(state.appliedMigrationCount == 2 && state.continuityOk == true)
        try store.lock()
        #expect(code { _ = try profile.diagnostics() } == "store_locked")
    }

    @Test func aGapIsNamed() throws {
        var others = Migrations()
        others.add("create-note") { _ in }
        others.add("add-colour") { _ in }
        others.add("add-size") { _ in }
        let store = try open(others)
        let state = try #require(try store.diagnostics(profile: info.id).profile)
        #expect(state.continuityOk == false && state.continuityError?.position == 2 && state.hasFindings)
        #expect(state.continuityError?.registered?.description == "add-colour")
        #expect(state.continuityError?.applied.description == "add-mood")
        #expect(state.expectedMigrationCount == 3)
        try store.lock()
    }

    @Test func whatCannotBeReadIsSaidAllTheSame() throws {
        try TestFiles.edit(test.databaseFile(info)) { $0[4096 + 100] ^= 1 }
        try TestFiles.write([1, 2, 3], to: test.path.appending("global.db"))
        let store = try Store.openWithoutGlobal(
            at: test.path, with: .keyFile(test.keyFile), options: StoreOptions(recovery: .never))
        let found = try store.diagnostics(profile: info.id)
        #expect(found.global.condition == .condition(.truncated) && found.hasFindings)
        #expect(found.profile?.condition == .condition(.pagesDamaged(count: 1)) && found.profile?.damagedPages == 1)
        #expect(found.profile?.integrityCheck == .notRun && found.profile?.foreignKeyViolations == nil)
        #expect(found.posture.profiles == nil && found.posture.violations == nil && found.posture.unlockers == 1)
        try FileManager.default.removeItem(atPath: test.path.appending("keyring/envelopes/\(info.id).json").string)
        guard case .error(let code) = try store.diagnostics(profile: info.id).profile?.condition else {
            Issue.record("an envelope that is gone is an error")
            return
        }
        #expect(code.description == "envelope_missing")
        try store.lock()
    }

    /// Every value in it, however deep: numbers, dates, enums, and the few types that cannot be made from somebody's text.
    @Test func noTypeInItCanHoldWhatSomebodyChose() throws {
        let store = try open()
        let found = try store.diagnostics(profile: info.id)
        let closed: Set<String> = [
            "Int", "Bool", "Date", "LibraryVersion", "ErrorCode", "MigrationName", "PolicyIdentity", "ProfileID",
            "KeyScope", "CalendarDay",
            "DatabaseCondition", "IntegrityCheck", "Authentication", "Kind", "PolicyViolation", "State",
        ]
        let (leaves, open) = Self.leaves(of: found, closed)
        #expect(open.isEmpty, "\(open)")
        #expect(leaves > 30)
        try store.lock()
        // The negative control: a plain String is found.
        struct Leaky { let state = [Optional((name: "x", path: "/home"))] }
        #expect(!Self.leaves(of: Leaky(), closed).open.isEmpty)
    }

    private static func leaves(of value: Any, _ closed: Set<String>) -> (count: Int, open: Set<String>) {
        let type = "\(type(of: value))"
        if closed.contains(type) { return (1, []) }
        let children = Mirror(reflecting: value).children
        let structs: Set<String> = [
            "Diagnostics", "Engine", "DatabaseState", "Cipher", "Snapshots", "Recovery", "Posture", "MigrationGap",
        ]
        let isContainer = structs.contains(type) || type.hasPrefix("Optional<") || type.hasPrefix("Array<")
        guard isContainer else { return (1, [type]) }
        return children.reduce((0, [])) { sum, child in
            let inner = leaves(of: child.value, closed)
            return (sum.0 + inner.count, sum.1.union(inner.open))
        }
    }

    @Test func noContentIsInTheJSON() throws {
        let store = try open()
        let text = String(decoding: try JSONEncoder().encode(store.diagnostics(profile: info.id)), as: UTF8.self)
        #expect(!text.contains(Self.canary) && !text.contains("/") && !text.contains("note"))
        try store.lock()
    }
}
