import Testing
import Wire

@testable import Proxy

/// Named limits and what happens when they are reached.
@Suite struct LimitTests {
    @Test func outputLimitsCloseSubscribersThatDoNotRead() {
        let bench = Bench(options: {
            $0.outputLimitPubsub = OutputBufferLimit(hardBytes: 100_000, softBytes: 0, softSeconds: 0)
        })
        let client = bench.client()
        bench.ask(client, "SUBSCRIBE", "c")
        client.socket?.window = 0
        for _ in 0..<20 {
            _ = bench.servers[0].publish("c", String(repeating: "m", count: 10_000))
            bench.settle()
        }
        #expect(client.isClosed)
        #expect(bench.worker.statistics.closedForLimits == 1)
        #expect(bench.problems() == [])
    }

    @Test func softOutputLimitsTakeTheirTime() {
        let bench = Bench(options: { $0.outputLimitPubsub = OutputBufferLimit(hardBytes: 0, softBytes: 50_000, softSeconds: 2) }
        )
        let client = bench.client()
        bench.ask(client, "SUBSCRIBE", "c")
        client.socket?.window = 0
        _ = bench.servers[0].publish("c", String(repeating: "m", count: 60_000))
        bench.advance(milliseconds: 1_500)
        #expect(!client.isClosed)
        bench.advance(milliseconds: 1_000)
        #expect(client.isClosed)
        #expect(bench.problems() == [])
    }

    @Test func theLargestClientsGoWhenBuffersTakeTooMuch() {
        let bench = Bench(servers: 1, options: { $0.maxMemoryBuffers = 2 << 20 })
        let big = bench.client()
        let small = bench.client()
        bench.servers[0].databases[0] = ["k": Array(repeating: 0x6b, count: 200_000)]
        big.socket?.window = 0
        for _ in 0..<40 { big.send("GET", "k") }
        bench.settle()
        bench.advance(milliseconds: 200)
        #expect(big.isClosed)
        #expect(bench.ask(small, "PING") == "PONG")
        #expect(bench.problems() == [])
    }

    @Test func idleClientsAreClosed() {
        let bench = Bench(options: { $0.timeoutSeconds = 5 })
        let idle = bench.client()
        let busy = bench.client()
        let listening = bench.client()
        bench.ask(listening, "SUBSCRIBE", "c")
        for _ in 0..<8 {
            bench.ask(busy, "PING")
            bench.advance(milliseconds: 1_000)
        }
        #expect(idle.isClosed)
        #expect(!busy.isClosed && !listening.isClosed)
        #expect(bench.problems() == [])
    }

    @Test func deepPipelinesAreTakenInBits() {
        let bench = Bench(servers: 2)
        bench.servers[0].isExplicit = true
        bench.servers[1].isExplicit = true
        let client = bench.client()
        let count = 3_000
        var bytes: [UInt8] = []
        for index in 0..<count { bytes.appendCommand("GET", "k\(index)") }
        client.sendRaw(bytes)
        bench.settle()
        #expect(client.taken() == (0..<count).map { "k\($0)=" })
        #expect(bench.problems() == [])
    }

    @Test func drainLetsClientsFinish() {
        let bench = Bench()
        let busy = bench.client()
        let idle = bench.client()
        let blocked = bench.client()
        blocked.send("BLPOP", "l", "0")
        bench.servers[0].delayMilliseconds = 500
        busy.send("INCR", "n")
        bench.settle()
        bench.post(.drain)
        bench.settle()
        bench.advance(milliseconds: 100)
        #expect(idle.isClosed && blocked.isClosed && !busy.isClosed)
        bench.advance(milliseconds: 1_000)
        #expect(busy.taken() == [":1"])
        #expect(busy.isClosed)
        #expect(bench.worker.isDrained)
        #expect(bench.problems() == [])
    }

    @Test func requestsLongerThanTheQueryBufferCloseTheirClient() {
        let bench = Bench(options: { $0.queryBufferLimit = 1 << 20 })
        let client = bench.client()
        client.sendRaw(requests(["SET", "k", String(repeating: "x", count: 2 << 20)])[..<500_000])
        bench.settle()
        #expect(client.isClosed)
        #expect(bench.problems() == [])
    }
}
