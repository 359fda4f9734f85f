import Wire

/// What the health checks know of one node. A value in an immutable snapshot.
package struct NodeState: Sendable, Hashable {
    package enum Role: String, Sendable {
        case master, replica, unknown
    }

    package enum Health: Sendable, Hashable {
        /// Not reached yet, or lost: the text says why.
        case down(String)
        /// Answers, but must not be used: loading, a wrong role, a refused password.
        case unusable(String)
        /// May serve what its role allows.
        case up
    }

    package var endpoint: Endpoint
    /// What the node's own ROLE said last.
    package var role: Role
    package var health: Health
    /// Why a replica gets no reads although it is up (full sync, link down, lag); nil when it may be read from.
    package var readsRefused: String?
    /// Set on exactly the node that writes go to.
    package var isMaster: Bool
    package var weight: Int
    package var zone: String?
    /// From INFO server: changes when the process restarts, so it tells cursor histories apart.
    package var runID: String
    /// `redis_version`: for Valkey the Redis release that it is compatible with. Empty until the node was reached.
    package var version: String
    /// `valkey_version`; nil for Redis.
    package var valkeyVersion: String?
    /// How many databases SELECT may choose from; nil if the node did not say (an ACL may forbid CONFIG).
    package var databases: Int?
    package var replicationID: String
    /// Applied offset for a replica (`slave_repl_offset`), own offset for the master.
    package var offset: Int64
    package var lagBytes: Int64
    /// Seconds since the replica last heard from its master; -1 while the link is down or for a master.
    package var secondsSinceMaster: Int
    /// Smoothed round trip of PING.
    package var latencyMicroseconds: Int

    package init(endpoint: Endpoint, weight: Int = 1, zone: String? = nil) {
        self.endpoint = endpoint
        role = .unknown
        health = .down("not connected yet")
        readsRefused = nil
        isMaster = false
        self.weight = weight
        self.zone = zone
        runID = ""
        version = ""
        valkeyVersion = nil
        databases = nil
        replicationID = ""
        offset = 0
        lagBytes = 0
        secondsSinceMaster = -1
        latencyMicroseconds = 0
    }
}

/// An immutable picture of all nodes, made by the monitor and handed to every worker.
package struct Topology: Sendable {
    /// Counts up with every snapshot.
    package var version: UInt64
    package var nodes: [NodeState]
    /// Commands as the nodes themselves describe them (COMMAND), merged over all nodes.
    package var commands: LearnedCommands

    package init(version: UInt64 = 0, nodes: [NodeState] = [], commands: LearnedCommands = LearnedCommands()) {
        self.version = version
        self.nodes = nodes
        self.commands = commands
    }

    package var masterIndex: Int? { nodes.firstIndex { $0.isMaster } }
}
