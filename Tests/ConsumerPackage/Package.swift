// swift-tools-version:6.1
// A package of somebody else's, as far as Strongroom can tell.
import PackageDescription

let package = Package(
    name: "ConsumerPackage",
    dependencies: [
        .package(name: "Strongroom", path: "../.."),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .executableTarget(
            name: "consumer",
            dependencies: [
                .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Strongroom", package: "Strongroom"),
            ]),
        // GRDB on the system's own SQLite, and one file of ours: a link that went wrong.
        .executableTarget(name: "plain-engine", dependencies: [.product(name: "GRDB", package: "GRDB.swift")]),
    ],
    swiftLanguageModes: [.v6]
)
