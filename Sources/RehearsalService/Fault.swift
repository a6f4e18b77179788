import Foundation
import Strongroom

/// The error of a reply. Nothing of what came in is in it, and nothing of what is kept.
struct Fault: Error, Sendable, Encodable, Equatable {
    struct Details: Sendable, Encodable, Equatable {
        /// The stable name of the error.
        let code: String
        /// What to do next.
        let hint: String
        /// The parameter that is missing or not of its type, where it is one that the method has.
        var parameter: String?
    }

    /// As the specification has it; −32000 is ours, and `data.code` says what it is.
    let code: Int
    let message: String
    let data: Details

    private init(_ code: Int, _ name: String, _ message: String, _ hint: String, parameter: String? = nil) {
        self.code = code
        self.message = message
        data = Details(code: name, hint: hint, parameter: parameter)
    }

    static let parseError = Fault(
        -32_700, "parse_error", "this line is no JSON", "send one whole JSON message a line, in UTF-8")
    static let messageTooLong = Fault(
        -32_600, "message_too_long", "this line has more than \(MessageLines.maximumBytes) bytes", "send less at a time"
    )
    static let invalidRequest = Fault(
        -32_600, "invalid_request", "this is no request of JSON-RPC 2.0",
        "send an object with jsonrpc, method and id, or 1 to \(Message.maximumCalls) of them in an array")
    static let methodNotFound = Fault(
        -32_601, "method_not_found", "there is no such method", "the schema of the messages names them all")
    static let invalidParams = invalid(parameter: nil)

    static func invalid(parameter: String?) -> Fault {
        Fault(
            -32_602, "invalid_params", "the method does not take these parameters",
            "give them by name, each with its type; the schema of the messages has them", parameter: parameter)
    }

    static let `internal` = Fault(
        -32_603, "internal", "something in the app is at fault", "report it; nothing was lost")

    init(_ error: any Error) {
        switch error {
        case let fault as Fault: self = fault
        case let error as any ReportableError: self.init(-32_000, error.code, error.summary, error.hint)
        default: self = .internal
        }
    }
}
