import Glibc
import Proxy
import Testing
import Wire

@testable import Runtime

/// Any free port of this machine's loopback.
var anyPort: SocketAddress { SocketAddress(numericHost: "127.0.0.1", port: 0)! }

/// A port on which nobody listens, at least for the moment.
func freePort() throws -> Int {
    let listener = try Sockets.listen(on: anyPort, sharing: .exclusive)
    let port = SocketAddress.local(of: listener.number).port
    try #require(port > 0)
    return port
}

func temporaryPath(_ name: String) -> String {
    "/tmp/switchyard-test-\(getpid())-\(UInt32.random(in: 0 ... .max))-\(name)"
}

/// Waits up to two seconds.
func waitUntilReadable(_ descriptor: Int32) throws {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    try #require(poll(&entry, 1, 2_000) == 1, "nothing to read after two seconds")
}

/// Two ends of one TCP connection over loopback.
struct SocketPair: ~Copyable {
    let client: Descriptor
    let server: Descriptor

    init() throws {
        let listener = try Sockets.listen(on: anyPort, sharing: .exclusive)
        let connecting = try Sockets.connect(to: SocketAddress.local(of: listener.number))
        try waitUntilReadable(listener.number)
        var address = SocketAddress()
        let accepted = try Descriptor(SystemCalls.accept(listener.number, from: &address), attempt: "accept")
        #expect(address.description == SocketAddress.local(of: connecting.number).description)
        client = connecting
        server = accepted
    }
}

enum SocketCall {
    static func send(_ descriptor: Int32, _ text: String) -> Int {
        Array(text.utf8).withUnsafeBytes { SystemCalls.send(descriptor, $0) }
    }

    /// What is there after waiting for something to come.
    static func receive(_ descriptor: Int32) -> String {
        guard (try? waitUntilReadable(descriptor)) != nil else { return "" }
        var space = [UInt8](repeating: 0, count: 1 << 16)
        let count = space.withUnsafeMutableBytes { SystemCalls.receive(descriptor, into: $0) }
        return count > 0 ? String(decoding: space[..<count], as: UTF8.self) : ""
    }
}

enum Files {
    static func read(_ path: String) -> String? {
        SystemCalls.contents(ofFile: path).map { String(decoding: $0, as: UTF8.self) }
    }

    static func write(_ text: String, to path: String) -> Bool {
        guard let file = fopen(path, "w") else { return false }
        defer { fclose(file) }
        return fputs(text, file) >= 0
    }
}

extension HTTPRequestParser {
    mutating func append(_ text: String) -> Outcome {
        Array(text.utf8).withUnsafeBytes { append($0) }
    }
}
