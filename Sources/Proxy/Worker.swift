import Wire

/// The proxy's data path for one thread: clients, connections to nodes, and everything in between. A core without I/O.
///
/// The driver's turn: `beginTurn`; for each readable link `readSpace`, read into it, `received`; for each closed one `closed`;
/// then `endTurn`; then for each link from `nextDirty` until nil: `output`, send, `sent`; then carry out and clear `effects`.
/// The memory that `output` hands out is valid until the next call into the worker for that link; read space stays valid to the
/// end of the turn, since output may refer to it.
package final class Worker {
    /// Nodes one worker can know at the same time.
    static let maximumNodes = 64
    /// Bytes of the buffer that all reads of a turn share.
    static let arenaSize = 1 << 20
    /// Bytes one read may take of it.
    static let readSize = 128 << 10

    /// What the driver must carry out, in order. The driver empties it.
    package var effects: [Effect] = []

    let loop: LoopID
    let workerCount: Int
    var options: ProxyOptions
    var topology: Topology
    var random: Random
    var now: Instant
    var wallClock: Int64 = 0
    var startedAt: Instant
    var turn: UInt64 = 0

    // MARK: Tables
    var links = LinkTable()
    var sessions = SessionList()
    var connections = ConnectionList()
    var runs = RunPool()
    let nodes: UnsafeMutablePointer<NodeSlot>
    var nodeCount = 0
    var master = -1
    var lanes: [LanePointer] = []
    var routes: RouteTable
    var parser = RequestParser()
    var limits = RequestParser.Limits()

    // MARK: The turn
    let arena = UnsafeMutablePointer<UInt8>.allocate(capacity: Worker.arenaSize)
    var arenaUsed = 0
    /// Clients whose output refers to the arena.
    var referencing = 0
    /// Where the bytes that `received` reports begin, unfinished ones of earlier reads included.
    var readStart: UnsafeMutablePointer<UInt8>
    var readCarried = 0
    var readIsInPlace = false
    var dirtyConnections = LinkStack()
    var dirtySessions = LinkStack()
    var resumable = LinkStack()
    var choices: ReadChoices
    var activeClients = 0

    // MARK: The whole worker's state
    var statistics = Statistics()
    /// Requests by command class, and latencies by class and by node.
    let counters = Counters()
    var pausedUntil = Instant(nanoseconds: 0)
    var pauseIsForWritesOnly = false
    var isDraining = false
    var nextTick: Instant
    var nextSlowTick: Instant
    /// Memory of all buffers at the last tick.
    var bufferBytes = 0
    var nextQuestion: UInt64 = 0
    /// Who waits for the answers to a question of this worker.
    var gathers: [UInt64: LinkID] = [:]
    /// Questions of other loops that wait for a connection's greeting.
    var upstreamIDQuestions: [(connection: LinkID, number: UInt64, from: LoopID)] = []
    var scripts = ScriptMemory()
    let marker: [UInt8]
    let markerRequest: [UInt8]

    package init(index: LoopID, workerCount: Int, options: ProxyOptions, topology: Topology, seed: UInt64, now: Instant) {
        loop = index
        self.workerCount = workerCount
        self.options = options
        self.topology = Topology()
        self.now = now
        startedAt = now
        nextTick = now
        nextSlowTick = now
        random = Random(seed: seed)
        readStart = arena
        nodes = .allocate(capacity: Worker.maximumNodes)
        routes = RouteTable(commands: CommandTable(learned: LearnedCommands()), options: options)
        choices = ReadChoices()
        marker = Array("switchyard-marker-\(String(random.next(), radix: 16))".utf8)
        var request: [UInt8] = []
        request.appendCommand([Array("PING".utf8), marker])
        markerRequest = request
        applyLimits()
        adopt(topology)
    }

    deinit {
        for session in sessions.drain() {
            session.deinitialize(count: 1)
            session.deallocate()
        }
        for connection in connections.drain() {
            connection.deinitialize(count: 1)
            connection.deallocate()
        }
        for lane in lanes {
            lane.deinitialize(count: 1)
            lane.deallocate()
        }
        nodes.deinitialize(count: nodeCount)
        nodes.deallocate()
        arena.deallocate()
    }

    // MARK: - The driver's calls

    /// The clock of this turn; the driver sets it once after waiting. Wall clock in milliseconds since 1970 goes with it.
    package func beginTurn(now: Instant, wallClockMilliseconds: Int64) {
        self.now = now
        wallClock = wallClockMilliseconds
        turn &+= 1
        if referencing > 0 { materialiseReferences() }
        arenaUsed = 0
        choices.age()
        links.recycle()
    }

    /// Where the next bytes of this link go; empty while the worker wants none (the driver then remembers that the link may be
    /// readable and waits for `.resumeReading`).
    package func readSpace(_ link: LinkID) -> UnsafeMutableRawBufferPointer {
        if let session = links.session(link) { return readSpace(forClient: session) }
        if let connection = links.connection(link) { return readSpace(forNode: connection) }
        return UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// `count` bytes were read into the space that `readSpace` gave for this link just before.
    package func received(_ link: LinkID, count: Int) {
        precondition(count >= 0)
        if let session = links.session(link) {
            receivedFromClient(session, count)
        } else if let connection = links.connection(link) {
            receivedFromNode(connection, count)
        }
    }

    /// The peer closed its side or the connection failed; nothing more will come. The driver has closed the descriptor, and the
    /// link's identifier is dead on return.
    package func closed(_ link: LinkID, reason: String) {
        if let session = links.session(link) {
            forget(session)
        } else if let connection = links.connection(link) {
            lose(connection, reason: reason, isClosedByPeer: true)
        }
    }

    /// A connection asked for with `.connect` is open.
    package func connected(_ link: LinkID) {
        guard let connection = links.connection(link) else { return }
        greet(connection)
    }

    package func connectFailed(_ link: LinkID, reason: String) {
        guard let connection = links.connection(link) else { return }
        lose(connection, reason: reason, isClosedByPeer: true)
    }

    /// Everything that was readable has been handed in: decide what is to be sent.
    package func endTurn() {
        resumeSessions()
    }

    /// The next link with bytes to send, or nil. A link whose socket was full is offered again when the driver says `writable`.
    package func nextDirty() -> LinkID? {
        while true {
            if let link = dirtyConnections.pop() {
                guard let connection = links.connection(link) else { continue }
                connection.pointee.isDirty = false
                if !connection.pointee.isSocketFull { return link }
                continue
            }
            if resumable.count > 0 {
                resumeSessions()
                continue
            }
            guard let link = dirtySessions.pop() else { return nil }
            guard let session = links.session(link) else { continue }
            session.pointee.isDirty = false
            if !session.pointee.isSocketFull { return link }
        }
    }

    /// Up to `capacity` stretches to send in order; returns how many were filled in. 0 when the link is gone or has nothing.
    package func output(
        _ link: LinkID, into stretches: UnsafeMutablePointer<UnsafeRawBufferPointer>, capacity: Int
    ) -> Int {
        if let session = links.session(link) { return output(ofClient: session, stretches, capacity) }
        if let connection = links.connection(link) { return output(ofNode: connection, stretches) }
        return 0
    }

    /// `count` bytes of what `output` offered were taken by the socket. Fewer than offered means that the socket is full.
    package func sent(_ link: LinkID, count: Int) {
        if let session = links.session(link) {
            sentToClient(session, count)
        } else if let connection = links.connection(link) {
            sentToNode(connection, count)
        }
    }

    /// The socket of a link that was full takes bytes again.
    package func writable(_ link: LinkID) {
        if let session = links.session(link) {
            session.pointee.isSocketFull = false
            if session.pointee.pendingOutput > 0 { markDirty(session) }
        } else if let connection = links.connection(link) {
            connection.pointee.isSocketFull = false
            markDirty(connection)
        }
    }

    package var nextWake: Instant { nextTick }

    /// True once `.drain` was received and the last client is gone.
    package var isDrained: Bool { isDraining && sessions.count == 0 }

    /// Distinct clients that sent something since this was last asked; the driver's batching goes by it.
    package func takeActiveClients() -> Int {
        defer { activeClients = 0 }
        return activeClients
    }

    // MARK: - The shared read buffer

    /// Room for one read behind `carried` bytes of an earlier one.
    func arenaSpace(carrying carried: UnsafePointer<UInt8>?, _ count: Int) -> UnsafeMutableRawBufferPointer {
        if Worker.arenaSize - arenaUsed < Worker.readSize + count {
            materialiseReferences()
            arenaUsed = 0
        }
        readStart = arena + arenaUsed
        if let carried, count > 0 { readStart.update(from: carried, count: count) }
        readCarried = count
        return UnsafeMutableRawBufferPointer(start: readStart + count, count: Worker.readSize)
    }

    /// Copies what clients' output still refers to in the arena, so that the arena can be used from its beginning again.
    private func materialiseReferences() {
        guard referencing > 0 else { return }
        sessions.forEach { session in
            guard session.pointee.referenceCount > 0 else { return }
            self.materialise(session)
        }
    }

    func log(_ level: LogLevel, _ text: @autoclosure () -> String) {
        guard level >= options.logLevel else { return }
        effects.append(.log(level, text()))
    }
}
