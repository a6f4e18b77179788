// swift-tools-version:6.1
import PackageDescription

// CI sets this: a warning of ours then fails the build. It is not always on, because a package that carries
// unsafe flags cannot be depended on by version.
let warningsAreErrors = Context.environment["STRONGROOM_WARNINGS_ARE_ERRORS"] == "1"
// The Makefile sets this: the scanner is optimised in debug builds as well, where it would take a hundred times as long.
let optimised: [SwiftSetting] =
    Context.environment["STRONGROOM_OPTIMISE_SCANNER"] == "1" ? [.unsafeFlags(["-O"])] : []
let optimisedC: [CSetting] = optimised.isEmpty ? [] : [.unsafeFlags(["-O2"])]
let isFuzzing = Context.environment["STRONGROOM_FUZZ"] == "1"
let strict: [SwiftSetting] =
    [.enableUpcomingFeature("InternalImportsByDefault")]
    + (warningsAreErrors ? [.unsafeFlags(["-warnings-as-errors"])] : [])
    + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// The sidecar. For `make fuzz` it is a library without its main file, so that its parser can be reached.
let rehearsalService: Target = {
    let dependencies: [Target.Dependency] = ["Rehearsal", "Strongroom", arguments, logging]
    return isFuzzing
        ? .target(
            name: "RehearsalService", dependencies: dependencies, exclude: ["RehearsalService.swift"],
            packageAccess: false, swiftSettings: strict)
        : .executableTarget(
            name: "RehearsalService", dependencies: dependencies, packageAccess: false, swiftSettings: strict)
}()

/// Rooms, lowest first: each may use only those above it in this list.
let rooms: [Target] = [
    .target(name: "CByteKernels", cSettings: optimisedC),
    .target(name: "CLinux"),
    .systemLibrary(
        name: "CLibcrypto", path: "Sources/CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
        name: "CLibarchive", path: "Sources/CLibarchive", pkgConfig: "libarchive",
        providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CSQLCipher", path: "Sources/CSQLCipher", providers: [.apt(["libsqlcipher-dev"])]),
    .target(name: "ErrorReporting", dependencies: [system], swiftSettings: strict),
    .target(name: "Secrets", dependencies: ["CLinux", "ErrorReporting"], swiftSettings: strict),
    .target(
        name: "CryptoPrimitives", dependencies: ["CLibcrypto", "ErrorReporting", "Secrets"], swiftSettings: strict),
    .target(
        name: "DurableFiles", dependencies: ["CLinux", "ErrorReporting", "Secrets", system], swiftSettings: strict),
    .target(
        name: "ShippedKeyPolicies", path: "KeyPolicies", exclude: ["README.md"],
        resources: [.embedInCode("default.yaml"), .embedInCode("strict.yaml"), .embedInCode("fips.yaml")],
        swiftSettings: strict),
    .target(
        name: "KeyPolicy", dependencies: ["CryptoPrimitives", "ErrorReporting", "ShippedKeyPolicies", "Yams"],
        swiftSettings: strict),
    .target(
        name: "Keyring",
        dependencies: ["CryptoPrimitives", "DurableFiles", "ErrorReporting", "KeyPolicy", "Secrets", system],
        swiftSettings: strict),
    .target(
        name: "PageCipher",
        dependencies: ["CLibcrypto", "CryptoPrimitives", "DurableFiles", "ErrorReporting", "Secrets", system],
        swiftSettings: strict),
    .target(
        name: "Snapshots",
        dependencies: [
            "CryptoPrimitives", "DurableFiles", "ErrorReporting", "KeyPolicy", "Keyring", "PageCipher", "Secrets",
            system,
        ],
        swiftSettings: strict),
    .target(
        name: "Strongroom",
        dependencies: [
            "CSQLCipher", "CryptoPrimitives", "DurableFiles", "ErrorReporting", "KeyPolicy", "Keyring", "PageCipher",
            "Secrets", "Snapshots", grdb, grdbSQLite, logging, system,
        ],
        swiftSettings: strict),
    // Imports no room of the store, so that it looks as an outsider.
    .target(
        name: "LeakageScan",
        dependencies: [
            "CByteKernels", "CLibarchive", "CryptoPrimitives", "DurableFiles", "ErrorReporting", "Secrets", system,
        ],
        swiftSettings: strict + optimised),
    // The reference application sees what any app sees of the store: its public API and GRDB. Without package access the compiler holds
    // it to that.
    .target(
        name: "Rehearsal", dependencies: ["Strongroom", grdb, logging], packageAccess: false, swiftSettings: strict),
    rehearsalService,
    .executableTarget(
        name: "StrongroomCLI",
        dependencies: [
            "CLinux", "DurableFiles", "ErrorReporting", "Keyring", "LeakageScan", "Strongroom", "TextTable", arguments,
            grdb, logging,
        ],
        swiftSettings: strict),
    .executableTarget(
        name: "StrongroomBench",
        dependencies: [
            "CSQLCipher", "CryptoPrimitives", "DurableFiles", "KeyPolicy", "Keyring", "LeakageScan", "PageCipher",
            "Rehearsal", "Secrets", "Strongroom", arguments, grdb, grdbSQLite,
        ],
        swiftSettings: strict),
]

/// What the tests share: the crash enumerator, and a process that can be killed, crashed and searched.
let testSupport: [Target] = [
    .target(
        name: "TestSupport",
        dependencies: ["CryptoPrimitives", "DurableFiles", "Keyring", "Secrets", "Strongroom", grdb, system],
        path: "Tests/TestSupport", swiftSettings: strict),
    .executableTarget(
        name: "TestHelper",
        dependencies: ["CSQLCipher", "DurableFiles", "Secrets", "Strongroom", grdb, grdbSQLite, system],
        path: "Tests/TestHelper",
        swiftSettings: strict),
]

/// `make fuzz` only: libFuzzer brings its own main, and needs the sanitizer in every target it is to see into.
let fuzz: [Target] =
    isFuzzing
    ? [
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CryptoPrimitives", "DurableFiles", "KeyPolicy", "Keyring", "LeakageScan", "PageCipher", "Secrets",
                "RehearsalService", "Snapshots", system,
            ],
            path: "Tests/Fuzz",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])])
    ] : []

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: ["TestSupport"] + dependencies, swiftSettings: strict)
}

