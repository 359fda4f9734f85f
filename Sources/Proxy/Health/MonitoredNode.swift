import Wire

/// One named node: the connection to it, and what it has said so far.
struct MonitoredNode {
    /// What the node's own answers make of it, before it is compared with the others.
    enum Condition: Equatable {
        case down(String)
        case unusable(String)
        case up

        var isUp: Bool { self == .up }
    }

    /// An offset and the round in which the node was at it.
    struct Sample: Equatable {
        var round: UInt64
        var replicationID: String
        var offset: Int64
    }

    /// Weight of a new latency sample in the smoothed one: one fourth, so that a change shows within a few seconds.
    static let latencySmoothing: Int64 = 4
    /// Samples kept: as many rounds as may pass until an answer is too late, and the one under way.
    static let sampleLimit = 4

    let endpoint: Endpoint
    /// The slot of all of this node's links.
    let slot: UInt32
    var weight: Int
    var zone: String?

    var link: NodeLink
    var backoff = ReconnectBackoff()
    var condition = Condition.down("not connected yet")

    /// What the node's ROLE and INFO said last, also while it is down: the last word stands until it says another.
    private(set) var role: RoleReport?
    private(set) var replication: ReplicationReport?
    private(set) var server: ServerReport?
    private(set) var databases: Int?
    private(set) var commands: LearnedCommands?
    /// Why the node did not describe its commands; kept so that it is logged once.
    private(set) var commandsRefusal: String?
    private(set) var hasNoPassword = false
    /// Newest last.
    private(set) var samples: [Sample] = []
    /// Smoothed; the first sample of the first connection stands in until there is a better one.
    private(set) var latencyNanoseconds: Int64 = 0
    private var isLatencyProvisional = true

    /// Kept by `Monitor.judgeReplicas`: the first round in which its history differed from the master's.
    var foreignSince: UInt64?
    /// Whether its history was the master's at some time since it came up.
    var sharedHistory = false
    var lagBytes: Int64 = 0
    /// Kept by `Monitor.settle`: the round in which it first claimed to be a master without being confirmed.
    var claimedSince: UInt64?

    init(endpoint: Endpoint, slot: UInt32, weight: Int, zone: String?, openAt: Instant) {
        self.endpoint = endpoint
        self.slot = slot
        self.weight = weight
        self.zone = zone
        link = NodeLink(openAt: openAt)
    }

    var claimsMaster: Bool { role?.role == .master }

    /// Notes the answers to the greeting.
    mutating func learn(_ report: GreetingReport) {
        server = report.server ?? server
        databases = report.databases
        commands = report.commands ?? commands
        commandsRefusal = report.commandsRefusal
        hasNoPassword = report.hasNoPassword
    }

    /// Notes the answers to a round. `user` names our user in texts for the operator.
    mutating func learn(_ report: RoundReport, user: String?) {
        if let answered = report.role { role = answered }
        if let answered = report.replication {
            replication = answered
            remember(
                Sample(
                    round: report.number, replicationID: answered.replicationID,
                    offset: answered.upstream?.appliedOffset ?? answered.ownOffset))
        }
        if let sample = report.latencyNanoseconds.map({ Int64(clamping: $0) }) {
            smooth(sample, isProvisional: report.followsGreeting)
        }
        condition = judged(report, user: user)
    }

    private mutating func smooth(_ sample: Int64, isProvisional: Bool) {
        switch (isLatencyProvisional, isProvisional) {
        case (true, _): latencyNanoseconds = sample
        case (false, true): return
        case (false, false): latencyNanoseconds += (sample - latencyNanoseconds) / Self.latencySmoothing
        }
        isLatencyProvisional = isLatencyProvisional && isProvisional
    }

    private func judged(_ report: RoundReport, user: String?) -> Condition {
        if let trouble = report.trouble {
            switch trouble.refusal {
            case .busy where condition.isUp, .misconfigured:
                // Alive. What was known of a busy node still holds; one that can't save answers reads, and says itself why it refuses
                // writes.
                break
            case .busy, .credentials, .loading, .masterDown, .permission, .other:
                return .unusable(trouble.refusal.explanation(of: trouble.command, user: user))
            }
        }
        if role == .sentinel { return .unusable("is a sentinel, not a node that holds data: name the nodes instead") }
        return .up
    }

    private mutating func remember(_ sample: Sample) {
        if samples.last?.round == sample.round { samples.removeLast() }
        samples.append(sample)
        if samples.count > Self.sampleLimit { samples.removeFirst() }
    }

    /// What was compared on the last connection says nothing about the next one.
    mutating func forgetComparisons() {
        foreignSince = nil
        sharedHistory = false
    }
}
