import Testing
import Wire

@testable import Proxy

/// What one node's answers, errors and silences make of it.
@Suite struct HealthCheckTests {
    private let a = FakeNode("a")

    private func pair(_ change: (inout ProxyOptions) -> Void = { _ in }) -> FakeCluster {
        FakeCluster([a, FakeNode("b", master: a)], options: change)
    }

    @Test func becomesUsableAfterGreetingAndOneRound() {
        let cluster = pair()
        #expect(cluster.state(0).health == .up)
        #expect(cluster.state(0).role == .master)
        #expect(cluster.state(0).isMaster)
        #expect(cluster.state(0).runID == "run-of-a")
        #expect(cluster.state(0).version == "7.0.15")
        #expect(cluster.state(0).databases == 16)
        #expect(cluster.state(1).health == .up)
        #expect(cluster.state(1).role == .replica)
        #expect(cluster.state(1).readsRefused == nil)
        #expect(cluster.monitor.currentTopology.commands.entry(named: "get") != nil)
    }

    @Test func understandsRepliesSplitAtEveryByte() {
        let whole = pair()
        let split = FakeCluster([a, FakeNode("b", master: a)], delivery: .everyByte)
        #expect(split.monitor.currentTopology.nodes == whole.monitor.currentTopology.nodes)
        #expect(split.history == whole.history)
    }

    @Test func asksOnceASecond() {
        var cluster = pair()
        cluster.run(milliseconds: 10_500)
        #expect(cluster.requested["a PING"] == 11)
        #expect(cluster.requested["b ROLE"] == 11)
        #expect(cluster.requested["a COMMAND"] == 1)
        #expect(cluster.connectedAt.count == 2)
    }

    @Test func tellsValkeyFromRedis() {
        var node = a
        node.version = "7.2.4"
        node.valkeyVersion = "8.1.3"
        let cluster = FakeCluster([node])
        #expect(cluster.state(0).version == "7.2.4")
        #expect(cluster.state(0).valkeyVersion == "8.1.3")
        #expect(cluster.log.contains { $0.contains("Valkey 8.1.3") })
    }

    @Test func silenceMakesANodeDownWithinTwoSecondsOfTheUnansweredPing() {
        var cluster = pair()
        cluster.nodes[1].behaviour = .silent
        cluster.run(milliseconds: 2_900)
        #expect(cluster.state(1).health == .up)
        cluster.run(milliseconds: 200)
        #expect(cluster.state(1).health == .down("no answer to PING for 2000 ms"))
        #expect(cluster.state(0).health == .up)
    }

    @Test func silenceDuringTheGreetingEndsWithConnectTimeout() {
        var silent = a
        silent.behaviour = .silent
        var cluster = FakeCluster([silent]) { $0.connectTimeoutMilliseconds = 300 }
        cluster.run(milliseconds: 301)
        #expect(cluster.state(0).health == .down("connected, but no answer to the greeting within 300 ms (connect-timeout)"))
        #expect(cluster.openLinks.isEmpty)
    }

    @Test func anUnansweredConnectEndsWithConnectTimeoutAndACloseEffect() {
        var gone = a
        gone.behaviour = .swallowsConnections
        var cluster = FakeCluster([gone]) { $0.connectTimeoutMilliseconds = 300 }
        cluster.run(milliseconds: 301)
        #expect(cluster.state(0).health == .down("no connection within 300 ms (connect-timeout)"))
        #expect(cluster.history.contains { $0.contains("close 0/1") })
    }

    @Test func aLostConnectionIsDownAtOnceAndUpAfterOneGoodRound() {
        var cluster = pair()
        cluster.disconnect(1)
        #expect(cluster.state(1).health == .down("connection reset by peer"))
        cluster.run(milliseconds: 200)
        #expect(cluster.state(1).health == .up)
    }

    @Test func reconnectsWithGrowingPausesBetweenTheirBounds() {
        var gone = a
        gone.behaviour = .refusesConnections
        var cluster = FakeCluster([gone])
        cluster.run(milliseconds: 60_000)
        let pauses = zip(cluster.connectedAt.dropFirst(), cluster.connectedAt).map { $0.milliseconds(since: $1) }
        #expect(pauses.allSatisfy { (100...5_000).contains($0) })
        #expect(pauses[0] <= 200)
        #expect(pauses.suffix(5).allSatisfy { $0 >= 2_500 })
        #expect(Set(pauses.suffix(8)).count > 4)
    }

    @Test func anErrorToTheFirstRequestIsTheReason() throws {
        for (command, password) in [("INFO", nil), ("AUTH", "p")] {
            var full = a
            full.errors[command] = "ERR max number of clients reached"
            var cluster = FakeCluster([full]) { $0.backendPassword = password }
            cluster.run(milliseconds: 3_000)
            #expect(try #require(cluster.state(0).health.whyUnusable).contains("max number of clients"))
            cluster.nodes[0].errors = [:]
            cluster.run(milliseconds: 5_000)
            #expect(cluster.state(0).health == .up)
        }
    }

    @Test func aMissingOrWrongPasswordNamesTheNodeAndTheDirective() throws {
        var locked = a
        locked.password = "secret"
        for given in [nil, "wrong"] {
            var cluster = FakeCluster([locked]) { $0.backendPassword = given }
            cluster.run(milliseconds: 20_000)
            let text = try #require(cluster.state(0).health.whyUnusable)
            #expect(text.contains("backend-password"))
            #expect(cluster.log.filter { $0.contains("a:6379") && $0.contains("backend-password") }.count == 1)
        }
    }

