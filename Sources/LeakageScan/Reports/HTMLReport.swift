// One page that needs nothing else: no script, no font, no picture from elsewhere. A browser that opens it asks nobody for anything.

public import Foundation

/// A scan as a page for people.
public struct HTMLReport: Sendable {
    private let result: ScanResult
    private let date: Date
    private let title: String

    /// - Parameter title: what was looked through, in a few words.
    public init(_ result: ScanResult, title: String, at date: Date = Date()) {
        self.result = result
        self.date = date
        self.title = title
    }

    /// The page.
    public func text() -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>\(escaped("Leakage scan: \(title)"))</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <main>
        \(summary())
        \(findings("Findings", result.findings))
        \(result.accepted.isEmpty ? "" : findings("Accepted by the baseline", result.accepted))
        \(gaps())
        \(coverage())
        \(entropy())
        \(recall())
        <footer>Rule, place and length: what was found is never quoted. Fingerprints are MACs under keys that this page does not hold.</footer>
        </main>
        </body>
        </html>
        """
    }

    private func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }

    // MARK: Sections

    private func summary() -> String {
        let (name, sentence) =
            switch result.outcome {
            case .clean:
                (
                    "Clean",
                    "Nothing was found, everything was looked at, and the self-test found all that it had planted."
                )
            case .findings: ("Findings", "\(result.findings.count) place(s) hold what they should not.")
            case .incomplete:
                ("Incomplete", "Nothing was found, and not everything was looked at: this is no all-clear.")
            }
        let time = date.formatted(.iso8601).replacing("T", with: " ").replacing("Z", with: " UTC")
        return """
            <header class="\(result.outcome.rawValue)">
            <p class="outcome">\(name)</p>
            <h1>\(escaped(title))</h1>
            <p>\(sentence)</p>
            <p class="meta">\(escaped(time)) · \(result.needles) secret(s) looked for · \(size(result.coverage.bytes)) in \(result.coverage.files) file(s)</p>
            </header>
            """
    }

    private func findings(_ heading: String, _ findings: [Finding]) -> String {
        guard !findings.isEmpty else { return section(heading, "<p>None.</p>") }
        let rows = findings.map { finding in
            let place = ([finding.place.file] + finding.place.entries).map(escaped).joined(
                separator: " <span class=\"in\">›</span> ")
            return """
                <tr><td><code>\(finding.rule.rawValue)</code></td><td>\(escaped(ScanText.short(finding)))</td>
                <td class="place">\(place)</td><td class="number">\(finding.place.offset)</td><td class="number">\(finding.place.length)</td>
                <td><code class="print">\(finding.fingerprint)</code></td></tr>
                """
        }
        return section(
            heading,
            table(["Rule", "What", "Where", "Offset", "Length", "Fingerprint"], rows))
    }

    private func gaps() -> String {
        guard result.gapCount > 0 else { return section("Not looked at", "<p>Nothing was left out.</p>") }
        let rows = result.gaps.map {
            "<tr><td class=\"place\">\(escaped($0.place))</td><td><code>\($0.reason.rawValue)</code></td><td>\(escaped(ScanText.advice($0.reason)))</td></tr>"
        }
        let more =
            result.gapCount > result.gaps.count
            ? "<p>\(result.gapCount - result.gaps.count) more are not listed.</p>" : ""
        return section("Not looked at", table(["Where", "Why", "What it means"], rows) + more)
    }

    private func coverage() -> String {
        let coverage = result.coverage
        let numbers = [
            ("Files", coverage.files), ("Directories", coverage.directories),
            ("Symbolic links, not followed", coverage.symbolicLinks),
            ("Archives opened", coverage.archives), ("Entries in them", coverage.archiveEntries),
            ("Regions of memory", coverage.memoryRegions), ("Files held to being ciphertext", coverage.ciphertextFiles),
            ("Their pages", coverage.ciphertextPages),
        ]
        let rows =
            numbers.map { "<tr><td>\($0.0)</td><td class=\"number\">\($0.1)</td></tr>" }
            + ["<tr><td>Bytes</td><td class=\"number\">\(size(coverage.bytes))</td></tr>"]
        return section("Coverage", table(["", ""], rows, isNarrow: true))
    }

    private func recall() -> String {
        guard let recall = result.recall else {
            return section("Self-test", "<p class=\"bad\">Left out. Without it a scan proves nothing.</p>")
        }
        let missed = recall.rows.filter { $0.found < $0.planted }
        let rows = missed.map {
            "<tr><td><code>\($0.form.rawValue)</code></td><td class=\"number\">\($0.found) of \($0.planted)</td></tr>"
        }
        let text =
            "<p class=\"\(recall.isWhole ? "good" : "bad")\">\(recall.found) of \(recall.planted) throwaway keys were found, in \(recall.rows.count) forms and \(recall.artifacts.count) kinds of artifact.</p>"
        return section("Self-test", text + (rows.isEmpty ? "" : table(["Form", "Found"], rows, isNarrow: true)))
    }

    // MARK: The entropy map

    private func entropy() -> String {
        guard !result.entropy.isEmpty else { return "" }
        let legend = """
            <p>Each square is a part of a file, in the order of its bytes; its colour says how far the least even page in it is from what random
            bytes have, in standard deviations.
            <span class="key"><i style="background:\(Self.colour(1))"></i> as ciphertext <i style="background:\(Self.colour(7))"></i> suspicious
            <i style="background:\(Self.colour(40))"></i> not random</span></p>
            """
        return section("Entropy", legend + result.entropy.map(map).joined(separator: "\n"))
    }

    private func map(_ map: EntropyMap) -> String {
        let columns = 64
        let size = 10
        let rows = (map.deviations.count + columns - 1) / columns
        let cells = map.deviations.enumerated().map { index, deviation in
            let (row, column) = index.quotientAndRemainder(dividingBy: columns)
            return
                "<rect x=\"\(column * size)\" y=\"\(row * size)\" width=\"\(size - 1)\" height=\"\(size - 1)\" fill=\"\(Self.colour(deviation))\"><title>from byte \(index * map.bytesPerCell): \(deviation)</title></rect>"
        }
        return """
            <figure><figcaption>\(escaped(map.file)) <span class="meta">\(self.size(map.bytesPerCell)) a square</span></figcaption>
            <svg viewBox="0 0 \(columns * size) \(rows * size)" width="\(columns * size)" role="img" aria-label="entropy map">\(cells.joined())</svg></figure>
            """
    }

    /// Calm below five standard deviations, then louder.
    private static func colour(_ deviation: Double) -> String {
        switch deviation {
        case ..<4: "#2f6f62"
        case ..<6: "#7d9a4e"
        case ..<12: "#d9a23b"
        default: "#c23b32"
        }
    }

    // MARK: Pieces

    private func section(_ heading: String, _ content: String) -> String {
        "<section><h2>\(escaped(heading))</h2>\n\(content)\n</section>"
    }

    private func table(_ headings: [String], _ rows: [String], isNarrow: Bool = false) -> String {
        let head =
            headings.allSatisfy(\.isEmpty)
            ? "" : "<thead><tr>" + headings.map { "<th>\($0)</th>" }.joined() + "</tr></thead>"
        return
            "<div class=\"scroll\"><table\(isNarrow ? " class=\"narrow\"" : "")>\(head)<tbody>\(rows.joined(separator: "\n"))</tbody></table></div>"
    }

    private func size(_ bytes: Int) -> String {
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] where bytes >= unit {
            return String(format: "%.1f ", Double(bytes) / Double(unit)) + name
        }
        return "\(bytes) bytes"
    }

    private static let style = """
        :root{--ink:#1d2a2a;--soft:#5d6b6b;--line:#d8dedb;--paper:#fbfbf8;--good:#2f6f62;--bad:#a92f28;--warn:#9a6b10}
        *{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
        main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}header{border-left:6px solid var(--good);padding:4px 0 4px 20px;margin-bottom:32px}
        header.findings{border-color:var(--bad)}header.incomplete{border-color:var(--warn)}.outcome{margin:0;font-weight:700;font-size:20px;color:var(--good)}
        .findings .outcome,.bad{color:var(--bad)}.incomplete .outcome{color:var(--warn)}.good{color:var(--good)}h1{margin:0 0 8px;font-size:26px;overflow-wrap:anywhere}
        h2{font-size:17px;margin:32px 0 8px}.meta,footer{color:var(--soft)}footer{margin-top:48px;font-size:13px}.scroll{overflow-x:auto}
        table{border-collapse:collapse;width:100%;font-size:14px}table.narrow{width:auto;min-width:320px}th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
        th{color:var(--soft);font-weight:600}.number{text-align:right;font-variant-numeric:tabular-nums}th:nth-child(4),th:nth-child(5){text-align:right}.place{overflow-wrap:anywhere;min-width:220px}.in{color:var(--soft)}
        code{font:13px/1.4 ui-monospace,monospace}.print{font-size:11px;color:var(--soft)}figure{margin:16px 0}figcaption{margin-bottom:6px;overflow-wrap:anywhere}svg{max-width:100%;height:auto;background:#eef0ec}
        .key i{display:inline-block;width:12px;height:12px;margin:0 4px 0 12px;vertical-align:-1px}
        @media (prefers-color-scheme:dark){:root{--ink:#e4eae7;--soft:#9aa8a4;--line:#33403d;--paper:#141a19;--good:#5fb8a3;--bad:#ef7a70;--warn:#e2b04a}svg{background:#1d2523}}
        """
}
