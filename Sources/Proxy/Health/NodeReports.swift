import Wire

/// What a node says about itself in ROLE.
///
/// Source: Redis documentation, command ROLE: `master OFFSET [replica...]`, `slave HOST PORT STATE OFFSET`, `sentinel [name...]`.
enum RoleReport: Equatable {
    case master(offset: Int64)
    /// `link` is `connected` while the replica follows its master; else `connect`, `connecting`, `handshake`, `sync` or `none`.
    case replica(of: Endpoint, link: String, offset: Int64)
    case sentinel

    /// Nil if the reply has none of the documented shapes.
    init?(_ reply: RESPValue) {
        guard let parts = reply.elements, let name = parts.first?.text else { return nil }
        switch name {
        case "master":
            guard parts.count >= 2, let offset = parts[1].integerValue else { return nil }
            self = .master(offset: offset)
        case "slave", "replica":
            guard parts.count >= 5, let host = parts[1].text, let port = parts[2].integerValue, let link = parts[3].text,
                let offset = parts[4].integerValue, (0...65_535).contains(port)
            else { return nil }
            self = .replica(
                of: Endpoint(host: PeerText.clean(host), port: Int(port)), link: PeerText.clean(link), offset: offset)
        case "sentinel":
            self = .sentinel
        default:
            return nil
        }
    }

    var role: NodeState.Role {
        switch self {
        case .master: .master
        case .replica: .replica
        case .sentinel: .unknown
        }
    }
}

/// What a node says about its replication in INFO replication.
struct ReplicationReport: Equatable {
    /// Only a replica has these.
    struct Upstream: Equatable {
        var isLinkUp: Bool
        var isSyncing: Bool
        /// Seconds since the master was last heard; nil while the link is down.
        var secondsSinceHeard: Int?
        /// Seconds since the link went down; nil while it is up, or if it never was up since the process started.
        var secondsDown: Int?
        /// What has been applied, as opposed to only received (`slave_read_repl_offset`).
        var appliedOffset: Int64
    }

    var replicationID: String
    /// The history that this node continued when it was promoted (`master_replid2`); nil if it continued none.
    var continuedID: String?
    /// The own offset of a master (`master_repl_offset`).
    var ownOffset: Int64
    /// Nil for a master.
    var upstream: Upstream?

    init(_ fields: InfoFields) {
        replicationID = fields.text("master_replid") ?? ""
        continuedID = fields.text("master_replid2").flatMap { id in id.utf8.allSatisfy { $0 == UInt8(ascii: "0") } ? nil : id }
        ownOffset = fields.integer("master_repl_offset") ?? 0
        guard fields.text("role") == "slave" else { return }
        let heard = fields.integer("master_last_io_seconds_ago") ?? -1
        let down = fields.integer("master_link_down_since_seconds") ?? -1
        upstream = Upstream(
            isLinkUp: fields.text("master_link_status") == "up",
            isSyncing: fields.integer("master_sync_in_progress") == 1,
            secondsSinceHeard: heard >= 0 ? Int(clamping: heard) : nil,
            secondsDown: down >= 0 ? Int(clamping: down) : nil,
            appliedOffset: fields.integer("slave_repl_offset") ?? 0)
    }
}

/// What a node says about its process in INFO server.
struct ServerReport: Equatable {
    /// Changes whenever the process restarts.
    var runID: String
    /// `redis_version`: for Valkey the Redis release that it is compatible with.
    var redisVersion: String
    /// `valkey_version`; nil for Redis.
    var valkeyVersion: String?

    init(_ fields: InfoFields) {
        runID = fields.text("run_id") ?? ""
        redisVersion = fields.text("redis_version") ?? ""
        valkeyVersion = fields.text("valkey_version")
    }
}
