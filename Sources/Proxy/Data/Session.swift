import Wire

/// Why a client's requests are not being taken at the moment. The same request is looked at again when the last reason is gone.
struct PauseReasons: OptionSet {
    var rawValue: UInt16
    /// A command needs all earlier ones of this client answered first.
    static let draining = PauseReasons(rawValue: 1 << 0)
    /// A blocking command is out.
    static let blocked = PauseReasons(rawValue: 1 << 1)
    /// Other event loops were asked something.
    static let asking = PauseReasons(rawValue: 1 << 2)
    /// A connection with other credentials, protocol or database is being opened.
    static let greeting = PauseReasons(rawValue: 1 << 3)
    /// The client does not read its replies fast enough.
    static let outputFull = PauseReasons(rawValue: 1 << 4)
    /// It has more requests out than one client may.
    static let pipelineFull = PauseReasons(rawValue: 1 << 5)
    /// The connection its request goes to has no room.
    static let nodeFull = PauseReasons(rawValue: 1 << 6)
    /// There is no master to send to at the moment.
    static let noMaster = PauseReasons(rawValue: 1 << 7)
    /// CLIENT PAUSE.
    static let clientPause = PauseReasons(rawValue: 1 << 8)
    /// To be closed as soon as the replies are out: nothing more is read.
    static let closing = PauseReasons(rawValue: 1 << 9)
}

/// CLIENT REPLY.
enum ReplyMode: UInt8 {
    case on, off
    /// The next command gets no reply.
    case skipNext
    /// The command being handled gets no reply.
    case skipping
}

/// What a client needs a connection of its own for, as long as any of these holds.
struct PinReasons: OptionSet {
    var rawValue: UInt16
    static let transaction = PinReasons(rawValue: 1 << 0)
    static let watch = PinReasons(rawValue: 1 << 1)
    static let subscription = PinReasons(rawValue: 1 << 2)
    static let monitor = PinReasons(rawValue: 1 << 3)
    static let tracking = PinReasons(rawValue: 1 << 4)
    /// Another client's CLIENT TRACKING REDIRECT names this one, or CLIENT NO-TOUCH is on.
    static let keep = PinReasons(rawValue: 1 << 5)
    /// A single command: a blocking one or one that is too large to be held.
    static let single = PinReasons(rawValue: 1 << 6)
}

/// One client connection.
struct Session: ~Copyable {
    let link: LinkID
    let id: UInt64
    let address: String
    let localAddress: String
    let connectedAt: Instant
    var lastActive: Instant

    // MARK: What the client has set
    var name: [UInt8] = []
    var libraryName: [UInt8] = []
    var libraryVersion: [UInt8] = []
    var protocolVersion: UInt8 = 2
    var database = 0
    var isAuthenticated = false
    var lane: LanePointer
    var readFrom: ReadFrom?
    var replyMode = ReplyMode.on
    var isNoEvict = false

    // MARK: Requests
    /// Bytes of an unfinished request, or whole ones that wait while paused.
    var input = ByteQueue()
    /// How many bytes `input` must hold before parsing can get further.
    var wanted = 0
    var pauses: PauseReasons = []
    /// When the current pause for want of a master, or of room, ends with an error.
    var pauseDeadline = Instant.never
    /// Follows a request that is passed through in pieces.
    var stream: RequestStream?
    var streamedBytes = 0
    var lastCommand = -1
    var commandCount: UInt64 = 0
    /// No pause, no pin, no unusual mode: requests take the short way.
    var isPlain = false

    // MARK: Replies
    var firstRun: RunPointer?
    var lastRun: RunPointer?
    var outstanding = 0
    /// How many requests may be out; follows the size of the replies, of which nothing is known at first.
    var window = 16
    var averageReply = 256 << 10
    /// Reply bytes since the average was taken last.
    var replyBytes = 0
    var writesOutstanding: Int32 = 0
    var output = ByteQueue()
    /// Reply bytes that still lie in the worker's arena; they come after `output`.
    var reference: UnsafePointer<UInt8>?
    var referenceCount = 0
    var isDirty = false
    /// The socket took less than was offered.
    var isSocketFull = false
    /// Output has been over the soft limit since.
    var softLimitSince: Instant?
    /// A connection that was set aside, since this client does not read its large reply fast enough.
    var detached: ConnectionPointer?

    // MARK: A connection of its own
    var pins: PinReasons = []
    var pinned: ConnectionPointer?
    /// CLIENT TRACKING REDIRECT: the client that gets the invalidations.
    var redirect: UInt64 = 0
    /// Channels and patterns together, as the server counts them; and patterns alone.
    var subscriptions = 0
    var patternSubscriptions = 0
    var shardSubscriptions = 0
    /// The private connection was lost inside a transaction: EXEC must fail.
    var isTransactionLost = false
    var isWatchLost = false
    /// A greeting that the command being handled asked for has gone well (or is under way).
    var isGreeted = false
    /// Error line of a greeting that this session asked for.
    var greetingFailure: [UInt8]?
    /// Error texts for commands that were refused inside the transaction, in order.
    var transactionRefusals: [String] = []
    /// Database that a SELECT queued in the transaction asks for.
    var queuedSelect: Int?
    /// Name that a CLIENT SETNAME queued in the transaction asks for.
    var queuedName: [UInt8]?
    /// Commands sent since MULTI.
    var queuedCommands = 0
    /// The server has accepted the MULTI of the transaction that goes on.
    var isTransactionConfirmed = false
    /// MULTIs so far: tells which of them a reply belongs to.
    var transactions = 0
    /// The proxy section for the INFO that is out.
    var infoSection = ""
    /// What other loops have answered so far.
    var gather: Gather?

    var isClosing: Bool { pauses.contains(.closing) }
    var pendingOutput: Int { output.count + referenceCount }

    init(link: LinkID, id: UInt64, address: String, localAddress: String, lane: LanePointer, now: Instant) {
        self.link = link
        self.id = id
        self.address = address
        self.localAddress = localAddress
        self.lane = lane
        connectedAt = now
        lastActive = now
    }

    /// To be called after a change of anything that `isPlain` sums up.
    mutating func updateIsPlain() {
        isPlain =
            pauses.isEmpty && pins.isEmpty && pinned == nil && replyMode == .on && isAuthenticated && stream == nil
            && !isTransactionLost && !isWatchLost && pauseDeadline == .never
    }
}
