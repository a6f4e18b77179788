import Foundation

/// What goes out: a result, or a fault.
struct Reply: Encodable {
    let id: CallID
    let outcome: Result<any Encodable & Sendable, Fault>

    private enum Key: CodingKey { case jsonrpc, id, result, error }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode("2.0", forKey: .jsonrpc)
        try container.encode(id, forKey: .id)
        switch outcome {
        case .success(let result): try container.encode(result, forKey: .result)
        case .failure(let fault): try container.encode(fault, forKey: .error)
        }
    }

    /// The reply as JSON without a line end in it.
    func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if let data = try? encoder.encode(self) { return Array(data) }
        // What cannot be written as JSON is a fault of ours, and a fault can.
        return (try? encoder.encode(Reply(id: id, outcome: .failure(.internal)))).map { Array($0) } ?? []
    }
}
