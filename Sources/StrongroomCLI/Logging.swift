import Logging

/// Codes and numbers of the library, on standard error.
enum Logging {
    static func toStandardError() {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .warning
            return handler
        }
    }
}
