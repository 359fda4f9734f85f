import Testing
import Wire

@testable import Proxy

/// Nodes come, go and change their roles.
@Suite struct TopologyChangeTests {
    @Test func writesFollowTheMaster() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "SET", "k", "one")
        bench.promote(2)
        bench.publish()
        bench.settle()
        #expect(bench.ask(client, "SET", "k", "two") == "OK")
        #expect(bench.servers[2].executedLines.contains("SET k two"))
        #expect(bench.ask(client, "GET", "k") == "two")
        #expect(bench.problems() == [])
    }

    @Test func writesWaitForAMasterAndAreRefusedInTheEnd() {
        let bench = Bench(options: { $0.requestTimeoutMilliseconds = 2_000 })
        let client = bench.client()
        bench.master = nil
        bench.publish()
        bench.settle()
        client.sendRaw(requests(["SET", "k", "v"], ["PING", "p"]))
        bench.advance(milliseconds: 1_500)
        #expect(client.taken() == [])
        bench.master = 0
        bench.publish()
        bench.settle()
        #expect(client.taken() == ["OK", "p"])
        bench.master = nil
        bench.publish()
        client.sendRaw(requests(["SET", "k", "w"], ["PING", "p"]))
        bench.settle()
        #expect(client.taken() == [], "the wait begins anew with each request")
        bench.advance(milliseconds: 2_500)
        let replies = client.taken()
        #expect(replies.count == 2 && replies[0].hasPrefix("-MASTERDOWN") && replies[1] == "p")
        #expect(bench.problems() == [])
    }

    /// Every topology with a master began the wait anew.
    @Test func theWaitForAReplicaEndsWhateverTheTopologySays() {
        let bench = Bench(options: {
            $0.requestTimeoutMilliseconds = 2_000
            $0.readFrom = .replica
        })
        let client = bench.client()
        bench.readsRefused = [1, 2]
        bench.publish()
        bench.settle()
        client.send("GET", "k")
        for _ in 0..<25 {
            bench.publish()
            bench.advance(milliseconds: 100)
        }
        #expect(client.taken().map { $0.hasPrefix("-MASTERDOWN") } == [true])
        #expect(bench.problems() == [])
    }

    /// A wait that ended well without a master made the next one end at once.
    @Test func aWaitThatEndedWellIsForgotten() {
        let bench = Bench(options: { $0.requestTimeoutMilliseconds = 2_000 })
        let client = bench.client()
        bench.master = nil
        bench.readsRefused = [0, 1, 2]
        bench.publish()
        bench.settle()
        client.send("GET", "k")
        bench.advance(milliseconds: 500)
        bench.readsRefused = []
        bench.publish()
        bench.settle()
        #expect(client.taken() == ["nil"])
        bench.advance(milliseconds: 10_000)
        client.send("SET", "k", "v")
        bench.advance(milliseconds: 1_000)
        #expect(client.taken() == [])
        bench.master = 0
        bench.publish()
        bench.settle()
        #expect(client.taken() == ["OK"])
        #expect(bench.problems() == [])
    }

    /// The fallen replica stood before the master in the list, and requests were moved before the master was known.
    @Test func readsOfAFallenReplicaFindTheMasterBehindItInTheList() {
        let bench = Bench(servers: 2)
        let client = bench.client()
        bench.members = [1, 0]
        bench.publish()
        bench.settle()
        bench.servers[1].isStalled = true
        client.send("GET", "k")
        bench.settle()
        bench.down = [1]
        bench.publish()
        bench.settle()
        #expect(client.taken() == ["nil"])
        #expect(bench.problems() == [])
    }

    @Test func removedNodesLoseTheirConnectionsAndMayComeBack() {
        let bench = Bench()
        let client = bench.client()
        bench.servers[1].isStalled = true
        bench.servers[2].isStalled = true
        client.sendRaw(requests(["GET", "k"], ["GET", "k"]))
        bench.settle()
        bench.members = [0]
        bench.publish()
        bench.settle()
        #expect(client.taken() == ["nil", "nil"])
        #expect(bench.servers[1].connections.isEmpty && bench.servers[2].connections.isEmpty)
        bench.servers[1].isStalled = false
        bench.servers[2].isStalled = false
        // Slots are used again, in another order.
        bench.members = [2, 0, 1]
        bench.publish()
        bench.settle()
        #expect(bench.worker.nodeCount == 3)
        for _ in 0..<4 { #expect(bench.ask(client, "GET", "k") == "nil") }
        #expect(bench.ask(client, "INCR", "n") == ":1")
        #expect(bench.problems() == [])
    }

    @Test func requestsThatExpireDuringAGreetingLeaveItAlone() {
        let bench = Bench(
            servers: 1,
            options: {
                $0.requestTimeoutMilliseconds = 200
                $0.connectTimeoutMilliseconds = 1_000
            })
        let client = bench.client()
        bench.crash(bench.servers[0])
        // Only a part of the greeting gets through.
        bench.servers[0].receiveWindow = 10
        bench.settle()
        bench.advance(milliseconds: 100)
        client.send("INCR", "n")
        bench.advance(milliseconds: 300)
        #expect(client.taken().map { $0.hasPrefix("-MASTERDOWN") } == [true])
        let connections = bench.servers[0].connections.map { $0.id }
        #expect(connections.count == 1)
        for socket in bench.sockets() { socket.window = .max }
        bench.settle()
        #expect(bench.ask(client, "INCR", "n") == ":1")
        #expect(bench.servers[0].connections.map { $0.id } == connections)
        #expect(bench.problems() == [])
    }
}
