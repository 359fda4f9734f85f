import Configuration
import Glibc
import Proxy
import Testing
import Wire

@testable import Runtime

/// A control loop driven turn by turn on the test's thread; the test plays the workers.
private final class Bench {
    let context: LoopContext
    let loop: ControlLoop
    let port: Int

    init(workers: Int, log: Logger = Logger(level: .warning)) throws {
        context = try LoopContext(workerCount: workers, log: log)
        let listener = try Sockets.listen(on: anyPort, sharing: .exclusive).release()
        port = SocketAddress.local(of: listener).port
        let configuration = try Configuration.load(
            path: nil, commandLine: ["--master", "127.0.0.1:1", "--threads", "\(workers)"])
        loop = try ControlLoop(context: context, configuration: configuration, metricsListeners: [listener])
    }

    /// Connects and sends a request.
    func request(_ text: String) throws -> Descriptor {
        let socket = try Sockets.connect(to: try #require(SocketAddress(numericHost: "127.0.0.1", port: port)))
        try #require(SocketCall.send(socket.number, text) == text.utf8.count)
        return socket
    }

    /// Turns until the peer of `socket` gets something, at most five seconds.
    func response(on socket: borrowing Descriptor) throws -> String {
        let end = Clock.now.adding(milliseconds: 5_000)
        while Clock.now < end {
            var entry = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 0) == 1 { return SocketCall.receive(socket.number) }
            loop.turn()
        }
        Issue.record("no response")
        return ""
    }

    /// Turns until the worker is asked something.
    func question(to worker: Int) -> UInt64? {
        let end = Clock.now.adding(milliseconds: 5_000)
        while Clock.now < end {
            for mail in context.workers[worker].takeAll() {
                if case .message(.question(.statistics, let number, .control)) = mail { return number }
            }
            loop.turn()
        }
        return nil
    }

    func answer(_ statistics: Statistics, _ number: UInt64, from worker: Int) {
        let mail = Message.answer(.statistics(statistics), number: number, from: LoopID(index: worker))
        context.control.post(.message(mail))
    }
}

@Suite struct ControlLoopTests {
    @Test func metricsAddUpWhatAllWorkersAnswer() throws {
        let bench = try Bench(workers: 2)
        let client = try bench.request("GET /metrics HTTP/1.1\r\n\r\n")
        let number = try #require(bench.question(to: 0))
        var statistics = Statistics()
        statistics.connectedClients = 3
        bench.answer(statistics, number, from: 0)
        bench.answer(statistics, number, from: 0)
        bench.answer(statistics, number, from: 1)
        let response = try bench.response(on: client)
        #expect(response.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(response.contains("\nswitchyard_connected_clients 6\n"), "a second answer of the same worker must not count")
    }

    @Test func healthFailsWhenAWorkerIsSilent() throws {
        let bench = try Bench(workers: 2)
        let client = try bench.request("GET /healthz HTTP/1.1\r\n\r\n")
        let number = try #require(bench.question(to: 0))
        bench.answer(Statistics(), number, from: 0)
        let response = try bench.response(on: client)
        #expect(response.hasPrefix("HTTP/1.1 503 "))
        #expect(response.hasSuffix("no answer from worker 1\n"))
        bench.answer(Statistics(), number, from: 1)
        #expect(bench.loop.web.rounds.isEmpty && bench.loop.web.connections.isEmpty)
    }

    @Test func readinessNeedsNoWorker() throws {
        let bench = try Bench(workers: 1)
        let response = try bench.response(on: try bench.request("GET /readyz HTTP/1.1\r\n\r\n"))
        #expect(response.hasPrefix("HTTP/1.1 503 "))
        #expect(response.contains("no confirmed master that answers\n"))
    }

    @Test func aRequestInPiecesIsServed() throws {
        let bench = try Bench(workers: 1)
        let client = try bench.request("GET /now")
        bench.loop.turn()
        bench.loop.turn()
        #expect(SocketCall.send(client.number, "here HTTP/1.1\r\n\r\n") == 17)
        #expect(try bench.response(on: client).hasPrefix("HTTP/1.1 404 "))
    }

    @Test func aPeerThatLeavesIsForgotten() throws {
        let bench = try Bench(workers: 1)
        do {
            let client = try bench.request("GET /metrics HTTP/1.1\r\n\r\n")
            _ = try #require(bench.question(to: 0))
            // An abortive close, as a scraper that was killed.
            var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
            setsockopt(client.number, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        }
        bench.loop.turn()
        #expect(bench.loop.web.connections.isEmpty)
        #expect(bench.loop.web.rounds.isEmpty)
    }

    @Test func connectionsPastTheLimitAreClosed() throws {
        let bench = try Bench(workers: 1)
        var clients: [Int32] = []
        defer { clients.forEach { SystemCalls.close($0) } }
        for _ in 0..<WebServer.connectionLimit + 1 { clients.append(try bench.request("G").release()) }
        while SystemCalls.isFinished(clients.last!) == false && bench.loop.web.connections.count <= WebServer.connectionLimit {
            bench.loop.turn()
            if bench.loop.web.connections.count == WebServer.connectionLimit { break }
        }
        bench.loop.turn()
        #expect(bench.loop.web.connections.count == WebServer.connectionLimit)
    }

    @Test func configurationIsShownAndChangedForAllWorkers() throws {
        let bench = try Bench(workers: 2)
        guard case .pairs(let before) = bench.loop.answer(.configGet(patterns: ["maxclients"])) else {
            Issue.record("no pairs")
            return
        }
        #expect(before == [Question.Pair(name: "maxclients", value: "10000")])
        guard case .none = bench.loop.answer(.configSet([Question.Pair(name: "maxclients", value: "77")])) else {
            Issue.record("not accepted")
            return
        }
        for worker in bench.context.workers {
            guard case .message(.options(let options))? = worker.takeAll().last else {
                Issue.record("a worker was not told")
                return
            }
            #expect(options.maxClients == 77)
        }
    }

    @Test func aBadSettingChangesNothing() throws {
        let bench = try Bench(workers: 1)
        guard case .failure = bench.loop.answer(.configSet([Question.Pair(name: "maxclients", value: "many")])) else {
            Issue.record("accepted")
            return
        }
        #expect(bench.loop.options.maxClients == 10_000)
        #expect(bench.context.workers[0].takeAll().isEmpty)
    }
}