let package = Package(
    name: "Strongroom",
    products: [
        .library(name: "Strongroom", targets: ["Strongroom"]),
        .executable(name: "strongroom", targets: ["StrongroomCLI"]),
    ] + (isFuzzing ? [] : [.executable(name: "rehearsal", targets: ["RehearsalService"])]),
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/ordo-one/TextTable", from: "0.0.2"),
    ],
    targets: rooms + testSupport + fuzz + [
        tests("SecretsTests", ["Secrets", "TestHelper"]),
        tests("CryptoPrimitivesTests", ["CryptoPrimitives", "Secrets"]),
        tests("DurableFilesTests", ["DurableFiles", system]),
        tests("KeyPolicyTests", ["KeyPolicy"]),
        tests("KeyringTests", ["CryptoPrimitives", "DurableFiles", "KeyPolicy", "Keyring", "Secrets", system]),
        tests(
            "PageCipherTests",
            [
                "CSQLCipher", "CryptoPrimitives", "DurableFiles", "PageCipher", "Secrets", "Snapshots", "Strongroom",
                grdb,
            ]),
        tests(
            "SnapshotsTests",
            [
                "CSQLCipher", "CryptoPrimitives", "DurableFiles", "KeyPolicy", "Keyring", "PageCipher", "Secrets",
                "Snapshots", "Strongroom", "TestHelper", grdb,
            ]),
        tests(
            "StrongroomTests",
            [
                "CSQLCipher", "DurableFiles", "KeyPolicy", "Keyring", "Secrets", "Strongroom", "TestHelper", grdb,
                grdbSQLite,
            ]),
        tests(
            "RotationTests",
            [
                "CSQLCipher", "CryptoPrimitives", "DurableFiles", "KeyPolicy", "Keyring", "PageCipher", "Secrets",
                "Snapshots", "Strongroom", "TestHelper", grdb,
            ]),
        tests(
            "RecoveryTests",
            ["DurableFiles", "Keyring", "PageCipher", "Secrets", "Snapshots", "Strongroom", "TestHelper", grdb]),
        // With a forger that shares no code with us.
        .testTarget(
            name: "CustodyTests",
            dependencies: [
                "TestSupport", "DurableFiles", "Keyring", "Secrets", "Snapshots", "Strongroom", "StrongroomCLI", grdb,
                logging, system,
            ],
            exclude: ["forger.py"], swiftSettings: strict),
        // With databases that are made, and compared, by another SQLite.
        .testTarget(
            name: "ForeignTests",
            dependencies: [
                "TestSupport", "DurableFiles", "Keyring", "PageCipher", "Secrets", "StrongroomCLI", "Strongroom", grdb,
                system,
            ],
            exclude: ["hostile.py", "zoo.py"], swiftSettings: strict),
        tests("RehearsalTests", ["Rehearsal", "Strongroom", grdb]),
        .testTarget(
            name: "RehearsalServiceTests",
            dependencies: ["TestSupport", "Rehearsal", "RehearsalService", "Strongroom", grdb],
            exclude: ["client.py"], swiftSettings: strict),
        tests(
            "LeakageScanTests", ["CByteKernels", "CryptoPrimitives", "DurableFiles", "LeakageScan", "Secrets", system]),
        tests("DocsTests", ["Keyring", "StrongroomCLI", "Strongroom", grdb]),
        .testTarget(
            name: "CLITests", dependencies: ["TestSupport", "StrongroomCLI", "Strongroom", grdb],
            exclude: ["sarif-properties.schema.json"], swiftSettings: strict),
        tests(
            "LeakageTests",
            [
                "CryptoPrimitives", "Keyring", "LeakageScan", "RehearsalService", "Secrets", "Snapshots",
                "StrongroomCLI",
                "Strongroom", "TestHelper", grdb, logging,
            ]),
    ],
    swiftLanguageModes: [.v6]
)
