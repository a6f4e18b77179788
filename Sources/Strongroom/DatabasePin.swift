// A read transaction that holds a database still: what it sees is not overwritten, in the main file or in the WAL, for as
// long as it is open, while everybody goes on reading and writing.

import Foundation
import GRDB
import Synchronization

/// An open read transaction on a thread of its own, and what was read when it began.
final class DatabasePin<Value: Sendable>: Sendable {
    /// What was read at the moment of the pin.
    let value: Value
    private let released: Handover<Void>

    /// Pins what the writer sees now, which nobody can change before this returns.
    ///
    /// - Parameter database: called on the writer's own queue, outside a transaction.
    init(_ database: DatabasePool, read: @Sendable @escaping (Database) throws -> Value) throws {
        let began = Handover<Result<Value, any Error>>()
        let released = Handover<Void>()
        database.spawnConcurrentRead { transaction in
            let value = Result { try read(transaction.get()) }
            began.put(value)
            if case .success = value { released.take() }
        }
        value = try began.take().get()
        self.released = released
    }

    /// Pins what a connection of one's own sees, which is used for nothing else until the release.
    init(_ queue: DatabaseQueue, read: @Sendable @escaping (Database) throws -> Value) throws {
        let began = Handover<Result<Value, any Error>>()
        let released = Handover<Void>()
        Thread {
            do {
                try queue.read { db in
                    began.put(.success(try read(db)))
                    released.take()
                }
            } catch { began.put(.failure(error)) }
        }.start()
        value = try began.take().get()
        self.released = released
    }

    /// Ends the transaction. Does nothing the second time.
    func release() { released.put(()) }
}

/// Keeps an open database from being closed, until it is released or gone. It also keeps the database itself: an app that
/// lets a profile go meanwhile would close it on the thread that is yet to release the hold, and wait for itself.
final class OpenHold: Sendable {
    private let group: Mutex<DispatchGroup?>
    private let database: any AnyObject & Sendable

    init(_ group: DispatchGroup, of database: any AnyObject & Sendable) {
        group.enter()
        self.group = Mutex(group)
        self.database = database
    }

    deinit { release() }

    /// Does nothing the second time.
    func release() {
        group.withLock { group in
            group?.leave()
            group = nil
        }
    }
}

/// A value that one thread puts and another waits for.
final class Handover<Value: Sendable>: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    private let value = Mutex<Value?>(nil)

    func put(_ new: Value) {
        value.withLock { $0 = new }
        semaphore.signal()
    }

    func take() -> Value {
        while true {
            semaphore.wait()
            if let value = value.withLock({ $0 }) { return value }
        }
    }
}
