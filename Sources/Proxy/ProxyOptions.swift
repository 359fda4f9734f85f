import Wire

/// Which nodes a read may run on.
package enum ReadFrom: String, CaseIterable, Sendable {
    /// Only the master.
    case master
    /// The master; a replica while there is none.
    case preferMaster = "prefer-master"
    /// Only replicas; an error while none is eligible.
    case replica
    /// A replica; the master while no replica is eligible.
    case preferReplica = "prefer-replica"
    /// Master and replicas alike.
    case any
}

/// How one of several eligible nodes is chosen. Weights are honoured by all of them.
package enum ReplicaSelection: String, CaseIterable, Sendable {
    case leastOutstanding = "least-outstanding"
    case roundRobin = "round-robin"
    case random
    case lowestLatency = "lowest-latency"
}

/// Where the topology comes from. `sentinel` and `selfHosted` have their own documents of issue.
package enum TopologyMode: String, CaseIterable, Sendable {
    case `static`
}

package enum LogLevel: String, CaseIterable, Sendable, Comparable {
    case debug, verbose, notice, warning

    package static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int {
        switch self {
        case .debug: 0
        case .verbose: 1
        case .notice: 2
        case .warning: 3
        }
    }
}

package enum LogFormat: String, CaseIterable, Sendable {
    case text, json
}

/// `replica HOST:PORT [weight N] [zone Z]`.
package struct ReplicaOptions: Hashable, Sendable {
    package var endpoint: Endpoint
    /// Share of the reads relative to other replicas; 1...1000.
    package var weight: Int
    package var zone: String?

    package init(endpoint: Endpoint, weight: Int = 1, zone: String? = nil) {
        self.endpoint = endpoint
        self.weight = weight
        self.zone = zone
    }
}

/// `client-output-buffer-limit normal|pubsub HARD SOFT SECONDS`, in bytes and seconds; 0 turns a limit off.
package struct OutputBufferLimit: Hashable, Sendable {
    package var hardBytes: Int
    package var softBytes: Int
    package var softSeconds: Int

    package init(hardBytes: Int, softBytes: Int, softSeconds: Int) {
        self.hardBytes = hardBytes
        self.softBytes = softBytes
        self.softSeconds = softSeconds
    }
}

/// Everything the proxy can be told, validated and immutable once it runs. Each property is the directive of the same name in
/// `proxy.conf`; the defaults here are the product's.
package struct ProxyOptions: Hashable, Sendable {
    /// `port`: TCP port for clients; 0 turns TCP off.
    package var port = 7379
    /// `bind`: addresses to listen on. A leading `-` marks one that may be missing, as in redis.conf.
    package var bind = ["127.0.0.1", "-::1"]
    /// `unixsocket`: path of a listening Unix socket.
    package var unixSocket: String?
    /// `threads`: event loops; 0 stands for the number of cores.
    package var threads = 0
    /// `mode`.
    package var mode = TopologyMode.static
    /// `master HOST:PORT`. Required in static mode.
    package var master: Endpoint?
    /// `replica HOST:PORT [weight N] [zone Z]`, repeatable.
    package var replicas: [ReplicaOptions] = []
    /// `backend-user`, `backend-password`: what the proxy authenticates with towards the nodes.
    package var backendUser: String?
    package var backendPassword: String?
    /// `requirepass`: what clients must say as the user `default`.
    package var requirePass: String?
    /// `read-from`.
    package var readFrom = ReadFrom.preferReplica
    /// `replica-selection`.
    package var replicaSelection = ReplicaSelection.leastOutstanding
    /// `zone`: where this proxy runs; replicas of the same zone are read from first.
    package var zone: String?
    /// `max-replica-lag-bytes`: a replica further behind gets no reads; 0 turns the limit off.
    package var maxReplicaLagBytes = 0
    /// `max-replica-lag-seconds`: seconds since the replica last heard from its master; 0 turns the limit off.
    package var maxReplicaLagSeconds = 10
    /// `maxclients`: connections over all threads.
    package var maxClients = 10_000
    /// `timeout`: seconds after which an idle client is closed; 0 never.
    package var timeoutSeconds = 0
    /// `tcp-keepalive`: seconds between probes; 0 turns them off.
    package var tcpKeepaliveSeconds = 300
    /// `connect-timeout`, in milliseconds: to reach a node, greeting included.
    package var connectTimeoutMilliseconds = 1_000
    /// `request-timeout`, in milliseconds: from a request's arrival to its reply; 0 waits for ever. Blocking commands are exempt.
    package var requestTimeoutMilliseconds = 10_000
    /// `client-output-buffer-limit normal ...`.
    package var outputLimitNormal = OutputBufferLimit(hardBytes: 0, softBytes: 0, softSeconds: 0)
    /// `client-output-buffer-limit pubsub ...`.
    package var outputLimitPubsub = OutputBufferLimit(hardBytes: 32 << 20, softBytes: 8 << 20, softSeconds: 60)
    /// `client-query-buffer-limit`: bytes of one unfinished request that may be held.
    package var queryBufferLimit = 1 << 30
    /// `proto-max-bulk-len`: the longest argument accepted.
    package var protoMaxBulkLength = 512 << 20
    /// `maxmemory-buffers`: bytes of all buffers of the process; past it the largest clients are closed.
    package var maxMemoryBuffers = 1 << 30
    /// `admin-commands allow|deny`.
    package var adminCommandsAllowed = false
    /// `rename-command OLD NEW`, both lower case; an empty new name removes the command.
    package var renamedCommands: [String: String] = [:]
    /// `deny-command NAME` or `NAME|SUB`, lower case, repeatable.
    package var deniedCommands: [String] = []
    /// `metrics-port`: HTTP port for /metrics, /healthz and /readyz; 0 turns it off.
    package var metricsPort = 0
    package var logLevel = LogLevel.notice
    /// `logfile`: empty for standard output.
    package var logFile = ""
    package var logFormat = LogFormat.text

    package init() {}
}