    @Test func authenticatesWithUserAndPassword() {
        var locked = a
        locked.password = "secret"
        let cluster = FakeCluster([locked]) {
            $0.backendUser = "proxy"
            $0.backendPassword = "secret"
        }
        #expect(cluster.state(0).health == .up)
        #expect(cluster.requested["a AUTH"] == 1)
    }

    @Test func aPasswordThatTheNodeDoesNotNeedIsNoObstacle() {
        let cluster = FakeCluster([a]) { $0.backendPassword = "superfluous" }
        #expect(cluster.state(0).health == .up)
        #expect(cluster.log.contains { $0.contains("has no password") })
    }

    @Test func aLoadingNodeIsUnusableUntilItHasLoaded() {
        var cluster = pair()
        cluster.nodes[1].errors["PING"] = "LOADING Redis is loading the dataset in memory"
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).health == .unusable("loading the data set"))
        cluster.nodes[1].errors = [:]
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).health == .up)
        #expect(cluster.connectedAt.count == 2)
    }

    @Test func aReplicaThatRefusesStaleReadsIsUnusable() throws {
        var cluster = pair()
        cluster.nodes[1].errors["PING"] = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
        cluster.run(milliseconds: 1_000)
        let text = try #require(cluster.state(1).health.whyUnusable)
        #expect(text.contains("replica-serve-stale-data"))
    }

    @Test(arguments: ["ROLE", "INFO", "PING"])
    func aMissingPermissionIsNamed(command: String) throws {
        var cluster = pair { $0.backendUser = "proxy" }
        cluster.nodes[1].errors[command] = "NOPERM this user has no permissions to run the '\(command.lowercased())' command"
        cluster.run(milliseconds: 1_000)
        let text = try #require(cluster.state(1).health.whyUnusable)
        #expect(text.contains("ACL SETUSER proxy +\(command.lowercased())"))
    }

    @Test func aNodeThatRunsAScriptStaysWhatItWas() {
        var cluster = pair()
        for command in ["PING", "ROLE", "INFO"] { cluster.nodes[0].errors[command] = "BUSY Redis is busy running a script." }
        cluster.run(milliseconds: 5_000)
        #expect(cluster.state(0).health == .up)
        #expect(cluster.state(0).isMaster)
    }

    @Test func aNodeFoundRunningAScriptIsGreetedAgainWhenItEnds() {
        var busy = a
        for command in ["PING", "ROLE", "INFO", "COMMAND", "CONFIG"] {
            busy.errors[command] = "BUSY Redis is busy running a script."
        }
        var cluster = FakeCluster([busy])
        cluster.run(milliseconds: 3_000)
        #expect(cluster.state(0).health.whyUnusable != nil)
        cluster.nodes[0].errors = [:]
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(0).health == .up)
        #expect(cluster.state(0).runID == "run-of-a")
        #expect(cluster.connectedAt.count == 1)
    }

    @Test func aMasterThatCannotSaveStaysUp() {
        var cluster = pair()
        cluster.nodes[0].errors["PING"] =
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(0).health == .up)
    }

    @Test func unknownDatabasesAndCommandsAreNoObstacle() {
        var shy = a
        shy.databases = nil
        shy.errors["COMMAND"] = "NOPERM this user has no permissions to run the 'command' command"
        let cluster = FakeCluster([shy])
        #expect(cluster.state(0).health == .up)
        #expect(cluster.state(0).databases == nil)
        #expect(!cluster.monitor.currentTopology.commands.hasReports)
    }

    @Test func bytesThatAreNoRESPCloseTheConnectionAndHeal() throws {
        var cluster = pair()
        cluster.inject(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), from: 1)
        let text = try #require(cluster.state(1).health.whyDown)
        #expect(text.contains("no RESP"))
        cluster.run(milliseconds: 500)
        #expect(cluster.state(1).health == .up)
    }

    @Test func aReplyToNothingClosesTheConnection() {
        var cluster = pair()
        cluster.inject(Array("+PONG\r\n".utf8), from: 1)
        #expect(cluster.state(1).health == .down("sent a reply without being asked"))
    }

    @Test func controlCharactersOfAPeerDoNotReachTheLog() {
        var cluster = FakeCluster([a])
        cluster.nodes[0].errors["PING"] = "ERR \u{1b}[31m\u{7}" + String(repeating: "x", count: 5_000)
        cluster.run(milliseconds: 1_000)
        #expect(cluster.log.allSatisfy { $0.utf8.count < 600 && $0.utf8.allSatisfy { $0 >= 0x20 } })
    }

    @Test func theRoundAfterAGreetingDoesNotCountAsLatencyOnceThereIsABetterSample() {
        var cluster = FakeCluster([a])
        cluster.replyMicroseconds = 400
        cluster.run(milliseconds: 3_000)
        cluster.replyMicroseconds = 90_000
        cluster.disconnect(0)
        cluster.run(milliseconds: 600)
        #expect(cluster.state(0).health == .up)
        #expect(cluster.state(0).latencyMicroseconds == 400)
    }

    @Test func latencyIsSmoothed() {
        var cluster = FakeCluster([a])
        cluster.replyMicroseconds = 400
        for _ in 0..<40 { cluster.run(milliseconds: 1_000) }
        #expect((380...400).contains(cluster.state(0).latencyMicroseconds))
        cluster.replyMicroseconds = 800
        cluster.run(milliseconds: 1_100)
        #expect((450...550).contains(cluster.state(0).latencyMicroseconds))
    }
}
