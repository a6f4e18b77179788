import ArgumentParser
import Strongroom

struct PolicyCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a policy file, or a store's keys against its policy.",
        discussion: "With a file, the file alone is checked, and no store is needed. Violations end with 15.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var unlock: UnlockOptions
    @Argument(help: "A policy file.", completion: .file()) var file: String?

    private struct Output: Encodable {
        struct Violation: Encodable {
            let code: String
            let summary: String
        }
        let policy: String
        let violations: [Violation]
    }

    func run() throws {
        if let file {
            let policy = try PolicyShow.read(file).policy
            return try Terminal.result(Output(policy: policy.name, violations: []), common) {
                print("\(policy.name): every key is known and in range.")
            }
        }
        let (policy, violations) = try unlock.withStore(common) { ($0.policy, try $0.policyViolations()) }
        let output = Output(
            policy: policy.name, violations: violations.map { .init(code: $0.code, summary: $0.summary) })
        try Terminal.result(output, common) {
            if violations.isEmpty { print("The keys follow the policy \(policy.name).") }
            for violation in violations { print("\(violation.code): \(violation.summary)") }
        }
        if !violations.isEmpty { throw Finding(category: .againstPolicy) }
    }
}
