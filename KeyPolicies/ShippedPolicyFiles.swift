/// The policy files of this directory, built into the binary so that they are there wherever it is run from.
package enum ShippedPolicyFiles {
    /// Name and bytes of each.
    package static let all: [(name: String, bytes: [UInt8])] = [
        ("default", PackageResources.default_yaml),
        ("strict", PackageResources.strict_yaml),
        ("fips", PackageResources.fips_yaml),
    ]
}
