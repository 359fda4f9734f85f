import Wire

/// Health checks and role confirmation of all nodes: a core without I/O, driven by the control loop.
///
/// One connection per named node. Once a second a round (ROLE, PING, INFO replication) goes out on all of them at the same moment, so
/// that offsets can be compared. What a node says is kept in its `MonitoredNode`; after every event `settle` decides from all of it
/// who the master is (`Monitor+Mastership`), which replicas may be read from (`Monitor+Replicas`), and writes a log line for each
/// change (`Monitor+Log`).
///
/// No hysteresis on the way down; up again after one full round that was good.
package struct Monitor {
    /// What the driver must carry out, in order (`connect`, `close`, `log`). The driver empties it.
    package var effects: [Effect] = []
    /// Bytes to send; the driver empties it. Only links that are open are in it.
    package var outgoing: [(LinkID, [UInt8])] = []

    static let roundMilliseconds = 1_000
    /// A round that was asked for early, because a role changed, comes no sooner than this after the last one.
    static let shortestRoundMilliseconds = 100

    var options: ProxyOptions
    /// The configured master first, then the replicas in the order of the options.
    var nodes: [MonitoredNode] = []
    var mastership = Mastership.none(.notReached)
    /// The round in which `mastership` became what it is.
    var decidedIn: UInt64 = 0
    /// What the log was told last.
    var loggedMastership = Mastership.none(.notReached)
    /// Endpoint of the last node that was confirmed, even if it has since said that it is no master.
    var lastConfirmed: Endpoint?
    /// What was concluded last, in the order of `nodes`.
    var presented: [NodeState] = []
    /// What the log was told last, in the order of `nodes`.
    var logged: [NodeState] = []
    var publication = Publication()
    /// Merged over the nodes in `nodes`.
    private(set) var commands = LearnedCommands()

    private(set) var round: UInt64 = 0
    private var lastRoundAt: Instant
    private var nextRoundAt: Instant
    private var jitter: ReconnectBackoff.Jitter
    private var nextGeneration: UInt32 = 1
    /// The latest time that the driver told.
    private(set) var clock: Instant

    /// Starts with every node down and a connection to each asked for. The same seed and events give the same effects.
    package init(options: ProxyOptions, seed: UInt64, now: Instant) {
        self.options = options
        jitter = ReconnectBackoff.Jitter(seed: seed)
        clock = now
        lastRoundAt = now
        nextRoundAt = now.adding(milliseconds: Self.roundMilliseconds)
        arrangeNodes(now: now)
        openDueLinks(now: now)
        settle()
    }

    /// The driver has opened a connection asked for with `.connect`.
    package mutating func connected(_ link: LinkID, now: Instant) {
        advance(to: now)
        guard let index = index(of: link), let bytes = nodes[index].link.connected(credentials: credentials) else { return }
        outgoing.append((link, bytes))
    }

    /// The connection could not be opened; `reason` is fit for a log line.
    package mutating func connectFailed(_ link: LinkID, reason: String, now: Instant) {
        lost(link, reason: reason, now: now)
    }

    /// The node closed the connection, or it failed. The link is dead.
    package mutating func closed(_ link: LinkID, reason: String, now: Instant) {
        lost(link, reason: reason, now: now)
    }

    private mutating func lost(_ link: LinkID, reason: String, now: Instant) {
        advance(to: now)
        guard let index = index(of: link) else { return }
        drop(index, because: .down(reason.isEmpty ? "the node closed the connection" : PeerText.clean(reason)), closing: false)
        settle()
    }

    /// Bytes came from a node. They are not kept.
    package mutating func received(_ link: LinkID, bytes: UnsafeRawBufferPointer, now: Instant) {
        advance(to: now)
        guard let index = index(of: link), nodes[index].link.isOpen else { return }
        nodes[index].link.feed(bytes)
        var changed = false
        answers: while true {
            switch nodes[index].link.nextAction(now: clock) {
            case .none:
                break answers
            case .greeted(let report):
                greeted(index, report)
            case .greetLater(let refusal):
                nodes[index].condition = .unusable(refusal.explanation(of: "INFO", user: options.backendUser))
            case .answered(let report):
                answered(index, report)
            case .refused(let refusal, let command):
                drop(index, because: .unusable(refusal.explanation(of: command, user: options.backendUser)), closing: true)
                changed = true
                break answers
            case .broken(let reason):
                drop(index, because: .down(reason), closing: true)
                changed = true
                break answers
            }
            changed = true
        }
        if changed { settle() }
    }

    /// Time has passed: deadlines, reconnects, the next round. The driver hands in what has arrived first, so that a loop that was held
    /// up does not take its own delay for the silence of a node.
    package mutating func tick(now: Instant) {
        advance(to: now)
        for index in nodes.indices {
            if let reason = nodes[index].link.overdue(now: clock, timeout: options.connectTimeoutMilliseconds) {
                drop(index, because: .down(reason), closing: true)
            }
        }
        openDueLinks(now: clock)
        if nextRoundAt <= clock { beginRound() }
        settle()
    }

    /// When `tick` wants to be called next; never before the last instant that the driver told.
    package var nextWake: Instant {
        guard !nodes.isEmpty else { return .never }
        return max(clock, nodes.reduce(nextRoundAt) { min($0, $1.link.nextWake) })
    }

    /// The options changed while running. Nodes that stay named keep their connections, unless the credentials changed.
    package mutating func apply(_ options: ProxyOptions, now: Instant) {
        advance(to: now)
        let oldCredentials = credentials
        let isOtherMaster = options.master != self.options.master
        self.options = options
        // Whoever names another master wants it judged afresh; a hand-over that was seen earlier no longer counts.
        if isOtherMaster {
            mastership = .none(.notReached)
            lastConfirmed = nil
        }
        arrangeNodes(now: clock)
        if credentials != oldCredentials {
            for index in nodes.indices { reconnect(index) }
        }
        openDueLinks(now: clock)
        settle()
    }

    // MARK: - Nodes and links

    var credentials: BackendCredentials {
        BackendCredentials(user: options.backendUser, password: options.backendPassword)
    }

    func index(of link: LinkID) -> Int? {
        nodes.firstIndex { $0.link.link == link }
    }

    func index(of endpoint: Endpoint?) -> Int? {
        endpoint.flatMap { endpoint in nodes.firstIndex { $0.endpoint == endpoint } }
    }

    private mutating func advance(to now: Instant) {
        clock = max(clock, now)
    }

    /// Makes `nodes` what the options name, keeping what is known of those that stay.
    private mutating func arrangeNodes(now: Instant) {
        var named: [ReplicaOptions] = options.master.map { [ReplicaOptions(endpoint: $0)] } ?? []
        for replica in options.replicas {
            if let known = named.firstIndex(where: { $0.endpoint == replica.endpoint }) {
                // Listed as the master and as a replica: the replica line says how it is to be used when it is one.
                named[known] = replica
            } else {
                named.append(replica)
            }
        }
        let old = nodes
        let oldPresented = presented
        let oldLogged = logged
        nodes.removeAll()
        presented.removeAll()
        logged.removeAll()
        var slots = Set(old.filter { node in named.contains { $0.endpoint == node.endpoint } }.map(\.slot))
        for wanted in named {
            if let index = old.firstIndex(where: { $0.endpoint == wanted.endpoint }) {
                var node = old[index]
                node.weight = wanted.weight
                node.zone = wanted.zone
                nodes.append(node)
                presented.append(oldPresented[index])
                logged.append(oldLogged[index])
            } else {
                let slot = (0...UInt32(named.count)).first { !slots.contains($0) } ?? 0
                slots.insert(slot)
                nodes.append(
                    MonitoredNode(
                        endpoint: wanted.endpoint, slot: slot, weight: wanted.weight, zone: wanted.zone, openAt: now))
                presented.append(NodeState(endpoint: wanted.endpoint, weight: wanted.weight, zone: wanted.zone))
                logged.append(presented[presented.count - 1])
            }
        }
        for node in old where index(of: node.endpoint) == nil {
            if let link = node.link.link { close(link) }
            log(.notice, "node \(node.endpoint) is no longer named in the configuration: nothing is sent to it any more")
        }
        if case .confirmed(let endpoint) = mastership, index(of: endpoint) == nil { mastership = .none(.notReached) }
        mergeCommands()
    }

    private mutating func openDueLinks(now: Instant) {
        for index in nodes.indices where nodes[index].link.isDueToOpen(now: now) {
            let link = LinkID(slot: nodes[index].slot, generation: nextGeneration)
            nextGeneration &+= 1
            nodes[index].link.open(link, deadline: now.adding(milliseconds: max(1, options.connectTimeoutMilliseconds)))
            effects.append(.connect(link, nodes[index].endpoint))
        }
    }

    /// Gives up a node's connection and tries again after a pause.
    private mutating func drop(_ index: Int, because condition: MonitoredNode.Condition, closing: Bool) {
        if let link = nodes[index].link.link {
            if closing { close(link) } else { discardOutgoing(of: link) }
        }
        let pause = nodes[index].backoff.next(jitter: &jitter)
        nodes[index].link.lose(reopenAt: clock.adding(milliseconds: pause))
        nodes[index].condition = condition
        nodes[index].forgetComparisons()
    }

    /// Connects anew at once because of a change of our own: the node stays what it was until the new connection says otherwise.
    private mutating func reconnect(_ index: Int) {
        if let link = nodes[index].link.link { close(link) }
        nodes[index].link.lose(reopenAt: clock)
    }

    private mutating func close(_ link: LinkID) {
        discardOutgoing(of: link)
        effects.append(.close(link))
    }

    private mutating func discardOutgoing(of link: LinkID) {
        outgoing.removeAll { $0.0 == link }
    }

    // MARK: - Questions and answers

    private mutating func beginRound() {
        round += 1
        lastRoundAt = clock
        nextRoundAt = clock.adding(milliseconds: Self.roundMilliseconds)
        for index in nodes.indices { ask(index) }
    }

    private mutating func ask(_ index: Int) {
        let deadline = clock.adding(milliseconds: max(1, options.connectTimeoutMilliseconds))
        guard let bytes = nodes[index].link.beginRound(round, credentials: credentials, greetingDeadline: deadline, now: clock),
            let link = nodes[index].link.link
        else { return }
        outgoing.append((link, bytes))
    }

    private mutating func greeted(_ index: Int, _ report: GreetingReport) {
        logGreeting(of: nodes[index], report)
        nodes[index].learn(report)
        mergeCommands()
        ask(index)
    }

    private mutating func answered(_ index: Int, _ report: RoundReport) {
        let before = nodes[index].role?.role
        nodes[index].learn(report, user: options.backendUser)
        if nodes[index].condition.isUp { nodes[index].backoff.reset() }
        if let before, before != nodes[index].role?.role { hastenRound() }
    }

    /// A node changed its role, or claims one that does not fit, so others may have changed theirs: ask all of them soon rather than
    /// within a second.
    package mutating func hastenRound() {
        nextRoundAt = min(nextRoundAt, max(clock, lastRoundAt.adding(milliseconds: Self.shortestRoundMilliseconds)))
    }

    private mutating func mergeCommands() {
        let merged = nodes.reduce(into: LearnedCommands()) { merged, node in
            if let told = node.commands { merged = merged.merged(with: told) }
        }
        if merged != commands { commands = merged }
    }

    mutating func log(_ level: LogLevel, _ text: String) {
        effects.append(.log(level, text))
    }
}
