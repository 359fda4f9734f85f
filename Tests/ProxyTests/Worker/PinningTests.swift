import Testing
import Wire

@testable import Proxy

/// Clients with a connection of their own.
@Suite struct PinningTests {
    @Test func transactionsRunAsAWhole() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["MULTI"], ["SET", "k", "v"], ["GET", "k"], ["EXEC"], ["GET", "k"]))
        bench.settle()
        #expect(client.taken() == ["OK", "QUEUED", "QUEUED", "[OK v]", "v"])
        let connections = bench.servers[0].connections.count
        #expect(bench.ask(client, "MULTI") == "OK")
        #expect(bench.ask(client, "DISCARD") == "OK")
        #expect(bench.servers[0].connections.count == connections, "the private connection is used again")
        #expect(bench.problems() == [])
    }

    @Test func watchedKeysFailTheTransaction() {
        let bench = Bench()
        let client = bench.client()
        let other = bench.client()
        #expect(bench.ask(client, "WATCH", "k") == "OK")
        bench.ask(other, "SET", "k", "changed")
        client.sendRaw(requests(["MULTI"], ["SET", "k", "mine"], ["EXEC"]))
        bench.settle()
        #expect(client.taken() == ["OK", "QUEUED", "nil"])
        #expect(bench.problems() == [])
    }

    @Test func aTransactionWhoseConnectionBreaksIsNotExecuted() {
        for isWatching in [false, true] {
            let bench = Bench()
            let client = bench.client()
            if isWatching { bench.ask(client, "WATCH", "w") }
            #expect(bench.ask(client, "MULTI") == "OK")
            #expect(bench.ask(client, "SET", "k", "v") == "QUEUED")
            bench.crash(bench.servers[0])
            bench.settle()
            #expect(bench.ask(client, "SET", "k", "w") == "QUEUED")
            // Large enough to be passed through, were it not for the transaction.
            #expect(bench.ask(client, "SET", "k", String(repeating: "x", count: 300_000)) == "QUEUED")
            #expect(bench.ask(client, "EXEC").hasPrefix(isWatching ? "nil" : "-EXECABORT"))
            bench.advance(milliseconds: 3_000)
            #expect(bench.ask(client, "GET", "k") == "nil")
            #expect(bench.ask(client, "SET", "k", "later") == "OK")
            #expect(bench.servers[0].executedLines.filter { $0.hasPrefix("SET") } == ["SET k later"])
            #expect(bench.problems() == [])
        }
    }

    /// It was in a transaction that had never begun: everything it said was QUEUED, for ever.
    @Test func aClientWhoseMultiFailsIsInNoTransaction() {
        let bench = Bench()
        let client = bench.client()
        // So that there is a private connection already.
        bench.ask(client, "MULTI")
        bench.ask(client, "DISCARD")
        bench.servers[0].isStalled = true
        client.send("MULTI")
        bench.settle()
        bench.crash(bench.servers[0])
        bench.servers[0].isStalled = false
        bench.advance(milliseconds: 3_000)
        #expect(client.taken().map { $0.hasPrefix("-") } == [true])
        #expect(bench.ask(client, "SET", "k", "v") == "OK")
        bench.servers[0].errors = ["MULTI": "NOPERM no"]
        #expect(bench.ask(client, "MULTI") == "-NOPERM no")
        #expect(bench.ask(client, "GET", "k") == "v")
        #expect(bench.ask(client, "EXEC").hasPrefix("-ERR EXEC without MULTI"))
        #expect(bench.worker.statistics.pinnedClients == 0)
        #expect(bench.problems() == [])
    }

    /// The rest of a pipeline whose beginning was lost is not executed on its own.
    @Test func theRestOfALostTransactionIsNotExecuted() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "MULTI")
        bench.ask(client, "DISCARD")
        bench.servers[0].isStalled = true
        client.sendRaw(requests(["MULTI"], ["SET", "a", "1"]))
        bench.settle()
        bench.crash(bench.servers[0])
        bench.servers[0].isStalled = false
        bench.advance(milliseconds: 3_000)
        client.sendRaw(requests(["SET", "b", "2"], ["EXEC"], ["GET", "b"]))
        bench.settle()
        let replies = client.taken()
        #expect(replies.count == 5 && replies[3].hasPrefix("-EXECABORT") && replies[4] == "nil", "\(replies)")
        #expect(bench.problems() == [])
    }

    @Test func aWatchThatIsLostFailsTheTransactionThatFollows() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "WATCH", "k")
        bench.crash(bench.servers[0])
        bench.advance(milliseconds: 3_000)
        client.sendRaw(
            requests(["GET", "k"], ["MULTI"], ["SET", "k", "v"], ["EXEC"], ["MULTI"], ["SET", "k", "again"], ["EXEC"]))
        bench.settle()
        #expect(client.taken() == ["nil", "OK", "QUEUED", "nil", "OK", "QUEUED", "[OK]"])
        #expect(bench.problems() == [])
    }

    /// Found by WorkerChaosTests (seeds 96, 120, 182, 244): MULTI, SUBSCRIBE and BLPOP went to the connection that all share.
    @Test func whatWasMeantForALostPrivateConnectionStaysOffTheSharedOne() {
        for command in [["MULTI"], ["SUBSCRIBE", "c"], ["BLPOP", "l", "0"], ["WATCH", "k"], ["MONITOR"]] {
            let bench = Bench()
            let client = bench.client()
            let other = bench.client()
            bench.servers[0].behaviour = .swallows
            client.send(command)
            bench.settle()
            bench.servers[0].behaviour = .answers
            bench.promote(1)
            bench.publish()
            bench.advance(milliseconds: 3_000)
            #expect(bench.ask(other, "SET", "k", "v") == "OK", "\(command)")
            #expect(bench.ask(other, "WAIT", "0", "0") == ":1", "\(command)")
            #expect(bench.servers[1].connections.allSatisfy { $0.blockedOn == nil || command[0] == "BLPOP" })
            #expect(bench.problems() == [])
        }
    }

    @Test func blockingCommandsBlockNobodyElse() {
        let bench = Bench()
        let blocked = bench.client()
        let other = bench.client()
        blocked.sendRaw(requests(["BLPOP", "l", "0"], ["PING", "after"]))
        bench.settle()
        #expect(bench.ask(other, "INCR", "n") == ":1")
        #expect(blocked.taken() == [])
        bench.advance(milliseconds: 60_000, step: 5_000)
        #expect(blocked.taken() == [], "it is not subject to request-timeout")
        #expect(bench.ask(other, "LPUSH", "l", "x") == ":1")
        #expect(blocked.taken() == ["[l x]", "after"])
        #expect(bench.problems() == [])
    }

    @Test func aBlockedClientThatLeavesIsUnblockedAtTheNode() {
        let bench = Bench()
        let blocked = bench.client()
        let other = bench.client()
        blocked.send("BLPOP", "l", "0")
        bench.settle()
        #expect(bench.servers[0].connections.contains { $0.blockedOn != nil })
        bench.cut(blocked)
        bench.settle()
        #expect(!bench.servers[0].connections.contains { $0.blockedOn != nil })
        bench.ask(other, "LPUSH", "l", "x")
        #expect(bench.servers[0].lists["l"]?.count == 1)
        #expect(bench.problems() == [])
    }

    @Test func clientUnblockReachesAClientOfAnotherWorker() {
        let bench = Bench(workers: 2)
        let blocked = bench.client(worker: 1)
        let other = bench.client(worker: 0)
        blocked.send("BLPOP", "l", "0")
        bench.settle()
        #expect(bench.ask(other, "CLIENT", "UNBLOCK", "\(blocked.id)") == ":1")
        bench.settle()
        #expect(blocked.taken() == ["nil"])
        blocked.send("BLPOP", "l", "0")
        bench.settle()
        #expect(bench.ask(other, "CLIENT", "UNBLOCK", "\(blocked.id)", "ERROR") == ":1")
        #expect(blocked.taken() == ["-UNBLOCKED client unblocked via CLIENT UNBLOCK"])
        #expect(bench.ask(other, "CLIENT", "UNBLOCK", "\(blocked.id)") == ":0")
        #expect(bench.problems() == [])
    }

    @Test func subscriptionsAndCommandsAroundThemKeepTheirOrder() {
        for version in ["2", "3"] {
            for pieces in [1, 3, 7, 1000] {
                let bench = Bench()
                bench.readLimit = pieces
                let client = bench.client()
                bench.ask(client, "HELLO", version)
                client.sendRaw(
                    requests(
                        ["PING", "before"], ["SUBSCRIBE", "a", "b"], ["PING", "between"], ["UNSUBSCRIBE", "a"],
                        ["SUBSCRIBE", "c"]))
                bench.settle()
                let push = version == "3" ? ">" : ""
                let pong = version == "3" ? "between" : "[pong between]"
                #expect(
                    client.taken() == [
                        "before", "\(push)[subscribe a :1]", "\(push)[subscribe b :2]", pong, "\(push)[unsubscribe a :1]",
                        "\(push)[subscribe c :2]",
                    ])
                #expect(bench.servers[0].publish("b", "news") == 1)
                bench.settle()
                #expect(client.taken() == ["\(push)[message b news]"])
                #expect(bench.problems() == [])
            }
        }
    }

    @Test func theLastUnsubscribeGivesTheConnectionBackClean() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "SUBSCRIBE", "a")
        let connections = bench.servers[0].connections.count
        #expect(bench.ask(client, "UNSUBSCRIBE") == "[unsubscribe a :0]")
        #expect(bench.worker.statistics.pinnedClients == 0)
        #expect(bench.ask(client, "GET", "k") == "nil")
        let other = bench.client()
        #expect(bench.ask(other, "MULTI") == "OK")
        #expect(bench.servers[0].connections.count == connections)
        #expect(bench.ask(other, "EXEC") == "[]")
        #expect(bench.problems() == [])
    }

    /// The node refuses PING, which the proxy sends behind SUBSCRIBE to see where the confirmations end.
    @Test func subscribingWorksWherePingIsRefused() {
        let bench = Bench()
        bench.servers[0].errors = ["PING": "NOPERM this user has no permissions to run the 'ping' command"]
        let client = bench.client()
        #expect(bench.ask(client, "SUBSCRIBE", "a", "b") == "[subscribe a :1] | [subscribe b :2]")
        #expect(bench.ask(client, "UNSUBSCRIBE") == "[unsubscribe a :1] | [unsubscribe b :0]")
        #expect(bench.ask(client, "GET", "k") == "nil")
        bench.servers[0].errors["SUBSCRIBE"] = "NOPERM no channels"
        bench.settle()
        #expect(bench.ask(client, "SUBSCRIBE", "a").hasPrefix("-NOPERM"))
        #expect(bench.ask(client, "GET", "k") == "nil")
        #expect(bench.problems() == [])
    }

    @Test func subscribersAreClosedWhenTheirConnectionBreaks() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "SUBSCRIBE", "a")
        bench.crash(bench.servers[0])
        bench.settle()
        #expect(client.isClosed)
        #expect(client.taken() == [])
        #expect(bench.problems() == [])
    }

    @Test func resetRightBehindMonitorIsAnswered() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["MONITOR"], ["RESET"], ["PING", "on"]))
        bench.settle()
        #expect(client.taken() == ["OK", "RESET", "on"])
        #expect(bench.problems() == [])
    }

    @Test func monitorShowsWhatRuns() {
        let bench = Bench()
        let client = bench.client()
        let other = bench.client()
        #expect(bench.ask(client, "MONITOR") == "OK")
        bench.ask(other, "SET", "k", "v")
        #expect(client.taken() == ["1700000000.000001 [0 127.0.0.1:1] \"SET\" \"k\" \"v\""])
        #expect(bench.problems() == [])
    }

    @Test func commandsThatTheProxyRefusesAbortTheTransaction() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["MULTI"], ["SHUTDOWN"], ["SET", "k", "v"], ["EXEC"]))
        bench.settle()
        let replies = client.taken()
        #expect(replies.count == 4 && replies[1].hasPrefix("-NOPERM") && replies[3].hasPrefix("-EXECABORT"), "\(replies)")
        #expect(bench.problems() == [])
    }

    @Test func selectInsideATransactionHoldsAfterIt() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["MULTI"], ["SELECT", "3"], ["SET", "k", "three"], ["EXEC"], ["GET", "k"]))
        bench.settle()
        #expect(client.taken() == ["OK", "QUEUED", "QUEUED", "[OK OK]", "three"])
        #expect(bench.ask(client, "SELECT", "0") == "OK")
        #expect(bench.ask(client, "GET", "k") == "nil")
        #expect(bench.problems() == [])
    }
}
