import Glibc
import Testing
import Wire

@testable import Proxy

/// Random clients, commands, splits, failures and topologies, with what must hold after every turn and at the end.
@Suite struct WorkerChaosTests {
    /// `CHAOS_SEED=n swift test --filter WorkerChaosTests/tellsOneSeed` tells what happens under one seed.
    @Test func tellsOneSeed() {
        guard let text = getenv("CHAOS_SEED"), let seed = UInt64(String(cString: text)) else { return }
        Workload.trace = { print($0) }
        #expect(Chaos(seed: seed).run() == nil)
    }

    /// `CHAOS_FROM=n CHAOS_TO=m`: more seeds than the default run has time for.
    @Test(arguments: 0..<4) func keepsThemLonger(part: UInt64) {
        guard let from = getenv("CHAOS_FROM").flatMap({ UInt64(String(cString: $0)) }),
            let to = getenv("CHAOS_TO").flatMap({ UInt64(String(cString: $0)) })
        else { return }
        for seed in from..<to where seed % 4 == part {
            if let problem = Chaos(seed: seed).run() { Issue.record("seed \(seed): \(problem)") }
        }
    }

    @Test(arguments: 0..<10) func keepsItsPromises(block: Int) {
        for seed in UInt64(block * 30)..<UInt64(block * 30 + 30) {
            if let problem = Chaos(seed: seed).run() {
                Issue.record("seed \(seed): \(problem)")
                return
            }
        }
    }
}

final class Chaos {
    private let bench: Bench
    private var random: Random
    private var workloads: [Workload] = []
    private let seed: UInt64
    var steps = 60

    init(seed: UInt64) {
        self.seed = seed
        random = Random(seed: seed &* 7919 &+ 1)
        let isDouble = random.below(4) == 0
        let selection = ReplicaSelection.allCases[random.below(ReplicaSelection.allCases.count)]
        let timeout = [300, 2_000, 10_000][random.below(3)]
        bench = Bench(workers: isDouble ? 2 : 1, seed: seed) { options in
            options.logLevel = .verbose
            options.replicaSelection = selection
            options.requestTimeoutMilliseconds = timeout
        }
        for server in bench.servers {
            server.isExplicit = true
            server.users["alice"] = "secret"
            for index in 0..<3 {
                server.databases[0, default: [:]]["huge\(index)"] = Array(repeating: UInt8(97 + index), count: 270_000)
            }
        }
        bench.isPieced = random.below(4) != 0
    }

    func run() -> String? {
        for _ in 0..<(2 + random.below(4)) { addClient() }
        for step in 0..<steps {
            Workload.trace?("-- step \(step)")
            act()
            for _ in 0..<(1 + random.below(4)) { bench.round() }
            for workload in workloads { workload.check() }
            if let problem = problem() { return "step \(step): \(problem)" }
        }
        return quiesce() ?? leave()
    }

    private func addClient() {
        guard workloads.count < 12 else { return }
        let client = bench.client(worker: random.below(bench.workers.count))
        let kind =
            random.below(3) == 0 ? Workload.Kind.plain : Workload.Kind.allCases[random.below(Workload.Kind.allCases.count)]
        workloads.append(Workload(client, kind))
    }

    private func problem() -> String? {
        if let first = bench.problems().first { return first }
        for workload in workloads {
            if let first = workload.problems.first { return first }
            for (line, fate) in workload.fates {
                let count = bench.servers.reduce(0) { $0 + ($1.executionCounts[line] ?? 0) }
                if count > 1 { return "'\(line)' was executed \(count) times" }
                if fate == .notDone && count > 0 { return "'\(line)' was executed, and its client was told that it was not" }
                if fate == .done && count == 0 { return "'\(line)' was not executed, and its client was told that it was" }
            }
        }
        return nil
    }

    // MARK: - Steps

    private func act() {
        for _ in 0..<(1 + random.below(3)) where !workloads.isEmpty {
            workloads[random.below(workloads.count)].act(&random)
        }
        let server = bench.servers[random.below(3)]
        let choice = random.below(40)
        Workload.trace?("-- \(choice) server \(server.endpoint.host), master \(bench.master ?? -1)")
        switch choice {
        case 0: addClient()
        case 1: if !workloads.isEmpty && random.below(2) == 0 { bench.cut(workloads[random.below(workloads.count)].client) }
        case 2, 3:
            if !server.connections.isEmpty {
                bench.cut(server.connections[random.below(server.connections.count)], keeping: random.below(200))
            }
        case 4: bench.crash(server, keeping: random.below(100))
        case 5: server.isStalled = true
        case 6, 7: for server in bench.servers { server.isStalled = false }
        case 8: server.delayMilliseconds = random.below(200)
        case 9: server.behaviour = .refuses
        case 10: server.behaviour = .swallows
        case 11, 12: for server in bench.servers { server.behaviour = .answers }
        case 13...17: bench.now = bench.now.adding(milliseconds: 1 + random.below(200))
        case 18: bench.now = bench.now.adding(milliseconds: random.below(4_000))
        case 19:
            server.errors = [["GET": "LOADING loading"], ["*": "MASTERDOWN link down"], ["GET": "NOPERM no"]][random.below(3)]
            server.errorCount = 1 + random.below(5)
        case 20: for server in bench.servers { server.errors = [:] }
        case 21: changeTopology()
        case 22: changeTopology()
        case 23: bench.promote(random.below(3))
        case 24:
            bench.promote(random.below(3))
            bench.members = [0, 1, 2]
            bench.publish()
        case 25: if !workloads.isEmpty { workloads[random.below(workloads.count)].client.socket?.window = random.below(2000) }
        case 26, 27: for socket in allSockets() { socket.window = .max }
        case 28: changeOptions()
        case 29: _ = bench.servers[bench.master ?? 0].publish("c\(random.below(3))", "news")
        case 30: if let socket = allSockets().randomElement(using: &random) { socket.window = random.below(5000) }
        default: break
        }
    }

