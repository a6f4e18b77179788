import ArgumentParser
import Strongroom

struct PolicyList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the policies that come with Strongroom.")

    @OptionGroup var common: CommonOptions

    private struct Output: Encodable {
        struct Policy: Encodable {
            let name: String
            let digest: String
        }
        let policies: [Policy]
    }

    func run() throws {
        let policies = try KeyPolicy.shippedNames.map { try KeyPolicy(shipped: $0) }
        try Terminal.result(Output(policies: policies.map { .init(name: $0.name, digest: $0.digest) }), common) {
            Terminal.table(["name", "sha256"], policies.map { [$0.name, $0.digest] })
        }
    }
}
