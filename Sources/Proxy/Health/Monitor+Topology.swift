import Wire

/// What was handed to the workers last.
struct Publication {
    /// A change of latency that is worth a new snapshot is larger than this share of the old one, and than this many microseconds.
    static let latencyShare = 5
    static let latencyFloorMicroseconds = 50
    static let latencyMilliseconds = 1_000

    var topology: Topology?
    var selection: ReplicaSelection?
    var at = Instant(nanoseconds: 0)
}

extension Monitor {
    /// A new snapshot if anything that a worker acts on changed since the last call.
    ///
    /// Offsets and lag alone make none, they change every second. Latencies do if `replica-selection lowest-latency` goes by them: at
    /// most once a second, and if one moved by more than a fifth and 50 us.
    package mutating func takeTopology() -> Topology? {
        var next = currentTopology
        if let last = publication.topology, !differs(next, from: last) { return nil }
        next.version = (publication.topology?.version ?? 0) + 1
        publication = Publication(topology: next, selection: options.replicaSelection, at: clock)
        return next
    }

    /// The newest picture with offsets and latencies, for PROXY TOPOLOGY and the metrics. Its version is that of the last snapshot.
    package var currentTopology: Topology {
        Topology(version: publication.topology?.version ?? 0, nodes: presented, commands: commands)
    }

    private func differs(_ next: Topology, from last: Topology) -> Bool {
        if next.nodes.count != last.nodes.count || next.commands != last.commands { return true }
        for (new, old) in zip(next.nodes, last.nodes) where new.actedOn != old.actedOn { return true }
        guard options.replicaSelection == .lowestLatency else { return false }
        if publication.selection != .lowestLatency { return true }
        guard clock.milliseconds(since: publication.at) >= Publication.latencyMilliseconds else { return false }
        return zip(next.nodes, last.nodes).contains { new, old in
            let change = abs(new.latencyMicroseconds - old.latencyMicroseconds)
            return change > Publication.latencyFloorMicroseconds && change > old.latencyMicroseconds / Publication.latencyShare
        }
    }

    /// Draws the conclusions from what has changed, and logs them.
    mutating func settle() {
        decideMastership()
        compareWithMaster()
        for index in nodes.indices {
            presented[index] = state(of: index)
            guard !isPassing(index) else { continue }
            logChange(from: logged[index], to: presented[index])
            logged[index] = presented[index]
        }
    }

    /// Whether a node claims to be a master for no longer than a round: the middle of any hand-over, and not worth a warning.
    private mutating func isPassing(_ index: Int) -> Bool {
        guard nodes[index].condition.isUp, refusalOfClaim(of: index) != nil, let round = nodes[index].samples.last?.round else {
            nodes[index].claimedSince = nil
            return false
        }
        guard let since = nodes[index].claimedSince else {
            nodes[index].claimedSince = round
            hastenRound()
            return true
        }
        return round == since
    }

    private func state(of index: Int) -> NodeState {
        let node = nodes[index]
        var state = NodeState(endpoint: node.endpoint, weight: node.weight, zone: node.zone)
        state.role = node.role?.role ?? .unknown
        state.isMaster = node.endpoint == mastership.endpoint
        switch node.condition {
        case .down(let reason): state.health = .down(reason)
        case .unusable(let reason): state.health = .unusable(reason)
        case .up:
            if let claim = refusalOfClaim(of: index) {
                state.health = .unusable(claim)
            } else {
                state.health = .up
                state.readsRefused = refusal(of: index)
            }
        }
        state.runID = node.server?.runID ?? ""
        state.version = node.server?.redisVersion ?? ""
        state.valkeyVersion = node.server?.valkeyVersion
        state.databases = node.databases
        state.replicationID = node.replication?.replicationID ?? ""
        state.offset = node.replication.map { $0.upstream?.appliedOffset ?? $0.ownOffset } ?? 0
        state.lagBytes = node.lagBytes
        state.secondsSinceMaster = node.replication?.upstream.flatMap { $0.isLinkUp ? $0.secondsSinceHeard : nil } ?? -1
        state.latencyMicroseconds = Int(node.latencyNanoseconds / 1_000)
        return state
    }
}

extension NodeState {
    /// This state without what changes all the time and without texts that only explain why a node is out of use.
    fileprivate var actedOn: NodeState {
        var state = self
        switch health {
        case .down: state.health = .down("")
        case .unusable: state.health = .unusable("")
        case .up: break
        }
        state.offset = 0
        state.lagBytes = 0
        state.secondsSinceMaster = 0
        state.latencyMicroseconds = 0
        return state
    }
}