    private func allSockets() -> [Socket] { bench.workers.indices.flatMap { bench.sockets(of: $0) } }

    private func changeTopology() {
        switch random.below(8) {
        case 0: bench.master = nil
        case 1: bench.members = [0, 1, 2].filter { _ in random.below(3) != 0 }
        case 2: bench.members = [2, 1, 0]
        case 3: bench.down = Set((0..<3).filter { _ in random.below(3) == 0 })
        case 4: bench.readsRefused = Set((0..<3).filter { _ in random.below(2) == 0 })
        case 5: bench.runIDs[random.below(3)] = "run-\(random.below(100))"
        default:
            bench.down = []
            bench.readsRefused = []
            bench.members = [0, 1, 2]
            bench.master = bench.servers.firstIndex { $0.isMaster }
        }
        if let master = bench.master, !bench.members.contains(master) { bench.master = nil }
        bench.publish()
    }

    private func changeOptions() {
        var options = bench.worker.options
        options.readFrom = ReadFrom.allCases[random.below(ReadFrom.allCases.count)]
        for index in bench.workers.indices { bench.post(.options(options), to: index) }
    }

    // MARK: - The end

    /// Everything is well again: every request gets its reply.
    private func quiesce() -> String? {
        var options = bench.worker.options
        options.readFrom = .preferReplica
        for index in bench.workers.indices { bench.post(.options(options), to: index) }
        for server in bench.servers {
            server.behaviour = .answers
            server.isStalled = false
            server.errors = [:]
            server.delayMilliseconds = 0
        }
        bench.members = [0, 1, 2]
        bench.down = []
        bench.readsRefused = []
        bench.master = bench.servers.firstIndex { $0.isMaster }
        bench.publish()
        for socket in allSockets() { socket.window = .max }
        for _ in 0..<40 {
            bench.advance(milliseconds: 600, step: 300)
            for server in bench.servers {
                for connection in server.connections where connection.blockedOn != nil { connection.unblock(withError: false) }
            }
            bench.settle()
            for workload in workloads { workload.check() }
            if workloads.allSatisfy({ $0.client.isClosed || $0.missing == 0 }) { break }
        }
        // What the proxy itself has asked may wait for a connection.
        bench.advance(milliseconds: 3_000, step: 300)
        if let problem = problem() { return "at rest: \(problem)" }
        for workload in workloads where !workload.client.isClosed {
            if workload.missing > 0 {
                return "client \(workload.client.id) (\(workload.kind)) misses \(workload.missing) replies"
            }
            if workload.client.pendingBytes > 0 { return "client \(workload.client.id) has half a reply" }
            if workload.isLeaving { return "client \(workload.client.id) should have been closed" }
        }
        for worker in bench.workers {
            for node in worker.currentStatistics().nodes where node.outstanding != 0 {
                let guilty = worker.connections.pointers.filter { $0.pointee.outstanding > 0 }.map {
                    "\($0.pointee.role) \($0.pointee.state) unsent \($0.pointee.unsent) paused \($0.pointee.isReadingPaused) owner \($0.pointee.owner != nil) full \($0.pointee.isSocketFull) partial \($0.pointee.partial.count)"
                }
                return "\(node.endpoint) still owes \(node.outstanding) replies: \(guilty)"
            }
        }
        return nil
    }

    /// All clients leave: nothing may stay behind.
    private func leave() -> String? {
        for workload in workloads { bench.cut(workload.client) }
        for _ in 0..<8 { bench.advance(milliseconds: 10_000, step: 2_500) }
        if let first = bench.problems().first { return "after all left: \(first)" }
        for worker in bench.workers {
            if worker.runs.inUse != 0 { return "\(worker.runs.inUse) runs stay behind" }
            if worker.lanes.count != 1 { return "\(worker.lanes.count) lanes stay behind" }
            if worker.connections.pointers.contains(where: { !$0.pointee.log.isEmpty || !$0.pointee.partial.isEmpty }) {
                return "bytes stay behind in a connection"
            }
            if worker.upstreamIDQuestions.count + worker.gathers.count > 0 { return "questions stay behind" }
        }
        return nil
    }
}
