import Testing
import Wire

@testable import Proxy

/// Which replicas that are up get reads.
@Suite struct ReplicaReadsTests {
    private static let a = FakeNode("a")
    private static let b = FakeNode("b", master: a)

    private func pair(_ change: (inout ProxyOptions) -> Void = { _ in }) -> FakeCluster {
        FakeCluster([Self.a, Self.b], options: change)
    }

    @Test func aFullSyncRefusesReads() throws {
        var cluster = pair()
        cluster.nodes[1].isSyncing = true
        cluster.nodes[1].link = .down
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).health == .up)
        #expect(try #require(cluster.state(1).readsRefused).contains("full sync"))
        cluster.nodes[1].isSyncing = false
        cluster.nodes[1].link = .up
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).readsRefused == nil)
        #expect(cluster.log.filter { $0.contains("gets no reads") }.count == 1)
        #expect(cluster.log.filter { $0.contains("gets reads again") }.count == 1)
    }

    @Test func aLinkThatIsDownRefusesReadsWhileTheMasterIsUp() throws {
        var cluster = pair()
        cluster.nodes[1].link = .down
        cluster.nodes[1].downSince = 1
        cluster.run(milliseconds: 1_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("link to its master a:6379 is down"))
        #expect(cluster.state(1).secondsSinceMaster == -1)
    }

    @Test func aRoleThatIsNotConnectedRefusesReads() {
        var cluster = pair()
        cluster.nodes[1].linkState = "handshake"
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).readsRefused != nil)
    }

    @Test func withTheMasterDownReadsGoOnUntilTheDataIsTooOld() throws {
        var cluster = pair()
        cluster.crash(0)
        cluster.nodes[1].link = .down
        for second in 0...10 {
            cluster.nodes[1].downSince = second
            cluster.run(milliseconds: 1_000)
            #expect(cluster.state(1).readsRefused == nil)
        }
        cluster.nodes[1].downSince = 11
        cluster.run(milliseconds: 1_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("max-replica-lag-seconds"))
    }

    @Test func withTheMasterDownAndNoLimitReadsGoOn() {
        var cluster = pair { $0.maxReplicaLagSeconds = 0 }
        cluster.crash(0)
        cluster.nodes[1].link = .down
        cluster.nodes[1].downSince = 86_400
        cluster.run(milliseconds: 5_000)
        #expect(cluster.state(1).readsRefused == nil)
    }

    @Test func aReplicaThatNeverHadALinkRefusesReadsEvenWithTheMasterDown() throws {
        var cluster = pair { $0.maxReplicaLagSeconds = 0 }
        cluster.crash(0)
        cluster.nodes[1].link = .down
        cluster.nodes[1].downSince = -1
        cluster.run(milliseconds: 5_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("no link to its master"))
    }

    @Test func aReplicaPromotedByHandServesReadsWhileTheMasterIsDown() {
        var cluster = pair()
        cluster.crash(0)
        cluster.nodes[1].promote()
        cluster.run(milliseconds: 5_000)
        #expect(cluster.master == 0)
        #expect(cluster.state(1).health == .up)
        #expect(!cluster.state(1).isMaster)
    }

    @Test func silenceOfTheMasterBeyondTheLimitRefusesReads() throws {
        var cluster = pair()
        cluster.nodes[1].lastHeard = 10
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).readsRefused == nil)
        #expect(cluster.state(1).secondsSinceMaster == 10)
        cluster.nodes[1].lastHeard = 11
        cluster.run(milliseconds: 1_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("10 s (max-replica-lag-seconds)"))
    }

    @Test func lagBeyondTheLimitRefusesReads() throws {
        var cluster = pair { $0.maxReplicaLagBytes = 100 }
        cluster.nodes[0].offset = 5_000
        cluster.nodes[1].offset = 4_900
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).lagBytes == 100)
        #expect(cluster.state(1).readsRefused == nil)
        cluster.nodes[1].offset = 4_899
        cluster.run(milliseconds: 1_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("100 bytes"))
    }

    @Test func offsetsOfDifferentMomentsAreNotCompared() {
        var cluster = pair { $0.maxReplicaLagBytes = 100 }
        // The replica answers no round for a while; what the master wrote meanwhile is no lag that was seen.
        for command in ["PING", "ROLE", "INFO"] { cluster.nodes[1].errors[command] = "BUSY script" }
        cluster.nodes[0].offset = 900_000
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).lagBytes == 0)
        #expect(cluster.state(1).readsRefused == nil)
    }

    @Test func anotherHistoryRefusesReadsAfterOneRoundOfTolerance() throws {
        var cluster = pair()
        cluster.run(milliseconds: 2_000)
        cluster.nodes[1].replicationID = "another"
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).readsRefused == nil)
        cluster.run(milliseconds: 1_000)
        #expect(try #require(cluster.state(1).readsRefused).contains("history"))
        cluster.nodes[1].replicationID = cluster.nodes[0].replicationID
        cluster.run(milliseconds: 1_000)
        #expect(cluster.state(1).readsRefused == nil)
    }

    @Test func aReplicaOfSomethingElseIsNeverReadFrom() throws {
        var stranger = Self.b
        stranger.master = Endpoint(host: "elsewhere", port: 1)
        stranger.replicationID = "elsewhere"
        let cluster = FakeCluster([Self.a, stranger])
        #expect(try #require(cluster.state(1).readsRefused).contains("history"))
    }

    @Test func anInternalAddressOfTheMasterDoesNotMatter() {
        var inside = Self.b
        inside.master = Endpoint(host: "10.1.2.3", port: 16_379)
        var cluster = FakeCluster([Self.a, inside])
        cluster.run(milliseconds: 3_000)
        #expect(cluster.state(1).readsRefused == nil)
    }
}
