import ArgumentParser
import ErrorReporting
import LeakageScan

struct ScanSelfTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "self-test",
        abstract: "Plant throwaway keys in every form and kind of artifact, and say what share is found.",
        discussion: "Each scan does this first, with one key. Exit code 3 where one is not found.")

    @OptionGroup var common: CommonOptions
    @Option(help: ArgumentHelp("How many keys; each is planted in every form and artifact.", valueName: "n")) var keys =
        1

    func validate() throws {
        guard (1...10_000).contains(keys) else { throw ValidationError("--keys is from 1 to 10000.") }
    }

    func run() throws {
        let certificate = try SelfTest.run(keys: keys)
        try Terminal.result(certificate, common) {
            Terminal.table(
                ["FORM", "PLANTED", "FOUND"],
                certificate.rows.map { [$0.form.rawValue, String($0.planted), String($0.found)] })
            print("artifacts: \(certificate.artifacts.joined(separator: ", "))")
            print("\(certificate.found) of \(certificate.planted) found.")
        }
        if !certificate.isWhole { throw Finding(category: .incomplete) }
    }
}
