import Testing
import Wire

@testable import Proxy

func requests(_ commands: [String]...) -> [UInt8] {
    var bytes: [UInt8] = []
    for command in commands { bytes.appendCommand(command) }
    return bytes
}

/// Requests of ordinary clients: order, routing, splits.
@Suite struct ForwardingTests {
    @Test func writesGoToTheMasterAndReadsToReplicas() {
        let bench = Bench(options: { $0.replicaSelection = .roundRobin })
        let client = bench.client()
        #expect(bench.ask(client, "SET", "k", "v") == "OK")
        for _ in 0..<64 { #expect(bench.ask(client, "GET", "k") == "v") }
        #expect(bench.servers[0].executedLines == ["SET k v"])
        // A lone client keeps a replica for a few turns, not longer.
        #expect(bench.servers[1].executedLines.count + bench.servers[2].executedLines.count == 64)
        #expect(bench.servers[1].executedLines.count >= 24 && bench.servers[2].executedLines.count >= 24)
        #expect(bench.problems() == [])
    }

    @Test func repliesComeInOrderAcrossNodes() {
        let bench = Bench()
        let client = bench.client()
        bench.servers[0].databases[0] = ["r": Array("replicas-value".utf8)]
        bench.servers[1].databases[0] = bench.servers[0].databases[0]
        bench.servers[2].databases[0] = bench.servers[0].databases[0]
        // The replica answers first, and its reply has to wait; the proxy's own replies queue up too.
        bench.servers[0].delayMilliseconds = 30
        client.sendRaw(requests(["GET", "r"]))
        bench.round()
        client.sendRaw(requests(["INCR", "n"], ["PING", "one"], ["INCR", "n"]))
        bench.round()
        bench.advance(milliseconds: 10)
        #expect(client.taken() == ["replicas-value"])
        client.sendRaw(requests(["PING", "two"]))
        bench.settle()
        #expect(client.taken() == [])
        bench.advance(milliseconds: 60, step: 10)
        #expect(client.taken() == [":1", "one", ":2", "two"])
        #expect(bench.problems() == [])
    }

    @Test func aPipelineMayBeSplitAtEveryByte() {
        let bytes =
            requests(["SET", "k", "v"], ["GET", "k"], ["PING"], ["MGET", "k", "x"], ["INCR", "n"])
            + Array("PING inline\r\n".utf8)
        let bench = Bench()
        for split in 1..<bytes.count {
            bench.servers[0].databases[0] = [:]
            let client = bench.client()
            client.sendRaw(bytes[..<split])
            bench.settle()
            client.sendRaw(bytes[split...])
            bench.settle()
            #expect(client.taken() == ["OK", "v", "PONG", "[v nil]", ":1", "inline"], "split at \(split)")
            bench.cut(client)
        }
        #expect(bench.problems() == [])
    }

    @Test func repliesMayBeSplitAtEveryByte() {
        for size in 1..<40 {
            let bench = Bench(servers: 2)
            bench.readLimit = size
            let client = bench.client()
            bench.servers[1].databases[0] = ["big": Array(repeating: 0x61, count: 100)]
            client.sendRaw(requests(["GET", "big"], ["LIST", "3"], ["GET", "none"]))
            bench.settle()
            #expect(client.taken() == [String(repeating: "a", count: 100), "[e0 e1 e2]", "nil"], "pieces of \(size)")
            #expect(bench.problems() == [])
        }
    }

    @Test func aReadBehindAWriteOfItsPipelineFollowsItToTheMaster() {
        let bench = Bench()
        // Replicas hear of nothing.
        bench.servers[0].replicas = []
        let client = bench.client()
        client.sendRaw(requests(["SET", "k", "new"], ["GET", "k"]))
        bench.settle()
        #expect(client.taken() == ["OK", "new"])
        // In a later turn, but before the reply.
        bench.servers[0].isStalled = true
        client.send("SET", "k", "newer")
        bench.settle()
        client.send("GET", "k")
        bench.settle()
        bench.servers[0].isStalled = false
        bench.settle()
        #expect(client.taken() == ["OK", "newer"])
        #expect(bench.ask(client, "GET", "k") == "nil", "nothing is out any more, so a replica answers")
        #expect(bench.problems() == [])
    }

    @Test func readFromAndRouteTellWhereReadsGo() {
        let bench = Bench()
        let client = bench.client()
        #expect(bench.ask(client, "PROXY", "READ-FROM", "master") == "OK")
        #expect(bench.ask(client, "PROXY", "ROUTE", "GET", "k").contains("route master node a:6379"))
        bench.ask(client, "GET", "k")
        #expect(bench.servers[0].executedLines == ["GET k"])
        bench.ask(client, "PROXY", "READ-FROM", "replica")
        #expect(bench.ask(client, "PROXY", "ROUTE", "GET", "k").contains("route replica"))
        #expect(bench.ask(client, "PROXY", "ROUTE", "BLPOP", "k", "0").contains("route private"))
        #expect(bench.ask(client, "PROXY", "ROUTE", "PING").contains("route proxy"))
        #expect(bench.ask(client, "PROXY", "ROUTE", "SHUTDOWN").contains("route refused"))
        #expect(bench.problems() == [])
    }

    @Test func cursorsComeBackToTheirNode() {
        let bench = Bench(options: { $0.replicaSelection = .roundRobin })
        let client = bench.client()
        var homes: Set<String> = []
        for _ in 0..<4 {
            client.send("SCAN", "0")
            bench.settle()
            guard case .array(let page)? = client.take().first, let cursor = page[0].text, let home = page[1].elements?[0].text
            else {
                Issue.record("no page")
                return
            }
            #expect(cursor != "7", "the cursor carries its node")
            homes.insert(String(home.prefix(1)))
            #expect(bench.ask(client, "SCAN", cursor) == "[0 [\(home.prefix(1))-7]]")
        }
        #expect(homes == ["b", "c"])
        #expect(bench.problems() == [])
    }

    @Test func cursorsOfNodesThatAreGoneAreRefused() {
        let bench = Bench(servers: 2)
        let client = bench.client()
        client.send("SCAN", "0")
        bench.settle()
        guard case .array(let page)? = client.take().first, let cursor = page[0].text else {
            Issue.record("no page")
            return
        }
        bench.runIDs[1] = "restarted"
        bench.publish()
        #expect(bench.ask(client, "SCAN", cursor).hasPrefix("-ERR the node that gave this cursor is gone"))
        #expect(bench.problems() == [])
    }

    @Test func clientsAreNotMixedUp() {
        let bench = Bench(seed: 7)
        bench.isPieced = true
        for server in bench.servers { server.isExplicit = true }
        let clients = (0..<20).map { _ in bench.client() }
        for (index, client) in clients.enumerated() {
            client.sendRaw(
                requests(
                    ["SET", "k\(index)", "v\(index)"], ["GET", "k\(index)"], ["PING", "p\(index)"], ["GET", "x\(index)"]))
        }
        bench.settle()
        for (index, client) in clients.enumerated() {
            #expect(client.taken() == ["OK k\(index)", "k\(index)=v\(index)", "p\(index)", "x\(index)="])
        }
        #expect(bench.problems() == [])
    }

    @Test func protocolErrorsCloseOnlyTheirClient() {
        let bench = Bench()
        let good = bench.client()
        for bad in ["*1\r\n!3\r\n", "*99999999999\r\n", "*1\r\n$-5\r\n", "*1\r\n$99999999999\r\n", "SET \"unbalanced\r\n"] {
            let client = bench.client()
            client.sendRaw(requests(["INCR", "n"]) + Array(bad.utf8))
            bench.settle()
            let replies = client.taken()
            #expect(
                replies.count == 2 && replies[0].hasPrefix(":") && replies[1].hasPrefix("-ERR Protocol error"),
                "\(bad): \(replies)")
            #expect(client.isClosed)
        }
        #expect(bench.ask(good, "PING") == "PONG")
        #expect(bench.problems() == [])
    }
}
