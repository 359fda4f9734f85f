import Wire

/// One connection to one node.
///
///     idle --connect--> connecting --connected--> greeting --all replies good--> ready
///       ^                   |                        |                            |
///       |                   +---- failed ------------+---- lost ------------------+
///       |                                            v
///       +----------- back-off is over ------------ waiting        (a private connection dies instead)
///
/// Requests may be appended in every state: they wait in `log` until the greeting is over.
struct NodeConnection: ~Copyable {
    enum State: UInt8 {
        case idle, connecting, greeting, ready, waiting, dead
    }

    enum Role: UInt8 {
        /// Multiplexed among all clients of its lane.
        case shared
        /// Belongs to one client, or to none while it is in the pool.
        case exclusive
        /// Was shared; takes no new requests and ends with the ones it has.
        case detached
    }

    /// Greeting commands, in the order of their replies.
    enum GreetingStep: UInt8 {
        case authenticate, hello, name, select, role, clientID
    }

    var link: LinkID?
    var state = State.idle
    var role: Role
    let node: Int
    let lane: LanePointer
    /// The client that has this exclusive connection.
    var owner: SessionPointer?
    /// The id the node knows this connection by; 0 while not known or not asked for.
    var upstreamID = 0
    /// Database of an exclusive connection; differs from the lane's after a SELECT on it.
    var database: Int
    /// It carries its client's name.
    var isNamed = false
    /// Left in a state that a pool must not hand on.
    var isTainted = false

    // MARK: Requests
    /// Requests that are not sent, or sent and not answered (a shared connection keeps those so that they can be repeated).
    var log = ByteQueue(keeping: 64 << 10)
    /// Absolute position behind the last byte of `log`.
    var logEnd = 0
    /// Absolute position behind the last byte that the socket took.
    var sentEnd = 0
    var greeting = ByteQueue()
    var greetingSteps: [GreetingStep] = []
    var firstRun: RunPointer?
    var lastRun: RunPointer?
    var outstanding = 0
    var isDirty = false
    var isSocketFull = false
    var isReadingPaused = false
    /// Clients that wait for room.
    var waiters: [LinkID] = []
    /// Clients that wait for the greeting's outcome.
    var greetingWaiters: [LinkID] = []

    // MARK: Replies
    var scanner = ReplyScanner()
    /// The beginning of something that can't be told apart yet.
    var partial = ByteQueue()
    /// How much of `partial` the scanner has seen (frames are only kept whole on connections with pushes).
    var scanned = 0
    /// Frames may arrive that answer nothing: subscriptions, tracking, MONITOR.
    var hasPushes = false
    /// Bytes of the reply being read that have been passed on.
    var replyBytes = 0

    // MARK: Life
    var since = Instant(nanoseconds: 0)
    var retryAt = Instant.never
    var failures = 0
    var lastFailure = ""
    /// Position in the worker's list of connections.
    var index = 0

    init(role: Role, node: Int, lane: LanePointer) {
        self.role = role
        self.node = node
        self.lane = lane
        database = lane.pointee.database
    }

    var unsent: Int { logEnd - sentEnd }
    var logStart: Int { logEnd - log.count }
}
