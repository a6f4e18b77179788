// What the repositories have in common: one transaction a call, and no error of another library beyond them.

import GRDB

/// Typed access to the database of an open profile.
protocol Repository: Sendable {
    var database: any DatabaseWriter { get }
}

extension Repository {
    func read<Result: Sendable>(_ body: @Sendable @escaping (Database) throws -> Result) async throws -> Result {
        try await refusing { try await database.read(body) }
    }

    func write<Result: Sendable>(_ body: @Sendable @escaping (Database) throws -> Result) async throws -> Result {
        try await refusing { try await database.write(body) }
    }
}

/// Runs something of which an error of the SQL engine is told by its number alone: its text holds SQL and names.
func refusing<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
        return try await body()
    } catch let error as DatabaseError {
        throw RehearsalError(.sqlite(code: error.extendedResultCode.rawValue))
    }
}
