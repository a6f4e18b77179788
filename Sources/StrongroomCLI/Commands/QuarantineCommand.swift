import ArgumentParser

struct QuarantineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine", abstract: "What restores and repairs moved out of the way: corrupted/.",
        subcommands: [QuarantineList.self, QuarantineShow.self, QuarantinePrune.self])

    @OptionGroup var common: CommonOptions
}
