// SARIF 2.1.0 (OASIS), for tools that gather findings: no snippet, no content.

import Foundation

/// A scan as a SARIF log.
public struct SARIFLog: Sendable, Encodable {
    private let schema = "https://json.schemastore.org/sarif-2.1.0.json"
    private let version = "2.1.0"
    private let runs: [Run]

    private enum CodingKeys: String, CodingKey {
        case schema = "$schema"
        case version, runs
    }

    private struct Run: Encodable {
        let tool: Tool
        let invocations: [Invocation]
        let results: [Result]
        let columnKind = "utf16CodeUnits"
    }

    private struct Tool: Encodable { let driver: Driver }

    private struct Driver: Encodable {
        let name = "strongroom scan"
        let semanticVersion: String
        let rules: [Rule]
    }

    private struct Rule: Encodable {
        let id: String
        let shortDescription: Text
        let defaultConfiguration = Configuration()
        struct Configuration: Encodable { let level = "error" }
    }

    private struct Text: Encodable { let text: String }

    private struct Invocation: Encodable {
        let executionSuccessful: Bool
        let toolExecutionNotifications: [Notification]
    }

    private struct Notification: Encodable {
        let level = "warning"
        let message: Text
        let descriptor: Descriptor
        struct Descriptor: Encodable { let id: String }
    }

    private struct Result: Encodable {
        let ruleId: String
        let ruleIndex: Int
        let level = "error"
        let message: Text
        let locations: [Location]
        let partialFingerprints: [String: String]
        let suppressions: [Suppression]?
    }

    private struct Suppression: Encodable {
        let kind = "external"
        let status = "accepted"
    }

    private struct Location: Encodable {
        let physicalLocation: PhysicalLocation
        let logicalLocations: [LogicalLocation]?
    }

    private struct PhysicalLocation: Encodable {
        let artifactLocation: Artifact
        let region: Region
        struct Artifact: Encodable { let uri: String }
        struct Region: Encodable { let byteOffset, byteLength: Int }
    }

    private struct LogicalLocation: Encodable {
        let fullyQualifiedName: String
        let kind = "member"
    }

    /// - Parameter version: the program's.
    public init(_ result: ScanResult, version: String) {
        let rules = ScanRule.allCases.map { Rule(id: $0.rawValue, shortDescription: Text(text: $0.summary)) }
        let gaps = result.gaps.map { gap in
            Notification(
                message: Text(text: "not looked at, or not all of it: \(gap.place) (\(gap.reason.rawValue))"),
                descriptor: .init(id: gap.reason.rawValue))
        }
        runs = [
            Run(
                tool: Tool(driver: Driver(semanticVersion: version, rules: rules)),
                invocations: [
                    // A scan with gaps is not a successful one.
                    Invocation(executionSuccessful: result.outcome != .incomplete, toolExecutionNotifications: gaps)
                ],
                results: result.findings.map { Self.entry($0, isAccepted: false) }
                    + result.accepted.map { Self.entry($0, isAccepted: true) })
        ]
    }

    private static func entry(_ finding: Finding, isAccepted: Bool) -> Result {
        let place = finding.place
        return Result(
            ruleId: finding.rule.rawValue, ruleIndex: ScanRule.allCases.firstIndex(of: finding.rule) ?? 0,
            message: Text(text: ScanText.sentence(finding)),
            locations: [
                Location(
                    physicalLocation: PhysicalLocation(
                        artifactLocation: .init(uri: uri(place.file)),
                        region: .init(byteOffset: place.offset, byteLength: place.length)),
                    logicalLocations: place.entries.isEmpty
                        ? nil : [LogicalLocation(fullyQualifiedName: place.entries.joined(separator: "!"))])
            ],
            partialFingerprints: ["strongroom/v1": finding.fingerprint],
            suppressions: isAccepted ? [Suppression()] : nil)
    }

    /// A path as a relative or absolute reference.
    private static func uri(_ file: String) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~/")
        return file.addingPercentEncoding(withAllowedCharacters: allowed) ?? "unknown"
    }
}
