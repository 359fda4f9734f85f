import CLinux
import Glibc
import Proxy
import Wire

/// One thread that owns one `Worker` core and everything that it has open. Its turn:
///
///     (nap) -> wait for readiness -> hand in what happened: connections, bytes, hang-ups, mail, timers -> endTurn
///           -> send what the core has for each dirty link -> carry out the core's effects -> again
///
/// Descriptors are registered once, edge-triggered, for both directions; a turn makes no `epoll_ctl` call, allocates nothing and
/// takes no lock unless clients come and go or mail arrives.
///
/// A structure that lives on its thread's stack, not a class: the compiler then proves exclusive access instead of checking it at
/// each use of a property, which was 4 % of the processor time.
struct WorkerLoop: ~Copyable {
    /// Bytes read from one link per turn; what is left waits for the next, so that one link can't starve the others.
    static let readBudget = 256 << 10
    /// Stretches sent with one call.
    static let stretchLimit = 64
    /// A client that finishes sending within this time after a request gets `lingerNanoseconds` for its reply. A client that leaves
    /// later (a killed BLPOP) is closed at once, as Redis does it.
    static let lingerWindowNanoseconds: UInt64 = 50_000_000
    static let lingerNanoseconds: UInt64 = 250_000_000
    /// Generation of tokens that are no links. No slot is reused four thousand million times.
    static let reservedGeneration = UInt32.max

    let id: LoopID
    let context: LoopContext
    let worker: Worker
    let mailbox: Mailbox
    let poller: Poller
    let stretches = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: WorkerLoop.stretchLimit)
    let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: WorkerLoop.stretchLimit)

    var now: Instant
    var table = LinkTable()
    /// Links to read in this turn; after reading, those with more left for the next.
    var ready = LinkList()
    var pacing = TurnPacing()
    var connector: Connector
    /// Attempts that failed at once; the core hears of them in the next turn, never while it is acting.
    var failures: [(LinkID, String)] = []
    /// Clients kept for a last reply, oldest first.
    var lingering: [(LinkID, until: Instant)] = []
    /// Swapped with the core's, so that neither array is ever reallocated.
    var effects: [Effect] = []
    var acceptor: Acceptor
    var keepaliveSeconds: Int
    var hasReportedDrained = false

    init(
        id: LoopID, context: LoopContext, poller: consuming Poller, listeners: [Listener], options: ProxyOptions,
        topology: Topology, seed: UInt64
    ) {
        self.id = id
        self.context = context
        self.poller = poller
        now = Clock.now
        mailbox = context.mailbox(of: id)
        connector = Connector(resolver: context.resolver, mailbox: mailbox)
        acceptor = Acceptor(listeners: listeners, clientLimit: options.maxClients)
        keepaliveSeconds = options.tcpKeepaliveSeconds
        worker = Worker(
            index: id, workerCount: context.workers.count, options: options, topology: topology, seed: seed, now: now)
        stretches.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: Self.stretchLimit)
        vectors.initialize(repeating: iovec(), count: Self.stretchLimit)
    }

    deinit {
        stretches.deallocate()
        vectors.deallocate()
    }

    static let mailboxToken = LinkID(slot: 0, generation: reservedGeneration).word
    static func listenerToken(_ index: Int) -> UInt64 { LinkID(slot: UInt32(index + 1), generation: reservedGeneration).word }

    /// From here on the loop hears of mail and of clients.
    func start() throws(SystemError) {
        try poller.add(mailbox.wakeDescriptor, token: Self.mailboxToken, .readable)
        try startListening()
    }

    /// Turns until the process ends.
    mutating func run() {
        Clock.sharpenTimers()
        while true { turn() }
    }

    mutating func turn() {
        let hasPendingWork = !ready.isEmpty || !failures.isEmpty
        let wake = nextWake
        let nap = pacing.nap(hasPendingWork: hasPendingWork, now: now, nextWake: wake)
        if nap > 0 { Clock.sleep(nanoseconds: nap) }
        let timeout = hasPendingWork ? 0 : Clock.waitMilliseconds(from: now, to: wake)
        let count = poller.wait(timeoutMilliseconds: timeout)

        now = Clock.now
        worker.beginTurn(now: now, wallClockMilliseconds: Clock.wallMilliseconds)
        if !failures.isEmpty { reportFailures() }
        for index in 0..<count { handle(token: poller.token(at: index), poller.readiness(at: index)) }
        if !ready.isEmpty { readReadyLinks() }
        if !lingering.isEmpty { closeLingering() }
        if acceptor.isPaused { resumeListening() }
        if worker.nextWake <= now { worker.tick() }
        worker.endTurn()
        flush()

        if pacing.isWindowOver(now: now) { pacing.close(activeClients: worker.takeActiveClients(), now: now) }
        if acceptor.isClosed, !hasReportedDrained, worker.isDrained {
            hasReportedDrained = true
            context.control.post(.drained(id))
        }
    }

    private var nextWake: Instant {
        var wake = worker.nextWake
        if let first = lingering.first { wake = min(wake, first.until) }
        if let resumption = acceptor.resumption { wake = min(wake, resumption) }
        return wake
    }

    private mutating func handle(token: UInt64, _ readiness: Readiness) {
        let link = LinkID(word: token)
        if link.generation == Self.reservedGeneration {
            link.slot == 0 ? receiveMail() : accept(fromListener: Int(link.slot) - 1)
            return
        }
        guard let entry = table.find(link) else { return }
        if entry.pointee.flags.isDisjoint(with: [.connecting, .lingering]) {
            note(readiness, on: link, entry)
        } else if entry.pointee.flags.contains(.connecting) {
            finishConnecting(link, entry, readiness)
        } else if readiness.isDisjoint(with: .broken) {
            passOnWritable(readiness, on: link, entry)
        } else {
            close(link, entry, reason: "connection closed by the peer")
        }
    }

    /// Remembers what an edge said, for the reading part of the turn.
    @inline(__always)
    mutating func note(_ readiness: Readiness, on link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) {
        var flags = entry.pointee.flags
        if !readiness.isDisjoint(with: [.readable, .finished, .broken]) {
            flags.insert(.readable)
            let isOver = !readiness.isDisjoint(with: [.finished, .broken])
            if isOver {
                flags.insert(.finished)
                if !readiness.isDisjoint(with: .broken) { flags.insert(.broken) }
            }
            if !flags.contains(.listed), isOver || !flags.contains(.refused) {
                flags.insert(.listed)
                ready.append(link)
            }
            entry.pointee.flags = flags
        }
        passOnWritable(readiness, on: link, entry)
    }

    @inline(__always)
    private mutating func passOnWritable(_ readiness: Readiness, on link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) {
        guard readiness.contains(.writable), entry.pointee.flags.contains(.sendBlocked) else { return }
        entry.pointee.flags.remove(.sendBlocked)
        worker.writable(link)
    }

    /// Closes the descriptor and tells the core, for which the link is dead from here on.
    mutating func close(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>, reason: String) {
        discard(link, entry)
        worker.closed(link, reason: reason)
    }

    /// Closes the descriptor without a word to the core.
    mutating func discard(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) {
        if entry.pointee.descriptor >= 0 { SystemCalls.close(entry.pointee.descriptor) }
        if entry.pointee.flags.contains(.accepted) { context.clients.leave() }
        if entry.pointee.flags.contains(.connecting) { connector.forget(link) }
        table.remove(link)
    }
}
