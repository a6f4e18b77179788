// What comes in: JSON-RPC 2.0, https://www.jsonrpc.org/specification. A message that is not what it should be is an answer, not an error
// of the parser, so that one bad call of a batch costs only itself.

import Foundation
import Rehearsal

/// What a reply says it is a reply to.
enum CallID: Sendable, Hashable, Codable {
    case text(String)
    case number(Decimal)
    case null

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else {
            self = .number(try container.decode(Decimal.self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .null: try container.encodeNil()
        }
    }
}

/// One call: what is to be done, or why it cannot be.
struct Call: Sendable, Decodable {
    /// Nil for a notification, which is never answered.
    let id: CallID?
    /// Whether it changes something.
    let changes: Bool
    let work: Result<Command.Work, Fault>

    private enum Key: CodingKey { case jsonrpc, id, method, params }

    init(from decoder: any Decoder) {
        guard let container = try? decoder.container(keyedBy: Key.self) else {
            self.init(id: .null, changes: false, work: .failure(.invalidRequest))
            return
        }
        // An id that is none cannot be answered to, and what has none is a notification only if all else is in order.
        let id = container.contains(.id) ? try? container.decode(CallID.self, forKey: .id) : nil
        guard container.contains(.id) == (id != nil), (try? container.decode(String.self, forKey: .jsonrpc)) == "2.0",
            let method = try? container.decode(String.self, forKey: .method)
        else {
            self.init(id: id ?? .null, changes: false, work: .failure(.invalidRequest))
            return
        }
        guard let command = Command.named(method) else {
            self.init(id: id, changes: false, work: .failure(.methodNotFound))
            return
        }
        do {
            let parameters = container.contains(.params) ? try container.superDecoder(forKey: .params) : nil
            self.init(id: id, changes: command.kind == .changes, work: .success(try command.prepare(parameters)))
        } catch {
            self.init(id: id, changes: false, work: .failure(Fault(error)))
        }
    }

    private init(id: CallID?, changes: Bool, work: Result<Command.Work, Fault>) {
        self.id = id
        self.changes = changes
        self.work = work
    }
}

/// A line: one call, or a batch of them.
enum Message: Sendable, Decodable {
    /// The most calls of a batch.
    static let maximumCalls = 1_000

    case call(Call)
    case batch([Call])
    case invalid(Fault)

    init(from decoder: any Decoder) throws {
        guard var elements = try? decoder.unkeyedContainer() else {
            self = .call(Call(from: decoder))
            return
        }
        guard let count = elements.count, (1...Self.maximumCalls).contains(count) else {
            self = .invalid(.invalidRequest)
            return
        }
        var calls: [Call] = []
        while !elements.isAtEnd { calls.append(try elements.decode(Call.self)) }
        self = .batch(calls)
    }

    init(_ line: MessageLine) {
        switch line {
        case .tooLong: self = .invalid(.messageTooLong)
        case .message(let bytes):
            // The parser looks at a text only where it is asked for.
            guard bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) != nil else {
                self = .invalid(.parseError)
                return
            }
            let decoder = JSONDecoder()
            decoder.dateDecodingStrategy = .iso8601
            do { self = try decoder.decode(Message.self, from: bytes) } catch { self = .invalid(.parseError) }
        }
    }

    /// Whether anything in it changes something.
    var changes: Bool {
        switch self {
        case .call(let call): call.changes
        case .batch(let calls): calls.contains(where: \.changes)
        case .invalid: false
        }
    }
}
