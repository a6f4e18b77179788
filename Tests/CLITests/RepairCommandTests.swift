import Foundation
import SystemPackage
import TestSupport
import Testing

/// `strongroom repair` and `strongroom diagnose`, as an operator runs them.
@Suite struct RepairCommandTests {
    private let work: CommandLineStore

    init() throws { work = try CommandLineStore() }

    private func damage(_ edit: (inout [UInt8]) -> Void) throws { try TestFiles.edit(work.database, edit) }

    @Test func thePlanIsShownFirstAndNothingIsLost() throws {
        #expect(try work.run("snapshot", "create", "Work").status == 0)
        let healthy = try work.run("repair", "Work")
        #expect(healthy.status == 0 && healthy.outputText.contains("nothing needs to be done"))
        try damage { $0[4096 + 100] ^= 1 }
        let before = try TestFiles.read(work.database)
        let dry = try work.run("repair", "Work", "--dry-run")
        #expect(dry.status == 1, "\(dry.errorText)")
        #expect(dry.outputText.contains("pages_damaged") && dry.outputText.contains("nothing is lost"))
        #expect(try TestFiles.read(work.database) == before)
        let done = try work.run("repair", "Work")
        #expect(done.status == 0, "\(done.errorText)")
        #expect(done.outputText.contains("corrupted/repair-"))
        #expect(try work.rows().contains("n=3"))
        let diagnosed = try work.run("diagnose", "--profile", "Work")
        #expect(diagnosed.status == 0, "\(diagnosed.outputText)\(diagnosed.errorText)")
        #expect(diagnosed.outputText.contains("last time") && diagnosed.outputText.contains("repair on 20"))
        #expect(diagnosed.outputText.split(separator: "\n", omittingEmptySubsequences: false).count <= 24, "one screen")
    }

    @Test func whatWouldBeLostMustBeAccepted() throws {
        #expect(try work.run("snapshot", "create", "Work").status == 0)
        #expect(try work.run("profile", "sql", "--write", "Work", "INSERT INTO t VALUES (4)").status == 0)
        try damage { for index in 4096..<3 * 4096 { $0[index] = 0 } }
        let refused = try work.run("repair", "Work")
        #expect(refused.status == 2 && refused.errorText.contains("error[loss_not_accepted]"), "\(refused.errorText)")
        #expect(refused.outputText.contains("lie between it and the last change"))
        #expect(!FileManager.default.fileExists(atPath: work.path.appending("profiles/\(work.id)/corrupted").string))
        let done = try work.run("repair", "Work", "--accept-loss", "--json")
        #expect(done.status == 0, "\(done.errorText)")
        let output = try json(done)
        #expect((output["plan"] as? [String: Any])?["action"] as? String == "restore")
        #expect((output["done"] as? [String: Any])?["quarantine"] is String)
        #expect(try work.rows().contains("n=3"))
    }

    @Test func exitCodes() throws {
        #expect(try work.run("repair", "Nobody").status == 10)
        #expect(try work.run("repair", "Work", "--with-wal", "--without-wal").status == 2)
        #expect(try work.run("repair", "Work", "--without-wal").errorText.contains("error[wal_not_in_question]"))
        try damage { for index in 4096..<3 * 4096 { $0[index] = 0 } }
        let none = try work.run("repair", "Work", "--accept-loss")
        #expect(none.status == 14 && none.errorText.contains("error[db_recovery_no_snapshot]"), "\(none.errorText)")
        try damage { $0 = Array("SQLite format 3\0".utf8) + $0.dropFirst(16) }
        let plaintext = try work.run("repair", "Work", "--accept-loss")
        #expect(plaintext.status == 13 && plaintext.errorText.contains("error[database_plaintext]"))
        let diagnosed = try work.run("diagnose", "--profile", "Work", "--json")
        #expect(diagnosed.status == 1)
    }

    /// A rollback journal that somebody put beside the database.
    @Test func aForeignJournalIsMovedAway() throws {
        let journal = FilePath(work.database.string + "-journal")
        try TestFiles.write([UInt8](repeating: 0x5a, count: 4_600), to: journal)
        let before = try TestFiles.read(work.database)
        let verified = try work.run("verify", "Work")
        #expect(verified.status == 1 && verified.outputText.contains("journal_foreign"), "\(verified.errorText)")
        let opened = try work.run("profile", "sql", "Work", "SELECT 1")
        #expect(opened.status == 13 && opened.errorText.contains("error[database_journal_foreign]"))
        #expect(opened.errorText.contains("'strongroom repair'"))
        #expect(try work.run("diagnose", "--profile", "Work").outputText.contains("journal_foreign"))
        let dry = try work.run("repair", "Work", "--dry-run")
        #expect(dry.status == 1 && dry.outputText.contains("nothing is lost"), "\(dry.errorText)")
        #expect(FileManager.default.fileExists(atPath: journal.string))
        let done = try work.run("repair", "Work")
        #expect(done.status == 0 && done.outputText.contains("corrupted/journal-"), "\(done.errorText)")
        #expect(!FileManager.default.fileExists(atPath: journal.string))
        #expect(try TestFiles.read(work.database) == before)
        #expect(try work.rows().contains("n=3"))
    }

    /// The global database may be what is broken.
    @Test func withoutTheGlobalDatabase() throws {
        #expect(try work.run("snapshot", "create", "--all").status == 0)
        try TestFiles.edit(work.path.appending("global.db")) { $0[4096 + 100] ^= 1 }
        let diagnosed = try work.run("diagnose", "--profile", work.id)
        #expect(diagnosed.status == 1 && diagnosed.outputText.contains("pages_damaged"), "\(diagnosed.errorText)")
        let done = try work.run("repair", "global")
        #expect(done.status == 0, "\(done.errorText)")
        #expect(try work.rows().contains("n=3"))
    }

    /// The contract in docs/formats, held by a validator that is not ours.
    @Test func diagnosticsFollowTheirSchema() throws {
        #expect(try work.run("snapshot", "create", "Work").status == 0)
        let schema = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/formats/diagnostics.schema.json").path
        func validate(_ output: [UInt8]) throws -> Int32 {
            let file = work.directory.appending("output.json")
            try TestFiles.write(output, to: file)
            let script =
                "import json,sys,jsonschema; jsonschema.validate(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])))"
            return try ChildProcess(
                executable: "/usr/bin/python3", ["-c", script, file.string, schema], environment: [:], in: nil
            )
            .finish().status
        }
        #expect(try validate(work.run("diagnose", "--profile", "Work", "--json").output) == 0)
        try damage { $0[4096 + 100] ^= 1 }
        #expect(try validate(work.run("diagnose", "--profile", "Work", "--json").output) == 0)
        // The negative control: a field that is not in it.
        let text = try work.run("diagnose", "--json").outputText.replacing(
            "\"posture\"", with: "\"path\" : \"/home\", \"posture\"")
        #expect(try validate(Array(text.utf8)) != 0)
    }
}
