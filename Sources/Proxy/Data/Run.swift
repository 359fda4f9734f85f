import Wire

typealias RunPointer = UnsafeMutablePointer<Run>
typealias SessionPointer = UnsafeMutablePointer<Session>
typealias ConnectionPointer = UnsafeMutablePointer<NodeConnection>

/// A contiguous stretch of one client's requests on one connection to a node, and the replies it is owed.
///
/// A run stands in two queues at once: its client's, which keeps the replies in the order of the requests, and its connection's,
/// which tells whose the next reply is. It ends when both have let go of it. Runs come from a pool, so a request allocates nothing.
struct Run: ~Copyable {
    enum Kind: UInt8 {
        /// Replies pass through as they come.
        case plain
        /// Answered by the proxy itself: on no connection.
        case local
        /// Replies pass through up to and without the reply to a marker PING that was sent behind the request, since nothing
        /// else tells how many frames SUBSCRIBE and its like answer. `detail` is 1 once the request's own answer has begun.
        case untilMarker
        /// EXEC of a transaction with a SELECT in it: its reply says whether the database `detail` is in force.
        case exec
        /// MULTI, the `detail`th of its client: its reply says whether a transaction has begun.
        case multi
        /// SELECT on a private connection: `detail` is the database it switches to.
        case select
        /// SCAN and its like: the cursor in the reply gets the tag of its node.
        case cursor
        /// INFO: the proxy's own section is added.
        case info
        /// CLIENT TRACKINGINFO: the client that invalidations are redirected to gets the id it has here.
        case trackingInfo
        /// Sent in place of a command that the proxy refuses inside a transaction: the reply is replaced by the refusal.
        case refusedInTransaction

        /// The reply is kept until it is whole, since it is then changed or looked at.
        var isCollected: Bool {
            switch self {
            case .cursor, .info, .exec, .trackingInfo, .refusedInTransaction: true
            case .plain, .local, .untilMarker, .multi, .select: false
            }
        }
    }

    /// The client that waits for the replies; nil once it is gone or was answered otherwise: the replies are then dropped.
    var session: SessionPointer?
    /// The connection the requests are on; nil for a local run and once all replies are here.
    var connection: ConnectionPointer?
    var nextOfSession: RunPointer?
    var nextOfConnection: RunPointer?
    var kind = Kind.plain
    /// `Statistics.CommandClass` of the first request.
    var commandClass: UInt8 = 0
    /// CLIENT REPLY OFF or SKIP was in force: the replies are dropped.
    var isSilent = false
    /// Blocking commands and subscriptions wait as long as they like.
    var hasNoTimeout = false
    /// How often its requests were moved to another node.
    var attempts: UInt8 = 0
    /// The client has a part of the reply that is being read.
    var isMidReply = false
    /// Bytes of `stash` that are whole replies.
    var stashWhole = 0
    var requests: Int32 = 0
    var remaining: Int32 = 0
    var writes: Int32 = 0
    /// Absolute positions of the requests in the connection's log.
    var logStart = 0
    var logEnd = 0
    var issuedAt = Instant(nanoseconds: 0)
    /// Meaning depends on the kind.
    var detail: Int = 0
    /// Reply bytes that came before their turn.
    var stash = ByteQueue()

    init() {}

    var isDone: Bool { remaining == 0 }
}

/// Hands out runs and takes them back; memory grows with the largest number in use.
struct RunPool: ~Copyable {
    private var free: RunPointer?
    private(set) var inUse = 0

    mutating func take() -> RunPointer {
        inUse += 1
        guard let run = free else {
            let run = RunPointer.allocate(capacity: 1)
            run.initialize(to: Run())
            return run
        }
        free = run.pointee.nextOfSession
        run.pointee.nextOfSession = nil
        return run
    }

    mutating func give(_ run: RunPointer) {
        inUse -= 1
        run.pointee.session = nil
        run.pointee.connection = nil
        run.pointee.nextOfConnection = nil
        run.pointee.kind = .plain
        run.pointee.isSilent = false
        run.pointee.hasNoTimeout = false
        run.pointee.attempts = 0
        run.pointee.isMidReply = false
        run.pointee.stashWhole = 0
        run.pointee.requests = 0
        run.pointee.remaining = 0
        run.pointee.writes = 0
        run.pointee.detail = 0
        if run.pointee.stash.capacity > 0 { run.pointee.stash = ByteQueue() }
        run.pointee.nextOfSession = free
        free = run
    }

    deinit {
        var next = free
        while let run = next {
            next = run.pointee.nextOfSession
            run.deinitialize(count: 1)
            run.deallocate()
        }
    }
}

extension RunPool {
    /// Takes a run out of the middle of its client's queue.
    func detachFromSession(_ run: RunPointer, _ session: SessionPointer) {
        if session.pointee.firstRun == run {
            session.pointee.firstRun = run.pointee.nextOfSession
            if session.pointee.firstRun == nil { session.pointee.lastRun = nil }
        } else {
            var previous = session.pointee.firstRun
            while let candidate = previous, candidate.pointee.nextOfSession != run {
                previous = candidate.pointee.nextOfSession
            }
            guard let before = previous else { preconditionFailure("a run stands in its client's queue") }
            before.pointee.nextOfSession = run.pointee.nextOfSession
            if session.pointee.lastRun == run { session.pointee.lastRun = before }
        }
        run.pointee.nextOfSession = nil
    }
}
