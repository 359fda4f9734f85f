import Testing
import Wire

@testable import Proxy

/// Requests of ordinary clients: order, routing, splits.
@Suite struct ForwardingTests {
    @Test func writesGoToTheMasterAndReadsToReplicas() {
        let bench = Bench()
        let client = bench.client()
        #expect(bench.ask(client, "SET", "k", "v") == "OK")
        for _ in 0..<4 { #expect(bench.ask(client, "GET", "k") == "v") }
        #expect(bench.servers[0].executedLines == ["SET k v"])
        #expect(bench.servers[1].executedLines == ["GET k", "GET k"])
        #expect(bench.servers[2].executedLines == ["GET k", "GET k"])
        #expect(bench.problems() == [])
    }
}
