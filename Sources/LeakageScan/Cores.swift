import Foundation

enum Cores {
    /// How many this process may use.
    static let count = max(1, ProcessInfo.processInfo.activeProcessorCount)
}
