// SQLite tells of what an authorizer refuses only that it is "not authorized". Of a pragma it asks the database's file next, before it does
// anything (SQLITE_FCNTL_PRAGMA), and that may answer with a text. So each file gets the methods that it has, with that one answer in front.

import GRDBSQLite
import Synchronization

enum RefusalText {
    /// The methods of a file, and those that it had.
    private struct Answering {
        var methods: sqlite3_io_methods
        let original: UnsafePointer<sqlite3_io_methods>
    }

    /// Made once for each kind of file, of which there are very few, and there for as long as the process: by the methods it had.
    private static let made = Mutex<[UInt: UInt]>([:])
    /// What is to be answered, by the address of the file.
    private static let texts = Mutex<[UInt: String]>([:])

    /// Gives a file the answer.
    static func install(on file: UnsafeMutablePointer<sqlite3_file>) {
        guard let original = file.pointee.pMethods, !isInstalled(original) else { return }
        let answering = made.withLock { made in
            let key = UInt(bitPattern: original)
            if let known = made[key] { return known }
            let new = UnsafeMutablePointer<Answering>.allocate(capacity: 1)
            new.initialize(to: Answering(methods: original.pointee, original: original))
            new.pointee.methods.xFileControl = answer
            made[key] = UInt(bitPattern: new)
            return UInt(bitPattern: new)
        }
        file.pointee.pMethods = UnsafePointer(bitPattern: answering)
    }

    /// Says what the file is to answer to the pragma that SQLite is about to ask it of.
    ///
    /// - Returns: false where it cannot.
    static func post(_ text: String, on file: UnsafeMutablePointer<sqlite3_file>) -> Bool {
        guard let methods = file.pointee.pMethods, isInstalled(methods) else { return false }
        texts.withLock { $0[UInt(bitPattern: file)] = text }
        return true
    }

    private static func isInstalled(_ methods: UnsafePointer<sqlite3_io_methods>) -> Bool {
        made.withLock { $0.values.contains(UInt(bitPattern: methods)) }
    }

    private static let answer:
        @convention(c) (UnsafeMutablePointer<sqlite3_file>?, CInt, UnsafeMutableRawPointer?) -> CInt = {
            file, operation, argument in
            guard let file, let methods = file.pointee.pMethods else { return SQLITE_MISUSE }
            if operation == SQLITE_FCNTL_PRAGMA,
                let text = texts.withLock({ $0.removeValue(forKey: UInt(bitPattern: file)) })
            {
                argument?.assumingMemoryBound(to: UnsafeMutablePointer<CChar>?.self).pointee = copy(text)
                return SQLITE_AUTH
            }
            let original = UnsafeRawPointer(methods).assumingMemoryBound(to: Answering.self).pointee.original
            return original.pointee.xFileControl(file, operation, argument)
        }

    /// In SQLite's memory, which frees it.
    private static func copy(_ text: String) -> UnsafeMutablePointer<CChar>? {
        let bytes = text.utf8CString
        guard let memory = sqlite3_malloc64(UInt64(bytes.count)) else { return nil }
        bytes.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
        }
        return memory.assumingMemoryBound(to: CChar.self)
    }
}
