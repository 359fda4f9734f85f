import Testing
import Wire

@testable import Proxy

/// When workers get a new snapshot, and what a change of the options does.
@Suite struct TopologyPublicationTests {
    private static let a = FakeNode("a")
    private static let b = FakeNode("b", master: a)
    private static let c = FakeNode("c", master: a)

    private func pair(_ change: (inout ProxyOptions) -> Void = { _ in }) -> FakeCluster {
        FakeCluster([Self.a, Self.b], options: change)
    }

    @Test func offsetsAloneMakeNoSnapshot() {
        var cluster = pair()
        #expect(cluster.monitor.takeTopology()?.version == 1)
        for _ in 0..<20 {
            cluster.nodes[0].offset += 1_000
            cluster.nodes[1].offset += 900
            cluster.run(milliseconds: 1_000)
            #expect(cluster.monitor.takeTopology() == nil)
        }
        #expect(cluster.monitor.currentTopology.nodes[0].offset == 21_000)
        #expect(cluster.monitor.currentTopology.nodes[1].lagBytes == 2_000)
        #expect(cluster.monitor.currentTopology.version == 1)
    }

    @Test func whatWorkersActOnMakesOneSnapshot() {
        var cluster = pair()
        _ = cluster.monitor.takeTopology()
        cluster.crash(0)
        let down = cluster.monitor.takeTopology()
        #expect(down?.version == 2)
        #expect(down?.nodes[0].health.whyDown != nil)
        cluster.run(milliseconds: 20_000)
        #expect(cluster.monitor.takeTopology() == nil)
        cluster.nodes[0].behaviour = .answers
        cluster.nodes[0].runID = "restarted"
        cluster.run(milliseconds: 6_000)
        #expect(cluster.monitor.takeTopology()?.nodes[0].runID == "restarted")
    }

    @Test func refusedReadsMakeASnapshot() {
        var cluster = pair()
        _ = cluster.monitor.takeTopology()
        cluster.nodes[1].lastHeard = 60
        cluster.run(milliseconds: 1_000)
        #expect(cluster.monitor.takeTopology()?.nodes[1].readsRefused != nil)
    }

    @Test func latencyMakesASnapshotOnlyForLowestLatencyAndOnlyIfItMovedFar() {
        var plain = pair()
        var fast = pair { $0.replicaSelection = .lowestLatency }
        for var cluster in [plain, fast] {
            cluster.replyMicroseconds = 100
            cluster.run(milliseconds: 30_000)
            _ = cluster.monitor.takeTopology()
            if cluster.monitor.options.replicaSelection == .lowestLatency { fast = cluster } else { plain = cluster }
        }
        plain.replyMicroseconds = 5_000
        fast.replyMicroseconds = 115
        plain.run(milliseconds: 10_000)
        fast.run(milliseconds: 10_000)
        #expect(plain.monitor.takeTopology() == nil)
        #expect(fast.monitor.takeTopology() == nil)
        fast.replyMicroseconds = 5_000
        fast.run(milliseconds: 1_100)
        #expect(fast.monitor.takeTopology() != nil)
        #expect(fast.monitor.takeTopology() == nil)
    }

    @Test func aNodeThatDisagreesAboutACommandShowsInTheMergedTable() throws {
        var extra = Self.b
        extra.extraCommand = "module.read"
        let cluster = FakeCluster([Self.a, extra])
        let commands = cluster.monitor.currentTopology.commands
        #expect(try #require(commands.entry(named: "module.read")).isOnEveryNode == false)
        #expect(try #require(commands.entry(named: "get")).isOnEveryNode)
    }

    @Test func addedAndRemovedNodesLeaveTheOthersAlone() {
        var cluster = FakeCluster([Self.a, Self.b, Self.c]) { $0.replicas.removeLast() }
        let before = cluster.openLinks
        var options = cluster.monitor.options
        options.replicas = [ReplicaOptions(endpoint: Self.c.endpoint, weight: 7, zone: "west")]
        cluster.apply(options)
        #expect(cluster.monitor.currentTopology.nodes.map(\.endpoint) == [Self.a.endpoint, Self.c.endpoint])
        #expect(cluster.state(2).health == .up)
        #expect(cluster.state(2).weight == 7)
        #expect(cluster.state(2).zone == "west")
        #expect(cluster.openLinks.contains(before[0]))
        #expect(!cluster.openLinks.contains(before[1]))
        #expect(Set(cluster.openLinks.map(\.slot)).count == 2)
        #expect(cluster.log.contains { $0.contains("b:6379 is no longer named") })
    }

    @Test func changedWeightsKeepConnectionsAndMakeASnapshot() {
        var cluster = pair()
        _ = cluster.monitor.takeTopology()
        var options = cluster.monitor.options
        options.replicas[0].weight = 5
        cluster.apply(options)
        #expect(cluster.connectedAt.count == 2)
        #expect(cluster.monitor.takeTopology()?.nodes[1].weight == 5)
    }

    @Test func aChangedPasswordReconnectsWithoutAnOutage() {
        var cluster = pair()
        _ = cluster.monitor.takeTopology()
        cluster.nodes[0].password = "new"
        cluster.nodes[1].password = "new"
        var options = cluster.monitor.options
        options.backendPassword = "new"
        cluster.apply(options)
        #expect(cluster.connectedAt.count == 4)
        #expect(cluster.openLinks.count == 2)
        #expect(cluster.state(0).health == .up)
        #expect(cluster.monitor.takeTopology() == nil)
    }

    @Test func aNewlyNamedMasterIsJudgedAfresh() {
        var cluster = pair()
        cluster.nodes[1].promote()
        cluster.run(milliseconds: 1_000)
        #expect(cluster.master == 0)
        var options = cluster.monitor.options
        options.master = Self.b.endpoint
        options.replicas = [ReplicaOptions(endpoint: Self.a.endpoint)]
        cluster.apply(options)
        #expect(cluster.master == 1)
        #expect(cluster.state(0).health.whyUnusable != nil)
    }

    @Test func aMasterThatIsListedAsAReplicaTooTakesItsWeightFromThere() {
        let cluster = FakeCluster([Self.a, Self.b]) {
            $0.replicas.append(ReplicaOptions(endpoint: Self.a.endpoint, weight: 3, zone: "east"))
        }
        #expect(cluster.monitor.currentTopology.nodes.count == 2)
        #expect(cluster.state(0).weight == 3)
        #expect(cluster.state(0).isMaster)
    }

    @Test func noNodesMeansNoWakes() {
        let monitor = Monitor(options: ProxyOptions(), seed: 1, now: Instant(nanoseconds: 5))
        #expect(monitor.nextWake == .never)
        #expect(monitor.effects.isEmpty)
    }
}
