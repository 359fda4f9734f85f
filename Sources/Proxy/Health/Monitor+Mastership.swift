import Wire

/// Which node writes go to.
enum Mastership: Equatable {
    case confirmed(Endpoint)
    case none(Reason)

    /// Why there is no master, so that it is logged once per change.
    enum Reason: Equatable {
        /// Nothing was heard from the configured master yet, or none is configured.
        case notReached
        /// `witness` says that it is a replica of `named`, which is none of ours.
        case followsStranger(witness: Endpoint, named: Endpoint)
        /// `witness` says that it is a replica of `successor`, which does not say that it is a master, or is not up.
        case successorUnconfirmed(witness: Endpoint, successor: Endpoint)
        /// It answers, but is neither master nor replica.
        case notANode(Endpoint)
    }

    var endpoint: Endpoint? {
        switch self {
        case .confirmed(let endpoint): endpoint
        case .none: nil
        }
    }
}

extension Monitor {
    /// Decides who the master is, from what the nodes themselves said last in ROLE.
    ///
    /// - A node is confirmed only while it is up and its own ROLE says master.
    /// - The configured master is confirmed on its own word.
    /// - Another named node is confirmed if the configured master, or the one confirmed last, says that it is a replica of that node.
    /// - Who is confirmed stays so until its own ROLE says something else, also while it is down: nothing else was confirmed, and
    ///   writes wait for it. The exception is a configured master that took over from a node that is down *and* continues its history
    ///   (`master_replid2`): a node that merely booted as a master with old data would throw away what was written meanwhile.
    mutating func decideMastership() {
        let predecessor = lastConfirmed
        let decision = decided()
        if decision != mastership {
            mastership = decision
            decidedIn = round
        }
        if let endpoint = mastership.endpoint { lastConfirmed = endpoint }
        if case .none(.successorUnconfirmed) = mastership, decidedIn == round {
            // The successor has not been asked since. This is the middle of any hand-over, and not worth a warning.
            return
        }
        guard mastership != loggedMastership else { return }
        loggedMastership = mastership
        logMastership(predecessor: predecessor)
    }

    private func decided() -> Mastership {
        guard let configured = index(of: options.master) else { return .none(.notReached) }
        if let current = index(of: mastership.endpoint), nodes[current].claimsMaster {
            let isSucceeded =
                current != configured && !nodes[current].condition.isUp && saysMaster(configured)
                && continuesHistory(configured, of: current)
            return .confirmed(nodes[isSucceeded ? configured : current].endpoint)
        }
        if saysMaster(configured) { return .confirmed(nodes[configured].endpoint) }

        let witnesses = [index(of: lastConfirmed), configured].compactMap { $0 }
        for witness in witnesses {
            if let successor = successor(namedBy: witness), saysMaster(successor) {
                return .confirmed(nodes[successor].endpoint)
            }
        }
        switch nodes[configured].role {
        case nil, .master: return .none(.notReached)
        case .sentinel: return .none(.notANode(nodes[configured].endpoint))
        case .replica(let named, _, _):
            let witness = nodes[configured].endpoint
            guard let successor = successor(namedBy: configured) else {
                return .none(.followsStranger(witness: witness, named: named))
            }
            return .none(.successorUnconfirmed(witness: witness, successor: nodes[successor].endpoint))
        }
    }

    private func saysMaster(_ index: Int) -> Bool {
        nodes[index].condition.isUp && nodes[index].claimsMaster
    }

    /// The other named node that this one says it follows.
    ///
    /// By address where that matches. Nodes often know each other by internal addresses, so the replication id is evidence as well: a
    /// replica whose link is up has its master's, and no two masters have the same, since each promotion makes a new one (Redis
    /// documentation, Replication: "Replication ID explained").
    private func successor(namedBy witness: Int) -> Int? {
        guard case .replica(let named, _, _) = nodes[witness].role else { return nil }
        let others = nodes.indices.filter { $0 != witness }
        if let match = others.first(where: { nodes[$0].endpoint.isTextually(named) }) { return match }
        guard let report = nodes[witness].replication, report.upstream?.isLinkUp == true, !report.replicationID.isEmpty else {
            return nil
        }
        return others.first { saysMaster($0) && nodes[$0].replication?.replicationID == report.replicationID }
    }

    /// Whether a node holds what `predecessor` held: the same history, or one that branched off it on promotion.
    func continuesHistory(_ index: Int, of predecessor: Int) -> Bool {
        guard let id = nodes[predecessor].replication?.replicationID, !id.isEmpty, let own = nodes[index].replication else {
            return false
        }
        return own.replicationID == id || own.continuedID == id
    }

    /// Which node is expected to be the master: the confirmed one, else the configured one.
    var expectedMaster: Int? {
        index(of: mastership.endpoint) ?? index(of: options.master)
    }
}

extension Endpoint {
    /// Whether both texts mean the same node. Names are not resolved; `localhost` is 127.0.0.1.
    func isTextually(_ other: Endpoint) -> Bool {
        port == other.port && Self.plain(host) == Self.plain(other.host)
    }

    private static func plain(_ host: String) -> String {
        let host = host.lowercased()
        return host == "localhost" ? "127.0.0.1" : host
    }
}
