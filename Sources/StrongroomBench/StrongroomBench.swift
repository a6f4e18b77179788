// Ratios, never bare times: both sides of a row are measured in the same run, in turns, several times.

import ArgumentParser
import Foundation

@main
struct StrongroomBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "StrongroomBench", abstract: "Measure Strongroom against the tools it stands on.")

    @Option(help: "How often opening is measured.") var rounds = 15
    @Option(help: "How large the database of the page rows is, in megabytes.") var megabytes = 513
    @Option(help: "How often the page rows are measured.") var pageRounds = 3
    @Option(help: "How often the query rows are measured; the encryption tax half as often.") var queryRounds = 10
    @Option(help: "How many envelopes the largest rotation of a root key has.") var envelopes = 10_000
    @Option(parsing: .upToNextOption, help: "Only some of the groups: \(Group.names).") var only: [Group] = []
    @Flag(help: "Print one JSON object.") var json = false

    /// What can be measured alone.
    enum Group: String, CaseIterable, ExpressibleByArgument {
        case roots, opening, pages, queries, rehearsal, snapshots, rotations, scans

        static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
    }

    func validate() throws {
        guard (1...1_000).contains(rounds), (1...100).contains(pageRounds), (1...100).contains(queryRounds),
            (1...100_000).contains(megabytes), (10...1_000_000).contains(envelopes)
        else {
            throw ValidationError(
                "--rounds is from 1 to 1000, the other rounds from 1 to 100, --megabytes from 1 to 100000, --envelopes from 10 to 1000000."
            )
        }
    }

    private struct Output: Encodable {
        let rows: [Comparison]
        let rootRotations: [RootRotation]
        let limits: CryptoLimits
    }

    private func wants(_ groups: Group...) -> Bool { only.isEmpty || groups.contains(where: only.contains) }

    func run() async throws {
        var rows: [Comparison] = []
        let limits = try PageRows.limits()
        // First, so that the memory which it says is its own.
        let rootRotations =
            try await wants(.roots) ? RotationRows.root(envelopes: [max(10, envelopes / 10), envelopes]) : []
        if wants(.opening) {
            rows.append(try OpeningRows.byKey(rounds: rounds))
            rows.append(try OpeningRows.bySize(megabytes: 2 * megabytes, rounds: rounds))
        }
        if wants(.pages) {
            let database = try BenchDatabase(megabytes: megabytes)
            defer { database.remove() }
            rows.append(try await PageRows.verify(database, limit: limits, rounds: pageRounds))
            rows.append(try await PageRows.reencrypt(database, limit: limits, rounds: pageRounds))
        }
        if wants(.queries) {
            rows += try await QueryRows.overhead(rounds: queryRounds)
            rows += try await QueryRows.tax(rounds: max(1, queryRounds / 2))
        }
        if wants(.rehearsal) { rows += try await RehearsalRows.measure(rounds: queryRounds) }
        if wants(.snapshots, .rotations, .scans) {
            let profile = try BenchProfile(megabytes: megabytes)
            defer { profile.remove() }
            if wants(.snapshots) { rows += try await SnapshotRows.measure(profile, rounds: pageRounds) }
            if wants(.scans) { rows += try await ScanRows.measure(profile, rounds: pageRounds) }
            if wants(.rotations) {
                let database = try BenchDatabase(megabytes: megabytes)
                defer { database.remove() }
                rows += try await RotationRows.data(profile, database, rounds: pageRounds)
            }
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(
                String(
                    decoding: try encoder.encode(Output(rows: rows, rootRotations: rootRotations, limits: limits)),
                    as: UTF8.self))
            return
        }
        for row in rows { row.show() }
        for rotation in rootRotations { rotation.show() }
        limits.show()
    }
}

/// The times of one side, in milliseconds.
struct Times: Encodable {
    let median: Double
    let fastest: Double
    let slowest: Double

    init(_ durations: [Duration]) {
        let milliseconds = durations.map { $0 / .milliseconds(1) }.sorted()
        median = milliseconds.isEmpty ? 0 : milliseconds[milliseconds.count / 2]
        fastest = milliseconds.first ?? 0
        slowest = milliseconds.last ?? 0
    }

    var text: String { String(format: "%9.2f ms  (%.2f to %.2f)", median, fastest, slowest) }
}

/// Two sides that do the same.
struct Comparison: Encodable {
    let name: String
    let ours: Times
    let theirs: Times
    let theirName: String
    /// How many times faster ours is, by the medians.
    let ratio: Double
    /// The size of what was worked on, where the row is about that.
    let megabytes: Double?
    /// What share of the limit of libcrypto on this machine ours reaches, where the row has one.
    let shareOfLimit: Double?

    /// - Parameter limit: in GB/s.
    init(
        _ name: String, ours: [Duration], theirs: [Duration], theirName: String, megabytes: Double? = nil,
        limit: Double? = nil
    ) {
        self.megabytes = megabytes
        let median = Times(ours).median
        shareOfLimit = limit.flatMap { limit in megabytes.map { $0 / median / limit } }
        self.name = name
        self.ours = Times(ours)
        self.theirs = Times(theirs)
        self.theirName = theirName
        ratio = self.ours.median > 0 ? self.theirs.median / self.ours.median : 0
    }

    func show() {
        print(name + (megabytes.map { String(format: ", %.0f MB", $0) } ?? ""))
        for (side, times) in [("Strongroom", ours), (theirName, theirs)] {
            let rate = megabytes.map { String(format: "  %.2f GB/s", $0 / times.median) } ?? ""
            print("  \(side)".padding(toLength: 44, withPad: " ", startingAt: 0) + times.text + rate)
        }
        if let shareOfLimit {
            print(String(format: "  share of what libcrypto could do: %.0f %%", shareOfLimit * 100))
        }
        print(String(format: "  ratio: %.2f (takes %.2f × the time)", ratio, ratio > 0 ? 1 / ratio : 0))
    }

    /// Measures both sides in turns; what stands before and after a side is not measured.
    static func measure(
        _ name: String, theirName: String, rounds: Int, megabytes: Double?, limit: Double? = nil,
        beforeOurs: () throws -> Void = {}, ours: () async throws -> Void, afterOurs: () throws -> Void = {},
        beforeTheirs: () throws -> Void = {},
        theirs: () throws -> Void, afterTheirs: () throws -> Void = {}
    ) async throws -> Comparison {
        let clock = ContinuousClock()
        var ourTimes: [Duration] = []
        var theirTimes: [Duration] = []
        for _ in 0..<rounds {
            try beforeOurs()
            ourTimes.append(try await clock.measure(ours))
            try afterOurs()
            try beforeTheirs()
            theirTimes.append(try clock.measure(theirs))
            try afterTheirs()
        }
        return Comparison(
            name, ours: ourTimes, theirs: theirTimes, theirName: theirName, megabytes: megabytes, limit: limit)
    }
}
