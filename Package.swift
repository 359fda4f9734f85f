// swift-tools-version: 6.1
import PackageDescription

// Each folder under Sources is a target; a target imports only from targets listed above it.
// The data path's state is reached through pointers and one owner per thread; checks for exclusive access run in debug builds, in
// which the tests run, and cost a call per stored property in release builds.
let hotPath: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let package = Package(
    name: "switchyard",
    products: [
        .executable(name: "switchyard", targets: ["switchyard"])
    ],
    targets: [
        .systemLibrary(name: "CLinux"),
        .target(name: "Wire", swiftSettings: hotPath),
        .target(name: "Proxy", dependencies: ["Wire"], swiftSettings: hotPath),
        .target(name: "Configuration", dependencies: ["Wire", "Proxy"]),
        .target(
            name: "Runtime", dependencies: ["CLinux", "Wire", "Proxy", "Configuration"], swiftSettings: hotPath),
        .executableTarget(name: "switchyard", dependencies: ["Proxy", "Configuration", "Runtime"]),
        .testTarget(name: "WireTests", dependencies: ["Wire"]),
        .testTarget(name: "ProxyTests", dependencies: ["Wire", "Proxy"]),
        .testTarget(name: "ConfigurationTests", dependencies: ["Proxy", "Configuration"]),
        .testTarget(name: "RuntimeTests", dependencies: ["CLinux", "Runtime"]),
    ],
    swiftLanguageModes: [.v6]
)
