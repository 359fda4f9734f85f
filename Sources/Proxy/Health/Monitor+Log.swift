import Wire

extension Monitor {
    /// One line for a change of one node that an operator should know of: which node, what happened, what it means.
    mutating func logChange(from old: NodeState, to new: NodeState) {
        let name = "node \(new.endpoint)"
        switch (old.health, new.health) {
        case (.up, .up), (.down, .down(Self.initialReason)):
            break
        case (.down(let before), .down(let reason)):
            guard before != reason else { break }
            log(
                before == Self.initialReason ? .warning : .verbose,
                "\(name) can't be reached: \(reason)\(consequence(new)); retrying")
        case (.up, .down(let reason)), (.unusable, .down(let reason)):
            log(.warning, "\(name) is down: \(reason)\(consequence(new)); reconnecting")
        case (_, .unusable(let reason)):
            if old.health != new.health { log(.warning, "\(name) is not used: \(reason)\(consequence(new))") }
        case (.down, .up), (.unusable, .up):
            let version = new.valkeyVersion.map { "Valkey \($0)" } ?? "Redis \(new.version)"
            log(.notice, "\(name) is up: \(version), \(new.role.rawValue)")
        }
        guard new.health == .up, old.readsRefused != new.readsRefused else { return }
        if let reason = new.readsRefused {
            log(old.readsRefused == nil ? .warning : .notice, "\(name) gets no reads: \(reason)")
        } else if old.health == .up {
            log(.notice, "\(name) gets reads again")
        }
    }

    private static let initialReason = "not connected yet"

    /// What it means for clients that a node is out of use.
    private func consequence(_ node: NodeState) -> String {
        if node.isMaster { return "; it is the master, so writes wait for it" }
        if node.endpoint == options.master, mastership.endpoint == nil {
            return "; it is configured as the master, so writes wait for it"
        }
        return "; no reads go to it"
    }

    /// What a greeting showed that limits the node's use, if the last one did not show it already.
    mutating func logGreeting(of node: MonitoredNode, _ report: GreetingReport) {
        if report.hasNoPassword, !node.hasNoPassword {
            log(
                .notice,
                "node \(node.endpoint) has no password although backend-password is set: anyone who reaches it can use it")
        }
        if let refusal = report.commandsRefusal, refusal != node.commandsRefusal {
            log(
                .notice,
                "node \(node.endpoint) did not describe its commands (\(refusal)): only reads that are known by name go to "
                    + "replicas; permit COMMAND there to have all of them")
        }
    }

    /// One line when writes go to another node, or to none.
    mutating func logMastership(predecessor: Endpoint?) {
        switch mastership {
        case .confirmed(let endpoint):
            if let predecessor, predecessor != endpoint {
                log(.notice, "writes go to \(endpoint) now: it says it is the master and has taken over from \(predecessor)")
            } else if endpoint != options.master, let configured = options.master {
                log(
                    .notice,
                    "writes go to \(endpoint): it says it is the master, and \(configured), which is configured as the master, "
                        + "says it is a replica of it")
            } else {
                log(.notice, "writes go to \(endpoint): it says it is the master")
            }
        case .none(.notReached):
            log(.warning, "there is no master: writes wait until the configured master is reached and says that it is one")
        case .none(.followsStranger(let witness, let named)):
            log(
                .warning,
                "there is no master: \(witness) says it is a replica of \(named), which is not named in the configuration; "
                    + "writes wait until \(named) is named, or \(witness) is made the master with REPLICAOF NO ONE")
        case .none(.successorUnconfirmed(let witness, let successor)):
            log(
                .warning,
                "there is no master: \(witness) says it is a replica of \(successor), which is not up as a master; "
                    + "writes wait until it is")
        case .none(.notANode(let endpoint)):
            log(.warning, "there is no master: \(endpoint) is a sentinel; name the node that holds the data as `master`")
        }
    }
}
