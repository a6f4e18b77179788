import GRDB
import TestSupport
import Testing

@testable import Keyring
@testable import Strongroom

@Suite struct EngineTests {
    @Test func theEngineIsSQLCipher() throws {
        let versions = try Engine.versions()
        #expect(versions.sqlcipher.split(separator: ".").count == 3)
        #expect(versions.sqlite.hasPrefix("3."))
    }

    /// A connection that nobody keyed is seen as such. That plain SQLite itself is refused is shown where plain SQLite is
    /// linked: Tests/ConsumerPackage.
    @Test func aConnectionWithoutAKeyIsSeen() throws {
        let (version, isKeyed) = try DatabaseQueue().read { db in
            (try EngineCheck.acceptedVersion(db), try EngineCheck.isKeyed(db))
        }
        #expect(version != nil)
        #expect(!isKeyed)
    }

    @Test func exitCodesAreWhatTheyAreSaidToBe() {
        #expect(StrongroomError(.engineIsNotSQLCipher).category.rawValue == 16)
        #expect(StrongroomError(.profileNotFound).category.rawValue == 10)
        #expect(StrongroomError(.profileInUse(process: nil)).category.rawValue == 11)
        #expect(KeyringError(.unlockFailed).category.rawValue == 12)
        #expect(KeyringError(.damaged(.keyring)).category.rawValue == 13)
        #expect(KeyringError(.tooFewUnlockers(required: 2)).category.rawValue == 15)
        #expect(StrongroomError(.sqlite(code: 13, .copy)).category.rawValue == 74)
    }

    @Test func anErrorOfTheEngineBringsNoTextAlong() throws {
        let secret = "SELECT 'hunter2' FROM nowhere"
        do {
            _ = try StrongroomError.wrapping(.query, nil) {
                try DatabaseQueue().read { try Row.fetchAll($0, sql: secret) }
            }
            Issue.record("it ran")
        } catch {
            var dumped = "\(error) \(String(reflecting: error))"
            dump(error, to: &dumped)
            #expect(!dumped.contains("hunter2") && !dumped.contains("nowhere"))
        }
    }
}
