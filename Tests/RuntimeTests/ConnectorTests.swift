import Glibc
import Proxy
import Testing
import Wire

@testable import Runtime

@Suite struct ResolverTests {
    @Test func findsLocalhost() {
        guard case .addresses(let addresses) = Resolver.lookUp(Endpoint(host: "localhost", port: 6379)) else {
            Issue.record("localhost was not found")
            return
        }
        #expect(!addresses.isEmpty)
        #expect(addresses.allSatisfy { $0.isLoopback && $0.port == 6379 })
    }

    @Test func namesTheHostThatDoesNotExist() {
        guard case .failed(let reason) = Resolver.lookUp(Endpoint(host: "nowhere.invalid", port: 1)) else {
            Issue.record("an invalid name was found")
            return
        }
        #expect(reason.hasPrefix("can't resolve nowhere.invalid: "))
    }

    @Test func answersThroughTheMailbox() throws {
        let resolver = try Resolver()
        let mailbox = try Mailbox()
        let link = LinkID(slot: 4, generation: 2)
        resolver.resolve(Endpoint(host: "localhost", port: 1), for: link, answerTo: mailbox)
        try waitUntilReadable(mailbox.wakeDescriptor)
        guard case .resolved(link, .addresses)? = mailbox.takeAll().first else {
            Issue.record("no answer for the link")
            return
        }
    }
}

@Suite struct ConnectorTests {
    private let link = LinkID(slot: 1, generation: 1)

    private func connector() throws -> (Connector, Mailbox) {
        let mailbox = try Mailbox()
        return (Connector(resolver: try Resolver(), mailbox: mailbox), mailbox)
    }

    @Test func aNumericAddressIsTriedAtOnce() throws {
        let listener = try Sockets.listen(on: anyPort, sharing: .exclusive)
        var (connector, _) = try connector()
        let endpoint = Endpoint(host: "127.0.0.1", port: SocketAddress.local(of: listener.number).port)
        guard case .connecting(let descriptor) = connector.begin(link, to: endpoint) else {
            Issue.record("no connection was begun")
            return
        }
        SystemCalls.close(descriptor)
    }

    @Test func aNameWaitsForTheResolver() throws {
        let listener = try Sockets.listen(on: anyPort, sharing: .exclusive)
        var (connector, mailbox) = try connector()
        let endpoint = Endpoint(host: "localhost", port: SocketAddress.local(of: listener.number).port)
        guard case .resolving = connector.begin(link, to: endpoint) else {
            Issue.record("the name was not handed to the resolver")
            return
        }
        try waitUntilReadable(mailbox.wakeDescriptor)
        guard case .resolved(link, let resolution)? = mailbox.takeAll().first,
            case .connecting(let descriptor) = connector.resolved(link, resolution)
        else {
            Issue.record("the name led nowhere")
            return
        }
        SystemCalls.close(descriptor)
    }

    @Test func anAnswerForAForgottenLinkIsStale() throws {
        var (connector, _) = try connector()
        _ = connector.begin(link, to: Endpoint(host: "localhost", port: 1))
        connector.forget(link)
        guard case .stale = connector.resolved(link, .addresses([anyPort])) else {
            Issue.record("a forgotten link was connected")
            return
        }
    }

    @Test func triesEveryAddressThenFailsWithTheLastReason() throws {
        var (connector, _) = try connector()
        _ = connector.begin(link, to: Endpoint(host: "localhost", port: 1))
        let first = try #require(SocketAddress(numericHost: "127.0.0.1", port: 1))
        let second = try #require(SocketAddress(numericHost: "127.0.0.2", port: 1))
        guard case .connecting(let one) = connector.resolved(link, .addresses([first, second])) else {
            Issue.record("the first address was not tried")
            return
        }
        SystemCalls.close(one)
        guard case .connecting(let two) = connector.tryNext(link, after: "Connection refused") else {
            Issue.record("the second address was not tried")
            return
        }
        SystemCalls.close(two)
        guard case .failed("Connection refused") = connector.tryNext(link, after: "Connection refused") else {
            Issue.record("the attempt did not fail")
            return
        }
    }
}

@Suite struct ListeningTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1", false), ("-::1", "::1", true), ("*", "0.0.0.0", false), ("-::*", "::", true),
        ("-*", "0.0.0.0", true),
    ])
    func readsBindAsRedisDoes(text: String, host: String, isOptional: Bool) {
        let address = Listening.BindAddress(text)
        #expect(address.host == host)
        #expect(address.isOptional == isOptional)
    }

    @Test func forgivesAMissingAddressOnlyIfToldTo() throws {
        var options = ProxyOptions()
        options.port = try freePort()
        options.bind = ["-192.0.2.1", "127.0.0.1"]
        let opened = try Listening.open(options, workerCount: 2)
        #expect(opened.names == ["127.0.0.1:\(options.port)"])
        #expect(opened.workers.map(\.count) == [1, 1])
        for listener in opened.workers.joined() { SystemCalls.close(listener.descriptor) }

        options.bind = ["192.0.2.1"]
        #expect(throws: SystemError(attempt: "bind 192.0.2.1:\(options.port)", code: EADDRNOTAVAIL)) {
            _ = try Listening.open(options, workerCount: 1)
        }
    }

    @Test func neverForgivesAPortInUse() throws {
        let listener = try Sockets.listen(on: anyPort, sharing: .betweenThreads)
        var options = ProxyOptions()
        options.port = SocketAddress.local(of: listener.number).port
        options.bind = ["-127.0.0.1"]
        #expect(throws: SystemError(attempt: "bind 127.0.0.1:\(options.port)", code: EADDRINUSE)) {
            _ = try Listening.open(options, workerCount: 1)
        }
    }

    @Test func aUnixSocketIsSharedByAllWorkers() throws {
        var options = ProxyOptions()
        options.port = 0
        let path = temporaryPath("shared")
        defer { unlink(path) }
        options.unixSocket = path
        let opened = try Listening.open(options, workerCount: 3)
        #expect(opened.names == [path])
        #expect(Set(opened.workers.joined().map(\.descriptor)).count == 1)
        SystemCalls.close(opened.workers[0][0].descriptor)
    }
}
