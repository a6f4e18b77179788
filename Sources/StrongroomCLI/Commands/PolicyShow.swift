import ArgumentParser
import Strongroom

struct PolicyShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Print a policy: one that comes with Strongroom, or a file.")

    @OptionGroup var common: CommonOptions
    @Argument(help: "default, strict, fips, or the path of a policy file.") var policy = "default"

    private struct Output: Encodable {
        let name: String
        let digest: String
        let text: String
    }

    func run() throws {
        let (policy, bytes) = try PolicyShow.read(policy)
        let text = String(decoding: bytes, as: UTF8.self)
        try Terminal.result(Output(name: policy.name, digest: policy.digest, text: text), common) {
            print(text, terminator: "")
        }
    }

    static func read(_ name: String) throws -> (policy: KeyPolicy, bytes: [UInt8]) {
        guard KeyPolicy.shippedNames.contains(name) else { return try KeyPolicy.read(from: FilePath(name)) }
        return (try KeyPolicy(shipped: name), try KeyPolicy.shippedBytes(named: name))
    }
}
