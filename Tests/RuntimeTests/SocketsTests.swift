import Glibc
import Testing

@testable import Runtime

@Suite struct SocketAddressTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1:6379"), ("0.0.0.0", "0.0.0.0:6379"), ("::1", "[::1]:6379"), ("[fe80::1]", "[fe80::1]:6379"),
        ("::ffff:10.0.0.1", "10.0.0.1:6379"),
    ])
    func showsNumericAddresses(host: String, shown: String) throws {
        let address = try #require(SocketAddress(numericHost: host, port: 6379))
        #expect(address.description == shown)
        #expect(address.port == 6379)
    }

    @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "example.org", "::g", "[::1", "127.0.0.1 "])
    func takesNoNames(host: String) {
        #expect(SocketAddress(numericHost: host, port: 1) == nil)
    }

    @Test func rejectsPortsThatDontExist() {
        #expect(SocketAddress(numericHost: "127.0.0.1", port: 65536) == nil)
        #expect(SocketAddress(numericHost: "127.0.0.1", port: -1) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.9.9.9", true), ("128.0.0.1", false), ("::1", true), ("::2", false),
        ("::ffff:127.0.0.1", true),
    ])
    func knowsThisMachine(host: String, isLoopback: Bool) throws {
        #expect(try #require(SocketAddress(numericHost: host, port: 1)).isLoopback == isLoopback)
    }

    @Test func limitsUnixPathsToWhatTheKernelTakes() {
        #expect(SocketAddress(path: String(repeating: "p", count: 107)) != nil)
        #expect(SocketAddress(path: String(repeating: "p", count: 108)) == nil)
        #expect(SocketAddress(path: "") == nil)
    }
}

@Suite struct SocketsTests {
    @Test func carriesBytesBothWays() throws {
        let pair = try SocketPair()
        #expect(SocketCall.send(pair.client.number, "hello") == 5)
        #expect(SocketCall.receive(pair.server.number) == "hello")
        #expect(SocketCall.send(pair.server.number, "world") == 5)
        #expect(SocketCall.receive(pair.client.number) == "world")
    }

    @Test func reportsAnEmptySocketAndTheEndOfAStream() throws {
        let pair = try SocketPair()
        var space = [UInt8](repeating: 0, count: 16)
        #expect(space.withUnsafeMutableBytes { SystemCalls.receive(pair.server.number, into: $0) } == -Int(EAGAIN))
        #expect(!SystemCalls.isFinished(pair.server.number))
        shutdown(pair.client.number, Int32(SHUT_WR))
        try waitUntilReadable(pair.server.number)
        #expect(SystemCalls.isFinished(pair.server.number))
        #expect(space.withUnsafeMutableBytes { SystemCalls.receive(pair.server.number, into: $0) } == 0)
    }

    @Test func sendsSeveralStretchesInOrder() throws {
        let pair = try SocketPair()
        let parts: [[UInt8]] = [Array("one ".utf8), Array("two ".utf8), Array("three".utf8)]
        let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: parts.count)
        defer { vectors.deallocate() }
        let copies = parts.map { part in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: part.count, alignment: 1)
            copy.copyBytes(from: part)
            return copy
        }
        defer { copies.forEach { $0.deallocate() } }
        for (index, copy) in copies.enumerated() {
            (vectors + index).initialize(to: iovec(iov_base: copy.baseAddress, iov_len: copy.count))
        }
        #expect(SystemCalls.send(pair.client.number, vectors, count: parts.count) == 13)
        #expect(SocketCall.receive(pair.server.number) == "one two three")
    }

    @Test func sendingToAClosedPeerIsAnErrorAndNoSignal() throws {
        let pair = try SocketPair()
        shutdown(pair.client.number, Int32(SHUT_WR))
        #expect(SocketCall.send(pair.client.number, "x") == -Int(EPIPE))
    }

    @Test func refusesAPortThatSomebodyListensOn() throws {
        let listener = try Sockets.listen(on: anyPort, sharing: .betweenThreads)
        let address = SocketAddress.local(of: listener.number)
        #expect(throws: SystemError(attempt: "bind \(address.description)", code: EADDRINUSE)) {
            try Sockets.checkUnused(address)
        }
    }

    @Test func threadsShareAPort() throws {
        let first = try Sockets.listen(on: anyPort, sharing: .betweenThreads)
        let second = try Sockets.listen(on: SocketAddress.local(of: first.number), sharing: .betweenThreads)
        #expect(SocketAddress.local(of: second.number).port == SocketAddress.local(of: first.number).port)
    }

    @Test func tellsWhyAConnectionFailed() throws {
        let address = try #require(SocketAddress(numericHost: "127.0.0.1", port: try freePort()))
        let socket = try Sockets.connect(to: address)
        let poller = try Poller()
        try poller.add(socket.number, token: 1, .edges)
        #expect(poller.wait(timeoutMilliseconds: 2_000) == 1)
        #expect(SystemCalls.pendingError(socket.number) == ECONNREFUSED)
        #expect(SystemError.text(of: ECONNREFUSED) == "Connection refused")
    }

    @Test func replacesTheSocketFileOfADeadProcess() throws {
        let path = temporaryPath("stale")
        defer { unlink(path) }
        do { _ = try Sockets.listen(onPath: path) }
        #expect(access(path, F_OK) == 0)
        _ = try Sockets.listen(onPath: path)
    }

    @Test func leavesALivingSocketFileAlone() throws {
        let path = temporaryPath("living")
        defer { unlink(path) }
        let living = try Sockets.listen(onPath: path)
        #expect(throws: SystemError(attempt: "bind \(path)", code: EADDRINUSE)) { _ = try Sockets.listen(onPath: path) }
        let client = try Sockets.connect(to: try #require(SocketAddress(path: path)))
        #expect(SystemCalls.pendingError(client.number) == 0)
        _ = consume living
    }

    @Test func neverReplacesAFileThatIsNoSocket() throws {
        let path = temporaryPath("plain")
        defer { unlink(path) }
        try #require(Files.write("precious", to: path))
        #expect(throws: SystemError.self) { _ = try Sockets.listen(onPath: path) }
        #expect(Files.read(path) == "precious")
    }
}
