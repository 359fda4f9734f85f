import Testing
import Wire

@testable import Proxy

/// Random failures for thousands of steps, with what must hold after each of them.
@Suite struct MonitorChaosTests {
    /// SplitMix64: the same seed makes the same run.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    private func cluster(seed: UInt64) -> FakeCluster {
        let a = FakeNode("a")
        return FakeCluster(
            [a, FakeNode("b", master: a), FakeNode("c", master: a)], options: { $0.maxReplicaLagBytes = 500 }, seed: seed)
    }

    private func step(_ cluster: inout FakeCluster, _ random: inout Random) {
        let index = Int.random(in: 0..<3, using: &random)
        let other = Int.random(in: 0..<3, using: &random)
        switch Int.random(in: 0..<18, using: &random) {
        case 0: cluster.crash(index)
        case 1, 2: cluster.nodes[index].behaviour = .answers
        case 3: cluster.nodes[index].behaviour = .silent
        case 4: cluster.nodes[index].behaviour = .swallowsConnections
        case 5: cluster.disconnect(index)
        case 6:
            let garbage = (0..<Int.random(in: 1..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            cluster.inject(garbage, from: index)
        case 7:
            let types: [UInt8] = Array("+-:$*_#,(!=%~>|\r\n0123456789".utf8)
            let garbage = (0..<Int.random(in: 1..<40, using: &random)).map { _ in types.randomElement(using: &random) ?? 0 }
            cluster.inject(garbage, from: index)
        case 8: cluster.nodes[index].promote()
        case 9 where index != other: cluster.nodes[index].follow(cluster.nodes[other])
        case 10: cluster.nodes[index].master = Endpoint(host: "stranger", port: 1)
        case 11:
            let errors = ["LOADING x", "BUSY x", "NOAUTH x", "NOPERM x", "MASTERDOWN x", "MISCONF x", "ERR x", "READONLY x"]
            let command = ["PING", "ROLE", "INFO", "COMMAND", "CONFIG"].randomElement(using: &random) ?? ""
            cluster.nodes[index].errors[command] = errors.randomElement(using: &random)
        case 12, 13: cluster.nodes[index].errors = [:]
        case 14: cluster.nodes[index].isSyncing.toggle()
        case 15: cluster.nodes[index].link = cluster.nodes[index].link == .up ? .down : .up
        case 16: cluster.nodes[index].offset += Int64.random(in: 0..<1_000, using: &random)
        default:
            var options = cluster.monitor.options
            if Bool.random(using: &random) { options.backendPassword = Bool.random(using: &random) ? "p" : nil }
            if Bool.random(using: &random), !options.replicas.isEmpty {
                options.replicas.removeLast()
            } else if options.replicas.count < 2,
                let missing = cluster.nodes.first(where: { node in
                    node.endpoint != options.master && !options.replicas.contains { $0.endpoint == node.endpoint }
                })
            {
                options.replicas.append(ReplicaOptions(endpoint: missing.endpoint))
            }
            cluster.apply(options)
        }
        cluster.run(milliseconds: Int.random(in: 0..<1_500, using: &random))
    }

    @Test(arguments: 1...8)
    func invariantsHoldThroughRandomFailures(seed: UInt64) {
        var cluster = cluster(seed: seed)
        var random = Random(state: seed)
        var master = cluster.master
        for _ in 0..<1_500 {
            step(&cluster, &random)
            let topology = cluster.monitor.currentTopology
            #expect(topology.nodes.count { $0.isMaster } <= 1)
            #expect(topology.nodes.count == cluster.monitor.options.replicas.count + 1)
            #expect(cluster.monitor.nextWake >= cluster.now)
            #expect(Set(cluster.openLinks.map(\.slot)).count == cluster.openLinks.count)
            if let new = cluster.master, new != master {
                // Whoever has become the master said so itself last.
                #expect(cluster.monitor.nodes.first { $0.endpoint == cluster.nodes[new].endpoint }?.claimsMaster == true)
            }
            master = cluster.master
            for node in topology.nodes {
                if node.isMaster { #expect(node.role == .master) }
                if node.health != .up { #expect(node.readsRefused == nil) }
            }
            if let published = cluster.monitor.takeTopology() {
                #expect(cluster.monitor.takeTopology() == nil)
                #expect(published.nodes == topology.nodes)
            }
        }
        // Everything heals once the nodes do.
        let a = FakeNode("a")
        let healthy = [a, FakeNode("b", master: a), FakeNode("c", master: a)]
        cluster.nodes = healthy
        var options = cluster.monitor.options
        options.backendPassword = nil
        options.replicas = healthy.dropFirst().map { ReplicaOptions(endpoint: $0.endpoint) }
        cluster.apply(options)
        cluster.run(milliseconds: 10_000)
        #expect(cluster.master == 0)
        #expect(cluster.monitor.currentTopology.nodes.allSatisfy { $0.health == .up && $0.readsRefused == nil })
    }

    @Test func theSameSeedMakesTheSameEffects() {
        func history(seed: UInt64, script: UInt64) -> [String] {
            var cluster = cluster(seed: seed)
            var random = Random(state: script)
            for _ in 0..<500 { step(&cluster, &random) }
            return cluster.history
        }
        let first = history(seed: 3, script: 9)
        #expect(first == history(seed: 3, script: 9))
        #expect(first != history(seed: 4, script: 9))
    }

    @Test func staleLinksAreIgnored() {
        var cluster = cluster(seed: 1)
        let before = cluster.monitor.currentTopology.nodes
        let stale = LinkID(slot: 0, generation: 999)
        cluster.monitor.connected(stale, now: cluster.now)
        [UInt8]("garbage".utf8).withUnsafeBytes { cluster.monitor.received(stale, bytes: $0, now: cluster.now) }
        cluster.monitor.connectFailed(stale, reason: "x", now: cluster.now)
        cluster.monitor.closed(stale, reason: "x", now: cluster.now)
        #expect(cluster.monitor.currentTopology.nodes == before)
        #expect(cluster.monitor.effects.isEmpty && cluster.monitor.outgoing.isEmpty)
    }

    @Test func aClockThatStepsBackDoesNoHarm() {
        var cluster = cluster(seed: 1)
        cluster.run(milliseconds: 5_000)
        cluster.monitor.tick(now: Instant(nanoseconds: 1))
        #expect(cluster.monitor.nextWake >= cluster.now)
    }
}
