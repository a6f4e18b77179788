import DurableFiles
import PageCipher
import SystemPackage

@testable import Keyring
@testable import Snapshots

/// Every page of a file, authenticated under a key that need not be its own.
enum PageScanner {
    static func scan(_ path: FilePath, under key: DataKey) throws -> PageScan {
        try PageScan(of: DataFile(path), layout: key.info.pageFormat.layout) { try key.makePageAuthenticator() }
    }
}
