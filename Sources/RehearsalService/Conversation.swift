import Foundation
import Logging
import Rehearsal
import Strongroom

/// Answers messages in such an order that nobody can tell it from one after the other: what only reads runs beside other reads, and what
/// changes something waits for all before it, and has all after it wait.
struct Conversation {
    /// How many messages are answered at once. A long one is answered alone, so that memory is bounded.
    private static let maximumUnderWay = 8
    private static let longBytes = 1 << 20

    private let app: RehearsalApp
    private let lines: MessageLines
    private let replies: ReplyLines
    private let logger = Logger(label: "rehearsal")

    init(with app: RehearsalApp, lines: MessageLines, replies: ReplyLines) {
        self.app = app
        self.lines = lines
        self.replies = replies
    }

    /// Until the input ends; everything that came is answered then.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            var underWay = 0
            while let line = await lines.next() {
                guard !line.isBlank else { continue }
                let message = Message(line)
                if message.changes || line.bytes > Self.longBytes {
                    await group.waitForAll()
                    underWay = 0
                    await answer(message)
                } else {
                    if underWay == Self.maximumUnderWay {
                        await group.next()
                        underWay -= 1
                    }
                    underWay += 1
                    group.addTask { await answer(message) }
                }
            }
        }
    }

    private func answer(_ message: Message) async {
        switch message {
        case .invalid(let fault): send(Reply(id: .null, outcome: .failure(fault)).json())
        case .call(let call):
            if let reply = await answer(call) { send(reply.json()) }
        case .batch(let calls):
            var answers: [[UInt8]] = []
            for call in calls {
                if let reply = await answer(call) { answers.append(reply.json()) }
            }
            // A batch of notifications is not answered.
            guard !answers.isEmpty else { return }
            send([UInt8(ascii: "[")] + answers.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")])
        }
    }

    private func answer(_ call: Call) async -> Reply? {
        let outcome: Result<any Encodable & Sendable, Fault>
        do {
            outcome = .success(try await call.work.get()(app))
        } catch {
            let fault = Fault(error)
            if fault == .internal { logger.error("internal", metadata: ["type": "\(type(of: error))"]) }
            outcome = .failure(fault)
        }
        return call.id.map { Reply(id: $0, outcome: outcome) }
    }

    /// Where nobody reads any more, nobody will ask any more.
    private func send(_ reply: [UInt8]) {
        if !replies.write(reply) { lines.stop() }
    }
}

extension MessageLine {
    fileprivate var bytes: Int {
        switch self {
        case .message(let bytes): bytes.count
        case .tooLong: 0
        }
    }

    /// Whether there is nothing on it, which is not worth an error.
    fileprivate var isBlank: Bool {
        switch self {
        case .message(let bytes): bytes.allSatisfy { $0 == 32 || $0 == 9 || $0 == 13 }
        case .tooLong: false
        }
    }
}
