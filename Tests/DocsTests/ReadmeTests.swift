import Foundation
import Strongroom
import TestSupport
import Testing

/// "Use it in your app": what the README shows is what is compiled here, and it does what it says.
@Suite struct ReadmeTests {
    @Test func theCodeIsTheOneThatIsCompiled() throws {
        let readme = try Documents.text("README.md")
        let section = try #require(readme.components(separatedBy: "## Use it in your app").last)
        let code = try #require(
            section.components(separatedBy: "```swift\n").dropFirst().first?.components(separatedBy: "```").first)
        #expect(try code == Documents.text("Tests/DocsTests/ReadmeExample.swift"))
        // There is no other code in it that nobody compiles.
        #expect(readme.components(separatedBy: "```swift").count == 2)
    }

    @Test func theCodeRuns() async throws {
        let test = try TestStore()
        let store = try test.open()
        let info = try store.createProfile(named: "Work")
        try store.lock()
        _ = try await keepNote("first", in: test.path, unlockedWith: test.keyFile)
        let notes = try await keepNote("second", in: test.path, unlockedWith: test.keyFile)
        #expect(notes.map(\.body) == ["first", "second"] && notes.map(\.id) == [1, 2])
        let again = try test.open()
        #expect(try await again.snapshots(of: .profile(info.id)).snapshots.count == 2)
        try again.lock()
    }
}
