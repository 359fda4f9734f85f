import Testing
import Wire

@testable import Proxy

/// Requests of ordinary clients: order, routing, splits.
@Suite struct ForwardingTests {
    @Test func writesGoToTheMasterAndReadsToReplicas() {
        let bench = Bench()
        let client = bench.client()
        #expect(bench.ask(client, "SET", "k", "v") == "OK")
        for _ in 0..<64 { #expect(bench.ask(client, "GET", "k") == "v") }
        #expect(bench.servers[0].executedLines == ["SET k v"])
        // A lone client keeps a replica for a few turns, not longer.
        #expect(bench.servers[1].executedLines.count + bench.servers[2].executedLines.count == 64)
        #expect(bench.servers[1].executedLines.count >= 24 && bench.servers[2].executedLines.count >= 24)
        #expect(bench.problems() == [])
    }
}
