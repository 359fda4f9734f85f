// swift-tools-version: 6.1
import PackageDescription

// Each folder under Sources is a target; a target imports only from targets listed above it.
let package = Package(
    name: "switchyard",
    products: [
        .executable(name: "switchyard", targets: ["switchyard"])
    ],
    targets: [
        .systemLibrary(name: "CLinux"),
        .target(name: "Wire"),
        .target(name: "Proxy", dependencies: ["Wire"]),
        .target(name: "Configuration", dependencies: ["Wire", "Proxy"]),
        .target(name: "Runtime", dependencies: ["CLinux", "Wire", "Proxy", "Configuration"]),
        .executableTarget(name: "switchyard", dependencies: ["Proxy", "Configuration", "Runtime"]),
        .testTarget(name: "WireTests", dependencies: ["Wire"]),
        .testTarget(name: "ProxyTests", dependencies: ["Wire", "Proxy"]),
        .testTarget(name: "ConfigurationTests", dependencies: ["Proxy", "Configuration"]),
        .testTarget(name: "RuntimeTests", dependencies: ["CLinux", "Runtime"]),
    ],
    swiftLanguageModes: [.v6]
)
