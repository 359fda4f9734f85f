import Testing
import Wire

@testable import Proxy

/// HELLO, AUTH, SELECT, RESET, CLIENT REPLY: what a client has set.
@Suite struct ConnectionStateTests {
    @Test func databasesAreApart() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["SET", "k", "zero"], ["SELECT", "1"], ["SET", "k", "one"], ["SELECT", "0"], ["GET", "k"]))
        bench.settle()
        #expect(client.taken() == ["OK", "OK", "OK", "OK", "zero"])
        #expect(bench.problems() == [])
    }

    @Test func anUnknownDatabaseIsRefusedAndForgotten() {
        let bench = Bench()
        let client = bench.client()
        for database in 90..<110 { #expect(bench.ask(client, "SELECT", "\(database)") == "-ERR DB index is out of range") }
        #expect(bench.worker.lanes.count == 1)
        #expect(bench.ask(client, "GET", "k") == "nil")
        #expect(bench.problems() == [])
    }

    @Test func usersAreCheckedByTheMaster() {
        let bench = Bench()
        for server in bench.servers { server.users["alice"] = "secret" }
        let client = bench.client()
        #expect(bench.ask(client, "AUTH", "alice", "wrong").hasPrefix("-WRONGPASS"))
        #expect(bench.ask(client, "AUTH", "alice", "secret") == "OK")
        #expect(bench.ask(client, "GET", "k") == "nil")
        #expect(bench.servers.contains { $0.connections.contains { $0.user == "alice" } })
        #expect(bench.ask(client, "HELLO", "3", "AUTH", "alice", "wrong").hasPrefix("-WRONGPASS"))
        #expect(bench.ask(client, "HELLO", "3", "AUTH", "alice", "secret", "SETNAME", "me").contains("proto :3"))
        #expect(bench.ask(client, "CLIENT", "GETNAME") == "me")
        #expect(bench.problems() == [])
    }

    @Test func aUserCantBeCheckedWithoutAMaster() {
        let bench = Bench()
        for server in bench.servers { server.users["alice"] = "secret" }
        let client = bench.client()
        bench.servers[0].behaviour = .refuses
        #expect(bench.ask(client, "AUTH", "alice", "secret").hasPrefix("-MASTERDOWN"))
        bench.servers[0].behaviour = .swallows
        client.send("AUTH", "alice", "secret")
        bench.advance(milliseconds: 1_200)
        #expect(client.taken().map { $0.hasPrefix("-MASTERDOWN") } == [true])
        bench.master = nil
        bench.publish()
        bench.settle()
        #expect(bench.ask(client, "AUTH", "alice", "secret").hasPrefix("-MASTERDOWN"))
        bench.servers[0].behaviour = .answers
        bench.master = 0
        bench.publish()
        bench.settle()
        #expect(bench.ask(client, "AUTH", "alice", "secret") == "OK")
        #expect(bench.problems() == [])
    }

    @Test func twoWhoTryTheSameWrongPasswordAreBothToldSo() {
        let bench = Bench()
        let clients = (0..<3).map { _ in bench.client() }
        for client in clients { client.send("AUTH", "alice", "wrong") }
        bench.settle()
        for client in clients { #expect(client.taken().map { $0.hasPrefix("-WRONGPASS") } == [true]) }
        #expect(bench.problems() == [])
    }

    /// The pool of private connections has room for 32: the last ones are closed as soon as they are greeted.
    @Test func moreLoginsAtOnceThanThePoolHolds() {
        let bench = Bench()
        for server in bench.servers { server.users["alice"] = "secret" }
        let clients = (0..<40).map { _ in bench.client() }
        for client in clients { client.send("AUTH", "alice", "secret") }
        bench.settle()
        for client in clients { #expect(client.taken() == ["OK"]) }
        #expect(bench.problems() == [])
    }

    /// The lane of the private connection had no client any more, and was closed with the connection: use after free.
    @Test func anotherUserHasToWaitUntilThePrivateConnectionIsGivenUp() {
        let bench = Bench()
        for server in bench.servers { server.users = ["alice": "secret", "bob": "secret"] }
        let client = bench.client()
        bench.ask(client, "AUTH", "alice", "secret")
        #expect(bench.ask(client, "WATCH", "k") == "OK")
        #expect(bench.ask(client, "AUTH", "bob", "secret").hasPrefix("-ERR the user can't be changed"))
        #expect(bench.ask(client, "AUTH", "alice", "secret") == "OK")
        bench.advance(milliseconds: 130_000, step: 5_000)
        #expect(bench.ask(client, "UNWATCH") == "OK")
        #expect(bench.ask(client, "AUTH", "bob", "secret") == "OK")
        #expect(bench.problems() == [])
    }

    /// Found by WorkerChaosTests (seed 1044).
    @Test func helloAfterASelectOnAPrivateConnectionKeepsTheConnection() {
        let bench = Bench()
        for server in bench.servers { server.users["alice"] = "secret" }
        let client = bench.client()
        bench.ask(client, "HELLO", "3", "AUTH", "alice", "secret")
        bench.ask(client, "WATCH", "k")
        #expect(bench.ask(client, "SELECT", "2") == "OK")
        #expect(bench.ask(client, "HELLO", "3").contains("proto"))
        bench.advance(milliseconds: 130_000, step: 5_000)
        #expect(bench.ask(client, "SET", "k", "two") == "OK")
        #expect(bench.ask(client, "UNWATCH") == "OK")
        #expect(bench.ask(client, "GET", "k") == "two")
        #expect(bench.servers[0].databases[2]?["k"] != nil)
        #expect(bench.problems() == [])
    }

    /// Dismissing the clients of a user freed the connection whose greeting told of it.
    @Test func aUserThatTheMasterRefusesAllAtOnceIsDismissed() {
        let bench = Bench()
        for server in bench.servers { server.users["alice"] = "secret" }
        let clients = (0..<3).map { _ in bench.client() }
        for client in clients { bench.ask(client, "AUTH", "alice", "secret") }
        for server in bench.servers { server.users = [:] }
        bench.crash(bench.servers[0])
        clients[0].send("MULTI")
        clients[1].send("WATCH", "k")
        bench.settle()
        bench.advance(milliseconds: 4_000)
        #expect(!clients.contains { !$0.isClosed })
        #expect(bench.problems() == [])
    }

    @Test func nothingIsToldBeforeAuthentication() {
        let bench = Bench(options: { $0.requirePass = "pass" })
        let client = bench.client()
        #expect(bench.ask(client, "GET", "k").hasPrefix("-NOAUTH"))
        #expect(bench.ask(client, "AUTH", "wrong").hasPrefix("-WRONGPASS"))
        #expect(bench.ask(client, "HELLO", "3").hasPrefix("-NOAUTH"))
        #expect(bench.ask(client, "HELLO", "3", "AUTH", "default", "pass").contains("proto :3"))
        #expect(bench.ask(client, "GET", "k") == "nil")
        #expect(bench.ask(client, "RESET") == "RESET")
        #expect(bench.ask(client, "GET", "k").hasPrefix("-NOAUTH"))
        #expect(bench.problems() == [])
    }

    @Test func replyOffAndSkipSilenceTheRightCommands() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(
            requests(
                ["PING", "a"], ["CLIENT", "REPLY", "SKIP"], ["PING", "b"], ["PING", "c"], ["CLIENT", "REPLY", "SKIP"],
                ["INCR", "n"],
                ["INCR", "n"], ["CLIENT", "REPLY", "OFF"], ["INCR", "n"], ["GET", "n"], ["PING", "d"],
                ["CLIENT", "REPLY", "ON"],
                ["INCR", "n"]))
        bench.settle()
        #expect(client.taken() == ["a", "c", ":2", "OK", ":4"])
        #expect(bench.problems() == [])
    }

    @Test func aSilentErrorDoesNotSwallowTheReplyBehindIt() {
        let bench = Bench()
        let client = bench.client()
        bench.ask(client, "SET", "warm", "1")
        client.send("GET", "warm")
        bench.settle()
        _ = client.take()
        for server in bench.servers { server.isStalled = true }
        client.send("GET", "warm")
        bench.settle()
        client.sendRaw(requests(["CLIENT", "REPLY", "OFF"], ["INCR", "n"]))
        bench.settle()
        bench.servers[0].behaviour = .refuses
        bench.crash(bench.servers[0])
        bench.settle()
        client.sendRaw(requests(["CLIENT", "REPLY", "ON"]))
        bench.settle()
        for server in bench.servers { server.isStalled = false }
        bench.settle()
        #expect(client.taken() == ["1", "OK"])
        #expect(bench.problems() == [])
    }

    @Test func renamedCommandsObeyReplyModesPausesAndDenials() {
        let bench = Bench(options: {
            $0.renamedCommands = ["set": "put", "config": "cfg"]
            $0.deniedCommands = ["config|get"]
        })
        let client = bench.client()
        client.sendRaw(requests(["CLIENT", "REPLY", "SKIP"], ["PUT", "k", "v"], ["PING", "p"]))
        bench.settle()
        #expect(client.taken() == ["p"])
        #expect(bench.ask(client, "SET", "k", "v").hasPrefix("-ERR unknown command"))
        #expect(bench.ask(client, "CFG", "GET", "x").hasPrefix("-ERR unknown command"))
        bench.ask(client, "CLIENT", "PAUSE", "1000", "WRITE")
        #expect(bench.ask(client, "PUT", "k", "w") == "")
        bench.advance(milliseconds: 1_100)
        #expect(client.taken() == ["OK"])
        #expect(bench.problems() == [])
    }

    @Test func pausedClientsGoOnInOrder() {
        let bench = Bench(workers: 2)
        let client = bench.client()
        let other = bench.client(worker: 1)
        #expect(bench.ask(other, "CLIENT", "PAUSE", "500", "WRITE") == "OK")
        client.sendRaw(requests(["GET", "k"], ["SET", "k", "v"], ["GET", "k"]))
        bench.settle()
        #expect(client.taken() == ["nil"])
        bench.advance(milliseconds: 600)
        #expect(client.taken() == ["OK", "v"])
        #expect(bench.ask(other, "CLIENT", "PAUSE", "100000") == "OK")
        client.send("PING")
        bench.settle()
        #expect(client.taken() == [])
        let third = bench.client(worker: 1)
        #expect(bench.ask(third, "CLIENT", "UNPAUSE") == "OK")
        bench.settle()
        #expect(client.taken() == ["PONG"])
        #expect(bench.problems() == [])
    }

    @Test func clientListAndKillReachAllWorkers() {
        let bench = Bench(workers: 3)
        let clients = (0..<6).map { bench.client(worker: $0 % 3) }
        let list = bench.ask(clients[0], "CLIENT", "LIST")
        for client in clients { #expect(list.contains("id=\(client.id) ")) }
        #expect(bench.ask(clients[0], "CLIENT", "KILL", "ID", "\(clients[4].id)") == ":1")
        #expect(clients[4].isClosed)
        #expect(bench.ask(clients[0], "CLIENT", "KILL", "SKIPME", "no") == ":5")
        #expect(!clients.contains { !$0.isClosed })
        #expect(bench.problems() == [])
    }

    /// The slot of a client that was killed from another thread was taken before the driver had closed it.
    @Test func aClientMayComeInTheTurnInWhichAnotherIsKilled() {
        let bench = Bench(workers: 2)
        let victim = bench.client(worker: 0)
        let killer = bench.client(worker: 1)
        killer.send("CLIENT", "KILL", "ID", "\(victim.id)")
        _ = bench.turn(1)
        let late = bench.client(worker: 0, isLate: true)
        bench.settle()
        #expect(victim.isClosed)
        #expect(bench.ask(late, "PING") == "PONG")
        #expect(bench.problems() == [])
    }

    @Test func twoInfosOfAPipelineAreBothWhole() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["INFO"], ["INFO"]))
        bench.settle()
        let replies = client.taken()
        #expect(replies.count == 2 && replies.allSatisfy { $0.contains("host:a") && $0.contains("# Proxy") })
        #expect(bench.problems() == [])
    }
}
