import Wire

// What the monitor and the configuration tell this worker.
extension Worker {
    func adopt(_ fresh: Topology) {
        let commandsChanged = fresh.commands != topology.commands
        topology = fresh
        if commandsChanged { routes = RouteTable(commands: CommandTable(learned: fresh.commands), options: options) }
        let oldMaster = master
        master = -1
        var present = NodeSet()
        var fallen = NodeSet()
        for state in fresh.nodes {
            guard let node = slot(for: state) else { continue }
            present.insert(node)
            if update(node, state) { fallen.insert(node) }
            if state.isMaster { master = node }
        }
        // Only now, since requests are sent to other nodes by what is known of those.
        for node in 0..<nodeCount where fallen.contains(node) { loseAll(node, reason: "the health check failed") }
        for node in 0..<nodeCount where nodes[node].isMember && !present.contains(node) { retire(node) }
        choices.forget()
        if master != oldMaster { masterChanged(from: oldMaster) }
        if master >= 0 {
            sessions.forEach { session in
                self.resume(session, .noMaster)
            }
            warmUp()
        } else if fresh.nodes.contains(where: { $0.readsRefused == nil && $0.health == .up }) {
            sessions.forEach { self.resume($0, .noMaster) }
        }
    }

    /// The slot that has this endpoint, or a free one.
    private func slot(for state: NodeState) -> Int? {
        for node in 0..<nodeCount where nodes[node].endpoint == state.endpoint {
            nodes[node].isMember = true
            return node
        }
        for node in 0..<nodeCount where !nodes[node].isMember && nodes[node].connections == 0 {
            nodes[node] = NodeSlot(state: state)
            counters.clear(node: node)
            return node
        }
        guard nodeCount < Worker.maximumNodes else {
            log(.warning, "More than \(Worker.maximumNodes) nodes: \(state.endpoint) is left out")
            return nil
        }
        (nodes + nodeCount).initialize(to: NodeSlot(state: state))
        nodeCount += 1
        return nodeCount - 1
    }

    /// True if the node is to be given up: a replica that does not answer its health check does not answer reads either, and
    /// they are asked again elsewhere. The master is left alone: its writes could not be asked again, and it may only be busy.
    private func update(_ node: Int, _ state: NodeState) -> Bool {
        let wasDown = if case .down = nodes[node].state.health { true } else { false }
        let isDown = if case .down = state.health { true } else { false }
        if nodes[node].state.runID != state.runID && !state.runID.isEmpty { scripts.forget() }
        nodes[node].state = state
        nodes[node].isMaster = state.isMaster
        nodes[node].isReadableReplica =
            state.health == .up && state.readsRefused == nil && state.role == .replica && !state.isMaster
        nodes[node].isInZone = options.zone != nil && state.zone == options.zone
        nodes[node].weight = max(1, state.weight)
        nodes[node].cursorTag = CursorTag.make(endpoint: state.endpoint, runID: state.runID)
        return isDown && !wasDown && !state.isMaster
    }

    private func retire(_ node: Int) {
        nodes[node].isMember = false
        nodes[node].isReadableReplica = false
        nodes[node].isMaster = false
        for connection in connections.pointers {
            guard connections.holds(connection), connection.pointee.node == node else { continue }
            if connection.pointee.role == .shared {
                let lane = connection.pointee.lane
                if lane.pointee.shared[node] == connection { lane.pointee.shared[node] = nil }
                connection.pointee.role = .detached
            }
            lose(connection, reason: "the node was removed", isClosedByPeer: false)
        }
    }

    private func loseAll(_ node: Int, reason: String) {
        for connection in connections.pointers {
            guard connections.holds(connection), connection.pointee.node == node, connection.pointee.role != .exclusive,
                connection.pointee.state == .ready || connection.pointee.state == .greeting
            else { continue }
            lose(connection, reason: reason, isClosedByPeer: false)
        }
    }

    /// Requests that wait for the old master go to the new one; private connections are of no use any more.
    private func masterChanged(from old: Int) {
        guard old >= 0 else { return }
        for connection in connections.pointers {
            guard connections.holds(connection), connection.pointee.node == old else { continue }
            if connection.pointee.role == .exclusive {
                lose(connection, reason: "\(nodes[old].endpoint) is not the master any more", isClosedByPeer: false)
            } else if connection.pointee.state != .ready {
                redistribute(connection, reason: "\(nodes[old].endpoint) is not the master any more")
            }
        }
    }

    /// Opens the connections that the first clients will need.
    private func warmUp() {
        let lane = lane(.proxy, protocolVersion: 2, database: 0)
        for node in 0..<nodeCount where nodes[node].isMember && (node == master || nodes[node].isReadableReplica) {
            _ = sharedConnection(lane, node)
        }
    }

    /// New options from SIGHUP or PROXY CONFIG SET.
    func adopt(_ fresh: ProxyOptions) {
        let old = options
        options = fresh
        applyLimits()
        if old.renamedCommands != fresh.renamedCommands || old.deniedCommands != fresh.deniedCommands
            || old.adminCommandsAllowed != fresh.adminCommandsAllowed
        {
            routes = RouteTable(commands: CommandTable(learned: topology.commands), options: fresh)
        }
        for node in 0..<nodeCount { nodes[node].isInZone = fresh.zone != nil && nodes[node].state.zone == fresh.zone }
        choices.forget()
        // Clients that are in stay in; a new password holds for those to come.
        if old.requirePass != nil && fresh.requirePass == nil {
            sessions.forEach { session in
                session.pointee.isAuthenticated = true
                self.updateIsPlain(session)
            }
        }
    }

    func applyLimits() {
        limits.bulkLength = options.protoMaxBulkLength
    }

    /// Every client gets the replies to what it has asked for, and is closed then.
    func drain() {
        isDraining = true
        for session in sessions.snapshot
        where session.pointee.pauses.contains(.blocked) || !session.pointee.pins.isDisjoint(with: [.subscription, .monitor]) {
            close(session, reason: "the proxy shuts down")
        }
        nextTick = now
    }
}
