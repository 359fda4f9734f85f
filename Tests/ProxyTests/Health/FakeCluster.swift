import Wire

@testable import Proxy

/// Drives a monitor against scripted nodes with virtual time, as the control loop does against real ones.
struct FakeCluster {
    /// How replies reach the monitor.
    enum Delivery {
        case whole, everyByte
    }

    private struct Connection {
        var link: LinkID
        var endpoint: Endpoint
        var isAuthenticated = false
        var requests = RESPDecoder()
    }

    var monitor: Monitor
    var nodes: [FakeNode]
    var delivery = Delivery.whole
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// From a request's arrival to its reply, for every node.
    var replyMicroseconds = 0
    /// Every effect so far, as text, for comparing runs.
    private(set) var history: [String] = []
    private(set) var log: [String] = []
    /// Requests by node and command name.
    private(set) var requested: [String: Int] = [:]
    private(set) var connectedAt: [Instant] = []
    private var connections: [Connection] = []

    init(
        _ nodes: [FakeNode], options change: (inout ProxyOptions) -> Void = { _ in }, delivery: Delivery = .whole,
        seed: UInt64 = 1
    ) {
        self.nodes = nodes
        self.delivery = delivery
        var options = ProxyOptions()
        options.master = nodes[0].endpoint
        options.replicas = nodes.dropFirst().map { ReplicaOptions(endpoint: $0.endpoint) }
        change(&options)
        monitor = Monitor(options: options, seed: seed, now: now)
        pump()
    }

    /// What the monitor says of the node at `index` of `nodes`.
    func state(_ index: Int) -> NodeState {
        guard let state = monitor.currentTopology.nodes.first(where: { $0.endpoint == nodes[index].endpoint }) else {
            preconditionFailure("node \(index) is not in the topology")
        }
        return state
    }

    /// Index in `nodes` of the node that writes go to.
    var master: Int? {
        monitor.currentTopology.nodes.first { $0.isMaster }.flatMap { master in
            nodes.firstIndex { $0.endpoint == master.endpoint }
        }
    }

    /// Lets virtual time pass, waking the monitor exactly when it asks.
    mutating func run(milliseconds: Int) {
        let end = now.adding(milliseconds: milliseconds)
        pump()
        while monitor.nextWake <= end {
            now = max(now, monitor.nextWake)
            monitor.tick(now: now)
            pump()
            precondition(monitor.nextWake > now || !monitor.effects.isEmpty || monitor.nextWake == now, "a wake in the past")
        }
        now = max(now, end)
    }

    /// The node drops all of its connections.
    mutating func disconnect(_ index: Int, reason: String = "connection reset by peer") {
        for connection in connections where connection.endpoint == nodes[index].endpoint {
            connections.removeAll { $0.link == connection.link }
            monitor.closed(connection.link, reason: reason, now: now)
        }
        pump()
    }

    /// The process ends: connections break and new ones are refused.
    mutating func crash(_ index: Int) {
        nodes[index].behaviour = .refusesConnections
        disconnect(index)
    }

    /// Hands bytes to the monitor as if the node had sent them.
    mutating func inject(_ bytes: [UInt8], from index: Int) {
        guard let connection = connections.first(where: { $0.endpoint == nodes[index].endpoint }) else { return }
        deliver(bytes, on: connection.link)
        pump()
    }

    mutating func apply(_ options: ProxyOptions) {
        monitor.apply(options, now: now)
        pump()
    }

    var openLinks: [LinkID] { connections.map(\.link) }

    /// Carries out effects and answers requests until there are none.
    mutating func pump() {
        while !monitor.effects.isEmpty || !monitor.outgoing.isEmpty {
            let effects = monitor.effects
            monitor.effects.removeAll()
            let outgoing = monitor.outgoing
            monitor.outgoing.removeAll()
            for (link, bytes) in outgoing {
                precondition(connections.contains { $0.link == link }, "bytes for a link that is not open")
                history.append("\(now.nanoseconds) send \(link.slot)/\(link.generation) \(bytes.count)")
            }
            for effect in effects { carryOut(effect) }
            for (link, bytes) in outgoing { answer(bytes, on: link) }
        }
    }

    private mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .connect(let link, let endpoint):
            history.append("\(now.nanoseconds) connect \(link.slot)/\(link.generation) \(endpoint)")
            connectedAt.append(now)
            switch nodes.first(where: { $0.endpoint == endpoint })?.behaviour ?? .refusesConnections {
            case .answers, .silent:
                connections.append(Connection(link: link, endpoint: endpoint))
                monitor.connected(link, now: now)
            case .refusesConnections: monitor.connectFailed(link, reason: "connection refused", now: now)
            case .swallowsConnections: break
            }
        case .close(let link):
            history.append("\(now.nanoseconds) close \(link.slot)/\(link.generation)")
            connections.removeAll { $0.link == link }
        case .log(let level, let text):
            history.append("\(now.nanoseconds) \(level) \(text)")
            if level >= .notice { log.append(text) }
        case .resumeReading, .post:
            preconditionFailure("the monitor never asks for that")
        }
    }

    private mutating func answer(_ bytes: [UInt8], on link: LinkID) {
        guard let place = connections.firstIndex(where: { $0.link == link }),
            let node = nodes.first(where: { $0.endpoint == connections[place].endpoint }), node.behaviour == .answers
        else { return }
        connections[place].requests.feed(bytes)
        var replies: [UInt8] = []
        while let request = try? connections[place].requests.next() {
            let words = request.elements?.compactMap(\.text) ?? []
            requested["\(node.endpoint.host) \(words[0])", default: 0] += 1
            replies += node.reply(to: words, isAuthenticated: &connections[place].isAuthenticated)
        }
        now = Instant(nanoseconds: now.nanoseconds + UInt64(replyMicroseconds) * 1_000)
        deliver(replies, on: link)
    }

    private mutating func deliver(_ bytes: [UInt8], on link: LinkID) {
        switch delivery {
        case .whole: bytes.withUnsafeBytes { monitor.received(link, bytes: $0, now: now) }
        case .everyByte:
            for byte in bytes { withUnsafeBytes(of: byte) { monitor.received(link, bytes: $0, now: now) } }
        }
    }
}

extension NodeState.Health {
    var whyUnusable: String? {
        if case .unusable(let reason) = self { return reason }
        return nil
    }

    var whyDown: String? {
        if case .down(let reason) = self { return reason }
        return nil
    }
}
