import Wire

/// A node as one worker sees it: the newest state from the monitor, and what this worker has with it.
struct NodeSlot: ~Copyable {
    var endpoint: Endpoint
    var state: NodeState
    /// False once the node left the topology; the slot is reused when its last connection is gone.
    var isMember = true
    var isMaster = false
    /// May serve reads as a replica.
    var isReadableReplica = false
    var isInZone = false
    var weight = 1
    /// Requests sent or queued and not answered, over all lanes.
    var outstanding = 0
    var connections = 0
    /// Running balance of smooth weighted round-robin.
    var credit = 0
    /// Tells this node's SCAN cursors from those of other nodes and of the node's earlier lives; see `CursorTag`.
    var cursorTag: UInt64 = 0
    var statistics: Statistics.Node

    init(state: NodeState) {
        endpoint = state.endpoint
        self.state = state
        statistics = Statistics.Node(endpoint: state.endpoint)
    }
}
