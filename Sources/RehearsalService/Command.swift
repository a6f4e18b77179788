import Foundation
import Rehearsal
import Strongroom

/// The parameters of a method, by name. One that the method does not have is refused: it would be a misspelling of one that it has.
protocol Parameters: Decodable, Sendable {
    associatedtype CodingKeys: CodingKey & CaseIterable
}

/// The parameters of a method that has none.
struct NoParameters: Parameters {
    enum CodingKeys: CodingKey, CaseIterable {}
}

/// A method: its name, and which function of the app it stands for. There is nothing else to it.
struct Command: Sendable {
    enum Kind: Sendable { case reads, changes }
    typealias Work = @Sendable (RehearsalApp) async throws -> any Encodable & Sendable

    let method: String
    let kind: Kind
    /// The names of its parameters.
    let parameters: [String]
    /// Makes the work of the parameters, or of none.
    let prepare: @Sendable ((any Decoder)?) throws -> Work

    init<P: Parameters, Value: Encodable & Sendable>(
        _ method: String, _ kind: Kind, _ body: @escaping @Sendable (RehearsalApp, P) async throws -> Value
    ) {
        self.method = method
        self.kind = kind
        parameters = P.CodingKeys.allCases.map(\.stringValue)
        prepare = { decoder in
            let parameters = try Self.parameters(P.self, decoder)
            return { app in try await body(app, parameters) }
        }
    }

    /// A method without parameters.
    init<Value: Encodable & Sendable>(
        _ method: String, _ kind: Kind, _ body: @escaping @Sendable (RehearsalApp) async throws -> Value
    ) {
        self.init(method, kind) { (app, _: NoParameters) in try await body(app) }
    }

    static let all = profileCommands + runCommands + preferenceCommands + coachCommands + diagnosticsCommands
    private static let byMethod = Dictionary(all.map { ($0.method, $0) }) { first, _ in first }

    static func named(_ method: String) -> Command? { byMethod[method] }

    private static func parameters<P: Parameters>(_ type: P.Type, _ decoder: (any Decoder)?) throws -> P {
        let names = P.CodingKeys.allCases.map(\.stringValue)
        do {
            guard let decoder else { return try JSONDecoder().decode(P.self, from: Data("{}".utf8)) }
            let container = try decoder.container(keyedBy: AnyName.self)
            guard container.allKeys.allSatisfy({ names.contains($0.stringValue) }) else { throw Fault.invalidParams }
            return try P(from: decoder)
        } catch let error as any ReportableError {
            throw error
        } catch let fault as Fault {
            throw fault
        } catch {
            // The names of our own parameters are told, and nothing else of what came in.
            throw Fault.invalid(parameter: (error as? DecodingError)?.names.last { names.contains($0) })
        }
    }

    private struct AnyName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

extension DecodingError {
    /// The names on the way to what could not be read.
    fileprivate var names: [String] {
        switch self {
        case .keyNotFound(let key, let context): context.codingPath.map(\.stringValue) + [key.stringValue]
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.map(\.stringValue)
        @unknown default: []
        }
    }
}
